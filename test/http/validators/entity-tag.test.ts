import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { heldAs, heldTags, newTag, tagOf, weakTagOf } from '../../../src/http/validators/entity-tag.ts'

const parts = fc.array(fc.string(), { minLength: 1, maxLength: 5 })

describe('an entity tag', () => {
  it('is the same for the same things, and another where any of them differs in any character', () => {
    fc.assert(
      fc.property(parts, parts, (one, other) => {
        expect(tagOf(...one)).toBe(tagOf(...one))
        expect(tagOf(...one) === tagOf(...other)).toBe(JSON.stringify(one) === JSON.stringify(other))
      }),
    )
  })

  it('does not depend on where one thing ends and the next begins alone', () => {
    expect(tagOf('a', 'bc')).not.toBe(tagOf('ab', 'c'))
    expect(tagOf('a', '')).not.toBe(tagOf('a'))
  })

  it('of bytes is weak, and that of all of them, however they are cut', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1 }), fc.nat(), fc.nat(), (bytes, at, flipped) => {
        const [cut, index] = [at % bytes.length, flipped % bytes.length]
        const tag = weakTagOf([bytes])
        expect(tag).toMatch(/^W\/"[0-9a-f]{32}"$/)
        expect(weakTagOf([bytes.subarray(0, cut), bytes.subarray(cut)])).toBe(tag)
        const other = Uint8Array.from(bytes)
        other[index] = other[index]! ^ 1
        expect(weakTagOf([other])).not.toBe(tag)
      }),
    )
  })

  it('that is new is like no other', () => {
    expect(new Set(Array.from({ length: 100 }, newTag)).size).toBe(100)
  })

  it.each([
    ['nothing', undefined, '"a"', false],
    ['another', '"b"', '"a"', false],
    ['the same', '"a"', '"a"', true],
    ['a list with it', '"b", W/"a" ,"c"', '"a"', true],
    ['a strong one for a weak', '"a"', 'W/"a"', true],
    ['anything, which does not count', '*', '"a"', false],
    ['what is no tag', 'a', '"a"', false],
    ['it behind more than are looked at', '"x",'.repeat(16) + '"a"', '"a"', false],
  ])('is held where a client holds %s: %s', (_, header, tag, held) => {
    expect(heldAs(tag, heldTags(header)) !== undefined).toBe(held)
  })
})
