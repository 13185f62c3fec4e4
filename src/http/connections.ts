import type { Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { Counts } from '../network/counts.ts'
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

/** The connections of a web server, by what is under way on them. */
export class Connections {
  readonly #most: number
  readonly #open = new Map<string, Socket>()
  /** Those on which nothing is under way, or whose request is not yet whole; the one that is so for longest first. */
  readonly #idle = new Set<string>()
  readonly #requests = new Counts<string>()
  readonly #responses = new Set<ServerResponse>()

  constructor(server: Server, { most, unread }: ConnectionBounds = { most: MAX_CONNECTIONS, unread: UNREAD_MS }) {
    this.#most = most
    server.on('connection', (socket: Socket) => this.#enter(socket))
    server.on('request', ({ socket }, response: ServerResponse) => this.#begin(peerOf(socket), response))
    // Node tells of those that are kept open for too long, too.
    server.setTimeout(unread, (socket: Socket) => {
      if (socket.writableLength > 0 || this.#requests.of(peerOf(socket)) === 0) socket.destroy()
    })
  }

  /** Lets what is under way end, and closes each connection after that: at once where there is nothing. */
  closeIdle(): void {
    for (const response of this.#responses) {
      response.shouldKeepAlive = false
      // One whose headers are out keeps its connection: it is idle then.
      response.once('close', () => setImmediate(() => this.#closeIdle()))
    }
    this.#closeIdle()
  }

  #closeIdle(): void {
    for (const key of this.#idle) this.#open.get(key)?.destroy()
  }

  #enter(socket: Socket): void {
    // It is gone already.
    if (socket.remoteAddress === undefined) return
    if (this.#open.size >= this.#most && !this.#makeRoom()) {
      socket.destroy()
      return
    }
    const key = peerOf(socket)
    this.#open.set(key, socket)
    this.#idle.add(key)
    socket.once('close', () => {
      if (this.#open.get(key) === socket) this.#leave(key)
    })
  }

  #makeRoom(): boolean {
    const [oldest] = this.#idle
    if (oldest === undefined) return false
    this.#open.get(oldest)?.destroy()
    this.#leave(oldest)
    return true
  }

  #leave(key: string): void {
    this.#open.delete(key)
    this.#idle.delete(key)
  }

  #begin(key: string, response: ServerResponse): void {
    this.#idle.delete(key)
    this.#responses.add(response)
    const over = this.#requests.count(key)
    response.once('close', () => {
      this.#responses.delete(response)
      over()
      if (this.#requests.of(key) === 0 && this.#open.has(key)) this.#idle.add(key)
    })
  }
}
