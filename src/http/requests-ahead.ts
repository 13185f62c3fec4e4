import type { Socket } from 'node:net'
import { Counts } from '../network/counts.ts'
import type { HttpContext } from './context.ts'
import { RequestError } from './problem.ts'

/** Requests of one connection that may be under way at once: those sent ahead of their answers (RFC 9112 9.3.2). */
export const MAX_REQUESTS_AHEAD = 64
/** Of one client, over all its connections. A proxy that does not say for whom it asks is one client. */
export const MAX_REQUESTS_OF_CLIENT = 256
/** Of all clients together. */
export const MAX_REQUESTS = 2_048

/** How many requests are under way: one client must not fill the queues that all share. */
export class RequestsAhead {
  readonly #ofConnection = new Counts<Socket>()
  readonly #ofClient = new Counts<string>()
  #all = 0

  /**
   * Counts a request until its answer is over. What is returned counts it off among those of all before that: who is
   * refused could fill them by answers that he does not read. @throws RequestError 503 for one too many
   */
  enter(env: HttpContext['env']): () => void {
    this.enterConnection(env)
    if (this.#all >= MAX_REQUESTS) {
      throw tooMany('TOO_MANY_REQUESTS', `The service has ${MAX_REQUESTS} requests under way. Try again later.`)
    }
    this.#all++
    let isOver = false
    const leave = (): void => {
      if (!isOver) this.#all--
      isOver = true
    }
    env.outgoing.once('close', leave)
    return leave
  }

  /** Counts one among those of its connection alone, whose answers wait for each other. @throws RequestError 503 */
  enterConnection({ incoming: { socket }, outgoing }: HttpContext['env']): void {
    if (this.#ofConnection.of(socket) >= MAX_REQUESTS_AHEAD) {
      const detail = `More than ${MAX_REQUESTS_AHEAD} requests of this connection are under way: wait for answers.`
      throw tooMany('TOO_MANY_REQUESTS_AHEAD', detail)
    }
    outgoing.once('close', this.#ofConnection.count(socket))
  }

  /** The same for one of a client that is known by now. @throws RequestError 503 */
  enterAs(client: string, { outgoing }: HttpContext['env']): void {
    if (this.#ofClient.of(client) >= MAX_REQUESTS_OF_CLIENT) {
      const detail = `More than ${MAX_REQUESTS_OF_CLIENT} requests of this client are under way: wait for answers.`
      throw tooMany('TOO_MANY_REQUESTS', detail)
    }
    outgoing.once('close', this.#ofClient.count(client))
  }
}

function tooMany(code: string, detail: string): RequestError {
  return new RequestError(503, code, detail, { 'Retry-After': '1' })
}
