import type { Dataset } from '../dicom/dataset.ts'
import { parseDataset } from '../dicom/dataset-codec.ts'
import type { Bytes } from '../dicom/bytes.ts'
import type { ElementHeader } from '../dicom/element-reader.ts'
import type { Uid } from '../dicom/uids.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN } from '../dicom/transfer-syntax.ts'
import type { FrameTable } from './frame-table.ts'
import { pixelLayout, type PixelLayout } from './pixel-layout.ts'

/** Who an instance is, as its own data set says; undefined where it does not. */
export interface Identity {
  readonly sopClass: Uid | undefined
  readonly sopInstance: Uid | undefined
  readonly study: Uid | undefined
  readonly series: Uid | undefined
}

/** A value that is given by a URI of its own: where it is among the bytes of the data set. */
export interface BulkValue {
  readonly header: ElementHeader
  /** Tags, with item numbers from 0 between them, joined by `/`. */
  readonly path: string
  /** Of the first byte of the value; of its first item where it is encapsulated (PS3.5 A.4). */
  readonly offset: number
  /** Of a value that is encapsulated. */
  readonly fragments: FrameTable | undefined
}

/** What an entry of an index, and an index itself, take in memory, in bytes: measured, rounded up. */
const VALUE_BYTES = 400
const INDEX_BYTES = 1_500
const LAYOUT_BYTES = 4_000

/**
 * What is known of a data set from reading it once: it grows with the bytes. Nobody reads the data set again to find
 * something out that is here.
 */
export interface InstanceIndex {
  readonly identity: Identity
  /** Bytes in front of the value of the pixel data, or of the whole data set where it has none; once that is known. */
  readonly headBytes: number | undefined
  /** Bulk values but the instance's own pixel data, in their order. */
  readonly values: readonly BulkValue[]
  /** The frames of pixel data that is encapsulated. */
  readonly frames: FrameTable | undefined
  /** Why the structure cannot be followed any further. */
  readonly fault: Error | undefined
  /**
   * Where what is given of a damaged data set ends, in bytes: it ends too early, or it is rewritten and cannot be followed
   * any further. It ends in order all the same, so that what comes behind this instance can be had.
   */
  readonly cutAt: number | undefined
  /** Why it is cut; undefined where it is not. */
  readonly damage: Error | undefined
  /** All of it has been read, and followed to its end. */
  readonly complete: boolean
  /** Its elements have come each once, by ascending tags, as they have to (PS3.5 7.1). */
  readonly ascends: boolean
  /** None of the UIDs of its identity is one of several values. */
  readonly hasOneIdentity: boolean
  /** The attributes that are looked at: for frames and documents, and of the patient; in any syntax Explicit VR Little Endian. */
  readonly attributes: Dataset
  /** Undefined where there is no pixel data, or it has not been reached. */
  readonly layout: PixelLayout | undefined
  /** What the data set comes to at least, as far as it says; in bytes. */
  readonly foreseenBytes: number
  /** Memory that it takes, in bytes. */
  readonly heldBytes: number
}

/** An index for who reads the data set. */
export class GrowingIndex implements InstanceIndex {
  identity: Identity = { sopClass: undefined, sopInstance: undefined, study: undefined, series: undefined }
  headBytes: number | undefined
  readonly values: BulkValue[] = []
  frames: FrameTable | undefined
  fault: Error | undefined
  cutAt: number | undefined
  complete = false
  ascends = true
  hasOneIdentity = true
  readonly #attributes: Bytes[] = []
  #pixels: { readonly header: ElementHeader; readonly offset: number } | undefined
  #layout: PixelLayout | undefined

  get damage(): Error | undefined {
    return this.cutAt === undefined ? undefined : this.fault
  }

  get attributes(): Dataset {
    return parseDataset(Buffer.concat(this.#attributes), EXPLICIT_VR_LITTLE_ENDIAN)
  }

  get layout(): PixelLayout | undefined {
    const pixels = this.#pixels
    this.#layout ??= pixels && pixelLayout(this.attributes, pixels.header, pixels.offset)
    return this.#layout
  }

  get foreseenBytes(): number {
    return this.#pixels ? this.#pixels.offset + (this.#pixels.header.length ?? 0) : 0
  }

  get heldBytes(): number {
    const attributes = this.#attributes.reduce((sum, { length }) => sum + length, 0)
    return (
      INDEX_BYTES +
      (this.#layout ? LAYOUT_BYTES : 0) +
      attributes +
      VALUE_BYTES * this.values.length +
      (this.frames?.heldBytes ?? 0)
    )
  }

  /** Encoded elements. */
  addAttributes(elements: readonly Bytes[]): void {
    this.#attributes.push(...elements)
  }

  reachPixels(header: ElementHeader, offset: number): void {
    this.#pixels = { header, offset }
    this.headBytes = offset
  }
}
