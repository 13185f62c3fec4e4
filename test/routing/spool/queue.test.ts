import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { FIRST_PAUSE_MS, SpoolQueue, type Entry } from '../../../src/routing/spool/queue.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function queueOf(count: number): { readonly queue: SpoolQueue; readonly ready: () => number } {
  const ready = vi.fn<() => void>()
  const queue = new SpoolQueue('far', ready)
  for (let n = 0; n < count; n++) queue.add({ id: String(n), destination: 'far', bytes: 1, reason: undefined })
  return { queue, ready: () => ready.mock.calls.length }
}

/** Takes one, which comes to an end at once. */
function next(queue: SpoolQueue): Entry | undefined {
  const entry = queue.take()
  if (entry) queue.over()
  return entry
}

describe('what one destination has yet to get', () => {
  it('goes out in the order in which it came, two at once', () => {
    const { queue } = queueOf(3)
    expect([queue.take(), queue.take(), queue.take()].map((entry) => entry?.found.id)).toEqual(['0', '1', undefined])
    queue.over()
    expect(queue.take()?.found.id).toBe('2')
  })

  it('waits while the destination rests, longer each time, up to 5 min; then one is tried', () => {
    const { queue, ready } = queueOf(3)
    for (const pause of [10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000]) {
      const before = ready()
      const entry = next(queue)!
      queue.rests()
      queue.putLast(entry)
      vi.advanceTimersByTime(pause - 1)
      expect([next(queue), ready()]).toEqual([undefined, before])
      vi.advanceTimersByTime(1)
      expect(ready()).toBe(before + 1)
    }
    expect(queue.take()).toBeDefined()
    expect(queue.take()).toBeUndefined()
    queue.passes()
    expect(queue.take()).toBeDefined()
  })

  it('counts two failures at once as one, and tells the first', () => {
    const { queue, ready } = queueOf(2)
    expect([queue.rests(), queue.rests()]).toEqual([true, false])
    vi.advanceTimersByTime(FIRST_PAUSE_MS)
    expect(ready()).toBe(1)
    expect([queue.passes(), queue.passes()]).toEqual([true, false])
  })

  it('goes on where it was, and in order, when the destination was not there', () => {
    const { queue } = queueOf(4)
    const [first, second] = [queue.take()!, queue.take()!]
    for (const entry of [second, first]) {
      queue.over()
      queue.putBack(entry)
    }
    const order = [next(queue), next(queue), next(queue), next(queue)]
    expect(order.map((entry) => entry?.found.id)).toEqual(['0', '1', '2', '3'])
  })

  it('lets others pass one that is to be tried later', () => {
    const { queue, ready } = queueOf(2)
    const first = next(queue)!
    first.tries = 1
    queue.putOff(first)
    expect([next(queue)?.found.id, next(queue)]).toEqual(['1', undefined])
    vi.advanceTimersByTime(FIRST_PAUSE_MS)
    expect([ready(), next(queue)?.found.id]).toEqual([1, '0'])
    first.tries = 30
    queue.putOff(first)
    vi.advanceTimersByTime(60 * 60_000)
    expect(next(queue)?.found.id).toBe('0')
  })

  it('tries what somebody wants tried at once: given up, put off, or at rest', () => {
    const { queue } = queueOf(3)
    const [dead, later] = [next(queue)!, next(queue)!]
    queue.giveUp(dead, 'C000')
    later.tries = 1
    queue.putOff(later)
    queue.rests()
    expect([queue.waiting, queue.givenUp]).toEqual([2, 1])
    queue.retry(dead)
    queue.retry(later)
    queue.retry(queue.get('2')!)
    queue.rouse()
    expect([queue.waiting, queue.givenUp]).toEqual([3, 0])
    expect([next(queue), next(queue), next(queue), next(queue)].map((entry) => entry?.found.id)).toEqual([
      ...['2', '0', '1'],
      undefined,
    ])
    vi.runAllTimers()
    expect(next(queue)).toBeUndefined()
  })

  it('forgets what is dropped, wherever it stands', () => {
    const { queue } = queueOf(4)
    const [dead, later] = [next(queue)!, next(queue)!]
    queue.giveUp(dead, 'C000')
    queue.putOff(later)
    for (const id of ['0', '1', '2']) queue.remove(queue.get(id)!)
    expect([queue.waiting, queue.givenUp]).toEqual([1, 0])
    vi.runAllTimers()
    expect([next(queue)?.found.id, next(queue)]).toEqual(['3', undefined])
  })

  it('costs the same for each of many', () => {
    const { queue } = queueOf(300_000)
    const begun = process.cpuUsage()
    let taken = 0
    for (let entry = next(queue); entry; entry = next(queue), taken++) queue.remove(entry)
    expect([taken, queue.waiting]).toEqual([300_000, 0])
    // Quadratic it would be minutes.
    expect(process.cpuUsage(begun).user / 1e6).toBeLessThan(5)
  })
})
