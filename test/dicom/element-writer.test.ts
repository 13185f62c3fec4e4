import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Bytes } from '../../src/dicom/bytes.ts'
import { ElementWriter } from '../../src/dicom/element-writer.ts'
import type { Vr } from '../../src/dicom/vr.ts'
import { byteByByte, cutAt, cuts } from '../support/chunking.ts'
import {
  allVrs,
  delimiter,
  element,
  encodings,
  explicitBig,
  explicitLittle,
  header,
  hex,
  implicitLittle,
  isVr,
  itemEnd,
  longVrs,
  nulPadded,
  pixelSequence,
  sequenceEnd,
  turned,
  wordBytes,
  type Encoding,
} from '../support/dicom-bytes.ts'

const vrs = allVrs.filter(isVr).filter((vr) => vr !== 'SQ')

/** One element whose value, in the byte order of `from`, comes in chunks. */
function write(to: Encoding, vr: Vr, chunks: readonly Bytes[], from: { bigEndian: boolean } = explicitLittle): Buffer {
  const writer = new ElementWriter(to)
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
  writer.write({ kind: 'element', header: { tag: 0x00091001, vr, length }, bigEndian: from.bigEndian })
  chunks.forEach((bytes, index) => writer.write({ kind: 'value', bytes, last: index === chunks.length - 1 }))
  return Buffer.concat(writer.take())
}

const ramp = (length: number): Buffer => Buffer.from(Array.from({ length }, (_, index) => index))

describe('an element', () => {
  it.each(vrs)('case 113: of VR %s has its header and its words in every syntax', (vr) => {
    const value = ramp(16)
    for (const encoding of encodings) {
      const written = write(encoding, vr, [value])
      expect(written).toEqual(element(encoding, 0x00091001, vr, value))
      expect(written).toHaveLength((encoding.explicit && longVrs.includes(vr) ? 12 : 8) + 16)
    }
  })

  it('case 113: of UV', () => {
    const writer = new ElementWriter(explicitLittle)
    writer.element(0x0008040c, 'UV', Buffer.of(1, 2, 3, 4, 5, 6, 7, 8))
    expect(Buffer.concat(writer.take())).toEqual(hex('08000c04 5556 0000 08000000 0102030405060708'))
  })

  it.each(vrs)('of VR %s is padded to even length', (vr) => {
    const pad = nulPadded.includes(vr) ? 0 : 0x20
    for (const encoding of encodings) {
      expect(write(encoding, vr, [Buffer.of(1)])).toEqual(element(encoding, 0x00091001, vr, Buffer.of(1, pad)))
    }
  })

  it('without a value is a header', () => {
    for (const encoding of encodings) {
      for (const vr of vrs) {
        const writer = new ElementWriter(encoding)
        writer.element(0x00091001, vr, new Uint8Array(0))
        expect(Buffer.concat(writer.take())).toEqual(header(encoding, 0x00091001, vr, 0))
      }
    }
  })
})

