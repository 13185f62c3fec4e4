import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ChunkedBytes } from '../../src/network/chunked-bytes.ts'

describe('chunked bytes', () => {
  it('are peeked at together over any number of chunks, and only when all are there', () => {
    const bytes = new ChunkedBytes()
    bytes.push(Buffer.from('ab'))
    expect(bytes.peek(5)).toBeUndefined()
    bytes.push(Buffer.from('c'))
    bytes.push(Buffer.alloc(0))
    expect(bytes.peek(5)).toBeUndefined()
    bytes.push(Buffer.from('defg'))
    expect(bytes.peek(5)).toEqual(Buffer.from('abcde'))
    bytes.skip(5)
    expect(bytes.take(100)).toEqual(Buffer.from('fg'))
    expect(bytes.take(100)).toBeUndefined()
  })

  it('are views of their chunk, but for what was cut', () => {
    const bytes = new ChunkedBytes()
    const [first, second] = [Buffer.from('abc'), Buffer.alloc(100_000, 1)]
    bytes.push(first)
    bytes.push(second)
    expect(bytes.peek(6)!.buffer.byteLength).toBeLessThan(100)
    bytes.skip(6)
    const rest = bytes.take(100_000)!
    expect(rest).toHaveLength(second.length - 3)
    expect(rest.buffer).toBe(second.buffer)
  })

  it('come out as they went in, whatever is asked for', () => {
    const asks = fc.array(fc.record({ peek: fc.boolean(), count: fc.integer({ min: 1, max: 30 }) }), { maxLength: 60 })
    const chunks = fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 20 })
    fc.assert(
      fc.property(chunks, asks, (pushed, asked) => {
        const bytes = new ChunkedBytes()
        const waiting = [...pushed]
        const out: Uint8Array[] = []
        for (const { peek, count } of asked) {
          const seen = peek ? bytes.peek(count) : bytes.take(count)
          if (seen === undefined) {
            const next = waiting.shift()
            if (next) bytes.push(next)
            continue
          }
          out.push(Buffer.from(seen))
          if (peek) bytes.skip(count)
        }
        for (const next of waiting) bytes.push(next)
        for (let rest = bytes.take(1000); rest; rest = bytes.take(1000)) out.push(Buffer.from(rest))
        expect(Buffer.concat(out)).toEqual(Buffer.concat(pushed))
      }),
    )
  })
})
