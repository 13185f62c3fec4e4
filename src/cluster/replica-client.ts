import {
  connect,
  constants,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
} from 'node:http2'
import type { ByteStream } from '../dicom/bytes.ts'
import { Status } from '../dimse/status.ts'
import { endWhenSilent } from './alive.ts'
import { publishRelay } from './events.ts'
import { writeOffer, type OfferMade } from './offer-header.ts'
import { BYTES, INSTANCES, MISLED, OFFER, SESSION_MEMORY_MB, SETTINGS } from './relay.ts'
import type { Secured } from './secured.ts'

/** How long a replica may take to say whether it wants an instance, its connection included, in ms. */
export const OFFER_TIMEOUT_MS = 5_000

/** Passes on to other replicas what was given to this one. */
export class ReplicaClient implements Disposable {
  #secured: Secured
  readonly #sessions = new Map<string, ClientHttp2Session>()

  constructor(secured: Secured) {
    this.#secured = secured
  }

  /**
   * Comes to the status of the C-STORE response; 'unwanted' where the replica does not take it, 'unreachable' where it
   * says nothing. `body` is called where it takes it, and read by nobody else then.
   */
  async offer(replica: string, made: OfferMade, body: () => ByteStream): Promise<number | 'unwanted' | 'unreachable'> {
    const stream = this.#request(replica, INSTANCES, made)
    if (!stream) return 'unreachable'
    const answer = await answerTo(stream)
    if (answer !== 200) {
      stream.close(constants.NGHTTP2_CANCEL)
      return answer === undefined ? 'unreachable' : 'unwanted'
    }
    return new Passing(stream).pass(body())
  }

  /** For connections to come. */
  renewTls(secured: Secured): void {
    this.#secured = secured
  }

  misled(replica: string, made: OfferMade): void {
    this.#request(replica, MISLED, made)?.end().resume()
  }

  [Symbol.dispose](): void {
    for (const session of this.#sessions.values()) session.destroy()
  }

  #request(replica: string, path: string, made: OfferMade): ClientHttp2Stream | undefined {
    try {
      const headers = { ':method': 'POST', ':path': path, [OFFER]: writeOffer(made) }
      const stream = this.#session(replica).request(headers, { endStream: false, waitForTrailers: path === INSTANCES })
      stream.on('error', () => undefined)
      return stream
    } catch {
      // The session is going away.
      return undefined
    }
  }

  #session(replica: string): ClientHttp2Session {
    const standing = this.#sessions.get(replica)
    if (standing && !standing.closed && !standing.destroyed) return standing
    const session = connect(`https://${replica}`, {
      ...this.#secured.client,
      settings: SETTINGS,
      maxSessionMemory: SESSION_MEMORY_MB,
    })
    this.#sessions.set(replica, session)
    const over = (): void => {
      if (this.#sessions.get(replica) === session) this.#sessions.delete(replica)
    }
    session.on('error', over)
    session.once('goaway', over)
    session.once('close', over)
    session.unref()
    endWhenSilent(session)
    return session
  }
}

/** The status of the answer; undefined where none comes in time. */
function answerTo(stream: ClientHttp2Stream): Promise<number | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(undefined), OFFER_TIMEOUT_MS)
    stream.once('response', (headers: IncomingHttpHeaders) => resolve(Number(headers[':status'])))
    stream.once('close', () => {
      clearTimeout(timer)
      resolve(undefined)
    })
  })
}

/** One body on its way. */
class Passing {
  readonly #stream: ClientHttp2Stream
  readonly #over: Promise<void>
  #isOver = false
  #answer = ''
  #bytes = 0

  constructor(stream: ClientHttp2Stream) {
    this.#stream = stream
    stream.setEncoding('latin1').on('data', (text: string) => (this.#answer += text))
    stream.on('wantTrailers', () => stream.sendTrailers({ [BYTES]: String(this.#bytes) }))
    this.#over = new Promise((resolve) => {
      const over = (): void => {
        this.#isOver = true
        resolve()
      }
      stream.once('end', over)
      stream.once('close', over)
    })
  }

  async pass(body: ByteStream): Promise<number> {
    const sent = await this.#send(body)
    if (sent === 'cut') this.#stream.close(constants.NGHTTP2_CANCEL)
    else this.#stream.end()
    await this.#over
    const answer = /^[0-9A-F]{4}$/.test(this.#answer) ? parseInt(this.#answer, 16) : undefined
    // Of what was not passed on to its end nobody can have all.
    const isAnswered = answer !== undefined && (sent === 'whole' || (sent === 'left' && answer !== Status.success))
    const status = isAnswered ? answer : Status.outOfResources
    const outcome = status === Status.success ? 'stored' : isAnswered ? 'refused' : 'failed'
    publishRelay({ direction: 'out', outcome, bytes: this.#bytes })
    if (!this.#stream.closed) this.#stream.close(constants.NGHTTP2_NO_ERROR)
    return status
  }

  /** `cut`: it could not be read to its end; `left`: nobody takes it any more. */
  async #send(body: ByteStream): Promise<'whole' | 'cut' | 'left'> {
    try {
      for await (const chunk of body) {
        if (this.#isOver) return 'left'
        this.#bytes += chunk.length
        if (!this.#stream.write(chunk)) await Promise.race([drained(this.#stream), this.#over])
      }
      return 'whole'
    } catch {
      return 'cut'
    }
  }
}

function drained(stream: ClientHttp2Stream): Promise<unknown> {
  return new Promise((resolve) => stream.once('drain', () => resolve(undefined)))
}
