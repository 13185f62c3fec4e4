import { describe, expect, it } from 'vitest'
import { Fifo } from '../../src/dicom/fifo.ts'
import { collectGarbage } from '../support/garbage.ts'

describe('a FIFO', () => {
  it('gives what came, in its order', () => {
    const fifo = new Fifo<number>()
    const given: (number | undefined)[] = []
    for (let n = 0; n < 100; n++) {
      fifo.push(2 * n)
      fifo.push(2 * n + 1)
      given.push(fifo.shift())
    }
    expect(fifo.length).toBe(100)
    while (fifo.length > 0) given.push(fifo.shift())
    expect(given).toEqual(Array.from({ length: 200 }, (_, n) => n))
    expect(fifo.shift()).toBeUndefined()
  })

  it('lets go what was taken, also where it never runs empty', async () => {
    const fifo = new Fifo<object>()
    const taken: WeakRef<object>[] = []
    for (let n = 0; n < 8; n++) fifo.push({ n })
    for (let n = 0; n < 1000; n++) {
      fifo.push({ n })
      taken.push(new WeakRef(fifo.shift()!))
    }
    await collectGarbage()
    expect(taken.filter((one) => one.deref() !== undefined).length).toBeLessThanOrEqual(8)
    expect(fifo.length).toBe(8)
  })

  it('is empty when it was cleared', () => {
    const fifo = new Fifo<number>()
    fifo.push(1)
    fifo.clear()
    expect([fifo.length, fifo.shift()]).toEqual([0, undefined])
  })
})
