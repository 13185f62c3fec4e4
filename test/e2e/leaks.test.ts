import { Agent, request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { DemoArchive } from '../../src/demo/demo-archive.ts'
import type { Gateway } from '../../src/gateway.ts'
import { connectionsTo } from '../support/connections.ts'
import { eventually } from '../support/eventually.ts'
import { gatewayTo } from '../support/gateway-to.ts'
import { failOnLeaks } from '../support/leaks.ts'
import { readParts } from '../support/multipart.ts'
import { random } from '../support/random.ts'
import { sliceFile, SERIES, STUDY } from '../support/slices.ts'

// A thousand requests of every kind, a third of them left by their client in the middle: everything is given back.

failOnLeaks()

const REQUESTS = 1_000
const WARM_UP = 300
const CONCURRENCY = 12
const SLICES = 12
const SLICE_BYTES = 60_000
const STORED = {
  study: '1.2.826.0.1.3680043.10.1561.92',
  series: '1.2.826.0.1.3680043.10.1561.92.1',
  patientId: 'P-2',
  size: 30_000,
}
/** What the heap may grow by: caches that fill, compiled code. A leak of 4 KiB a request would be as much. */
const HEAP_SLACK_BYTES = 3 * 1024 * 1024

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

interface Visit {
  readonly path: string
  readonly type?: string
  readonly body?: Buffer
  /** 200 unless told. */
  readonly status?: number
  /** What is counted in a whole answer. */
  readonly count: (answer: IncomingMessage, body: Buffer) => number
  readonly expected: number
}

const BOUNDARY = 'leak'

const visits: readonly Visit[] = [
  { path: '/studies?PatientID=P-1', count: jsonLength, expected: 1 },
  { path: `/studies/${STUDY}/series`, count: jsonLength, expected: 2 },
  { path: '/instances?PatientID=P-1&includefield=all', count: jsonLength, expected: SLICES },
  { path: `/studies/${STUDY}`, count: partCount, expected: SLICES },
  { path: `/studies/${STUDY}/series/${SERIES}`, count: partCount, expected: SLICES / 2 },
  { path: `/studies/${STUDY}/series/${SERIES}/instances/${SERIES}.1`, count: partCount, expected: 1 },
  { path: '/studies/1.2.3.4.5', status: 404, count: () => 0, expected: 0 },
  { path: '/studies', type: 'application/dicom', body: sliceFile({ ...STORED }), count: storedCount, expected: 1 },
  ...[1, 2, 3].map((number) => ({
    path: '/studies',
    type: `multipart/related; type="application/dicom"; boundary=${BOUNDARY}`,
    body: related([sliceFile({ ...STORED, number }), sliceFile({ ...STORED, number: number + 3 })]),
    count: storedCount,
    expected: 2,
  })),
]

function storedCount(_answer: IncomingMessage, body: Buffer): number {
  const { '00081199': stored } = JSON.parse(body.toString()) as Record<string, { Value: unknown[] } | undefined>
  return stored?.Value.length ?? 0
}

function related(files: readonly Buffer[]): Buffer {
  const parts = files.flatMap((file) => [
    Buffer.from(`--${BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n`),
    file,
    Buffer.from('\r\n'),
  ])
  return Buffer.concat([...parts, Buffer.from(`--${BOUNDARY}--\r\n`)])
}

function jsonLength(_answer: IncomingMessage, body: Buffer): number {
  return (JSON.parse(body.toString()) as unknown[]).length
}

function partCount(answer: IncomingMessage, body: Buffer): number {
  return readParts(answer.headers['content-type']!, body).length
}

/** Where the client leaves: behind so many bytes of the answer, or of its own body, or after so many ms. */
type Leaving = { readonly bytes: number } | { readonly milliseconds: number }

class Client {
  readonly #gateway: Gateway
  readonly #agent = new Agent({ keepAlive: true, maxSockets: CONCURRENCY })

  constructor(gateway: Gateway) {
    this.#gateway = gateway
  }

  /** @throws when an answer that is waited for to its end is not whole */
  async visit({ path, type, body, status = 200, count, expected }: Visit, leaving: Leaving | undefined): Promise<void> {
    const url = new URL(this.#gateway.url + path)
    const headers = type === undefined ? {} : { 'content-type': type }
    const sent = httpRequest(url, { agent: this.#agent, method: body ? 'POST' : 'GET', headers })
    const timer =
      leaving && 'milliseconds' in leaving ? setTimeout(() => sent.destroy(), leaving.milliseconds) : undefined
    try {
      const answer = await this.#send(sent, body, leaving)
      const whole = await read(answer, leaving && 'bytes' in leaving && !body ? leaving.bytes : Infinity)
      if (!whole || leaving) return
      expect(answer.statusCode).toBe(status)
      expect(count(answer, whole)).toBe(expected)
    } catch (error) {
      if (!leaving) throw error
    } finally {
      clearTimeout(timer)
      if (leaving) sent.destroy()
    }
  }

  #send(sent: ClientRequest, body: Buffer | undefined, leaving: Leaving | undefined): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
    sent.on('response', resolve)
    sent.on('error', reject)
    sent.on('close', () => reject(new Error('The request was destroyed')))
    if (body && leaving && 'bytes' in leaving) sent.write(body.subarray(0, leaving.bytes), () => sent.destroy())
    else sent.end(body)
    return promise
  }

  close(): void {
    this.#agent.destroy()
  }
}

/** The body, or undefined when it was left behind so many bytes. */
async function read(answer: IncomingMessage, bytes: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    size += chunk.length
    if (size >= bytes) return undefined
  }
  return Buffer.concat(chunks)
}

/** Requests of all kinds, some at a time; every third leaves early. */
async function run(client: Client, count: number, seed: number): Promise<void> {
  const next = random(seed)
  let left = count
  const worker = async (): Promise<void> => {
    while (left-- > 0) {
      const visit = visits[Math.floor(next() * visits.length)]!
      const leaves = left % 3 === 0
      const byBytes = next() < 0.7
      const size = visit.body?.length ?? SLICES * SLICE_BYTES
      const leaving = byBytes ? { bytes: Math.floor(next() * size * 0.8) } : { milliseconds: next() * 25 }
      await client.visit(visit, leaves ? leaving : undefined)
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, worker))
}

async function expectSettled(gateway: Gateway, demo: DemoArchive): Promise<void> {
  const [archive] = gateway.archives
  await eventually(() => {
    expect(archive!.stats).toMatchObject({ leased: 0, waiting: 0 })
    // Nothing but what is idle stands at the archive.
    expect(archive!.stats.open).toBe(archive!.stats.idle)
    expect(demo.associations).toBe(archive!.stats.idle)
  })
}

/** Bytes in use when all that can go has gone. */
async function heapInUse(): Promise<number> {
  let least = Infinity
  for (let round = 0; round < 6; round++) {
    await new Promise((resolve) => setTimeout(resolve, 20))
    collectGarbage()
    const { heapUsed, external } = process.memoryUsage()
    least = Math.min(least, heapUsed + external)
  }
  return least
}

test(
  'a thousand requests, a third of them left in the middle, leave nothing behind',
  { timeout: 120_000 },
  async () => {
    const demo = await DemoArchive.start({ relational: false })
    for (let number = 1; number <= SLICES; number++) {
      const series = number <= SLICES / 2 ? SERIES : `${STUDY}.2`
      await demo.put(sliceFile({ number, series, size: SLICE_BYTES }))
    }
    const gateway = await gatewayTo({ host: '127.0.0.1', port: demo.port }, { aeTitle: 'DEMO', maxAssociations: 4 })
    const client = new Client(gateway)
    await run(client, WARM_UP, 1)
    await expectSettled(gateway, demo)
    const before = await heapInUse()
    await run(client, REQUESTS - WARM_UP, 2)
    await expectSettled(gateway, demo)
    const after = await heapInUse()
    expect(after - before).toBeLessThan(HEAP_SLACK_BYTES)

    client.close()
    await eventually(() => expect(connectionsTo(gateway.port) ?? 0).toBe(0))
    await gateway[Symbol.asyncDispose]()
    await eventually(() => expect(demo.associations).toBe(0))
    await demo[Symbol.asyncDispose]()
  },
)
