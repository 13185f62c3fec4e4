import { connect, type Socket } from 'node:net'
import type { Bytes } from '../../src/dicom/bytes.ts'

/** How long a wait for bytes may take, in ms. */
const PATIENCE_MS = 10_000
const TAIL_BYTES = 256

/** A client that sends the bytes it is told and sees every byte that comes, the framing of the body included. */
export class RawClient implements AsyncDisposable {
  readonly socket: Socket
  /** The other side has ended its half, in order or by a reset. */
  ended = false
  error: Error | undefined
  /** Whether what comes is kept, for `received`. */
  keeps = true
  /** Bytes received. */
  size = 0
  /** The last of them. */
  tail = Buffer.alloc(0)
  #chunks: Buffer[] = []
  readonly #waiters = new Set<() => void>()

  private constructor(socket: Socket) {
    this.socket = socket
    socket.setNoDelay(true)
    socket.on('data', (chunk) => {
      if (this.keeps) this.#chunks.push(chunk)
      this.size += chunk.length
      this.tail = Buffer.concat([this.tail, chunk.subarray(-TAIL_BYTES)]).subarray(-TAIL_BYTES)
      this.#wake()
    })
    socket.on('error', (error) => (this.error = error))
    socket.on('end', () => this.#end())
    socket.on('close', () => this.#end())
  }

  static async connect(port: number): Promise<RawClient> {
    const socket = connect({ port, host: '127.0.0.1' })
    const { promise, resolve, reject } = Promise.withResolvers<undefined>()
    socket.once('connect', () => resolve(undefined))
    socket.once('error', reject)
    await promise
    return new RawClient(socket)
  }

  get received(): Buffer {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks)]
    return this.#chunks[0] ?? Buffer.alloc(0)
  }

  get text(): string {
    return this.received.toString('latin1')
  }

  /** The status of the last final response so far. */
  get status(): number | undefined {
    const lines = [...this.text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))
    return lines.filter((status) => status !== 100).at(-1)
  }

  /** Resolves when the system has taken it; fails when the other side has gone. */
  async send(bytes: Bytes | string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<undefined>()
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes, (error) =>
      error ? reject(error) : resolve(undefined),
    )
    await promise
  }

  /** Whether a chunked body came to its end (RFC 9112 7.1): a last chunk of size 0. */
  get isWhole(): boolean {
    return this.tail.subarray(-5).toString('latin1') === '0\r\n\r\n'
  }

  /** A request with no body. */
  async request(method: string, target: string, headers: Readonly<Record<string, string>> = {}): Promise<void> {
    const lines = Object.entries({ Host: 'gateway.localhost:8042', ...headers }).map(
      ([name, value]) => `${name}: ${value}\r\n`,
    )
    await this.send(`${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n`)
  }

  /** Resolves when the bytes so far are enough. @throws when the connection ends before, or it takes too long */
  async until(enough: (client: this) => boolean): Promise<void> {
    await this.#wait(() => enough(this))
    if (!enough(this)) throw new Error(`The connection ended too early, after: ${this.tail.toString('latin1')}`)
  }

  /** Resolves when the other side has ended the connection. */
  async closed(): Promise<void> {
    await this.#wait(() => false)
  }

  async #wait(enough: () => boolean): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<undefined>()
    const look = (): void => {
      if (this.ended || enough()) resolve(undefined)
    }
    const timer = setTimeout(
      () => reject(new Error(`Waited in vain, after: ${this.tail.toString('latin1')}`)),
      PATIENCE_MS,
    )
    this.#waiters.add(look)
    look()
    try {
      await promise
    } finally {
      clearTimeout(timer)
      this.#waiters.delete(look)
    }
  }

  #end(): void {
    this.ended = true
    this.#wake()
  }

  #wake(): void {
    for (const look of this.#waiters) look()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy()
  }
}
