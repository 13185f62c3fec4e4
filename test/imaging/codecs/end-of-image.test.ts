import { describe, expect, it } from 'vitest'
import { withEndOfImage } from '../../../src/imaging/codecs/end-of-image.ts'
import { hex } from '../../support/dicom-bytes.ts'

describe('the end of an image', () => {
  it.each([
    ['is left as it is', 'ffd81122ffd9', 'ffd81122ffd9'],
    ['loses its padding', 'ffd81122ffd90000', 'ffd81122ffd9'],
    ['is added', 'ffd81122', 'ffd81122ffd9'],
    ['is added in place of padding', 'ffd81122000000', 'ffd81122ffd9'],
    ['is added to half of it', 'ffd81122ff', 'ffd81122ffffd9'],
  ])('%s: %s', (_, bytes, expected) => {
    expect(Buffer.from(withEndOfImage(hex(bytes))).toString('hex')).toBe(expected)
  })
})
