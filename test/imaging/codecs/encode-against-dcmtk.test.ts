import { describe, expect, it } from 'vitest'
import { decodedDescription, decodeFrame } from '../../../src/imaging/codecs/decode-frame.ts'
import { encodedDescription, encodeFrame } from '../../../src/imaging/codecs/encode-frame.ts'
import type { ImageDescription } from '../../../src/imaging/image-description.ts'
import { dcmtk, fileOf, skipWithoutDcmtk } from '../dcmtk.ts'
import { description, picture } from '../made-images.ts'
import { imageOf } from '../real-images.ts'

const PREFIX = '1.2.840.10008.1.2'
const size = { rows: 45, columns: 61 }
const grey8 = description({ ...size })
const grey12 = description({ ...size, bitsAllocated: 16, bitsStored: 12 })
const grey16 = description({ ...size, bitsAllocated: 16 })
const signed = description({ ...size, bitsAllocated: 16, signed: true })
const colour = description({ ...size, samplesPerPixel: 3 })
const colour16 = description({ ...size, samplesPerPixel: 3, bitsAllocated: 16 })

describe.skipIf(skipWithoutDcmtk())('what is encoded is read by DCMTK', () => {
  it.each([
    ['JPEG-LS of 8 bits', '.4.80', grey8, ['dcmdjpls', '+px']],
    ['JPEG-LS of 12 bits', '.4.80', grey12, ['dcmdjpls', '+px']],
    ['JPEG-LS of 16 bits', '.4.80', grey16, ['dcmdjpls', '+px']],
    ['JPEG-LS with a sign', '.4.80', signed, ['dcmdjpls', '+px']],
    ['JPEG-LS of colours', '.4.80', colour, ['dcmdjpls', '+px']],
    ['JPEG-LS of colours of 16 bits', '.4.80', colour16, ['dcmdjpls', '+px']],
    ['RLE of 8 bits', '.5', grey8, ['dcmdrle']],
    ['RLE of 16 bits', '.5', grey16, ['dcmdrle']],
    ['RLE with a sign', '.5', signed, ['dcmdrle']],
    ['RLE of colours', '.5', colour, ['dcmdrle']],
    ['RLE of colours of 16 bits', '.5', colour16, ['dcmdrle']],
    ['JPEG Baseline', '.4.50', grey8, ['dcmdjpeg', '+px']],
    ['JPEG Baseline of colours', '.4.50', colour, ['dcmdjpeg', '+px']],
  ] as [string, string, ImageDescription, string[]][])('%s', async (_, suffix, image, [program, ...options]) => {
    const syntax = PREFIX + suffix
    const frames = [1, 2, 3].map((seed) => picture(image, seed))
    const encoded = await Promise.all(frames.map((frame) => encodeFrame(frame, image, syntax)))
    const stored = encodedDescription(image, syntax)
    const file = fileOf(stored, syntax, encoded, frames.length)
    const theirs = await imageOf(await dcmtk(program!, options, file), 'made')
    expect(theirs.syntax.encapsulated).toBe(false)
    expect(theirs.image).toEqual(decodedDescription(stored, syntax))
    const ours = await Promise.all(encoded.map((frame) => decodeFrame(frame, stored, syntax)))
    theirs.frames.forEach((frame, n) => {
      expect(Buffer.compare(frame, ours[n]!), `frame ${n + 1}`).toBe(0)
      if (suffix !== '.4.50') expect(Buffer.compare(frame, frames[n]!), `frame ${n + 1}`).toBe(0)
    })
    expect(theirs.frames.length).toBe(frames.length)
  })
})
