import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Attribute } from '../../src/dicom/attributes.ts'
import { DemoArchive } from '../../src/demo/demo-archive.ts'
import { E, instanceFile, S } from '../support/dicom-files.ts'
import { freePort } from '../support/ports.ts'
import { startProcess, type RunningProcess } from '../support/process.ts'
import { RawClient } from '../support/raw-http.ts'
import { associateAccept } from '../support/golden.ts'
import { ScriptedPeer } from '../support/scripted-peer.ts'

// The gateway runs as a process of its own, so that its memory is its own; bodies are made as they are sent.

const MB = 1024 * 1024
/** What it may take more than at rest, whatever goes through it: garbage not yet collected is most of that. */
const GROWTH = 96 * MB
/** How long the archive that takes nothing has to answer. */
const RESPONSE_MS = 1500

/** A file whose pixel data, `pixelBytes` of it, is left out. */
function head(instance: string, pixelBytes: number): Buffer {
  const file = instanceFile({ instance, change: (dataset) => dataset.delete(Attribute.PixelData) })
  const element = Buffer.from('e07f10004f57000000000000', 'hex')
  element.writeUInt32LE(pixelBytes, 8)
  return Buffer.concat([file, element])
}

async function* upload(pixelBytes: number): AsyncGenerator<Buffer> {
  yield Buffer.from('--b\r\nContent-Type: application/dicom\r\n\r\n')
  yield head(`${E}.1`, pixelBytes)
  const chunk = Buffer.alloc(65_536, 0x55)
  for (let left = pixelBytes; left > 0; left -= chunk.length) yield chunk.subarray(0, left)
  yield Buffer.from('\r\n--b--\r\n')
}

/** A browser's form of `count` files. */
async function* form(count: number, pixelBytes: number): AsyncGenerator<Buffer> {
  for (let n = 1; n <= count; n++) {
    yield Buffer.from(`--b\r\nContent-Disposition: form-data; name="f"; filename="${n}"\r\n\r\n`)
    yield Buffer.concat([head(`${E}.${n}`, pixelBytes), Buffer.alloc(pixelBytes, 0x55), Buffer.from('\r\n')])
  }
  yield Buffer.from('--b--\r\n')
}

/** Resident bytes of a process, watched. */
class Watch implements Disposable {
  readonly #pid: number
  readonly #timer: NodeJS.Timeout
  most = 0

  constructor(pid: number) {
    this.#pid = pid
    this.#timer = setInterval(() => void this.look(), 20)
  }

  async look(): Promise<number> {
    const status = await readFile(`/proc/${this.#pid}/status`, 'latin1').catch(() => '')
    const now = Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024
    this.most = Math.max(this.most, now)
    return now
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }
}

