import { describe, expect, it } from 'vitest'
import { beginsBitstream, SIGNATURE_BYTES } from '../../src/dicom/bitstream-start.ts'

const bytes = (hex: string): Buffer => Buffer.from(hex, 'hex')

describe('a fragment', () => {
  it.each([
    ['JPEG', 'ffd8ffe000104a46'],
    ['JPEG-LS', 'ffd8fff7000b0801'],
    ['JPEG 2000 and HTJ2K', 'ff4fff51002f0000'],
    ['JPEG 2000 in a JP2 file', '0000000c6a5020200d0a870a'],
    ['JPEG XL', 'ff0a3a1f'],
    ['JPEG XL in its box', '0000000c4a584c200d0a870a'],
  ])('that begins as %s does begins a bitstream', (_, hex) => {
    expect(beginsBitstream(bytes(hex))).toBe(true)
    expect(beginsBitstream(bytes(hex).subarray(0, SIGNATURE_BYTES))).toBe(true)
  })

  it.each([
    ['nothing', ''],
    ['part of a signature', 'ff4fff'],
    ['another marker', 'ffda0008'],
    ['zeros', '0000000000000000'],
    ['another box', '0000000c6674797000000000'],
  ])('of %s goes on with one', (_, hex) => {
    expect(beginsBitstream(bytes(hex))).toBe(false)
  })
})
