import fc from 'fast-check'
import { deflateRawSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { Attribute } from '../../src/dicom/attributes.ts'
import { Dataset } from '../../src/dicom/dataset.ts'
import { encodeDataset, parseDataset } from '../../src/dicom/dataset-codec.ts'
import { MalformedDataSetError } from '../../src/dicom/element-reader.ts'
import { HeadTooLargeError, MAX_HEAD_BYTES, readHead } from '../../src/dicom/head.ts'
import { InflateError } from '../../src/dicom/inflater.ts'
import {
  DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
  EXPLICIT_VR_BIG_ENDIAN,
  EXPLICIT_VR_LITTLE_ENDIAN,
  IMPLICIT_VR_LITTLE_ENDIAN,
  type TransferSyntax,
} from '../../src/dicom/transfer-syntax.ts'
import { collect, streamOf } from '../support/byte-stream.ts'
import { byteByByte, chunksOf, cutAt, cuts } from '../support/chunking.ts'
import { differences } from '../support/dataset-differences.ts'
import { datasetOf, randomExplicit } from '../support/random-dataset.ts'

const ELE = EXPLICIT_VR_LITTLE_ENDIAN
const DEFLATED = DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
const natives = [IMPLICIT_VR_LITTLE_ENDIAN, ELE, EXPLICIT_VR_BIG_ENDIAN, DEFLATED]
const BEHIND = Attribute.SeriesInstanceUID + 1

const dataset = new Dataset()
  .set(Attribute.SOPInstanceUID, '1.2.3')
  .setItems(0x00081140, [new Dataset().put(Attribute.PixelData, { vr: 'OW', value: Buffer.alloc(10) })])
  .set(Attribute.StudyInstanceUID, '1.2')
  .set(Attribute.SeriesInstanceUID, '1.2.4')
  .set(Attribute.Rows, 512)
  .put(Attribute.PixelData, { vr: 'OW', value: noise(20_000) })

const head = new Dataset()
for (const [t, value] of dataset.entries()) if (t < BEHIND) head.put(t, value)

function encode(source: Dataset, syntax: TransferSyntax): Buffer {
  const bytes = encodeDataset(source, syntax)
  return syntax.deflated ? deflateRawSync(bytes) : Buffer.from(bytes)
}

describe.each(natives)('the head of a data set in $name', (syntax) => {
  const bytes = encode(dataset, syntax)

  it('has what comes before the attribute, and the body is whole again', async () => {
    for (const chunks of [[bytes], byteByByte(bytes), chunksOf(bytes, 1000)]) {
      const source = streamOf(chunks)
      const read = await readHead(source, syntax, { until: BEHIND })
      expect(differences(head, read.head)).toEqual([])
      expect((await collect(read.body)).equals(bytes)).toBe(true)
      expect(source.closed).toBe(true)
    }
  })

  it('has only the attributes named, where some are', async () => {
    const only = new Set([Attribute.SOPInstanceUID, Attribute.SeriesInstanceUID])
    for (const chunks of [[bytes], byteByByte(bytes)]) {
      const read = await readHead(streamOf(chunks), syntax, { until: BEHIND, only })
      expect([...read.head.entries()].map(([t]) => t)).toEqual([...only])
      expect(read.head.string(Attribute.SeriesInstanceUID)).toBe('1.2.4')
      expect((await collect(read.body)).equals(bytes)).toBe(true)
    }
  })

  it('is read without the rest of the body', async () => {
    const source = streamOf(chunksOf(bytes, 500))
    const { body } = await readHead(source, syntax, { until: BEHIND })
    expect(source.taken).toBeLessThan(5)
    expect((await collect(body)).equals(bytes)).toBe(true)
  })

  it('is the whole data set when that ends before the attribute', async () => {
    const short = encode(head, syntax)
    const read = await readHead(streamOf(byteByByte(short)), syntax, { until: BEHIND })
    expect(differences(head, read.head)).toEqual([])
    expect(await collect(read.body)).toEqual(short)
  })

  it('that is cut short is an error, and the body is closed', async () => {
    const length = syntax.deflated ? 60 : encodeDataset(head, syntax).length - 1
    const source = streamOf([bytes.subarray(0, length)])
    await expect(readHead(source, syntax, { until: BEHIND })).rejects.toBeInstanceOf(
      syntax.deflated ? InflateError : MalformedDataSetError,
    )
    expect(source.closed).toBe(true)
  })

  it('that does not come to an end is too large', async () => {
    const long = new Dataset()
      .put(0x00091001, { vr: 'UN', value: noise(MAX_HEAD_BYTES + 100_000) })
      .set(Attribute.Rows, 1)
    const all = encode(long, syntax)
    const source = streamOf(chunksOf(all, 65_536))
    await expect(readHead(source, syntax, { until: BEHIND })).rejects.toBeInstanceOf(HeadTooLargeError)
    expect(source.taken).toBe(17)
    expect(source.closed).toBe(true)
  })

  it('raises the failure of the body', async () => {
    const broken = new RangeError('the peer is gone')
    const failing = readHead(streamOf([bytes.subarray(0, 30)], broken), syntax, { until: BEHIND })
    await expect(failing).rejects.toBe(broken)
    const { body } = await readHead(streamOf([bytes], broken), syntax, { until: BEHIND })
    await expect(collect(body)).rejects.toBe(broken)
  })

  it('leaves the body to be closed by its reader', async () => {
    const source = streamOf(chunksOf(bytes, 500))
    const { body } = await readHead(source, syntax, { until: BEHIND })
    for await (const _chunk of body) break
    expect(source.closed).toBe(true)
  })
})

describe('the head', () => {
  it('is no more than its bound, to the byte', async () => {
    const headerBytes = 12
    const fits = new Dataset()
      .put(0x00091001, { vr: 'UN', value: Buffer.alloc(MAX_HEAD_BYTES - headerBytes) })
      .set(Attribute.Rows, 1)
    const bytes = encodeDataset(fits, ELE)
    const read = await readHead(streamOf([bytes.subarray(0, MAX_HEAD_BYTES), bytes.subarray(MAX_HEAD_BYTES)]), ELE, {
      until: BEHIND,
    })
    expect(read.head.size).toBe(1)
    const over = new Dataset()
      .put(0x00091001, { vr: 'UN', value: Buffer.alloc(MAX_HEAD_BYTES - headerBytes + 2) })
      .set(Attribute.Rows, 1)
    const longer = encodeDataset(over, ELE)
    const cut = [longer.subarray(0, MAX_HEAD_BYTES + 2), longer.subarray(MAX_HEAD_BYTES + 2)]
    await expect(readHead(streamOf(cut), ELE, { until: BEHIND })).rejects.toBeInstanceOf(HeadTooLargeError)
  })

  it('within a larger chunk is no matter', async () => {
    const bytes = encodeDataset(
      new Dataset()
        .set(Attribute.Modality, 'CT')
        .put(Attribute.PixelData, { vr: 'OW', value: Buffer.alloc(3_000_000) }),
      ELE,
    )
    for (const syntax of [ELE, DEFLATED]) {
      const stream = syntax.deflated ? deflateRawSync(bytes) : bytes
      const read = await readHead(streamOf([stream]), syntax, { until: BEHIND })
      expect(read.head.strings(Attribute.Modality)).toEqual(['CT'])
      expect((await collect(read.body)).equals(stream)).toBe(true)
    }
  })

  it('of a bomb is too large as soon as it has grown to its bound', async () => {
    const bomb = new Dataset().put(0x00091001, { vr: 'UN', value: Buffer.alloc(200_000_000) })
    const stream = deflateRawSync(encodeDataset(bomb, ELE), { level: 1 })
    await expect(readHead(streamOf([stream]), DEFLATED, { until: BEHIND })).rejects.toBeInstanceOf(HeadTooLargeError)
    // Blocks that give nothing at all: 00 0000ffff, without end.
    const empty = Buffer.alloc(5 * 300_000, Buffer.from('000000ffff', 'hex'))
    await expect(readHead(streamOf(chunksOf(empty, 65_536)), DEFLATED, { until: BEHIND })).rejects.toBeInstanceOf(
      HeadTooLargeError,
    )
  })

  it('of what is no deflated stream is an error of the deflated stream', async () => {
    await expect(readHead(streamOf([Buffer.alloc(100, 0xff)]), DEFLATED, { until: BEHIND })).rejects.toBeInstanceOf(
      InflateError,
    )
  })

  it('of any data set is what a whole reading has before the attribute', async () => {
    await fc.assert(
      fc.asyncProperty(
        randomExplicit,
        cuts(300),
        fc.nat(0x7fe00000),
        fc.boolean(),
        async (elements, offsets, until, deflated) => {
          const syntax = deflated ? DEFLATED : ELE
          const stream = encode(datasetOf(elements), syntax)
          const read = await readHead(streamOf(cutAt(stream, offsets)), syntax, { until: until })
          const expected = parseDataset(encodeDataset(datasetOf(elements), ELE), ELE, { until })
          expect(differences(expected, read.head)).toEqual([])
          expect(await collect(read.body)).toEqual(stream)
        },
      ),
      { numRuns: 60 },
    )
  })
})

/** Bytes that do not deflate, the same every time. */
function noise(length: number): Buffer {
  const bytes = Buffer.alloc(length)
  for (let at = 0, x = 1; at < length; at++) {
    x = (Math.imul(x, 1_103_515_245) + 12_345) >>> 0
    bytes[at] = x >>> 16
  }
  return bytes
}
