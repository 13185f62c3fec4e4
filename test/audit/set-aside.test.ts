import { expect, it } from 'vitest'
import type { AuditEvent } from '../../src/audit/event.ts'
import { RepositoryError } from '../../src/audit/repository-error.ts'
import { MAX_SET_ASIDE, MAX_SET_ASIDE_LATER, SetAside } from '../../src/audit/set-aside.ts'

const refused = new RepositoryError(400)
const events = (count: number): AuditEvent[] =>
  Array.from({ length: count }, (_, at) => ({ kind: 'query', at: String(at), outcome: 'success' }))

/** How many are tried until all go back. */
function tried(aside: SetAside, waiting: AuditEvent[]): number {
  let count = 1
  while (aside.take(waiting, refused)) count++
  return count
}

it('tries twice as many each time that all are refused, up to a bound, and few again when one was accepted', () => {
  const [aside, waiting] = [new SetAside(), events(2 * MAX_SET_ASIDE_LATER)]
  const counts = Array.from({ length: 9 }, () => tried(aside, waiting))
  const doubled = [1, 2, 4, 8, 16, 32, 64].map((times) => times * MAX_SET_ASIDE)
  expect(counts).toEqual([...doubled, MAX_SET_ASIDE_LATER, MAX_SET_ASIDE_LATER])
  expect(waiting).toEqual(events(2 * MAX_SET_ASIDE_LATER))
  aside.clear()
  expect(tried(aside, waiting)).toBe(MAX_SET_ASIDE)
})

it('has all go back, in their order, where the repository fails in another way', () => {
  const [aside, waiting] = [new SetAside(), events(5)]
  for (const error of [refused, refused]) expect(aside.take(waiting, error)).toBe(true)
  expect(aside.size).toBe(2)
  expect(aside.take(waiting, new RepositoryError(503))).toBe(false)
  expect(waiting).toEqual(events(5))
})
