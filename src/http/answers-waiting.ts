import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/**
 * Answers of one connection that may wait to be read: each takes memory. Who sends requests on and on without reading
 * their answers is cut off.
 */
export const MAX_ANSWERS_WAITING = 1_024

/** Serves as `listener` does, but for connections with too many answers that nobody reads. */
export function withFewAnswersWaiting(listener: RequestListener): RequestListener {
  const waiting = new WeakMap<Socket, number>()
  return (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request
    // Of what was read at once Node tells all.
    if (socket.destroyed) return
    const count = (waiting.get(socket) ?? 0) + 1
    if (count > MAX_ANSWERS_WAITING) {
      socket.resetAndDestroy()
      return
    }
    waiting.set(socket, count)
    response.once('close', () => waiting.set(socket, waiting.get(socket)! - 1))
    listener(request, response)
  }
}
