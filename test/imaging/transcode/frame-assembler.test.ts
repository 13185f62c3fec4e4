import { describe, expect, it } from 'vitest'
import type { Bytes } from '../../../src/dicom/bytes.ts'
import { transferSyntax } from '../../../src/dicom/transfer-syntax.ts'
import { CodestreamError } from '../../../src/imaging/codecs/codec-error.ts'
import { MAX_FRAME_BYTES } from '../../../src/imaging/image-description.ts'
import { FrameAssembler } from '../../../src/imaging/transcode/frame-assembler.ts'
import { MAX_FRAME_FRAGMENTS } from '../../../src/instance/frame-table.ts'
import { itemOffsets, words32 } from '../../support/images.ts'

const JPEG = '.4.50'
const J2K = '.4.90'
const RLE = '.5'
const NONE = Buffer.alloc(0)

/** The frames that fragments make. */
function assembled(suffix: string, frames: number, table: Bytes, fragments: readonly Bytes[]): string[] {
  const assembler = new FrameAssembler(transferSyntax(`1.2.840.10008.1.2${suffix}`), frames)
  expect(assembler.push(table)).toBeUndefined()
  const given = fragments.map((fragment) => assembler.push(fragment))
  given.push(assembler.end())
  return given.filter((frame) => frame !== undefined).map((frame) => Buffer.from(frame).toString('latin1'))
}

/** A fragment that begins as a bitstream of JPEG does, or of JPEG 2000; and one that does not. */
const start = (text: string): Buffer => Buffer.from(`\xff\xd8${text}`, 'latin1')
const start2000 = (text: string): Buffer => Buffer.from(`\xff\x4f\xff\x51${text}`, 'latin1')
const more = (text: string): Buffer => Buffer.from(text, 'latin1')
const joined = (...fragments: readonly Buffer[]): string => Buffer.concat(fragments).toString('latin1')

/** The Basic Offset Table of frames of so many fragments each. */
function tableOf(fragments: readonly Buffer[], counts: readonly number[]): Buffer {
  const offsets = itemOffsets(fragments)
  let at = 0
  return words32(
    counts.map((count) => {
      const offset = offsets[at]!
      at += count
      return offset
    }),
  )
}

