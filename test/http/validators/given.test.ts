import { describe, expect, it } from 'vitest'
import { Given, MAX_ANSWERS, MAX_STORED, type Answer } from '../../../src/http/validators/given.ts'

const DAY_MS = 24 * 60 * 60 * 1000
const answerOf = (study: string, of: Answer['of'] = 'headers'): Answer => ({
  ...{ archive: 'main', study, key: 'k', list: 'l', arrivals: 'a', of, freshness: 'checked' },
  ...{ askedAt: performance.now(), patient: { id: '1', issuer: '', name: 'A' }, told: { id: '1' } },
  sopClasses: new Map(),
})

describe('what was given', () => {
  it('is known by its tag, however that is marked, for so many answers of headers, and of pixels beside', () => {
    const given = new Given()
    const [first, pixels] = [answerOf('1.2'), answerOf('1.2', 'pixels')]
    given.note('"pixels"', pixels)
    given.note('"first"', first)
    for (let n = 1; n < MAX_ANSWERS; n++) given.note(`"${n}"`, first)
    expect(given.under('W/"first"')).toBe(first)
    given.note('"more"', first)
    // The one that was looked at last stays.
    expect(given.under('"1"')).toBeUndefined()
    expect(given.under('"first"')).toBe(first)
    expect(given.under('"pixels"')).toBe(pixels)
    expect(given.under('"other"')).toBeUndefined()
  })

  it('is recent for a time from when it was asked for', () => {
    const given = new Given()
    const answer = { ...answerOf('1.2'), askedAt: performance.now() - 1_000 }
    expect(given.isRecent(answer, 10_000)).toBe(true)
    expect(given.isRecent(answer, 500)).toBe(false)
  })

  it('is not recent when something was stored in its study since, of that archive', () => {
    const given = new Given()
    const before = answerOf('1.2')
    given.stored('other', '1.2')
    given.stored('main', '1.3')
    expect(given.isRecent(before, DAY_MS)).toBe(true)
    given.stored('main', '1.2')
    expect(given.isRecent(before, DAY_MS)).toBe(false)
    expect(given.isRecent({ ...before, askedAt: performance.now() + 1 }, DAY_MS)).toBe(true)
  })

  it('is not recent of any study where it is not known any more in which something was stored', () => {
    const given = new Given()
    const before = [answerOf('1.2'), answerOf('9.9')]
    given.stored('main', '1.2')
    for (let n = 0; n < MAX_STORED - 1; n++) given.stored('main', `1.3.${n}`)
    expect(before.map((one) => given.isRecent(one, DAY_MS))).toEqual([false, true])
    given.stored('main', '1.4')
    expect(before.map((one) => given.isRecent(one, DAY_MS))).toEqual([false, false])
  })
})
