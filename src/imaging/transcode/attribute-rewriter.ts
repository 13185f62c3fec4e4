import { Attribute } from '../../dicom/attributes.ts'
import type { Bytes } from '../../dicom/bytes.ts'
import type { ElementToken } from '../../dicom/element-reader.ts'
import type { ElementWriter } from '../../dicom/element-writer.ts'
import { isOfEncoding, type Tag } from '../../dicom/tag.ts'
import type { Vr } from '../../dicom/vr.ts'
import type { Transcoding } from './plan-transcoding.ts'

/**
 * Passes on the elements before and behind the pixel data, and writes those that differ in the new syntax in their
 * places.
 */
export class AttributeRewriter {
  readonly #writer: ElementWriter
  readonly #changes: { readonly tag: Tag; readonly vr: Vr; readonly value: Bytes; readonly onlyIfMissing: boolean }[]
  #isDropping = false
  /** An icon may be in the syntax that the instance was in, and is for convenience only (PS3.3 C.7.6.1.1.6). */
  readonly #icon: Tag | undefined

  constructor({ from, to, given }: Transcoding, writer: ElementWriter) {
    this.#writer = writer
    this.#icon = from.encapsulated ? Attribute.IconImageSequence : undefined
    const text = (value: string): Bytes => Buffer.from(value.length % 2 === 1 ? `${value} ` : value, 'latin1')
    const change = (tag: Tag, vr: Vr, value: Bytes, onlyIfMissing = false) => ({ tag, vr, value, onlyIfMissing })
    this.#changes = [change(Attribute.PhotometricInterpretation, 'CS', text(given.photometricInterpretation))]
    if (given.samplesPerPixel > 1) {
      this.#changes.push(change(Attribute.PlanarConfiguration, 'US', Buffer.of(given.planarConfiguration, 0)))
    }
    const method = (to.lossy ? to : from).lossyMethod
    if (method !== undefined) {
      // PS3.3 C.7.6.1.1.5: a lossy image stays one. Its own value holds, unless it is compressed with loss now.
      this.#changes.push(change(Attribute.LossyImageCompression, 'CS', text('01'), !to.lossy))
      this.#changes.push(change(Attribute.LossyImageCompressionMethod, 'CS', text(method), true))
    }
  }

  token(token: ElementToken, depth: number): void {
    if (depth === 0 && 'header' in token) {
      const { tag } = token.header
      this.#until(tag)
      const isChanged = this.#changes[0]?.tag === tag
      const change = isChanged ? this.#changes.shift() : undefined
      this.#isDropping = isDropped(tag) || tag === this.#icon || (change !== undefined && !change.onlyIfMissing)
      if (change && !change.onlyIfMissing) this.#writer.element(change.tag, change.vr, change.value)
    }
    if (!this.#isDropping) this.#writer.write(token)
  }

  /** Nothing comes any more before the pixel data. */
  end(): void {
    this.#until(Infinity)
    this.#isDropping = false
  }

  #until(tag: Tag): void {
    for (let next = this.#changes[0]; next && next.tag < tag; next = this.#changes[0]) {
      this.#writer.element(next.tag, next.vr, next.value)
      this.#changes.shift()
    }
  }
}

/** Tables of offsets are of the pixel data as it was. */
function isDropped(tag: Tag): boolean {
  const tables: readonly Tag[] = [
    Attribute.ExtendedOffsetTable,
    Attribute.ExtendedOffsetTableLengths,
    Attribute.EncapsulatedPixelDataValueTotalLength,
  ]
  return isOfEncoding(tag) || tables.includes(tag)
}
