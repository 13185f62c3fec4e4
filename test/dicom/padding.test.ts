import { describe, expect, it } from 'vitest'
import { withoutPadding } from '../../src/dicom/padding.ts'

describe('padding', () => {
  it('is taken off behind a text, and in front of it where that means nothing', () => {
    expect(withoutPadding(' 1.2.3 \0\0')).toBe(' 1.2.3')
    expect(withoutPadding(' \0 A B ', true)).toBe('A B')
    expect(withoutPadding('\0 \0', true)).toBe('')
    expect(withoutPadding('')).toBe('')
  })

  it('inside a long run that something follows costs no more than its length', () => {
    // Quadratic time would be minutes, and the test would time out.
    const text = `${' '.repeat(2_000_000)}x`
    expect(withoutPadding(text)).toBe(text)
    expect(withoutPadding(text, true)).toBe('x')
  })
})
