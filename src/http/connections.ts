import type { Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { peerOf } from '../network/transport.ts'

/** Connections at once: more than there may be requests under way (MAX_REQUESTS), so that clients may keep some open. */
export const MAX_CONNECTIONS = 4_096
/** How long an answer may wait for its client to take more of it, in ms. */
export const UNREAD_MS = 120_000

export interface ConnectionBounds {
  readonly most: number
  /** In ms. */
  readonly unread: number
}

/** A connection, as it was let in: that of TLS is made of it. */
interface Connection {
  readonly socket: Socket
  /** To the requests that are under way on it, the last one behind. */
  readonly responses: Set<ServerResponse>
  /** It is closed as soon as nothing is under way. */
  isEnding: boolean
}

/** The connections of a web server, by what is under way on them. */
export class Connections {
  readonly #most: number
  readonly #open = new Map<string, Connection>()
  /** Those on which nothing is under way, or whose request is not yet whole; the one that is so for longest first. */
  readonly #idle = new Set<string>()
  #running = 0
  #quiet: (() => void) | undefined

  constructor(server: Server, { most, unread }: ConnectionBounds = { most: MAX_CONNECTIONS, unread: UNREAD_MS }) {
    this.#most = most
    server.on('connection', (socket: Socket) => this.#enter(socket))
    server.on('request', ({ socket }, response: ServerResponse) => this.#begin(peerOf(socket), response))
    // Node tells of those that are kept open for too long, too.
    server.setTimeout(unread, (socket: Socket) => this.#rested(socket))
  }

  /** Lets what is under way end, and closes each connection that is open now after that: at once where there is nothing. */
  closeIdle(): void {
    for (const connection of this.#open.values()) {
      connection.isEnding = true
      // The client of one whose headers are out already learns it by the end of the connection.
      const last = [...connection.responses].at(-1)
      if (last) last.shouldKeepAlive = false
    }
    for (const key of this.#idle) this.#open.get(key)?.socket.destroy()
  }

  /** Resolves when no request is under way any more, and all that goes with their ends has been done. */
  async quiet(): Promise<void> {
    while (this.#running > 0) await new Promise<void>((resolve) => (this.#quiet = resolve))
  }

  /** Nothing went to or fro for a while. */
  #rested(socket: Socket): void {
    const connection = this.#open.get(peerOf(socket))
    if (!connection || connection.responses.size === 0) {
      socket.destroy()
      return
    }
    // Of what TLS was handed as one piece Node does not see how much has left: it has this time for all of it.
    if (socket.writableLength > 0) socket.destroy()
  }

  #enter(socket: Socket): void {
    // It is gone already.
    if (socket.remoteAddress === undefined) return
    if (this.#open.size >= this.#most && !this.#makeRoom()) {
      socket.destroy()
      return
    }
    const key = peerOf(socket)
    this.#open.set(key, { socket, responses: new Set(), isEnding: false })
    this.#idle.add(key)
    socket.once('close', () => {
      if (this.#open.get(key)?.socket === socket) this.#leave(key)
    })
  }

  #makeRoom(): boolean {
    const [oldest] = this.#idle
    if (oldest === undefined) return false
    this.#open.get(oldest)?.socket.destroy()
    this.#leave(oldest)
    return true
  }

  #leave(key: string): void {
    this.#open.delete(key)
    this.#idle.delete(key)
  }

  #begin(key: string, response: ServerResponse): void {
    const connection = this.#open.get(key)
    // Of what was read before a connection was cut Node tells all.
    if (!connection) return
    this.#running++
    this.#idle.delete(key)
    connection.responses.add(response)
    // Who sends on and on is not to keep it open.
    if (connection.isEnding) response.shouldKeepAlive = false
    response.once('close', () => {
      this.#running--
      if (this.#running === 0) setImmediate(() => this.#quiet?.())
      connection.responses.delete(response)
      if (connection.responses.size > 0 || this.#open.get(key) !== connection) return
      this.#idle.add(key)
      if (connection.isEnding) setImmediate(() => connection.responses.size === 0 && connection.socket.destroy())
    })
  }
}
