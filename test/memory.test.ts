import type { Source } from '../src/cache/route.ts'
import { execFile } from 'node:child_process'
import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel'
import { promisify } from 'node:util'
import { afterEach, describe, expect, it } from 'vitest'
import { InstanceCache } from '../src/cache/instance-cache.ts'
import { collectByVolume, OLD_BYTES, YOUNG_BYTES } from '../src/memory.ts'
import { ReadBuffers } from '../src/network/read-buffers.ts'
import { collect } from './support/byte-stream.ts'
import { fakeSeries, FakeSource } from './support/fake-source.ts'

const READ_BUFFER_BYTES = 512 * 1024

let stop: (() => void) | undefined
afterEach(() => stop?.())

/** What is collected from here on. */
function collections(): string[] {
  const seen: string[] = []
  stop = collectByVolume((type) => seen.push(type))
  return seen
}

describe('collecting by volume', () => {
  it('frees young buffers each time that sockets have taken so many bytes of them', () => {
    const seen = collections()
    const buffers = new ReadBuffers()
    const fill = (count: number): void => {
      for (let n = 0; n < count; n++) buffers.used(buffers.next().length)
    }
    fill(YOUNG_BYTES / READ_BUFFER_BYTES - 1)
    expect(seen).toEqual([])
    fill(1)
    expect(seen).toEqual(['minor'])
    fill(YOUNG_BYTES / READ_BUFFER_BYTES)
    expect(seen).toEqual(['minor', 'minor'])
  })

  it('frees old buffers when so many bytes of what was kept have been let go', () => {
    const seen = collections()
    channel('dimsegate:buffers-let-go').publish(OLD_BYTES - 1)
    expect(seen).toEqual([])
    channel('dimsegate:buffers-let-go').publish(1)
    expect(seen).toEqual(['major'])
  })

  it('is told of what the cache lets go', async () => {
    const bytes: unknown[] = []
    const listen = (message: unknown): void => void bytes.push(message)
    subscribe('dimsegate:buffers-let-go', listen)
    stop = () => void unsubscribe('dimsegate:buffers-let-go', listen)
    const source: Source = new FakeSource(fakeSeries('1.2.1', 3, 3500))
    await using cache = new InstanceCache({ maxBytes: 1024 * 1024, ttl: 60_000 })
    const call = { signal: new AbortController().signal }
    for await (const { body } of cache.retrieve(source, { study: '1.2' }, { compressed: true, lingers: true }, call)) {
      await collect(body)
    }
    expect(bytes).toEqual([])
    cache.forget(source, { study: '1.2', series: '1.2.1', sopInstance: '1.2.1.2' })
    expect(bytes).toEqual([expect.toSatisfy((count: number) => count >= 3500 && count < 7000)])
  })

  it('ends', () => {
    const seen = collections()
    stop!()
    channel('dimsegate:buffers-made').publish(YOUNG_BYTES)
    channel('dimsegate:buffers-let-go').publish(OLD_BYTES)
    expect(seen).toEqual([])
  })

  it('frees by what V8 gives for it', async () => {
    // In a process of its own: what else runs in this one is collected at times of its own.
    const program = `
      import { channel } from 'node:diagnostics_channel'
      import { collectByVolume, YOUNG_BYTES } from '${new URL('../src/memory.ts', import.meta.url).href}'
      const megabytes = () => process.memoryUsage().arrayBuffers / 1024 / 1024
      collectByVolume()
      // Less than V8 itself would collect for.
      for (let n = 0; n < 24; n++) new Uint8Array(1024 * 1024).fill(1)
      const before = megabytes()
      channel('dimsegate:buffers-made').publish(YOUNG_BYTES)
      // A thread of V8's own gives them back.
      for (let left = 200; left > 0 && megabytes() > 8; left--) await new Promise((go) => setTimeout(go, 10))
      console.log(JSON.stringify([before, megabytes()]))`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program])
    const [before, after] = JSON.parse(stdout) as [number, number]
    expect(before).toBeGreaterThan(16)
    expect(after).toBeLessThan(8)
  })
})
