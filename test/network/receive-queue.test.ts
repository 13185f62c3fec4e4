import { describe, expect, it } from 'vitest'
import type { DataPiece } from '../../src/network/pdu.ts'
import {
  HIGH_WATER_BYTES,
  LOW_WATER_BYTES,
  PIECE_OVERHEAD_BYTES,
  ReceiveQueue,
} from '../../src/network/receive-queue.ts'
import { collectGarbage } from '../support/garbage.ts'

/** A piece that counts for so many bytes. */
function piece(counts: number, more: Partial<DataPiece> = {}): DataPiece {
  const bytes = Buffer.alloc(counts - PIECE_OVERHEAD_BYTES)
  return { type: 'data', contextId: 1, command: false, last: false, bytes, ...more }
}

function watched(): { queue: ReceiveQueue; calls: string[] } {
  const calls: string[] = []
  return { calls, queue: new ReceiveQueue({ pause: () => calls.push('pause'), resume: () => calls.push('resume') }) }
}

describe('a receive queue', () => {
  it('pauses its source above the high water mark, not at it, and once', () => {
    const { queue, calls } = watched()
    queue.push(piece(HIGH_WATER_BYTES - 256))
    queue.push(piece(256))
    expect(calls).toEqual([])
    queue.push(piece(256))
    queue.push(piece(256))
    expect(calls).toEqual(['pause'])
  })

  it('lets it go on at the low water mark, not above it', () => {
    const { queue, calls } = watched()
    queue.push(piece(HIGH_WATER_BYTES - LOW_WATER_BYTES))
    queue.push(piece(256))
    queue.push(piece(LOW_WATER_BYTES))
    expect(calls).toEqual(['pause'])
    queue.shift()
    expect(calls).toEqual(['pause'])
    queue.shift()
    expect(calls).toEqual(['pause', 'resume'])
  })

  it('counts pieces without bytes too', () => {
    const { queue, calls } = watched()
    for (let n = 0; n < HIGH_WATER_BYTES / PIECE_OVERHEAD_BYTES; n++) queue.push(piece(PIECE_OVERHEAD_BYTES))
    expect(calls).toEqual([])
    queue.push(piece(PIECE_OVERHEAD_BYTES))
    expect(calls).toEqual(['pause'])
  })

  it('gives pieces in their order, however many there are, and knows of ends of data sets', () => {
    const { queue } = watched()
    const pieces = Array.from({ length: 5000 }, (_, n) => piece(257, { contextId: n % 256, last: n === 4000 }))
    for (const one of pieces) queue.push(one)
    const shifted: (DataPiece | undefined)[] = []
    while (queue.holdsDataSetEnd) shifted.push(queue.shift())
    expect(shifted).toHaveLength(4001)
    while (queue.length > 0) shifted.push(queue.shift())
    expect(shifted).toEqual(pieces)
    expect(queue.shift()).toBeUndefined()
  })

  it('takes the end of a command for no end of a data set', () => {
    const { queue } = watched()
    queue.push(piece(257, { command: true, last: true }))
    expect(queue.holdsDataSetEnd).toBe(false)
  })

  it('lets go what was read, also where more always waits', async () => {
    const { queue } = watched()
    const read: WeakRef<object>[] = []
    for (let n = 0; n < 4; n++) queue.push(piece(257))
    for (let n = 0; n < 500; n++) {
      queue.push(piece(257))
      read.push(new WeakRef(queue.shift()!))
    }
    await collectGarbage()
    expect(read.filter((one) => one.deref() !== undefined).length).toBeLessThanOrEqual(4)
  })
})
