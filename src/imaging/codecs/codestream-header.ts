import type { ImageDescription } from '../image-description.ts'
import { CodestreamError } from './codec-error.ts'

/** Size and kind of the samples, by the header of a codestream. */
export interface CodestreamHeader {
  readonly rows: number
  readonly columns: number
  readonly components: number
  readonly bits: number
  /** Of JPEG 2000: samples may be negative. */
  readonly signed: boolean
}

/**
 * Holds the header of a codestream against the attributes of its image. Decoders allocate memory by the header, before
 * they find it wrong.
 * @throws CodestreamError
 */
export function checkHeader(header: CodestreamHeader | undefined, image: ImageDescription): CodestreamHeader {
  if (!header) throw new CodestreamError('it has no header')
  const { rows, columns, components, bits } = header
  if (rows !== image.rows || columns !== image.columns || components !== image.samplesPerPixel) {
    throw new CodestreamError(
      `it has ${columns} x ${rows} x ${components} samples, the attributes say ${image.columns} x ${image.rows} x ${image.samplesPerPixel}`,
    )
  }
  if (bits < 1 || bits > 16 || bits > Math.max(image.bitsAllocated, 8)) {
    throw new CodestreamError(`it has ${bits} bits a sample, ${image.bitsAllocated} are allocated`)
  }
  return header
}
