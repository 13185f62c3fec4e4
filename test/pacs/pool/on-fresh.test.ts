import { describe, expect, test } from 'vitest'
import type { Association } from '../../../src/network/association.ts'
import { ConnectionLostError } from '../../../src/network/errors.ts'
import type { Lease } from '../../../src/pacs/pool/lease.ts'
import { onFresh, streamedOnFresh } from '../../../src/pacs/pool/on-fresh.ts'

/** Hands out associations that were used before, unless a fresh one is asked for; notes what becomes of them. */
function pool(): { take: (fresh: boolean) => Promise<Lease>; log: string[] } {
  const log: string[] = []
  const take = async (fresh: boolean): Promise<Lease> => {
    const name = fresh ? 'fresh' : 'reused'
    log.push(`take ${name}`)
    const release = (): void => void log.push(`release ${name}`)
    const association = Object.create(null) as Association
    return { association, reused: !fresh, release, retire: release, discard: release }
  }
  return { take, log }
}

const lost = new ConnectionLostError('The peer closed the connection')

async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const one of stream) found.push(one)
  return found
}

describe('an operation', () => {
  test('that finds its association dead is tried once more, on a fresh one', async () => {
    const { take, log } = pool()
    const result = await onFresh(take, async ({ reused }) => {
      if (reused) throw lost
      return 'answer'
    })
    expect(result).toBe('answer')
    expect(log).toEqual(['take reused', 'release reused', 'take fresh', 'release fresh'])
  })

  test('that fails on the fresh one too is not tried again', async () => {
    const { take, log } = pool()
    await expect(onFresh(take, () => Promise.reject(lost))).rejects.toBe(lost)
    expect(log).toHaveLength(4)
  })

  test('that fails for another reason is not tried again', async () => {
    const { take, log } = pool()
    await expect(onFresh(take, () => Promise.reject(new Error('other')))).rejects.toThrow('other')
    expect(log).toEqual(['take reused', 'release reused'])
  })

  test.each([
    ['has yielded', false],
    ['says that it is answered', true],
  ])('that %s before it fails is not tried again', async (_, says) => {
    const { take, log } = pool()
    const stream = streamedOnFresh(take, async function* (_lease, answered) {
      if (says) answered()
      else yield 1
      throw lost
    })
    await expect(all(stream)).rejects.toBe(lost)
    expect(log).toEqual(['take reused', 'release reused'])
  })

  test('that nobody wants any more is ended before its association is given back', async () => {
    const { take, log } = pool()
    const stream = streamedOnFresh(take, async function* () {
      try {
        yield 1
        yield 2
      } finally {
        log.push('ended')
      }
    })
    for await (const _ of stream) break
    expect(log).toEqual(['take reused', 'ended', 'release reused'])
  })
})
