import fc from 'fast-check'
import { deflateRawSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { Attribute } from '../../src/dicom/attributes.ts'
import { Dataset } from '../../src/dicom/dataset.ts'
import { encodeDataset, parseDataset } from '../../src/dicom/dataset-codec.ts'
import { MalformedDataSetError } from '../../src/dicom/element-reader.ts'
import { InflateError } from '../../src/dicom/inflater.ts'
import {
  DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
  EXPLICIT_VR_BIG_ENDIAN,
  EXPLICIT_VR_LITTLE_ENDIAN,
  IMPLICIT_VR_LITTLE_ENDIAN,
  transferSyntax,
  type TransferSyntax,
} from '../../src/dicom/transfer-syntax.ts'
import {
  Arrival,
  FROM_ARCHIVE,
  FROM_CLIENT,
  HeadTooLargeError,
  MAX_IDENTITY_BYTES,
} from '../../src/instance/arrival.ts'
import { MAX_BULK_VALUES } from '../../src/instance/indexer.ts'
import { collect, collectUntilError, streamOf } from '../support/byte-stream.ts'
import { byteByByte, chunksOf, cutAt, cuts } from '../support/chunking.ts'
import { differences } from '../support/dataset-differences.ts'
import { element, explicitLittle, hex, pixelSequence } from '../support/dicom-bytes.ts'
import { datasetOf, randomExplicit } from '../support/random-dataset.ts'

const ELE = EXPLICIT_VR_LITTLE_ENDIAN
const DEFLATED = DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
const natives = [IMPLICIT_VR_LITTLE_ENDIAN, ELE, EXPLICIT_VR_BIG_ENDIAN, DEFLATED]

const dataset = new Dataset()
  .set(Attribute.SOPClassUID, '1.2.840.10008.5.1.4.1.1.2')
  .set(Attribute.SOPInstanceUID, '1.2.3')
  .setItems(0x00081140, [new Dataset().put(Attribute.PixelData, { vr: 'OW', value: Buffer.alloc(10) })])
  .set(Attribute.StudyInstanceUID, '1.2')
  .set(Attribute.SeriesInstanceUID, '1.2.4')
  .set(Attribute.Rows, 512)
  .put(Attribute.PixelData, { vr: 'OW', value: noise(20_000) })
const identity = { sopClass: '1.2.840.10008.5.1.4.1.1.2', sopInstance: '1.2.3', study: '1.2', series: '1.2.4' }

function encode(source: Dataset, syntax: TransferSyntax): Buffer {
  const bytes = encodeDataset(source, syntax)
  return syntax.deflated ? deflateRawSync(bytes) : Buffer.from(bytes)
}

describe.each(natives)('an instance in $name', (syntax) => {
  const bytes = encode(dataset, syntax)
  const malformed = syntax.deflated ? InflateError : MalformedDataSetError

  it('is identified, and comes whole as it is to be stored', async () => {
    for (const chunks of [[bytes], byteByByte(bytes), chunksOf(bytes, 1000)]) {
      const source = streamOf(chunks)
      const arrival = await Arrival.begin(source, syntax, FROM_CLIENT)
      expect(arrival.index.identity).toEqual(identity)
      expect(arrival.syntax).toBe(syntax)
      expect((await collect(arrival)).equals(bytes)).toBe(true)
      expect(arrival.index.complete).toBe(true)
    }
  })

  it('comes in Explicit VR Little Endian from an archive, with its index', async () => {
    for (const chunks of [[bytes], byteByByte(bytes), chunksOf(bytes, 1000)]) {
      const arrival = await Arrival.begin(streamOf(chunks), syntax, FROM_ARCHIVE)
      expect([arrival.syntax, arrival.received]).toEqual([ELE, syntax])
      const given = await collect(arrival)
      expect(differences(dataset, parseDataset(given, ELE))).toEqual([])
      const { layout, headBytes, values } = arrival.index
      expect(layout).toMatchObject({ rows: 512, length: 20_000, offset: headBytes })
      expect(given.subarray(layout!.offset)).toEqual(noise(20_000))
      expect(values.map(({ path, offset }) => [path, given.subarray(offset, offset + 10)])).toEqual([
        ['00081140/0/7FE00010', Buffer.alloc(10)],
      ])
    }
  })

  it('is identified without the rest of it', async () => {
    const source = streamOf(chunksOf(bytes, 500))
    const arrival = await Arrival.begin(source, syntax, FROM_ARCHIVE)
    expect(source.taken).toBeLessThan(5)
    await arrival.return()
    expect(source.closed).toBe(true)
  })

  it('that is cut short before it is identified is an error, and its source is closed', async () => {
    const length = syntax.deflated
      ? 60
      : encodeDataset(new Dataset().set(Attribute.SOPClassUID, identity.sopClass), syntax).length + 5
    for (const options of [FROM_ARCHIVE, FROM_CLIENT]) {
      const source = streamOf([bytes.subarray(0, length)])
      await expect(Arrival.begin(source, syntax, options)).rejects.toBeInstanceOf(malformed)
      expect(source.closed).toBe(true)
    }
  })

  it('of a client that is cut short behind that raises an error behind its last byte', async () => {
    const cut = bytes.subarray(0, bytes.length - 7)
    const arrival = await Arrival.begin(streamOf(chunksOf(cut, 1000)), syntax, FROM_CLIENT)
    const { bytes: given, error } = await collectUntilError(arrival)
    expect(error).toBeInstanceOf(malformed)
    expect(given).toEqual(cut)
  })

  it('of an archive that is cut short behind that ends in order, and says where', async () => {
    const cut = bytes.subarray(0, bytes.length - 7)
    const arrival = await Arrival.begin(streamOf(chunksOf(cut, 1000)), syntax, FROM_ARCHIVE)
    const given = await collect(arrival)
    expect(given.length).toBeGreaterThan(10_000)
    const { cutAt, fault, complete, identity } = arrival.index
    expect([cutAt, complete]).toEqual([given.length, false])
    expect(fault).toBeInstanceOf(malformed)
    expect(identity.sopInstance).toBeDefined()
  })

  it('that does not say who it is within the bound is an error', async () => {
    const long = new Dataset()
      .put(0x00091001, { vr: 'UN', value: noise(MAX_IDENTITY_BYTES + 100_000) })
      .set(Attribute.Rows, 1)
    const source = streamOf(chunksOf(encode(long, syntax), 65_536))
    await expect(Arrival.begin(source, syntax, FROM_ARCHIVE)).rejects.toBeInstanceOf(HeadTooLargeError)
    expect(source.taken).toBeLessThanOrEqual(17)
    expect(source.closed).toBe(true)
  })

  it('raises the failure of its source', async () => {
    const broken = new RangeError('the peer is gone')
    await expect(Arrival.begin(streamOf([bytes.subarray(0, 30)], broken), syntax, FROM_ARCHIVE)).rejects.toBe(broken)
    const arrival = await Arrival.begin(streamOf([bytes], broken), syntax, FROM_ARCHIVE)
    await expect(collect(arrival)).rejects.toBe(broken)
  })

  it('closes its source when it is left', async () => {
    const source = streamOf(chunksOf(bytes, 500))
    for await (const _chunk of await Arrival.begin(source, syntax, FROM_ARCHIVE)) break
    expect(source.closed).toBe(true)
  })
})

describe('an instance', () => {
  it('is identified whatever stands between its UIDs', async () => {
    const bytes = Buffer.concat([
      element(explicitLittle, Attribute.SOPClassUID, 'UI', '1.1\0'),
      element(explicitLittle, Attribute.SOPInstanceUID, 'UI', '1.2\0'),
      element(explicitLittle, 0x00291010, 'OB', 'private '),
      element(explicitLittle, Attribute.StudyInstanceUID, 'UN', '1.3\0'),
      element(explicitLittle, Attribute.SeriesInstanceUID, 'UI', '1.4\\1.5\0'),
    ])
    for (const chunks of [[bytes], byteByByte(bytes)]) {
      const { index } = await Arrival.begin(streamOf(chunks), ELE, FROM_ARCHIVE)
      expect(index.identity).toEqual({ sopClass: '1.1', sopInstance: '1.2', study: '1.3', series: '1.4' })
    }
  })

  it('that lacks a UID is not read beyond its pixel data for it', async () => {
    const lacking = new Dataset()
      .set(Attribute.SOPInstanceUID, '1.2.3')
      .set(Attribute.StudyInstanceUID, '1.2')
      .put(Attribute.PixelData, { vr: 'OW', value: Buffer.alloc(5_000_000) })
    const source = streamOf(chunksOf(encodeDataset(lacking, ELE), 65_536))
    const { index } = await Arrival.begin(source, ELE, FROM_ARCHIVE)
    expect(index.identity).toEqual({ sopClass: undefined, sopInstance: '1.2.3', study: '1.2', series: undefined })
    expect(source.taken).toBe(1)
  })

  it('of an archive that cannot be followed passes as it is, and says so', async () => {
    const head = encodeDataset(dataset, ELE)
    const stray = hex('feff00e0 00000000')
    const arrival = await Arrival.begin(streamOf([head, stray, Buffer.alloc(10)]), ELE, FROM_ARCHIVE)
    expect(await collect(arrival)).toEqual(Buffer.concat([head, stray, Buffer.alloc(10)]))
    expect(arrival.index).toMatchObject({
      complete: false,
      cutAt: undefined,
      fault: expect.any(MalformedDataSetError) as Error,
    })
  })

  it('of an archive that cannot be rewritten to its end is cut, and says so', async () => {
    const stray = hex('fffe e000 00000000')
    const bytes = encodeDataset(dataset, EXPLICIT_VR_BIG_ENDIAN)
    const arrival = await Arrival.begin(
      streamOf([bytes, stray, Buffer.alloc(10)]),
      EXPLICIT_VR_BIG_ENDIAN,
      FROM_ARCHIVE,
    )
    const given = await collect(arrival)
    expect(arrival.index).toMatchObject({ cutAt: given.length, fault: expect.any(MalformedDataSetError) as Error })
  })

  it('of a client that cannot be followed is an error before the chunk that shows it is given', async () => {
    const chunks = [encodeDataset(dataset, ELE), hex('feff00e0 00000000'), Buffer.alloc(10)]
    const source = streamOf(chunks)
    const { bytes, error } = await collectUntilError(await Arrival.begin(source, ELE, FROM_CLIENT))
    expect(error).toBeInstanceOf(MalformedDataSetError)
    expect(bytes).toEqual(chunks[0])
    expect(source).toMatchObject({ taken: 2, closed: true })
  })

  it('that is a bomb is an error as soon as it has grown to the bound', async () => {
    const bomb = new Dataset().put(0x00091001, { vr: 'UN', value: Buffer.alloc(200_000_000) })
    const stream = deflateRawSync(encodeDataset(bomb, ELE), { level: 1 })
    await expect(Arrival.begin(streamOf([stream]), DEFLATED, FROM_CLIENT)).rejects.toBeInstanceOf(HeadTooLargeError)
    // Blocks that give nothing at all: 00 0000ffff, without end.
    const empty = Buffer.alloc(5 * 300_000, Buffer.from('000000ffff', 'hex'))
    await expect(Arrival.begin(streamOf(chunksOf(empty, 65_536)), DEFLATED, FROM_CLIENT)).rejects.toBeInstanceOf(
      HeadTooLargeError,
    )
    const pixels = dataset.get(Attribute.PixelData)!
    const long = encode(
      new Dataset()
        .set(Attribute.SOPClassUID, '1.1')
        .put(Attribute.PixelData, { ...pixels, value: Buffer.alloc(10_000_000) }),
      DEFLATED,
    )
    const limited = await Arrival.begin(streamOf(chunksOf(long, 100)), DEFLATED, {
      ...FROM_CLIENT,
      inflatedLimit: 1_000_000,
    })
    expect((await collectUntilError(limited)).error).toBeInstanceOf(InflateError)
  })

  it('that is no deflated stream is an error of the deflated stream', async () => {
    await expect(Arrival.begin(streamOf([Buffer.alloc(100, 0xff)]), DEFLATED, FROM_CLIENT)).rejects.toBeInstanceOf(
      InflateError,
    )
  })

  it('of any elements is given as it is, in any chunks', async () => {
    await fc.assert(
      fc.asyncProperty(randomExplicit, cuts(300), fc.boolean(), async (elements, offsets, deflated) => {
        const syntax = deflated ? DEFLATED : ELE
        const stream = encode(datasetOf(elements), syntax)
        const read = await Arrival.begin(streamOf(cutAt(stream, offsets)), syntax, FROM_CLIENT)
        expect(await collect(read)).toEqual(stream)
        expect(read.index.fault).toBeUndefined()
      }),
      { numRuns: 60 },
    )
  })

  it('has an index of its fragments, which grows with them', async () => {
    const fragments = [hex('ffd80101'), hex('02020202'), hex('ffd80303')]
    const image = Buffer.concat([
      element(explicitLittle, Attribute.SOPClassUID, 'UI', '1.1\0'),
      element(explicitLittle, 0x00280008, 'IS', '2 '),
      pixelSequence(explicitLittle, 'OB', Buffer.alloc(0), ...fragments),
    ])
    const arrival = await Arrival.begin(
      streamOf(byteByByte(image)),
      transferSyntax('1.2.840.10008.1.2.4.50'),
      FROM_ARCHIVE,
    )
    const seen: (number | undefined)[] = []
    let read = 0
    for await (const { length } of arrival) {
      read += length
      seen.push(arrival.index.frames?.expected(1)?.length)
    }
    expect(read).toBe(image.length)
    expect(seen.indexOf(2)).toBeGreaterThan(0)
    expect(seen.indexOf(2)).toBeLessThan(image.length - 8)
    expect([1, 2].map((n) => arrival.index.frames!.located(n)!.length)).toEqual([2, 1])
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

describe('an index', () => {
  it('has each attribute once, however often its bytes repeat it', async () => {
    const repeated = Buffer.concat(
      Array.from({ length: 1000 }, () => element(explicitLittle, 0x00280010, 'US', hex('0002'))),
    )
    const table = element(explicitLittle, 0x7fe00001, 'OV', Buffer.alloc(100_000))
    const all = Buffer.concat([encodeDataset(dataset, ELE), repeated, ...Array.from({ length: 50 }, () => table)])
    const arrival = await Arrival.begin(streamOf(chunksOf(all, 65_536)), ELE, FROM_ARCHIVE)
    await collect(arrival)
    expect(arrival.index.heldBytes).toBeLessThan(130_000)
    expect(arrival.index.heldBytes).toBeGreaterThan(100_000)
  })
})

describe('bulk values of an instance', () => {
  /** An overlay is one of any size. */
  const overlay = element(explicitLittle, 0x60003000, 'OW', Buffer.alloc(2))
  /** One bulk value is in it. */
  const head = encode(dataset, ELE).subarray(0, -20_012)

  async function arrived(overlays: number): Promise<Arrival> {
    const bytes = Buffer.concat([head, Buffer.concat(Array.from({ length: overlays }, () => overlay))])
    const arrival = await Arrival.begin(streamOf(chunksOf(bytes, 65_536)), ELE, FROM_ARCHIVE)
    // The bytes of an archive pass on, whatever is known of them.
    expect((await collect(arrival)).equals(bytes)).toBe(true)
    return arrival
  }

  it('are noted up to a number, beyond which the data set is followed no further', async () => {
    const { index } = await arrived(MAX_BULK_VALUES - 1)
    expect([index.values.length, index.fault, index.complete]).toEqual([MAX_BULK_VALUES, undefined, true])
    const { index: tooMany } = await arrived(MAX_BULK_VALUES)
    expect([tooMany.values.length, tooMany.complete]).toEqual([MAX_BULK_VALUES, false])
    expect(tooMany.fault).toBeInstanceOf(MalformedDataSetError)
  })
})
