import { Attribute } from '../../dicom/attributes.ts'
import type { Bytes } from '../../dicom/bytes.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import { formatTag } from '../../dicom/tag.ts'
import { OCTET_STREAM } from '../../dicom/transfer-syntax.ts'
import type { Uid } from '../../dicom/uids.ts'
import { putReferenced, topTag, type BulkReference, type InstanceModel } from '../../dicomweb/decode/instance-model.ts'
import { isPixelData } from '../../instance/bulk-attributes.ts'
import type { BulkValue } from './bulk-value.ts'

/** Attributes of a web service, which are of no instance (PS3.18 10.4.1.2). */
const OF_THE_WEB = [Attribute.AvailableTransferSyntaxUID, Attribute.RetrieveURL]

/** A value of an instance that has come, in memory. Of pixel data in frames all of them. */
export interface HeldValue {
  readonly value: BulkValue
  readonly parts: Bytes[]
}

/** Pixels within a sequence, of an icon, are native: nothing makes frames of them. */
function isPlain({ path }: BulkReference, { media }: BulkValue): boolean {
  return !path.endsWith(formatTag(Attribute.PixelData)) || media === OCTET_STREAM
}

/** An instance that is described, and the values that it waits for. */
export class DescribedInstance {
  readonly dataset: Dataset
  readonly sopClass: Uid
  readonly sopInstance: Uid
  readonly #waiting = new Map<string, BulkReference[]>()
  /** Pixel data, which is made when all else is here. */
  #pixels: { readonly reference: BulkReference; held: HeldValue | undefined } | undefined

  #heldBytes = 0

  private constructor(model: InstanceModel, sopClass: Uid, sopInstance: Uid) {
    this.dataset = model.dataset
    this.sopClass = sopClass
    this.sopInstance = sopInstance
    for (const reference of model.references) {
      this.#waiting.set(reference.uri, [...(this.#waiting.get(reference.uri) ?? []), reference])
      const tag = topTag(reference)
      if (tag !== undefined && isPixelData(tag)) this.#pixels = { reference, held: undefined }
    }
  }

  /** Undefined for a data set that does not say who it is. */
  static of(model: InstanceModel): DescribedInstance | undefined {
    const { dataset } = model
    for (const tag of OF_THE_WEB) dataset.delete(tag)
    const [sopClass, sopInstance] = [dataset.string(Attribute.SOPClassUID), dataset.string(Attribute.SOPInstanceUID)]
    return sopClass && sopInstance ? new DescribedInstance(model, sopClass, sopInstance) : undefined
  }

  /** URIs of the values that are not here. */
  get missing(): readonly string[] {
    return [...this.#waiting.keys()]
  }

  /** Bytes that are held for it. */
  get heldBytes(): number {
    return this.#heldBytes
  }

  /** The pixel data, by itself the last to be missing. */
  isLast(uri: string): boolean {
    return this.#waiting.size === 1 && this.#pixels?.reference.uri === uri && this.#waiting.get(uri)?.length === 1
  }

  get pixels(): { readonly reference: BulkReference; readonly held: HeldValue | undefined } | undefined {
    return this.#pixels
  }

  /** A value has come whole; `bytes` of it are held for this one. False where it is none that the element can have. */
  put(uri: string, held: HeldValue, bytes: number): boolean {
    const references = this.#waiting.get(uri) ?? []
    this.#waiting.delete(uri)
    this.#heldBytes += bytes
    for (const reference of references) {
      if (reference === this.#pixels?.reference) {
        this.#pixels.held = held
        continue
      }
      if (held.parts.length > 1 || !isPlain(reference, held.value)) return false
      putReferenced(this.dataset, reference, held.parts[0]!)
    }
    return true
  }
}
