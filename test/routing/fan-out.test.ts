import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { Bytes } from '../../src/dicom/bytes.ts'
import { FanOut, MAX_LAG_BYTES, WINDOW_BYTES } from '../../src/routing/fan-out.ts'

const CHUNK = 65_536

/** Gives chunks, and says how many it was asked for. */
function source(count: number, failure?: Error): AsyncIterator<Bytes, unknown> & { given: number; returned: number } {
  const it = {
    given: 0,
    returned: 0,
    next: () => {
      if (it.given === count)
        return failure ? Promise.reject(failure) : Promise.resolve({ done: true as const, value: undefined })
      return Promise.resolve({ done: false as const, value: new Uint8Array(CHUNK).fill(it.given++) })
    },
    return: () => {
      it.returned++
      return Promise.resolve({ done: true as const, value: undefined })
    },
  }
  return it
}

async function read(branch: AsyncIterable<Bytes>, pause = 0): Promise<number[]> {
  const seen: number[] = []
  for await (const chunk of branch) {
    seen.push(chunk[0]!)
    if (pause > 0) await delay(pause)
  }
  return seen
}

describe('a stream for several readers', () => {
  it('gives each of them all of it, reading it once', async () => {
    const from = source(50)
    const fan = new FanOut(from)
    const branches = [fan.branch(true), fan.branch(true), fan.branch(false)]
    const all = await Promise.all([read(branches[0]!), read(branches[1]!, 1), read(branches[2]!)])
    const expected = Array.from({ length: 50 }, (_, index) => index)
    expect(all).toEqual([expected, expected, expected])
  })

  it('goes at the pace of the slowest that is waited for, with a window between', async () => {
    const from = source(1_000)
    const fan = new FanOut(from)
    const [fast, slow] = [fan.branch(true), fan.branch(true)]
    read(fast).catch(() => undefined)
    await slow.next()
    await delay(20)
    expect(from.given * CHUNK).toBeLessThanOrEqual(WINDOW_BYTES + 2 * CHUNK)
    const given = from.given
    for (let at = 0; at < 10; at++) await slow.next()
    await delay(20)
    expect(from.given).toBe(given + 10)
    await fan.end()
  })

  it('gives up who is not waited for and is too far behind, and only that one', async () => {
    const from = source(1_000)
    const fan = new FanOut(from)
    const [fast, idle] = [fan.branch(true), fan.branch(false)]
    expect(await read(fast)).toHaveLength(1_000)
    await expect(read(idle)).rejects.toMatchObject({ code: 'DESTINATION_TOO_SLOW' })
    expect(1_000 * CHUNK).toBeGreaterThan(MAX_LAG_BYTES)
  })

  it('tells each of them where it fails, behind what came before', async () => {
    const failure = new Error('gone')
    const fan = new FanOut(source(3, failure))
    const [one, other] = [fan.branch(true), fan.branch(true)]
    const results = await Promise.allSettled([read(one), read(other)])
    expect(results.map((result) => (result.status === 'rejected' ? (result.reason as Error) : undefined))).toEqual([
      failure,
      failure,
    ])
  })

  it('is not taken for whole by who has not had all when it is ended', async () => {
    const from = source(30)
    const fan = new FanOut(from)
    const [one, other] = [fan.branch(true), fan.branch(false)]
    await one.next()
    await one.return?.()
    await other.next()
    await fan.end()
    await expect(read(other)).rejects.toMatchObject({ code: 'DELIVERY_ABANDONED' })
    expect(from.returned).toBe(1)
  })

  it('goes on for the others when one leaves', async () => {
    const fan = new FanOut(source(100))
    const [one, other] = [fan.branch(true), fan.branch(true)]
    await one.next()
    await one.return?.()
    expect(await read(other)).toHaveLength(100)
  })
})
