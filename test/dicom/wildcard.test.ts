import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { matchesWildcard } from '../../src/dicom/wildcard.ts'

/** PS3.4 C.2.2.2.4 word for word. */
function fits(pattern: string, text: string): boolean {
  const [first, rest] = [pattern.slice(0, 1), pattern.slice(1)]
  if (first === '') return text === ''
  if (first === '*') return fits(rest, text) || (text !== '' && fits(pattern, text.slice(1)))
  return text !== '' && (first === '?' || first === text[0]) && fits(rest, text.slice(1))
}

describe('a wildcard pattern', () => {
  it.each([
    ['', ''],
    ['*', ''],
    ['***', 'CT'],
    ['C?', 'CT'],
    ['*T', 'CT'],
    ['C*', 'C'],
    ['D*^J*e', 'Doe^Jane'],
    ['*a*b', 'aab b'],
    ['.*', '.x'],
    ['*', 'two\nlines'],
  ])('%j fits %j', (pattern, text) => {
    expect(matchesWildcard(pattern, text)).toBe(true)
  })

  it.each([
    ['', 'CT'],
    ['?', ''],
    ['C?', 'C'],
    ['ct', 'CT'],
    ['*a*b', 'ab a'],
    ['.*', 'x'],
    ['[CM]*', 'CT'],
    ['CT', 'CTX'],
  ])('%j does not fit %j', (pattern, text) => {
    expect(matchesWildcard(pattern, text)).toBe(false)
  })

  it('fits what it fits by definition', () => {
    const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?'), maxLength: 8 })
    const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 8 })
    fc.assert(fc.property(pattern, text, (one, other) => matchesWildcard(one, other) === fits(one, other)))
  })

  it.each([
    [`*${'a'.repeat(300)}b`, 'a'.repeat(3_000)],
    ['*a'.repeat(200) + 'b', 'a'.repeat(3_000)],
    ['?'.repeat(300), 'a'.repeat(3_000)],
    ['a'.repeat(300), 'a'.repeat(3_000)],
  ])('takes so many steps at most (%#)', (pattern, text) => {
    let steps = 0
    const counted = new Proxy(new String(pattern), {
      get(target, key) {
        if (typeof key === 'string' && /^\d+$/.test(key)) steps++
        return Reflect.get(target, key, target) as unknown
      },
    })
    expect(matchesWildcard(counted as string, text)).toBe(false)
    const least = pattern.includes('*') ? (pattern.length + 1) * (text.length + 1) : pattern.length + 1
    expect(steps).toBeGreaterThan(0)
    expect(steps).toBeLessThanOrEqual(least)
  })

  it.each(['*'.repeat(16_000) + 'x', '*a'.repeat(8_000) + 'x', `*${'a'.repeat(2_000)}x`])(
    'takes no time to speak of where it does not fit (%#)',
    (pattern) => {
      const started = performance.now()
      expect(matchesWildcard(pattern, 'a'.repeat(4_000))).toBe(false)
      expect(performance.now() - started).toBeLessThan(2_000)
    },
  )
})
