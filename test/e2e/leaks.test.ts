import { request } from 'node:http'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { syntheticFiles } from '../../src/demo/synthetic.ts'
import { connectionsTo } from '../support/connections.ts'
import { startSetup, type Setup } from '../support/gateway.ts'
import { failOnLeaks } from '../support/leaks.ts'

failOnLeaks()

const REQUESTS = 1_000
const AT_ONCE = 8
/** Heap growth that may remain: caches, compiled code. */
const FLAT_BYTES = 24 * 1024 * 1024

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

interface Job {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly headers: Record<string, string>
  readonly body?: Buffer
}

/** Sends one request; with `cutAfter` the client goes away when it has received so many bytes. */
function send(origin: string, { method, path, headers, body }: Job, cutAfter: number | undefined): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>()
  const outgoing = request(origin + path, { method, headers, agent: false }, (response) => {
    let received = 0
    response.on('data', (chunk: Buffer) => {
      received += chunk.length
      if (cutAfter !== undefined && received > cutAfter) response.destroy()
    })
    response.on('error', () => resolve(0))
    response.on('close', () => resolve(response.statusCode ?? 0))
  })
  outgoing.on('error', () => resolve(0))
  if (cutAfter === 0) {
    // Gone in the middle of the upload, or before any answer.
    if (body) outgoing.write(body.subarray(0, body.length >> 1))
    else outgoing.flushHeaders()
    setTimeout(() => outgoing.destroy(), 3)
  } else outgoing.end(body)
  return promise
}

function jobs(files: readonly Buffer[]): Job[] {
  const root = '/dicomweb/studies'
  const study = `${root}/1.2.826.0.1.3680043.10.1561.1`
  const instance = `${study}/series/1.2.826.0.1.3680043.10.1561.1.1/instances/1.2.826.0.1.3680043.10.1561.1.1.3`
  return [
    { method: 'GET', path: `${root}?PatientName=*Demo*`, headers: {} },
    { method: 'GET', path: `${study}/instances?limit=3`, headers: {} },
    {
      method: 'GET',
      path: study,
      headers: { accept: 'multipart/related; type="application/dicom"; transfer-syntax=*' },
    },
    { method: 'GET', path: instance, headers: { accept: 'application/dicom; transfer-syntax=*' } },
    { method: 'GET', path: `${root}/1.2.3.4.5`, headers: {} },
    { method: 'POST', path: root, headers: { 'content-type': 'application/dicom' }, body: files[0]! },
  ]
}

async function run(setup: Setup, list: readonly Job[], count: number): Promise<Map<number, number>> {
  const statuses = new Map<number, number>()
  let next = 0
  const worker = async (): Promise<void> => {
    for (let n = next++; n < count; n = next++) {
      // Every third goes away midway: at once, behind the first bytes, or well into the body.
      const cutAfter = n % 3 === 0 ? [0, 1, 100_000][(n / 3) % 3] : undefined
      const status = await send(setup.origin, list[n % list.length]!, cutAfter)
      if (cutAfter === undefined) statuses.set(status, (statuses.get(status) ?? 0) + 1)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  return statuses
}

async function until(condition: () => boolean, milliseconds: number): Promise<void> {
  const end = performance.now() + milliseconds
  while (!condition() && performance.now() < end) await delay(10)
}

function heap(): number {
  collect()
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

test(
  '1,000 mixed requests, a third cut midway, leave no association, no socket and no memory',
  { timeout: 150_000 },
  async () => {
    const files = [...syntheticFiles()].map((file) => Buffer.from(file))
      const setup = await startSetup({ files, pacs: { maxAssociations: 4 } })
    const [archive] = setup.gateway.archives
    try {
      const list = jobs(files)
      await run(setup, list, 120)
      await until(() => archive!.stats.leased === 0, 10_000)
      const before = heap()
      const statuses = await run(setup, list, REQUESTS)
      // What was not cut was answered, and rightly.
      expect([...statuses.keys()].sort()).toEqual([200, 404])
      await until(() => archive!.stats.leased === 0 && archive!.stats.waiting === 0, 10_000)
      expect(archive!.stats).toMatchObject({ leased: 0, waiting: 0 })
      expect(setup.archive.associations).toBe(archive!.stats.idle)
      await until(() => (connectionsTo(setup.port) ?? 0) === 0, 10_000)
      expect(connectionsTo(setup.port) ?? 0).toBe(0)
      expect(heap() - before).toBeLessThan(FLAT_BYTES)
    } finally {
      await setup.gateway[Symbol.asyncDispose]()
    }
    await until(() => setup.archive.associations === 0, 10_000)
    expect(setup.archive.associations).toBe(0)
    await setup.archive[Symbol.asyncDispose]()
  },
)
