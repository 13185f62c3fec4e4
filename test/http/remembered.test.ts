import { describe, expect, it } from 'vitest'
import { Remembered } from '../../src/http/remembered.ts'

describe('what is remembered of an instance', () => {
  it('is read once, also for who asks while it is read', async () => {
    const remembered = new Remembered<number>(2)
    const key = {}
    let reads = 0
    const read = async (): Promise<number> => {
      reads++
      await new Promise(setImmediate)
      return 7
    }
    expect(await Promise.all([1, 2, 3].map(() => remembered.of(key, read)))).toEqual([7, 7, 7])
    expect(await remembered.of(key, read)).toBe(7)
    expect(reads).toBe(1)
  })

  it('is read by others themselves where who read it failed', async () => {
    const remembered = new Remembered<string>(2)
    const key = {}
    const gone = new Error('gone')
    const first = remembered.of(key, () => Promise.reject(gone))
    const second = remembered.of(key, async () => 'read')
    await expect(first).rejects.toBe(gone)
    expect(await second).toBe('read')
    expect(await remembered.of(key, () => Promise.reject(gone))).toBe('read')
  })

  it('is forgotten when so many others were read', async () => {
    const remembered = new Remembered<number>(2)
    const keys = [{}, {}, {}]
    let reads = 0
    const read = async (): Promise<number> => ++reads
    for (const key of keys) await remembered.of(key, read)
    for (const key of [keys[2]!, keys[1]!]) await remembered.of(key, read)
    expect(reads).toBe(3)
    await remembered.of(keys[0]!, read)
    expect(reads).toBe(4)
  })
})
