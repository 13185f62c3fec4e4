import { describe, expect, it } from 'vitest'
import {
  beginsBitstream,
  SIGNATURE_BYTES,
  transferSyntax,
  type TransferSyntax,
} from '../../src/dicom/transfer-syntax.ts'

const bytes = (hex: string): Buffer => Buffer.from(hex, 'hex')
const uid = (last: number): TransferSyntax => transferSyntax(`1.2.840.10008.1.2.4.${last}`)
const [JPEG, JPEG_LS, JPEG_2000, HTJ2K, JPEG_XL] = [50, 80, 90, 201, 110].map(uid) as [
  TransferSyntax,
  TransferSyntax,
  TransferSyntax,
  TransferSyntax,
  TransferSyntax,
]

describe('a fragment', () => {
  it.each([
    ['JPEG', JPEG, 'ffd8ffe000104a46'],
    ['JPEG-LS', JPEG_LS, 'ffd8fff7000b0801'],
    ['JPEG 2000', JPEG_2000, 'ff4fff51002f0000'],
    ['HTJ2K', HTJ2K, 'ff4fff51002f4000'],
    ['JPEG 2000 in a JP2 file', JPEG_2000, '0000000c6a5020200d0a870a'],
    ['JPEG XL', JPEG_XL, 'ff0a3a1f'],
    ['JPEG XL in its box', JPEG_XL, '0000000c4a584c200d0a870a'],
  ])('that begins as %s does begins a bitstream', (_, syntax, hex) => {
    expect(beginsBitstream(bytes(hex), syntax)).toBe(true)
    expect(beginsBitstream(bytes(hex).subarray(0, SIGNATURE_BYTES), syntax)).toBe(true)
  })

  it.each([
    ['nothing', JPEG, ''],
    ['part of a signature', JPEG_2000, 'ff4fff'],
    ['another marker', JPEG, 'ffda0008'],
    ['zeros', JPEG, '0000000000000000'],
    ['another box', JPEG_2000, '0000000c6674797000000000'],
    ['what would begin JPEG XL, which may be within the others', JPEG_LS, 'ff0a5566'],
    ['the same', JPEG_2000, 'ff0a5566'],
  ])('of %s goes on with one', (_, syntax, hex) => {
    expect(beginsBitstream(bytes(hex), syntax)).toBe(false)
  })
})
