import { Attribute } from '../../dicom/attributes.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import { formatTag } from '../../dicom/tag.ts'
import { OCTET_STREAM } from '../../dicom/transfer-syntax.ts'
import type { Uid } from '../../dicom/uids.ts'
import { putReferenced, topTag, type BulkReference, type InstanceModel } from '../../dicomweb/decode/instance-model.ts'
import { isPixelData } from '../../instance/bulk-attributes.ts'
import type { BulkValue } from './bulk-value.ts'
import { MAX_HELD_BYTES } from './holding.ts'

/** Attributes of a web service, which are of no instance (PS3.18 10.4.1.2). */
const OF_THE_WEB = [Attribute.AvailableTransferSyntaxUID, Attribute.RetrieveURL]

/** A value of an instance that has come, in memory. Of pixel data in frames all of them. */
export interface HeldValue {
  readonly parts: readonly BulkValue[]
}

/** Pixels within a sequence, of an icon, are native: nothing makes frames of them. */
function isPlain({ path }: BulkReference, { media }: BulkValue): boolean {
  return !path.endsWith(formatTag(Attribute.PixelData)) || media === OCTET_STREAM
}

/** Bytes in memory, and for how many instances. */
export interface HeldBytes {
  readonly bytes: number
  owners: number
}

interface Names {
  readonly sopClass: Uid
  readonly sopInstance: Uid
}

/** An instance that is described, and the values that it waits for. */
export class DescribedInstance {
  readonly dataset: Dataset
  readonly sopClass: Uid
  readonly sopInstance: Uid
  readonly #waiting = new Map<string, BulkReference[]>()
  /** Pixel data, which is made when all else is here. */
  #pixels: { readonly key: string; readonly reference: BulkReference; held: HeldValue | undefined } | undefined

  readonly #held: HeldBytes[] = []
  #isUnfit = false
  /** Bytes of values that go into it, again and again. */
  #valueBytes = 0

  private constructor(model: InstanceModel, names: Names, resolved: (uri: string) => string) {
    const { sopClass, sopInstance } = names
    this.dataset = model.dataset
    this.sopClass = sopClass
    this.sopInstance = sopInstance
    for (const reference of model.references) {
      const key = resolved(reference.uri)
      const others = this.#waiting.get(key)
      if (others) others.push(reference)
      else this.#waiting.set(key, [reference])
      const tag = topTag(reference)
      if (tag === undefined || !isPixelData(tag)) continue
      // An image has one of them (PS3.3 C.7.6.3, C.7.6.24).
      this.#isUnfit ||= this.#pixels !== undefined
      this.#pixels = { key, reference, held: undefined }
    }
  }

  /** Undefined for a data set that does not say who it is. `resolved`: what references are compared by. */
  static of(model: InstanceModel, resolved: (uri: string) => string): DescribedInstance | undefined {
    const { dataset } = model
    for (const tag of OF_THE_WEB) dataset.delete(tag)
    const [sopClass, sopInstance] = [dataset.string(Attribute.SOPClassUID), dataset.string(Attribute.SOPInstanceUID)]
    return sopClass && sopInstance ? new DescribedInstance(model, { sopClass, sopInstance }, resolved) : undefined
  }

  /** What the values that are not here are referred to by. */
  get missing(): Iterable<string> {
    return this.#waiting.keys()
  }

  /** It is described as what cannot be. */
  get isUnfit(): boolean {
    return this.#isUnfit
  }

  get isComplete(): boolean {
    return this.#waiting.size === 0
  }

  /** The pixel data, by itself the last to be missing. */
  isLast(key: string): boolean {
    return this.#waiting.size === 1 && this.#pixels?.key === key && this.#waiting.get(key)?.length === 1
  }

  /** Something is held for it, and maybe for others. */
  holds(held: HeldBytes): void {
    this.#held.push(held)
  }

  /** It is done with. Comes to the bytes that are held for nobody any more. */
  leave(): number {
    let bytes = 0
    for (const held of this.#held.splice(0)) if (--held.owners === 0) bytes += held.bytes
    return bytes
  }

  get pixels(): { readonly reference: BulkReference; readonly held: HeldValue | undefined } | undefined {
    return this.#pixels
  }

  /** A value has come whole. False where it is none that the element can have. */
  put(key: string, held: HeldValue): boolean {
    const references = this.#waiting.get(key) ?? []
    this.#waiting.delete(key)
    for (const reference of references) {
      if (reference === this.#pixels?.reference) {
        this.#pixels.held = held
        continue
      }
      const [part, ...more] = held.parts
      if (more.length > 0 || !part?.whole || !part.isPlain || !isPlain(reference, part)) return false
      this.#valueBytes += part.whole.length
      if (this.#valueBytes > MAX_HELD_BYTES) return false
      putReferenced(this.dataset, reference, part.whole)
    }
    return true
  }
}
