import type { AttributePath } from '../../dicom/attribute-path.ts'
import { Breather } from '../../dicom/breather.ts'
import type { Bytes, ByteStream } from '../../dicom/bytes.ts'
import { DEFAULT_REPERTOIRE, UnencodableTextError, type CharacterSet } from '../../dicom/charset.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import { vrFor } from '../../dicom/dataset.ts'
import { encodeDataset } from '../../dicom/dataset-codec.ts'
import { inUtf8 } from '../../dicom/in-utf8.ts'
import { dictionaryVr } from '../../dicom/dictionary.ts'
import { datasetsAt } from '../../dicom/datasets-at.ts'
import { isPrivate, type Tag } from '../../dicom/tag.ts'
import { encodeValues, type Value } from '../../dicom/value.ts'
import { FrontTooLongError, type Front } from '../front.ts'
import { RestChanges } from './rest-changes.ts'
import { UnreadableItemsError } from './unseen-error.ts'
import { representation } from '../../dicom/vr.ts'

/** An instance that is being changed: the part that is held, and what is to be changed in the rest. */
export class Draft {
  readonly front: Front
  readonly rest = new RestChanges()
  #dataset: Dataset

  constructor(front: Front) {
    this.front = front
    this.#dataset = front.copy()
    writeAsMeant(this.#dataset)
  }

  /** What is held, as changed so far. */
  get dataset(): Dataset {
    return this.#dataset
  }

  /** Values of an attribute, of all items that there are around it. @throws FrontTooLongError */
  values(path: AttributePath): string[] {
    this.#reach(path)
    return datasetsAt(this.#dataset, path).flatMap((dataset) => dataset.strings(path.at(-1)!))
  }

  /**
   * Sets an attribute, in each item of the sequences around it; where there is none, in a new one. Text that the character
   * set of the instance cannot hold turns all its text into UTF-8.
   * @throws FrontTooLongError, InvalidValueError
   */
  assign(path: AttributePath, values: readonly Value[]): void {
    const tag = path.at(-1)!
    if (!this.front.covers(path)) {
      if (path.length > 1) throw new FrontTooLongError()
      this.rest.set(tag, { vr: vrFor(tag), value: this.#encoded(path, values) })
      return
    }
    this.#inAnySet(() => {
      for (const dataset of datasetsAt(this.#dataset, path, true)) setValues(dataset, tag, values)
    })
  }

  /** Adds an item to a sequence, as the last. @throws FrontTooLongError where it is not known what it has already */
  append(sequence: Tag, make: (set: CharacterSet) => Dataset): void {
    this.#reach([sequence])
    this.#inAnySet(() => {
      const items = this.#dataset.items(sequence)
      this.#dataset.setItems(sequence, [...items, make(this.#dataset.characterSet)])
    })
  }

  /**
   * Replaces the values of an attribute where it has any; undefined takes one away.
   * @throws FrontTooLongError, InvalidValueError, UnencodableTextError, and what `change` throws
   */
  async replace(path: AttributePath, change: (value: string) => string | undefined): Promise<void> {
    this.#reach(path)
    const tag = path.at(-1)!
    // Before anything is written: what has to be begun anew, in UTF-8, is not changed twice.
    const planned: (string | undefined)[][] = []
    const breather = new Breather()
    for (const dataset of datasetsAt(this.#dataset, path)) {
      if (breather.isDue) await breather.breathe()
      planned.push(dataset.values(tag).map((value) => (value === undefined ? undefined : change(String(value)))))
    }
    this.#inAnySet(() => {
      datasetsAt(this.#dataset, path).forEach((dataset, index) => replaceValues(dataset, tag, planned[index]!))
    })
  }

  /** @throws FrontTooLongError */
  remove(path: AttributePath): void {
    const tag = path.at(-1)!
    if (path.length === 1) {
      this.#dataset.delete(tag)
      this.rest.remove((header) => header.tag === tag)
      return
    }
    this.#reach(path)
    for (const dataset of datasetsAt(this.#dataset, path)) dataset.delete(tag)
  }

  /** The data set, to be changed at any depth. @throws FrontTooLongError where that is not all there is */
  whole(): Dataset {
    if (!this.front.isWhole) throw new FrontTooLongError()
    this.rest.isDeep = true
    return this.#dataset
  }

  /** The data set, and those of all items in it. @throws FrontTooLongError where that are not all there are */
  *everywhere(): Generator<Dataset> {
    yield* nested(this.whole())
  }

  /**
   * The changed instance, in the transfer syntax of the front; `behind`: what is not held.
   * @throws MisplacedElementError where that has what should have been held; FrontTooLongError, MalformedDataSetError, and
   *   what `behind` throws
   */
  async *stream(behind: ByteStream): AsyncGenerator<Bytes> {
    yield encodeDataset(this.#dataset, this.front.syntax)
    if (this.front.next !== undefined) yield* this.rest.applied(behind, this.front.syntax)
  }

  #reach(path: AttributePath): void {
    if (!this.front.covers(path)) throw new FrontTooLongError()
  }

  /** What it does is done again where it had to be begun in UTF-8. */
  #inAnySet(change: () => void): void {
    try {
      change()
    } catch (error) {
      if (!(error instanceof UnencodableTextError) || !this.front.isWhole) throw error
      this.#dataset = inUtf8(this.#dataset)
      this.rest.isRecoded = true
      change()
    }
  }

  #encoded(path: AttributePath, values: readonly Value[]): Bytes {
    const vr = vrFor(path.at(-1)!)
    if (values.length === 0) return new Uint8Array(0)
    return encodeValues(vr, values, representation(vr).charset ? this.#dataset.characterSet : DEFAULT_REPERTOIRE)
  }
}

/** @throws UnreadableItemsError */
function* nested(dataset: Dataset): Generator<Dataset> {
  yield dataset
  for (const [tag, { value }] of dataset.entries()) {
    if (value instanceof Uint8Array && value.length > 0 && mayBeItems(tag, value)) throw new UnreadableItemsError()
    for (const item of dataset.items(tag)) yield* nested(item)
  }
}

/** A sequence by the dictionary, or what that does not know and begins with an item (PS3.5 7.5). */
function mayBeItems(tag: Tag, value: Bytes): boolean {
  const vr = dictionaryVr(tag)
  if (vr !== undefined || isPrivate(tag)) return vr === 'SQ'
  return value.length >= 8 && value[0] === 0xfe && value[1] === 0xff && value[2] === 0x00 && value[3] === 0xe0
}

/** Text that was written as if it were bytes is text: what is to be changed in it would not be seen. */
function writeAsMeant(root: Dataset): void {
  for (const [tag, { vr, value }] of root.entries()) {
    for (const item of root.items(tag)) writeAsMeant(item)
    if (!(value instanceof Uint8Array) || value.length === 0 || representation(vr).kind !== 'binary') continue
    const meant = vrFor(tag)
    if (['string', 'text'].includes(representation(meant).kind)) root.put(tag, { vr: meant, value })
  }
}

function setValues(dataset: Dataset, tag: number, values: readonly Value[]): void {
  const { vr = vrFor(tag) } = dataset.get(tag) ?? {}
  dataset.set(tag, values, vr === 'UN' ? vrFor(tag) : vr)
}

function replaceValues(dataset: Dataset, tag: number, changed: readonly (string | undefined)[]): void {
  if (changed.length === 0) return
  if (changed.every((value) => value === undefined)) dataset.delete(tag)
  else setValues(dataset, tag, changed)
}
