import type { Send } from './send.ts'

/** Sends that wait for their turn: clients take turns, each with its own in their order. */
export class Turns {
  /** Clients in the order of their turns. */
  readonly #lines = new Map<string, Set<Send>>()

  add(send: Send): void {
    const { client } = send.request
    const line = this.#lines.get(client)
    if (line) line.add(send)
    else this.#lines.set(client, new Set([send]))
  }

  next(): Send | undefined {
    for (const [client, line] of this.#lines) {
      const [send] = line
      this.#lines.delete(client)
      line.delete(send!)
      if (line.size > 0) this.#lines.set(client, line)
      return send
    }
    return undefined
  }

  delete(send: Send): void {
    const { client } = send.request
    const line = this.#lines.get(client)
    line?.delete(send)
    if (line?.size === 0) this.#lines.delete(client)
  }
}