describe('the words of a value', () => {
  const binary = vrs.filter((vr) => vr in wordBytes)

  it.each(binary)('of VR %s are turned round between the byte orders', (vr) => {
    const value = ramp(24)
    const big = turned(vr, value)
    expect(write(explicitBig, vr, [value], explicitLittle).subarray(-24)).toEqual(big)
    expect(write(explicitLittle, vr, [big], explicitBig).subarray(-24)).toEqual(value)
    expect(write(implicitLittle, vr, [big], explicitBig).subarray(-24)).toEqual(value)
    expect(write(explicitBig, vr, [big], explicitBig).subarray(-24)).toEqual(big)
  })

  it('are turned round as a whole when a chunk ends within one', () => {
    const value = fc.tuple(fc.constantFrom(...vrs), fc.uint8Array({ minLength: 1, maxLength: 50 }), cuts(50))
    fc.assert(
      fc.property(
        value,
        fc.constantFrom(...encodings),
        fc.constantFrom(...encodings),
        ([vr, bytes, offsets], from, to) => {
          const whole = write(to, vr, [bytes], from)
          expect(write(to, vr, cutAt(bytes, offsets), from)).toEqual(whole)
          expect(write(to, vr, byteByByte(bytes), from)).toEqual(whole)
        },
      ),
    )
  })

  it('include the pad, which completes the last one', () => {
    expect(write(explicitBig, 'OW', [Buffer.of(1, 2, 3)]).subarray(-4)).toEqual(Buffer.of(2, 1, 0, 3))
    expect(write(explicitBig, 'OF', [Buffer.of(1, 2, 3)]).subarray(-4)).toEqual(Buffer.of(0, 3, 2, 1))
    expect(write(explicitBig, 'OV', byteByByte(ramp(7))).subarray(-8)).toEqual(hex('0006050403020100'))
  })

  it('leave what is less than a word as it is', () => {
    expect(write(explicitBig, 'OF', [ramp(6)]).subarray(-6)).toEqual(hex('030201000405'))
    expect(write(explicitBig, 'FD', byteByByte(ramp(10))).subarray(-10)).toEqual(hex('07060504030201000809'))
  })

  it('do not carry over into the next value', () => {
    const writer = new ElementWriter(explicitBig)
    for (const bytes of [ramp(6), ramp(4)]) writer.element(0x00091001, 'FL', bytes)
    expect(Buffer.concat(writer.take()).subarray(-4)).toEqual(hex('03020100'))
  })

  it('are turned round in a copy', () => {
    const value = ramp(16)
    write(explicitBig, 'OW', [value])
    expect(value).toEqual(ramp(16))
  })
})

describe('a value too long for a length of 16 bits', () => {
  const short = vrs.filter((vr) => !longVrs.includes(vr))

  it.each(short)('of VR %s is written as UN, in Little Endian', (vr) => {
    const value = Buffer.alloc(65_536, ramp(16))
    for (const encoding of [explicitLittle, explicitBig]) {
      const written = write(encoding, vr, [value])
      expect(written.subarray(0, 12)).toEqual(header(encoding, 0x00091001, 'UN', 65_536))
      expect(written.subarray(12).equals(value)).toBe(true)
    }
  })

  it('is one of more than 65,534 bytes, pad included', () => {
    expect(write(explicitLittle, 'LT', [Buffer.alloc(65_534)]).toString('latin1', 4, 6)).toBe('LT')
    expect(write(explicitLittle, 'LT', [Buffer.alloc(65_535)]).subarray(0, 12)).toEqual(
      header(explicitLittle, 0x00091001, 'UN', 65_536),
    )
  })

  it('keeps its VR in implicit VR, and is no matter in a long one', () => {
    const value = Buffer.alloc(70_000, 1)
    expect(write(implicitLittle, 'LT', [value]).equals(element(implicitLittle, 0x00091001, 'LT', value))).toBe(true)
    expect(write(explicitBig, 'UT', [value]).equals(element(explicitBig, 0x00091001, 'UT', value))).toBe(true)
  })

  it('is turned round when it comes from Big Endian', () => {
    const value = Buffer.alloc(70_000, ramp(8))
    expect(
      write(explicitLittle, 'US', [turned('US', value)], explicitBig)
        .subarray(12)
        .equals(value),
    ).toBe(true)
    expect(
      write(explicitBig, 'US', [turned('US', value)], explicitBig)
        .subarray(12)
        .equals(value),
    ).toBe(true)
  })
})

