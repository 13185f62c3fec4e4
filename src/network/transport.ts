import { connect, type Socket } from 'node:net'
import { connect as connectTls, createSecureContext, type ConnectionOptions } from 'node:tls'
import type { Bytes } from '../dicom/bytes.ts'
import { ConnectError, PeerTimeoutError } from './errors.ts'
import { ReadBuffers } from './read-buffers.ts'

const KEEP_ALIVE_MS = 30_000
/** Chunks of together less than this are copied into one: cheaper than a gathered write. */
const JOINED_BYTES = 4_096

export interface Address {
  readonly host: string
  readonly port: number
}

/** What TLS needs to know to connect (PS3.15 B.12); PEM texts. */
export type TlsOptions = Pick<
  ConnectionOptions,
  'ca' | 'cert' | 'key' | 'minVersion' | 'servername' | 'rejectUnauthorized'
>

/** @throws what OpenSSL says of a certificate and a key that do not belong together */
export function checkTls(tls: Pick<TlsOptions, 'ca' | 'cert' | 'key' | 'minVersion'>): void {
  createSecureContext(tls)
}

/** Where a transport delivers to; called synchronously, `closed` exactly once and last. */
export interface TransportSink {
  data(chunk: Bytes): void
  closed(error: Error | undefined): void
}

/** One TCP or TLS connection: fresh read buffers whose views may be kept, gathered writes, explicit backpressure. */
export class Transport {
  readonly #socket: Socket
  #sink: TransportSink | undefined
  #early: Bytes[] = []
  #error: Error | undefined
  #paused = false

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.setKeepAlive(true, KEEP_ALIVE_MS)
    socket.on('error', (error) => (this.#error = error))
    // Half a connection is of no use (PS3.8 9.2, Evt17): without this, a write that the peer never reads would keep it.
    socket.on('end', () => socket.destroy())
    socket.on('close', () => this.#sink?.closed(this.#error))
  }

  /**
   * Connects within `timeout` ms.
   * @throws ConnectError, PeerTimeoutError, the signal's reason
   */
  static async connect(
    address: Address,
    options: { timeout: number; signal?: AbortSignal | undefined; tls?: TlsOptions | undefined },
  ): Promise<Transport> {
    const { host, port } = address
    options.signal?.throwIfAborted()
    const buffers = new ReadBuffers()
    const onread = {
      buffer: () => buffers.next(),
      callback: (count: number, buffer: Uint8Array) => {
        buffers.used(count)
        transport.#deliver(buffer.subarray(0, count))
        return !transport.#paused
      },
    }
    const socket: Socket = options.tls
      ? connectTls({ host, port, onread, ...options.tls } as ConnectionOptions)
      : connect({ host, port, onread })
    const transport: Transport = new Transport(socket)
    const { promise, resolve, reject } = Promise.withResolvers<undefined>()
    const timer = setTimeout(() => reject(new PeerTimeoutError('connection', options.timeout)), options.timeout)
    const aborted = (): void => reject(options.signal!.reason as Error)
    const failed = (): void => reject(new ConnectError(host, port, { cause: transport.#error }))
    options.signal?.addEventListener('abort', aborted)
    socket.once(options.tls ? 'secureConnect' : 'connect', () => resolve(undefined))
    socket.once('close', failed)
    try {
      await promise
      return transport
    } catch (error) {
      socket.destroy()
      throw error
    } finally {
      clearTimeout(timer)
      options.signal?.removeEventListener('abort', aborted)
      socket.off('close', failed)
    }
  }

  /** Takes over a socket that a listener accepted. */
  static accepted(socket: Socket): Transport {
    const transport: Transport = new Transport(socket)
    socket.on('data', (chunk: Buffer) => transport.#deliver(chunk))
    return transport
  }

  get remoteAddress(): string | undefined {
    return plainAddress(this.#socket.remoteAddress)
  }

  /** Ours on this connection, as the peer would reach it but for translation of addresses. */
  get localAddress(): string | undefined {
    return plainAddress(this.#socket.localAddress)
  }

  /** Delivers to `sink` from now on, what has come before included. */
  start(sink: TransportSink): void {
    this.#sink = sink
    for (const chunk of this.#early.splice(0)) sink.data(chunk)
    if (this.#socket.closed) sink.closed(this.#error)
  }

  #deliver(chunk: Bytes): void {
    if (this.#sink) this.#sink.data(chunk)
    else this.#early.push(chunk)
  }

  /** Sends chunks in one system call where possible. False: wait for `drained` before sending more. */
  write(chunks: readonly Bytes[]): boolean {
    if (!this.#socket.writable) return true
    if (chunks.length > 1 && sizeBelow(chunks, JOINED_BYTES)) return this.#socket.write(Buffer.concat(chunks))
    this.#socket.cork()
    for (const chunk of chunks) this.#socket.write(chunk)
    this.#socket.uncork()
    return !this.#socket.writableNeedDrain
  }

  /** Calls back once, when what was written has gone out or the connection is closed. */
  onDrained(callback: () => void): void {
    const done = (): void => {
      this.#socket.off('drain', done)
      this.#socket.off('close', done)
      callback()
    }
    if (!this.#socket.writableNeedDrain || this.#socket.destroyed) {
      queueMicrotask(callback)
      return
    }
    this.#socket.on('drain', done)
    this.#socket.on('close', done)
  }

  pause(): void {
    this.#paused = true
    this.#socket.pause()
  }

  resume(): void {
    this.#paused = false
    this.#socket.resume()
  }

  /** Sends what is left, then closes our direction. */
  end(): void {
    this.#socket.end()
    // A paused socket would never see the peer's end.
    this.resume()
  }

  destroy(): void {
    this.#socket.destroy()
  }
}

/** An address of IPv4 as such, also where a socket for both families writes it as one of IPv6 (RFC 4291 2.5.5.2). */
export function plainAddress(address: string | undefined): string | undefined {
  return address?.replace(/^::ffff:/, '')
}

function sizeBelow(chunks: readonly Bytes[], limit: number): boolean {
  let size = 0
  for (const chunk of chunks) if ((size += chunk.length) >= limit) return false
  return true
}

/** Who is at the other end: address and port, which the socket of TLS shares with the one that it is made of. */
export function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress ?? ''} ${remotePort ?? ''}`
}
