import { connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { Bytes } from '../../src/dicom/bytes.ts'
import { abort, associateAccept, golden, readCommandSet, type AcceptBytes } from './golden.ts'

/** How long a script waits for the other side before it gives up, in ms. */
const PATIENCE_MS = 20_000

/** What a peer does over one connection. When it returns, the connection stays as the script left it. */
export type Script = (peer: PeerConnection) => Promise<void>

export interface PeerOptions {
  /** The connection is closed in order (`fin`), or reset, when this many bytes have been sent, wherever that is. */
  readonly cutAfter?: number
  readonly cut?: 'fin' | 'reset'
}

/** A message that came in P-DATA-TF PDUs. */
export interface ReceivedMessage {
  readonly contextId: number
  /** By element number of group 0000, four hexadecimal digits. */
  readonly command: ReadonlyMap<string, Buffer>
  readonly field: number
  readonly messageId: number
  readonly data: Buffer | undefined
}

/** Ends a script whose connection was cut on purpose. */
class CutError extends Error {}

/** One end of a TCP connection that does what a script says, however wrong. Every wait is bounded. */
export class PeerConnection {
  readonly socket: Socket
  #chunks: Buffer[] = []
  #taken = 0
  #sent = 0
  #over = false
  #ended = false
  readonly #options: PeerOptions
  readonly #waiters = new Set<() => void>()
  #pdvs: { contextId: number; flags: number; bytes: Buffer }[] = []

  constructor(socket: Socket, options: PeerOptions = {}) {
    this.socket = socket
    this.#options = options
    socket.setNoDelay(true)
    socket.on('error', () => undefined)
    socket.on('data', (chunk) => {
      this.#chunks.push(chunk)
      this.#wake()
    })
    socket.on('end', () => {
      this.#ended = true
      this.#wake()
    })
    socket.on('close', () => {
      this.#over = true
      this.#wake()
    })
  }

  /** All bytes that came, in order. */
  get received(): Buffer {
    // Only joined when somebody looks: a script may take in a lot without.
    if (this.#chunks.length !== 1) this.#chunks = [Buffer.concat(this.#chunks)]
    return this.#chunks[0]!
  }

  /** Bytes given to the system so far. */
  get bytesSent(): number {
    return this.socket.bytesWritten - this.socket.writableLength
  }

  get isOver(): boolean {
    return this.#over
  }

  /** Sends bytes; resolves when the system has taken them. With `cutAfter`, no more than that many ever go out. */
  async send(...chunks: readonly Bytes[]): Promise<void> {
    for (const chunk of chunks) {
      const room = (this.#options.cutAfter ?? Infinity) - this.#sent
      this.#sent += chunk.length
      if (chunk.length >= room) return this.#cut(chunk.subarray(0, room))
      const { promise, resolve } = Promise.withResolvers<undefined>()
      // A connection that is over takes no turn of the event loop: without one it would never be seen to be.
      if (this.socket.destroyed) setImmediate(() => resolve(undefined))
      else this.socket.write(chunk, () => resolve(undefined))
      await promise
    }
  }

  async #cut(lastBytes: Bytes): Promise<never> {
    if (this.#options.cut === 'reset') {
      await new Promise<void>((resolve) => this.socket.write(lastBytes, () => resolve()))
      this.socket.resetAndDestroy()
    } else {
      this.socket.end(lastBytes)
    }
    throw new CutError('The script cut the connection')
  }

  /** Sends bytes one chunk at a time with a pause in ms between them. Ends early when the connection does. */
  async sendSlowly(chunks: Iterable<Bytes>, pause: number): Promise<void> {
    for (const chunk of chunks) {
      if (this.#over || this.#ended) return
      await this.send(chunk)
      await delay(pause)
    }
  }

  /** Sends the same bytes over and over until the connection ends. */
  async flood(bytes: Bytes): Promise<void> {
    const gone = new Promise<undefined>((resolve) => this.socket.once('close', () => resolve(undefined)))
    while (!this.#over && !this.#ended) await Promise.race([this.send(bytes), gone])
  }

  /** The next PDU whole, header included. @throws when another type comes, none in time, or the connection ends */
  async expect(type?: number): Promise<Buffer> {
    const found = await this.next()
    if (!found) throw new Error(`The connection ended where PDU type ${type ?? 'any'} was expected`)
    if (type !== undefined && found[0] !== type) throw new Error(`PDU type ${found[0]} where ${type} was expected`)
    return found
  }

  /** The next PDU whole, or undefined when the connection ends before it is. */
  async next(): Promise<Buffer | undefined> {
    const size = (): number => {
      const left = this.received.length - this.#taken
      return left < 6 ? Infinity : 6 + this.received.readUInt32BE(this.#taken + 2)
    }
    const whole = (): boolean => this.received.length - this.#taken >= size()
    await this.until(() => whole() || this.#over || this.#ended, 'a PDU')
    if (!whole()) return undefined
    const start = this.#taken
    this.#taken += size()
    return this.received.subarray(start, this.#taken)
  }

  /** The next message, put together from its PDVs. */
  async expectMessage(): Promise<ReceivedMessage> {
    const first = await this.#gather(1)
    const command = readCommandSet(first.bytes)
    const hasData = command.get('0800')?.readUInt16LE(0) !== 0x0101
    const data = hasData ? (await this.#gather(0)).bytes : undefined
    return {
      contextId: first.contextId,
      command,
      field: command.get('0100')?.readUInt16LE(0) ?? -1,
      messageId: (command.get('0110') ?? command.get('0120'))?.readUInt16LE(0) ?? -1,
      data,
    }
  }

  async #gather(kind: 0 | 1): Promise<{ contextId: number; bytes: Buffer }> {
    const gathered: Buffer[] = []
    for (;;) {
      const one = this.#pdvs.shift()
      if (!one) {
        const body = (await this.expect(4)).subarray(6)
        for (let at = 0; at < body.length; at += 4 + body.readUInt32BE(at)) {
          const bytes = body.subarray(at + 6, at + 4 + body.readUInt32BE(at))
          this.#pdvs.push({ contextId: body[at + 4]!, flags: body[at + 5]!, bytes })
        }
        continue
      }
      if ((one.flags & 1) !== kind) throw new Error(`A PDV with flags ${one.flags} where the other kind was due`)
      gathered.push(one.bytes)
      if (one.flags & 2) return { contextId: one.contextId, bytes: Buffer.concat(gathered) }
    }
  }

  /** Accepts whatever association is asked for. Returns the bytes of the request. */
  async accept(options?: AcceptBytes): Promise<Buffer> {
    const request = await this.expect(1)
    await this.send(associateAccept(request, options))
    return request
  }

  /** Answers a release, and closes when the other side does. */
  async released(): Promise<void> {
    await this.expect(5)
    await this.send(golden.releaseResponse)
    await this.closed()
    this.close()
  }

  /** Waits some ms, as a peer that thinks does. */
  async wait(milliseconds: number): Promise<void> {
    await delay(milliseconds)
  }

  /** Sends an A-ABORT and closes. */
  async abort(source = 2, reason = 0): Promise<void> {
    await this.send(abort(source, reason))
    this.close()
  }

  /** Closes in order, without any PDU. */
  close(): void {
    this.socket.end()
  }

  /** Drops the connection by a TCP reset. */
  reset(): void {
    this.socket.resetAndDestroy()
  }

  /** Reads no more, so that the other side's writes back up. */
  stall(): void {
    this.socket.pause()
  }

  /** Reads again after `stall`. */
  resume(): void {
    this.socket.resume()
  }

  /** Resolves when the other side has closed its direction, or all is over. */
  async closed(): Promise<void> {
    await this.until(() => this.#over || this.#ended, 'the end of the connection')
  }

  /** Resolves when a condition holds that the connection's events may change. */
  async until(condition: () => boolean, what: string): Promise<void> {
    if (condition()) return
    if (this.#over) throw new Error(`The connection ended before ${what}`)
    const { promise, resolve, reject } = Promise.withResolvers<undefined>()
    const look = (): void => {
      if (condition()) resolve(undefined)
      else if (this.#over) reject(new Error(`The connection ended before ${what}`))
    }
    const timer = setTimeout(() => reject(new Error(`The script waited ${PATIENCE_MS} ms for ${what}`)), PATIENCE_MS)
    this.#waiters.add(look)
    try {
      await promise
    } finally {
      clearTimeout(timer)
      this.#waiters.delete(look)
    }
  }

  #wake(): void {
    for (const look of this.#waiters) look()
  }
}

/** A listener on loopback that plays a script to each connection; disposal closes all of it. */
export class ScriptedPeer implements AsyncDisposable {
  readonly connections: PeerConnection[] = []
  readonly #server: Server
  readonly #runs: Promise<void>[] = []
  #disposed = false

  private constructor(script: Script, options: PeerOptions) {
    // Half-open: a script decides itself when it closes.
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      const connection = new PeerConnection(socket, options)
      this.connections.push(connection)
      const run = script(connection).catch((error: unknown) => {
        if (!(error instanceof CutError) && !this.#disposed) throw error
      })
      run.catch(() => undefined)
      this.#runs.push(run)
    })
  }

  static async listen(script: Script, options: PeerOptions = {}): Promise<ScriptedPeer> {
    const peer = new ScriptedPeer(script, options)
    await new Promise<void>((resolve) => peer.#server.listen(0, '127.0.0.1', () => resolve()))
    return peer
  }

  get address(): { host: string; port: number } {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('The peer does not listen')
    return { host: '127.0.0.1', port: address.port }
  }

  /** The first connection, or the one asked for. */
  connection(index = 0): PeerConnection {
    const connection = this.connections[index]
    if (!connection) throw new Error(`There is no connection ${index}`)
    return connection
  }

  /** Resolves when every script that was started has ended. @throws what a script threw: it expected something else */
  async finished(): Promise<void> {
    await Promise.all(this.#runs)
  }

  /** What a script that is still waiting waits for is forgotten. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true
    for (const { socket } of this.connections) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
    await Promise.allSettled(this.#runs)
  }
}

/** A connector that plays a script to a listener of ours. */
export class ScriptedCaller implements AsyncDisposable {
  readonly connection: PeerConnection
  readonly #run: Promise<void>

  private constructor(socket: Socket, script: Script, options: PeerOptions) {
    this.connection = new PeerConnection(socket, options)
    this.#run = script(this.connection).catch((error: unknown) => {
      if (!(error instanceof CutError)) throw error
    })
    this.#run.catch(() => undefined)
  }

  static async connect(port: number, script: Script, options: PeerOptions = {}): Promise<ScriptedCaller> {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', () => resolve())
      socket.once('error', reject)
    })
    return new ScriptedCaller(socket, script, options)
  }

  /** Resolves when the script has ended. @throws what it threw */
  finished(): Promise<void> {
    return this.#run
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.connection.socket.destroy()
    await this.#run.catch(() => undefined)
  }
}