describe.each(encodings)('sequences in $name', (encoding) => {
  it('and their items have undefined length, whatever they had', () => {
    for (const length of [undefined, 20]) {
      const writer = new ElementWriter(encoding)
      writer.write({ kind: 'sequence-start', header: { tag: 0x00081140, vr: 'SQ', length } })
      writer.write({ kind: 'item-start', length })
      writer.element(0x00080060, 'CS', Buffer.from('CT'))
      writer.write({ kind: 'item-end' })
      writer.write({ kind: 'sequence-end' })
      expect(Buffer.concat(writer.take())).toEqual(
        Buffer.concat([
          header(encoding, 0x00081140, 'SQ', undefined),
          delimiter(encoding, 0xfffee000, undefined),
          element(encoding, 0x00080060, 'CS', 'CT'),
          itemEnd(encoding),
          sequenceEnd(encoding),
        ]),
      )
    }
  })

  it('that are empty keep a length of 0, within others too', () => {
    const writer = new ElementWriter(encoding)
    writer.write({ kind: 'sequence-start', header: { tag: 0x00081140, vr: 'SQ', length: undefined } })
    writer.write({ kind: 'item-start', length: undefined })
    writer.write({ kind: 'sequence-start', header: { tag: 0x00081150, vr: 'SQ', length: 0 } })
    writer.write({ kind: 'sequence-end' })
    writer.write({ kind: 'item-end' })
    writer.write({ kind: 'sequence-end' })
    expect(Buffer.concat(writer.take())).toEqual(
      Buffer.concat([
        header(encoding, 0x00081140, 'SQ', undefined),
        delimiter(encoding, 0xfffee000, undefined),
        header(encoding, 0x00081150, 'SQ', 0),
        itemEnd(encoding),
        sequenceEnd(encoding),
      ]),
    )
  })
})

describe('fragments', () => {
  it('are written as they are, an odd one with a pad', () => {
    for (const encoding of [explicitLittle, explicitBig]) {
      const writer = new ElementWriter(encoding)
      writer.write({ kind: 'pixel-sequence-start', header: { tag: 0x7fe00010, vr: 'OW', length: undefined } })
      writer.write({ kind: 'fragment', index: 0, length: 0 })
      writer.write({ kind: 'fragment', index: 1, length: 3 })
      writer.write({ kind: 'value', bytes: Buffer.of(1, 2), last: false })
      writer.write({ kind: 'value', bytes: Buffer.of(3), last: true })
      writer.write({ kind: 'sequence-end' })
      expect(Buffer.concat(writer.take())).toEqual(
        pixelSequence(encoding, 'OW', Buffer.alloc(0), Buffer.of(1, 2, 3, 0)),
      )
    }
  })
})

describe('the output', () => {
  it('is given once, and counted while it waits', () => {
    const writer = new ElementWriter(explicitLittle)
    expect(writer.pending).toBe(0)
    expect(writer.take()).toEqual([])
    writer.element(0x00080060, 'CS', Buffer.from('CT'))
    expect(writer.pending).toBe(10)
    const first = writer.take()
    expect(writer.pending).toBe(0)
    expect(writer.take()).toEqual([])
    writer.element(0x00080060, 'CS', Buffer.from('MR'))
    expect(Buffer.concat(first).toString('latin1')).toContain('CT')
  })

  it('passes a big value on without a copy when its order stays', () => {
    const value = Buffer.alloc(100_000, 1)
    const writer = new ElementWriter(explicitLittle)
    writer.element(0x7fe00010, 'OW', value)
    expect(writer.take().some((chunk) => chunk.buffer === value.buffer && chunk.length === value.length)).toBe(true)
  })

  it('is the same for any sizes of values', () => {
    const writer = new ElementWriter(explicitLittle)
    const values = [0, 1, 4094, 4095, 4096, 4097, 16_383, 16_384, 16_385, 3, 50_000].map((size) =>
      Buffer.alloc(size, size & 0xff),
    )
    for (const value of values) writer.element(0x00091001, 'OB', value)
    const padded = values.map((value) => Buffer.concat([value, Buffer.alloc(value.length % 2)]))
    const expected = Buffer.concat(padded.map((value) => element(explicitLittle, 0x00091001, 'OB', value)))
    expect(Buffer.concat(writer.take()).equals(expected)).toBe(true)
  })
})