describe.skipIf(process.platform !== 'linux')('memory', () => {
  let archive: DemoArchive
  let deaf: ScriptedPeer
  let gateway: RunningProcess
  let folder: string
  let port: number

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dimsegate-memory-'))
    archive = await DemoArchive.start()
    // Accepts an association, and reads nothing more.
    deaf = await ScriptedPeer.listen(async (peer) => {
      await peer.send(associateAccept(await peer.expect(1)))
      peer.socket.pause()
    })
    port = await freePort()
    const config = join(folder, 'config.yaml')
    const settings = {
      http: { host: '127.0.0.1', port },
      archives: [
        { aeTitle: 'DEMO', host: '127.0.0.1', port: archive.port },
        { aeTitle: 'DEAF', ...deaf.address, timeouts: { response: `${RESPONSE_MS}ms` } },
      ],
      // Far smaller than what goes through.
      cache: { maxBytes: '32MiB' },
      log: { level: 'silent' },
    }
    await writeFile(config, JSON.stringify(settings))
    const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
    // As every way of starting it does: decision 0008. Without it, garbage alone has come to more than GROWTH.
    const args = ['--max-semi-space-size=4', main, 'serve', '--config', config]
    gateway = await startProcess(process.execPath, { args, ports: [port] })
  })

  afterEach(() => {
    archive.faults = {}
  })

  afterAll(async () => {
    await gateway.stop()
    await archive[Symbol.asyncDispose]()
    await deaf[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  /** Sends a body and gives the status. */
  async function post(path: string, body: AsyncIterable<Buffer>): Promise<number> {
    const headers = { 'Content-Type': 'multipart/related; type="application/dicom"; boundary=b' }
    const outgoing = request({ host: '127.0.0.1', port, path, method: 'POST', headers })
    const { promise, resolve, reject } = Promise.withResolvers<number>()
    outgoing.on('response', (incoming) => {
      incoming.resume()
      resolve(incoming.statusCode!)
    })
    outgoing.on('error', reject)
    const source = Readable.from(body)
    source.pipe(outgoing)
    const status = await promise
    source.destroy()
    outgoing.destroy()
    return status
  }

  it('does not grow with an instance of 200 MB that is stored', async () => {
    archive.faults = { storeStatus: () => 0 }
    expect(await post('/dicomweb/studies', upload(8 * MB))).toBe(200)
    using watch = new Watch(gateway.pid)
    const before = await watch.look()
    expect(await post('/dicomweb/studies', upload(200 * MB))).toBe(200)
    expect(watch.most - before).toBeLessThan(GROWTH)
  })

  it('does not grow with what an archive does not take: the client is held back', async () => {
    using watch = new Watch(gateway.pid)
    const before = await watch.look()
    let taken = 0
    let heldAt = 0
    async function* counted(): AsyncGenerator<Buffer> {
      for await (const chunk of upload(200 * MB)) {
        taken += chunk.length
        yield chunk
      }
    }
    // While the archive has its time to answer; behind that the rest of the body is read and dropped.
    const timer = setTimeout(() => (heldAt = taken), RESPONSE_MS / 2)
    expect(await post('/dicomweb/aets/DEAF/studies', counted())).toBe(504)
    clearTimeout(timer)
    expect(heldAt).toBeGreaterThan(0)
    expect(heldAt).toBeLessThan(50 * MB)
    expect(watch.most - before).toBeLessThan(GROWTH)
  })

  it('does not grow with files of a form that wait for their turn: the client is held back', async () => {
    using watch = new Watch(gateway.pid)
    const before = await watch.look()
    const headers = { 'Content-Type': 'multipart/form-data; boundary=b' }
    const path = '/dicomweb/aets/DEAF/studies'
    const outgoing = request({ host: '127.0.0.1', port, path, method: 'POST', headers })
    outgoing.on('error', () => undefined)
    let taken = 0
    const source = Readable.from(form(4000, 50_000))
    source.on('data', (chunk: Buffer) => (taken += chunk.length))
    source.pipe(outgoing)
    // While the archive takes nothing of the first file.
    await new Promise((resolve) => setTimeout(resolve, RESPONSE_MS / 2))
    const heldAt = taken
    source.destroy()
    outgoing.destroy()
    expect(heldAt).toBeGreaterThan(0)
    expect(heldAt).toBeLessThan(50 * MB)
    expect(watch.most - before).toBeLessThan(GROWTH)
  })

  it('does not grow with a study of 256 MB that a client is slow to read, and others are served', async () => {
    const size = 32 * MB
    for (let number = 1; number <= 8; number++) {
      const path = join(folder, `${number}.dcm`)
      await using file = await open(path, 'w')
      const start = head(`${E}.${number}`, size)
      await file.write(start)
      // The rest is a hole in the file: zeros that take no room.
      await file.truncate(start.length + size)
      await archive.load(path)
    }
    using watch = new Watch(gateway.pid)
    const before = await watch.look()
    await using slow = await RawClient.connect(port)
    slow.keeps = false
    await slow.request('GET', `/dicomweb/studies/${S}`)
    await slow.until(({ size: received }) => received > 0)
    slow.socket.pause()
    for (let i = 0; i < 10; i++) {
      const response = await fetch(`http://127.0.0.1:${port}/dicomweb/studies?PatientID=123`)
      expect(response.status).toBe(200)
      expect(await response.json()).toHaveLength(1)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    expect(watch.most - before).toBeLessThan(GROWTH)
    slow.socket.resume()
    await slow.until(({ isWhole }) => isWhole)
    expect(slow.size).toBeGreaterThan(8 * size)
    expect(watch.most - before).toBeLessThan(GROWTH)
  })
})
