import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Bytes } from '../../src/dicom/bytes.ts'
import { littleEndian, type DataSetSource } from '../../src/dicom/data-set-source.ts'
import { MalformedDataSetError } from '../../src/dicom/element-reader.ts'
import {
  DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
  EXPLICIT_VR_BIG_ENDIAN,
  EXPLICIT_VR_LITTLE_ENDIAN,
  IMPLICIT_VR_LITTLE_ENDIAN,
  transferSyntax,
} from '../../src/dicom/transfer-syntax.ts'
import { collect, streamOf, type WatchedStream } from '../support/byte-stream.ts'
import { chunksOf } from '../support/chunking.ts'
import { element, explicitBig, explicitLittle, item, sequence, type Encoding } from '../support/dicom-bytes.ts'
import { sourceOf } from '../support/images.ts'

const data = (encoding: Encoding): Buffer =>
  Buffer.concat([
    element(encoding, 0x00080060, 'CS', 'CT'),
    sequence(
      encoding,
      0x00081140,
      'undefined',
      item(encoding, 'undefined', element(encoding, 0x00280010, 'US', '\x01\x02')),
    ),
    element(encoding, 0x7fe00010, 'OW', Buffer.from('0102030405060708', 'hex')),
  ])

describe('a source in Little Endian', () => {
  it.each([IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, transferSyntax('1.2.840.10008.1.2.4.70')])(
    'of $name is the source itself',
    (syntax) => {
      const source = sourceOf(data(explicitLittle), syntax)
      expect(littleEndian(source)).toBe(source)
    },
  )

  it('of a deflated data set is what was deflated', async () => {
    const source = littleEndian(sourceOf(data(explicitLittle), DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN))
    expect(source.syntax).toBe(EXPLICIT_VR_LITTLE_ENDIAN)
    expect(await collect(source.bytes())).toEqual(data(explicitLittle))
  })

  it('of a Big Endian data set has its values turned round, each by the words of its VR', async () => {
    const source = littleEndian(sourceOf(data(explicitBig), EXPLICIT_VR_BIG_ENDIAN))
    expect(source.syntax).toBe(EXPLICIT_VR_LITTLE_ENDIAN)
    expect(await collect(source.bytes())).toEqual(data(explicitLittle))
  })

  it.each([DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN])(
    'of $name is read from any byte to any other, as often as wanted',
    async (syntax) => {
      const whole = data(explicitLittle)
      const source = littleEndian(sourceOf(syntax.bigEndian ? data(explicitBig) : whole, syntax, 7))
      const at = fc.nat({ max: whole.length + 10 })
      await fc.assert(
        fc.asyncProperty(at, at, async (from, to) => {
          expect(await collect(source.bytes(from, to))).toEqual(from < to ? whole.subarray(from, to) : Buffer.alloc(0))
          expect(await collect(source.bytes(from))).toEqual(whole.subarray(from))
        }),
        { numRuns: 60 },
      )
    },
  )

  it('leaves what it is made of as soon as it has what is wanted', async () => {
    const streams: WatchedStream[] = []
    const long = Buffer.concat([data(explicitBig), element(explicitBig, 0x7fe10010, 'OB', Buffer.alloc(1_000_000))])
    const source: DataSetSource = {
      syntax: EXPLICIT_VR_BIG_ENDIAN,
      bytes: () => {
        const stream = streamOf(chunksOf(long, 10_000))
        streams.push(stream)
        return stream
      },
    }
    expect(await collect(littleEndian(source).bytes(0, 10))).toEqual(data(explicitLittle).subarray(0, 10))
    expect(streams).toHaveLength(1)
    expect(streams[0]!.closed).toBe(true)
    expect(streams[0]!.taken).toBeLessThan(20)
    expect(await collect(littleEndian(source).bytes(10, 10))).toEqual(Buffer.alloc(0))
    expect(streams[1]?.taken ?? 0).toBe(0)
  })

  it('fails where what it is made of is no data set', async () => {
    const broken: Bytes = data(explicitBig).subarray(0, -1)
    await expect(collect(littleEndian(sourceOf(broken, EXPLICIT_VR_BIG_ENDIAN)).bytes())).rejects.toThrow(
      MalformedDataSetError,
    )
  })
})
