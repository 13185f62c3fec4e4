import { describe, expect, it } from 'vitest'
import { Attribute } from '../../src/dicom/attributes.ts'
import type { Bytes } from '../../src/dicom/bytes.ts'
import type { Dataset } from '../../src/dicom/dataset.ts'
import { MalformedDataSetError } from '../../src/dicom/element-reader.ts'
import {
  EXPLICIT_VR_BIG_ENDIAN,
  EXPLICIT_VR_LITTLE_ENDIAN,
  IMPLICIT_VR_LITTLE_ENDIAN,
  transferSyntax,
  type TransferSyntax,
} from '../../src/dicom/transfer-syntax.ts'
import {
  MAX_INLINE_VALUE_BYTES,
  MAX_METADATA_BYTES,
  MetadataTooLargeError,
  readMetadata,
} from '../../src/dicomweb/metadata.ts'
import { MAX_HEAD_ELEMENTS } from '../../src/instance/head.ts'
import { streamOf } from '../support/byte-stream.ts'
import { byteByByte, chunksOf } from '../support/chunking.ts'
import {
  element,
  explicitBig,
  explicitLittle,
  implicitLittle,
  item,
  pixelSequence,
  sequence,
} from '../support/dicom-bytes.ts'
import { turnsDuring } from '../support/turns-during.ts'
import { encapsulatedImage, nativeImage, nativeSyntaxes } from '../support/images.ts'

const JPEG = transferSyntax('1.2.840.10008.1.2.4.70')
const bulk = (vr: string): object => ({ vr, value: new Uint8Array(0), omitted: true })
const tags = (dataset: Dataset): string[] => [...dataset.entries()].map(([t]) => t.toString(16).padStart(8, '0'))

function metadata(bytes: Bytes, syntax: TransferSyntax, chunk = 50): Promise<Dataset> {
  return readMetadata(streamOf(chunksOf(bytes, chunk)), syntax)
}

