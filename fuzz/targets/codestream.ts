import { hasEndOfImage, withEndOfImage } from '../../src/imaging/codecs/end-of-image.ts'
import { jpegHeader, jpegScans, withColorTransform } from '../../src/imaging/codecs/jpeg-codestream.ts'
import { checkJpeg2000Coding } from '../../src/imaging/codecs/jpeg2000-coding.ts'
import {
  bareJpeg2000,
  isWholeJpeg2000,
  jpeg2000Header,
  withoutSign,
} from '../../src/imaging/codecs/jpeg2000-codestream.ts'
import { checkHeader } from '../../src/imaging/codecs/codestream-header.ts'
import { CodestreamError } from '../../src/imaging/codecs/codec-error.ts'
import type { ImageDescription } from '../../src/imaging/image-description.ts'
import { splitPart10 } from '../../test/support/part10.ts'
import { files } from '../seeds.ts'
import { BrokenPropertyError, same, tokens, type Target } from '../target.ts'

const IMAGE: ImageDescription = {
  ...{
    rows: 2,
    columns: 2,
    samplesPerPixel: 1,
    photometricInterpretation: 'MONOCHROME2',
    planarConfiguration: 0 as const,
  },
  ...{ bitsAllocated: 8, bitsStored: 8, highBit: 7, signed: false },
}

/** Headers of compressed frames (ITU-T T.81, T.87, T.800). */
export const codestream: Target = {
  name: 'codestream',
  errors: [CodestreamError],
  dictionary: tokens(
    ...[
      '\xff\xd8',
      '\xff\xd9',
      '\xff\xc0\0\x0b\x08',
      '\xff\xc2',
      '\xff\xc4\0\x02',
      '\xff\xda\0\x08\x01',
      '\xff\xdb',
      '\xff\xee\0\x0e',
    ],
    ...[
      '\xff\xf7',
      '\xff\xd0',
      '\xff\xff',
      '\xff\0',
      '\xff\x4f\xff\x51',
      '\xff\x90\0\x0a',
      '\xff\x93',
      '\0\0\0\x0cjP  ',
      'jp2c',
      '\0\0\0\x01jp2c',
    ],
    ...['\xff\x52\0\x02', '\xff\x5c\0\x02', '\0\0'],
  ),
  async seeds() {
    const frames = (await files()).flatMap((file) => {
      const { data } = splitPart10(file)
      return ['ffd8ff', 'ff4fff51', '0000000c6a502020'].flatMap((start) => {
        const at = data.indexOf(Buffer.from(start, 'hex'))
        return at < 0 ? [] : [data.subarray(at, at + 4_096)]
      })
    })
    return [...frames, Buffer.from('ffd8ffc0000b080002000201011100ffda0008010100003f0000ffd9', 'hex')]
  },
  run(input) {
    const header = jpegHeader(input)
    if (header) {
      jpegScans(input)
      const ended = withEndOfImage(input)
      if (!hasEndOfImage(ended)) throw new BrokenPropertyError('It has no end')
      if (withEndOfImage(ended).length !== ended.length) throw new BrokenPropertyError('It has two ends')
      for (const transform of [0, 1] as const) {
        const again = jpegHeader(withColorTransform(ended, transform))
        if (jpegScans(input).isWhole && header.components > 0)
          same('With a colour transform it is another image', JSON.stringify(header), JSON.stringify(again))
      }
    } else jpegScans(input)
    const wavelets = jpeg2000Header(input)
    isWholeJpeg2000(input)
    if (wavelets) checkJpeg2000Coding(bareJpeg2000(input))
    // Without components it has no sign either, and is refused.
    if (wavelets && wavelets.components > 0) {
      const unsigned = jpeg2000Header(withoutSign(input))
      same(
        'Without its sign it is another image',
        JSON.stringify({ ...wavelets, signed: false }),
        JSON.stringify(unsigned),
      )
    }
    checkHeader(header ?? wavelets, IMAGE)
  },
}
