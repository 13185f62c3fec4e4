import { describe, expect, it } from 'vitest'
import { ReadBuffers } from '../../src/network/read-buffers.ts'

/** As a socket does: fills part of the room it is given. */
function read(buffers: ReadBuffers, count: number, value: number): Uint8Array {
  const room = buffers.next()
  room.fill(value, 0, count)
  buffers.used(count)
  return room.subarray(0, count)
}

describe('read buffers', () => {
  it('never fill memory twice that somebody still looks at, whatever is collected meanwhile', () => {
    const buffers = new ReadBuffers()
    // 100 MiB and more: collections happen on the way.
    const views = Array.from({ length: 1000 }, (_, n) => read(buffers, 50_000 + 113 * n, n % 251))
    const wrong = views.filter((view, n) => view.some((byte) => byte !== n % 251))
    expect(wrong).toEqual([])
  })

  it('share memory among small reads', () => {
    const buffers = new ReadBuffers()
    const backing = new Set(Array.from({ length: 1000 }, () => read(buffers, 100, 1).buffer))
    expect(backing.size).toBe(1)
  })

  it('always have room for a large read', () => {
    const buffers = new ReadBuffers()
    for (let n = 1; n < 500; n++) {
      expect(buffers.next().length).toBeGreaterThanOrEqual(65_536)
      buffers.used((n * 7919) % 65_536)
    }
  })
})
