import { describe, expect, it } from 'vitest'
import { Turns } from '../../../src/imaging/pool/turns.ts'

const never = new AbortController().signal

/** Work that ends when it is told to, and notes when it begins. */
function workers(turns: Turns) {
  const begun: string[] = []
  const open = new Map<string, (value: undefined) => void>()
  return {
    begun,
    add: (client: string, name: string, signal = never): Promise<unknown> => {
      const { promise, resolve } = Promise.withResolvers<undefined>()
      open.set(name, resolve)
      const work = async (): Promise<undefined> => {
        begun.push(name)
        return promise
      }
      return turns.run(work, { client, signal }).catch((error: unknown) => error)
    },
    async end(name: string): Promise<void> {
      open.get(name)!(undefined)
      await new Promise(setImmediate)
    },
  }
}

describe('turns', () => {
  it('go from client to client, of each in the order they came', async () => {
    const work = workers(new Turns({ places: 1 }))
    void work.add('a', 'a1')
    for (const name of ['a2', 'a3', 'a4', 'b1', 'b2', 'c1']) void work.add(name[0]!, name)
    for (const name of ['a1', 'a2', 'b1', 'c1', 'a3', 'b2', 'a4']) {
      expect(work.begun.at(-1)).toBe(name)
      await work.end(name)
    }
    expect(work.begun).toHaveLength(7)
  })

  it('leave a place to others: one client has all but one', async () => {
    const turns = new Turns({ places: 3 })
    const work = workers(turns)
    for (const name of ['a1', 'a2', 'a3']) void work.add('a', name)
    expect(work.begun).toEqual(['a1', 'a2'])
    expect(turns.isFull('a')).toBe(true)
    expect(turns.isFull('b')).toBe(false)
    void work.add('b', 'b1')
    expect(work.begun).toEqual(['a1', 'a2', 'b1'])
    expect(turns.stats).toEqual({ running: 3, waiting: 1 })
    await work.end('b1')
    expect(work.begun).toHaveLength(3)
    await work.end('a1')
    expect(work.begun.at(-1)).toBe('a3')
    for (const name of ['a2', 'a3']) await work.end(name)
    expect(turns.stats).toEqual({ running: 0, waiting: 0 })
  })

  it('are not for who has left the line', async () => {
    const work = workers(new Turns({ places: 1 }))
    const gone = new AbortController()
    void work.add('a', 'a1')
    const left = work.add('b', 'b1', gone.signal)
    void work.add('c', 'c1')
    gone.abort(new Error('gone'))
    expect(await left).toBe(gone.signal.reason)
    await work.end('a1')
    expect(work.begun).toEqual(['a1', 'c1'])
  })

  it('are waited for by so many, so long', async () => {
    const busy = new Error('busy')
    const turns = new Turns({ places: 1, patience: 30, waiting: 3, waitingOfClient: 2, busy: () => busy })
    const work = workers(turns)
    void work.add('a', 'a1')
    const waiting = ['a2', 'a3', 'b1'].map((name) => work.add(name[0]!, name))
    expect(await work.add('b', 'b2')).toBe(busy)
    expect(turns.stats).toEqual({ running: 1, waiting: 3 })
    expect(await Promise.all(waiting)).toEqual([busy, busy, busy])
    expect(turns.stats).toEqual({ running: 1, waiting: 0 })
    const two = ['c1', 'c2'].map((name) => work.add('c', name))
    expect(await work.add('c', 'c3')).toBe(busy)
    expect(await Promise.all(two)).toEqual([busy, busy])
    await work.end('a1')
    expect(turns.stats).toEqual({ running: 0, waiting: 0 })
  })
})
