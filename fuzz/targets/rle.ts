import { CodestreamError } from '../../src/imaging/codecs/codec-error.ts'
import { decodeRle, encodeRle } from '../../src/imaging/codecs/rle.ts'
import type { ImageDescription } from '../../src/imaging/image-description.ts'
import { brief } from '../outcome.ts'
import { BrokenPropertyError, same, tokens, type Target } from '../target.ts'

/** Frames in RLE (PS3.5 Annex G). Four bytes in front of them say rows, columns, samples and bits. */
export const rle: Target = {
  name: 'rle',
  errors: [CodestreamError],
  dictionary: tokens(
    '\x01\0\0\0\x40\0\0\0',
    '\x02\0\0\0\x40\0\0\0',
    '\x03\0\0\0\x40\0\0\0',
    '\x80',
    '\x81',
    '\x7f',
    '\xff',
    '\xfe',
    '\0',
  ),
  async seeds() {
    return [
      ...[0, 1, 2, 3].flatMap((bits) => [0, 1].map((samples) => Buffer.of(7, 9, samples, bits))),
      Buffer.of(1, 1, 0, 1),
      Buffer.of(63, 63, 1, 3),
    ].map((shape) => {
      const image = described(shape)
      const bytes = Math.ceil((image.rows * image.columns * image.samplesPerPixel * image.bitsAllocated) / 8)
      const frame = Buffer.from(Array.from({ length: bytes }, (_, n) => (n % 7 < 4 ? 5 : (n * 31) & 0xff)))
      return Buffer.concat([shape, encodeRle(frame, image) ?? Buffer.alloc(64)])
    })
  },
  run(input) {
    const image = described(input)
    const frame = decodeRle(input.subarray(4), image)
    const written = encodeRle(frame, image)
    if (!written) throw new BrokenPropertyError('What was read cannot be written')
    same('A frame that is written and read again is another', brief(frame), brief(decodeRle(written, image)))
  },
}

function described(shape: Uint8Array): ImageDescription {
  const bits = [1, 8, 16, 32][(shape[3] ?? 0) & 3]!
  return {
    ...{
      rows: 1 + ((shape[0] ?? 0) & 63),
      columns: 1 + ((shape[1] ?? 0) & 63),
      samplesPerPixel: (shape[2] ?? 0) & 1 ? 3 : 1,
    },
    ...{ photometricInterpretation: 'MONOCHROME2', planarConfiguration: 0, bitsAllocated: bits, bitsStored: bits },
    ...{ highBit: bits - 1, signed: false },
  }
}
