import { describe, expect, it, vi } from 'vitest'
import type { HttpContext } from '../../../src/http/context.ts'
import { Delivery } from '../../../src/http/retrieve/delivery.ts'
import { SHORTFALL_TTL_MS, Shortfalls } from '../../../src/http/retrieve/shortfalls.ts'

describe('a part of which some is held back', () => {
  it('is closed where the client goes before any of it was taken', async () => {
    const context = { var: { shortfalls: new Shortfalls() }, req: { url: 'http://gateway/x', header: () => undefined } }
    const bodies = { opened: 0, closed: 0 }
    async function* body(): AsyncGenerator<Buffer> {
      bodies.opened++
      try {
        for (;;) yield Buffer.alloc(300_000)
      } finally {
        bodies.closed++
      }
    }
    async function* instances(): AsyncGenerator<number> {
      yield 1
    }
    const parts = new Delivery(context as unknown as HttpContext).parts(instances(), async function* () {
      yield { headers: { 'Content-Type': 'application/dicom' }, body: body() }
    })
    await parts.next()
    await parts.return(undefined)
    expect(bodies).toEqual({ opened: 1, closed: 1 })
  })
})

describe('an instance that was damaged behind what is held back', () => {
  it('is left out for a while, however often the answer is asked for, then tried again', () => {
    vi.useFakeTimers()
    try {
      const shortfalls = new Shortfalls()
      const isLeftOut = (): boolean => (shortfalls.of('a')?.damaged.get('one') ?? 0) > performance.now()
      shortfalls.note('a', new Error('damaged'), 'one')
      for (let n = 0; n < 9; n++) {
        vi.advanceTimersByTime(SHORTFALL_TTL_MS / 10)
        expect(isLeftOut()).toBe(true)
        shortfalls.note('a', new Error('damaged'))
      }
      vi.advanceTimersByTime(SHORTFALL_TTL_MS / 10)
      expect(isLeftOut()).toBe(false)
      // What the answer lacks is still known: it is a 206.
      expect(shortfalls.of('a')?.reason).toBeInstanceOf(Error)
    } finally {
      vi.useRealTimers()
    }
  })
})
