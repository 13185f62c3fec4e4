import { describe, expect, it } from 'vitest'
import { CodestreamError } from '../../../src/imaging/codecs/codec-error.ts'
import { checkHeader } from '../../../src/imaging/codecs/codestream-header.ts'
import { description } from '../made-images.ts'

describe('a header', () => {
  const image = description({ rows: 4, columns: 6, bitsAllocated: 16, bitsStored: 12 })
  const header = { rows: 4, columns: 6, components: 1, bits: 12, signed: false }

  it('is of its image', () => {
    expect(checkHeader(header, image)).toBe(header)
    expect(checkHeader({ ...header, bits: 16 }, image).bits).toBe(16)
    expect(checkHeader({ ...header, bits: 8 }, description({ rows: 4, columns: 6, bitsAllocated: 1 })).bits).toBe(8)
  })

  it.each([{ rows: 5 }, { columns: 5 }, { components: 3 }, { bits: 0 }, { bits: 17 }, { bits: 38 }])(
    'is not of its image with %j',
    (other) => {
      expect(() => checkHeader({ ...header, ...other }, image)).toThrow(CodestreamError)
    },
  )

  it('is not of its image with more bits than are allocated, or where there is none', () => {
    const narrow = description({ rows: 4, columns: 6 })
    expect(() => checkHeader({ ...header, bits: 9 }, narrow)).toThrow(CodestreamError)
    expect(() => checkHeader(undefined, narrow)).toThrow(CodestreamError)
  })
})