describe('metadata', () => {
  it.each(nativeSyntaxes)('has every attribute, and the pixel data as bulk data: $syntax.name', async (native) => {
    const { syntax, encoding } = native
    const overlay = element(encoding, 0x60003000, 'OW', Buffer.alloc(8))
    const item1 = item(encoding, 'undefined', element(encoding, 0x00091010, 'UN', Buffer.alloc(2000)))
    const bytes = Buffer.concat([
      sequence(encoding, 0x00081140, 'undefined', item1),
      overlay,
      nativeImage(encoding, { rows: 1000, columns: 4 }, Buffer.alloc(16)),
    ])
    const read = await metadata(bytes, syntax)
    expect(read.number(Attribute.Rows)).toBe(1000)
    expect(read.string(Attribute.AvailableTransferSyntaxUID)).toBe(syntax.uid)
    expect(read.get(Attribute.PixelData)).toEqual(bulk('OW'))
    expect(read.get(0x60003000)).toEqual(bulk('OW'))
    expect(read.items(0x00081140)[0]!.get(0x00091010)).toEqual(bulk('UN'))
    expect(read.items(0x00880200)[0]!.get(Attribute.PixelData)).toEqual(bulk('OW'))
  })

  it('keeps small binary values, in Little Endian', async () => {
    const bytes = element(explicitBig, 0x00281201, 'OW', Buffer.from('01020304', 'hex'))
    const read = await metadata(bytes, EXPLICIT_VR_BIG_ENDIAN)
    expect(Buffer.from(read.get(0x00281201)!.value as Bytes).toString('hex')).toBe('01020304')
    expect(read.get(0x00281201)!.omitted).toBeUndefined()
  })

  it('ends at the pixel data: neither what is in it nor what follows is waited for', async () => {
    const bytes = nativeImage(explicitLittle, { rows: 3 }, Buffer.alloc(16))
    const cases: [Bytes, TransferSyntax][] = [
      [bytes.subarray(0, -16), EXPLICIT_VR_LITTLE_ENDIAN],
      [encapsulatedImage({ rows: 3 }, [], []).subarray(0, -16), JPEG],
    ]
    for (const [head, syntax] of cases) {
      const stream = streamOf(byteByByte(head), new Error('read on'))
      const read = await readMetadata(stream, syntax)
      expect(read.number(Attribute.Rows)).toBe(3)
      expect(read.get(Attribute.PixelData)).toEqual(bulk(syntax.encapsulated ? 'OB' : 'OW'))
      expect(stream.closed).toBe(true)
    }
    await expect(
      readMetadata(streamOf(byteByByte(bytes.subarray(0, -17)), new Error('read on')), EXPLICIT_VR_LITTLE_ENDIAN),
    ).rejects.toThrow('read on')
  })

  it('has pixel data without a byte as an empty value, not as bulk data', async () => {
    const read = await metadata(nativeImage(explicitLittle, {}, Buffer.alloc(0)), EXPLICIT_VR_LITTLE_ENDIAN)
    expect(read.get(Attribute.PixelData)).toEqual({ vr: 'OW', value: new Uint8Array(0) })
  })

  it.each([
    [0x7fe00008, 'OF'],
    [0x7fe00009, 'OD'],
  ])('takes %i for pixel data as well', async (tag, vr) => {
    const bytes = nativeImage(explicitLittle, {}, Buffer.alloc(16), vr, tag)
    expect((await metadata(bytes, EXPLICIT_VR_LITTLE_ENDIAN)).get(tag)).toEqual(bulk(vr))
  })

  it('has no tables of offsets, which are nothing without the fragments', async () => {
    const length = element(explicitLittle, 0x7fe00003, 'UV', Buffer.alloc(8))
    const image = encapsulatedImage({ frames: 1 }, [], [Buffer.alloc(8)], [{ offset: 0, length: 8 }])
    const start = image.indexOf(Buffer.from('e07f10004f42', 'hex'))
    const read = await metadata(Buffer.concat([image.subarray(0, start), length, image.subarray(start)]), JPEG)
    expect(tags(read).filter((t) => t.startsWith('7fe0'))).toEqual(['7fe00010'])
  })

  it('of what has no pixel data is all there is', async () => {
    const bytes = Buffer.concat([
      element(implicitLittle, 0x00420011, 'OB', Buffer.alloc(8)),
      element(implicitLittle, 0x00420012, 'LO', 'application/pdf '),
    ])
    const read = await metadata(bytes, IMPLICIT_VR_LITTLE_ENDIAN)
    expect(tags(read)).toEqual(['00083002', '00420011', '00420012'])
    expect(read.get(0x00420011)).toEqual(bulk('OB'))
  })

  it('has fragments of an icon as bulk data, and what follows them', async () => {
    const icon = item(
      explicitLittle,
      'undefined',
      pixelSequence(explicitLittle, 'OB', Buffer.alloc(0), Buffer.alloc(500)),
      element(explicitLittle, 0x7fe10010, 'LO', 'in'),
    )
    const bytes = Buffer.concat([
      sequence(explicitLittle, 0x00880200, 'undefined', icon),
      element(explicitLittle, 0x00880904, 'LO', 'it'),
    ])
    const read = await metadata(bytes, JPEG)
    const [one] = read.items(0x00880200)
    expect(one!.get(Attribute.PixelData)).toEqual(bulk('OB'))
    expect(one!.string(0x7fe10010)).toBe('in')
    expect(read.string(0x00880904)).toBe('it')
  })

  it('is an error where it ends too early', async () => {
    const bytes = nativeImage(explicitLittle, {}, Buffer.alloc(16)).subarray(0, -20)
    await expect(metadata(bytes, EXPLICIT_VR_LITTLE_ENDIAN)).rejects.toThrow(MalformedDataSetError)
  })

  it('does not grow without bounds; values passed over do not count', async () => {
    const half = Buffer.alloc(MAX_METADATA_BYTES / 2)
    const text = element(explicitLittle, 0x00420010, 'UT', half)
    const blob = element(explicitLittle, 0x00420011, 'OB', half)
    const pieces = (...elements: Buffer[]): Bytes[] => elements.flatMap((one) => chunksOf(one, 1024 * 1024))
    const most = readMetadata(streamOf(pieces(text, blob, blob, blob)), EXPLICIT_VR_LITTLE_ENDIAN)
    expect((await most).size).toBe(3)
    const stream = streamOf(pieces(text, text, text))
    await expect(readMetadata(stream, EXPLICIT_VR_LITTLE_ENDIAN)).rejects.toThrow(MetadataTooLargeError)
    expect(stream.closed).toBe(true)
    expect(stream.taken).toBeLessThan(135)
  })

  it('has so many elements and items at most: more is an error, not a part of it', async () => {
    const items = (count: number): Promise<Dataset> => {
      const all = Buffer.alloc(8 * count, item(explicitLittle, 'defined'))
      const bytes = sequence(explicitLittle, 0x00081140, 'defined', all)
      return readMetadata(streamOf(chunksOf(bytes, 1024 * 1024)), EXPLICIT_VR_LITTLE_ENDIAN, undefined, () => {
        throw new Error('It is not damaged')
      })
    }
    // The sequence is an element too.
    expect((await items(MAX_HEAD_ELEMENTS - 1)).items(0x00081140)).toHaveLength(MAX_HEAD_ELEMENTS - 1)
    await expect(items(MAX_HEAD_ELEMENTS)).rejects.toThrow(MetadataTooLargeError)
  })

  it('has lists of so many bytes at most; a text may be longer', async () => {
    const read = (vr: string, size: number): Promise<Dataset> =>
      metadata(element(explicitLittle, 0x00420010, vr, Buffer.alloc(size, 0x20)), EXPLICIT_VR_LITTLE_ENDIAN, 1 << 20)
    expect((await read('UC', MAX_INLINE_VALUE_BYTES)).size).toBe(2)
    await expect(read('UC', MAX_INLINE_VALUE_BYTES + 2)).rejects.toThrow(MetadataTooLargeError)
    expect((await read('UT', MAX_INLINE_VALUE_BYTES + 2)).size).toBe(2)
  })

  it('is read while others have their turns', async () => {
    const all = Buffer.alloc(8 * 200_000, item(explicitLittle, 'defined'))
    const bytes = sequence(explicitLittle, 0x00081140, 'defined', all)
    // Also where it comes in one piece.
    expect(await turnsDuring(() => metadata(bytes, EXPLICIT_VR_LITTLE_ENDIAN, bytes.length))).toBeGreaterThan(1)
  })
})