describe('fragments', () => {
  it('are one frame where there is one, whatever they begin with', () => {
    const fragments = [start('ab'), more('cd'), start('ef')]
    for (const table of [NONE, words32([0]), words32([9, 9])]) {
      expect(assembled(JPEG, 1, table, fragments)).toEqual([joined(...fragments)])
    }
  })

  it('are frames by the Basic Offset Table, though they look otherwise', () => {
    const fragments = [more('a1'), start('a2'), more('b1'), more('c1'), more('c2'), more('c3')]
    const frames = [joined(...fragments.slice(0, 2)), 'b1', joined(...fragments.slice(3))]
    expect(assembled(JPEG, 3, tableOf(fragments, [2, 1, 3]), fragments)).toEqual(frames)
  })

  it('are frames by the Basic Offset Table, though they are of odd length', () => {
    const fragments = [more('abc'), more('d'), more('e')]
    expect(assembled(JPEG, 2, tableOf(fragments, [2, 1]), fragments)).toEqual(['abcd', 'e'])
  })

  it.each([
    ['JPEG', JPEG, start],
    ['JPEG 2000', J2K, start2000],
  ])('are frames by where bitstreams begin, without a table: %s', (_, suffix, begin) => {
    const fragments = [begin('a1'), more('a2'), begin('b1'), begin('c1'), more('c2'), more('c3')]
    const frames = [joined(...fragments.slice(0, 2)), joined(fragments[2]!), joined(...fragments.slice(3))]
    expect(assembled(suffix, 3, NONE, fragments)).toEqual(frames)
  })

  const wrong: [string, Buffer][] = [
    ['that is too short', words32([0, 22])],
    ['that is too long', words32([0, 22, 34, 50])],
    ['that is no multiple of its entries', Buffer.alloc(13)],
    ['of zeros', words32([0, 0, 0])],
    ['that does not begin at 0', words32([8, 22, 34])],
    ['that falls', words32([0, 34, 22])],
    ['that points between fragments', words32([0, 13, 35])],
    ['that points behind the header of each item', words32([8, 30, 42])],
  ]

  it.each(wrong)('are frames by where bitstreams begin, with a table %s', (_, table) => {
    const fragments = [start('a1'), more('a2'), start('b1'), start('c1')]
    const frames = [joined(...fragments.slice(0, 2)), joined(fragments[2]!), joined(fragments[3]!)]
    expect(assembled(JPEG, 3, table, fragments)).toEqual(frames)
  })

  it.each([RLE, '.1.98', '.8.1'])('are a frame each in %s, with a table or without', (suffix) => {
    const fragments = [more('ab'), start('cd'), more('ef')]
    const frames = fragments.map((fragment) => fragment.toString('latin1'))
    for (const table of [NONE, tableOf(fragments, [1, 1, 1]), words32([0, 1, 2])]) {
      expect(assembled(suffix, 3, table, fragments)).toEqual(frames)
    }
  })

  it('are frames where JP2 files begin', () => {
    const file = (text: string): Buffer => Buffer.from(`\x00\x00\x00\x0cjP  \r\n\x87\n${text}`, 'latin1')
    const fragments = [file('a'), more('b'), file('cd')]
    expect(assembled(J2K, 2, NONE, fragments)).toEqual([joined(fragments[0]!, fragments[1]!), joined(fragments[2]!)])
  })

  it('may be empty, and are then of no account', () => {
    expect(assembled(JPEG, 2, NONE, [NONE, start('a'), NONE, start('b'), NONE])).toEqual([
      joined(start('a')),
      joined(start('b')),
    ])
  })

  it('come out as soon as the next frame begins', () => {
    const assembler = new FrameAssembler(transferSyntax('1.2.840.10008.1.2.4.50'), 2)
    assembler.push(NONE)
    expect(assembler.push(start('a'))).toBeUndefined()
    expect(assembler.push(more('b'))).toBeUndefined()
    expect(Buffer.from(assembler.push(start('c'))!).toString('latin1')).toBe(joined(start('a'), more('b')))
    expect(Buffer.from(assembler.end()!).toString('latin1')).toBe(joined(start('c')))
  })
})

describe('another number of frames than there should be', () => {
  it.each([
    ['too many of JPEG', JPEG, 2, [start('a'), start('b'), start('c')]],
    ['too few of JPEG', JPEG, 3, [start('a'), start('b')]],
    ['too many of RLE', RLE, 2, [more('a'), more('b'), more('c')]],
    ['too few of RLE', RLE, 3, [more('a'), more('b')]],
    ['none', JPEG, 1, []],
    ['none but empty ones', RLE, 1, [NONE]],
  ] as [string, string, number, Buffer[]][])('is refused: %s', (_, suffix, frames, fragments) => {
    expect(() => assembled(suffix, frames, NONE, fragments)).toThrow(CodestreamError)
  })

  it('is refused where there is not even a table', () => {
    const assembler = new FrameAssembler(transferSyntax('1.2.840.10008.1.2.4.50'), 1)
    expect(() => assembler.end()).toThrow(CodestreamError)
  })
})

describe('a frame in fragments', () => {
  it('has at most as many bytes as a decoded one', () => {
    const assembler = new FrameAssembler(transferSyntax('1.2.840.10008.1.2.4.50'), 1)
    assembler.push(NONE)
    const half = Buffer.alloc(MAX_FRAME_BYTES / 2)
    assembler.push(half)
    assembler.push(half)
    expect(() => assembler.push(Buffer.alloc(1))).toThrow(CodestreamError)
  })
})

describe('fragments that make no frame', () => {
  it('are not held without end', () => {
    const assembler = new FrameAssembler(transferSyntax(`1.2.840.10008.1.2${J2K}`), 1)
    assembler.push(NONE)
    const most = 2 * MAX_FRAME_FRAGMENTS + 1
    for (let n = 0; n < most; n++) assembler.push(more('ab'))
    expect(() => assembler.push(more('ab'))).toThrow(CodestreamError)
  })
})
