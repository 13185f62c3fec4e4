import { createSecureServer, constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import { concat, type Bytes } from '../dicom/bytes.ts'
import { transferSyntax } from '../dicom/transfer-syntax.ts'
import { Status, formatStatus } from '../dimse/status.ts'
import type { Moves } from '../pacs/delivery/moves.ts'
import { endWhenSilent } from './alive.ts'
import { RelayCutError } from './errors.ts'
import { publishRelay } from './events.ts'
import { readOffer, type OfferMade } from './offer-header.ts'
import {
  BYTES,
  INSTANCES,
  MISLED,
  MAX_SESSIONS,
  OFFER,
  SESSION_MEMORY_MB,
  SESSION_WINDOW_BYTES,
  SETTINGS,
} from './relay.ts'
import type { Secured } from './secured.ts'

/** Bytes of a body that are gathered before they are passed on. */
const GATHERED_BYTES = 128 * 1024
/** How long who connects has for TLS, in ms. */
const HANDSHAKE_MS = 10_000

/** Takes what other replicas were given for the moves of this one. */
export class ReplicaServer implements AsyncDisposable {
  readonly #server
  readonly #sockets = new Set<Socket>()
  #isClosed = false
  readonly #moves: Moves

  constructor({ server }: Secured, moves: Moves) {
    this.#moves = moves
    this.#server = createSecureServer({
      ...server,
      settings: SETTINGS,
      maxSessionMemory: SESSION_MEMORY_MB,
      handshakeTimeout: HANDSHAKE_MS,
    })
    this.#server.maxConnections = MAX_SESSIONS
    // Before TLS, so that none is forgotten that is at its handshake.
    this.#server.on('connection', (socket: Socket) => {
      if (this.#isClosed) return void socket.destroy()
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
    this.#server.on('session', (session) => {
      session.on('error', () => undefined)
      session.setLocalWindowSize(SESSION_WINDOW_BYTES)
      endWhenSilent(session)
    })
    this.#server.on('stream', (stream, headers) => {
      // It ends the stream, and nothing else.
      stream.on('error', () => undefined)
      void this.#serve(stream, headers).catch(() => stream.close(constants.NGHTTP2_INTERNAL_ERROR))
    })
  }

  /** @throws where the address cannot be listened on */
  async listen(at: { readonly host: string; readonly port: number }): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<undefined>()
    this.#server.once('error', reject)
    this.#server.listen(at.port, at.host, () => resolve(undefined))
    await promise
    this.#server.off('error', reject)
  }

  /** For connections to come. */
  renewTls({ server }: Secured): void {
    this.#server.setSecureContext(server)
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    const closed = new Promise<void>((resolve) => void this.#server.close(() => resolve()))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  async #serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<void> {
    const made = readOffer(headers[OFFER])
    const path = headers[':path']
    if (!made || headers[':method'] !== 'POST') {
      end(stream, 400)
      return
    }
    if (path === MISLED) {
      this.#moves.misled(made.offer)
      end(stream, 204)
      return
    }
    if (path !== INSTANCES) {
      end(stream, 404)
      return
    }
    await this.#take(stream, made)
  }

  async #take(stream: ServerHttp2Stream, { offer, fit }: OfferMade): Promise<void> {
    const syntax = transferSyntax(offer.syntax)
    const take = this.#moves.offered(offer, fit, syntax)
    if (!take) {
      end(stream, 204)
      return
    }
    const body = new RelayedBody(stream)
    stream.respond({ ':status': 200 })
    const taken = await take(body)
    const status =
      typeof taken === 'number' ? taken : taken === 'unreadable' ? Status.cannotUnderstand : Status.notAuthorized
    const outcome = body.isCut ? 'failed' : status === Status.success ? 'stored' : 'refused'
    publishRelay({ direction: 'in', outcome, bytes: body.bytes })
    if (stream.destroyed) return
    stream.end(formatStatus(status))
    // What is not read any more is not sent any more.
    if (body.isWhole) return
    stream.once('finish', () => stream.close(constants.NGHTTP2_NO_ERROR))
    // What is here of it would keep the stream open.
    stream.resume()
  }
}

function end(stream: ServerHttp2Stream, status: number): void {
  stream.respond({ ':status': status }, { endStream: true })
  stream.close(constants.NGHTTP2_NO_ERROR)
}

/** A body that is whole if it has as many bytes as its trailer says. @throws RelayCutError */
class RelayedBody implements AsyncIterable<Bytes> {
  readonly #stream: ServerHttp2Stream
  #told: number | undefined
  bytes = 0
  isWhole = false
  isCut = false

  constructor(stream: ServerHttp2Stream) {
    this.#stream = stream
    stream.once('trailers', (trailers: IncomingHttpHeaders) => (this.#told = Number(trailers[BYTES])))
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Bytes> {
    try {
      // HTTP/2 and TLS give it in small pieces, each of which costs the reader as much as a large one.
      let pieces: Bytes[] = []
      let size = 0
      // What reads no further may still be answered.
      for await (const piece of this.#stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Bytes>) {
        const isFirst = this.bytes === 0
        this.bytes += piece.length
        size += piece.length
        pieces.push(piece)
        // Who it is is looked for in the first.
        if (size < GATHERED_BYTES && !isFirst) continue
        yield concat(pieces)
        pieces = []
        size = 0
      }
      if (size > 0) yield concat(pieces)
    } catch (cause) {
      this.isCut = true
      throw new RelayCutError({ cause })
    }
    this.isWhole = this.#told === this.bytes
    if (this.isWhole) return
    this.isCut = true
    throw new RelayCutError()
  }
}
