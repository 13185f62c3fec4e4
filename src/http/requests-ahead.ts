import type { Socket } from 'node:net'
import type { HttpContext } from './context.ts'
import { RequestError } from './problem.ts'

/** Requests of one connection that may be under way at once: those sent ahead of their answers (RFC 9112 9.3.2). */
export const MAX_REQUESTS_AHEAD = 64

/** How many requests of each connection are under way: one client must not fill the queues that all share. */
export class RequestsAhead {
  readonly #counts = new WeakMap<Socket, number>()

  /** Counts a request until its answer is over. @throws RequestError 503 for one too many */
  enter({ incoming: { socket }, outgoing }: HttpContext['env']): void {
    const count = this.#counts.get(socket) ?? 0
    if (count >= MAX_REQUESTS_AHEAD) {
      const detail = `More than ${MAX_REQUESTS_AHEAD} requests of this connection are under way: wait for answers.`
      throw new RequestError(503, 'TOO_MANY_REQUESTS_AHEAD', detail, { 'Retry-After': '1' })
    }
    this.#counts.set(socket, count + 1)
    outgoing.once('close', () => this.#counts.set(socket, this.#counts.get(socket)! - 1))
  }
}
