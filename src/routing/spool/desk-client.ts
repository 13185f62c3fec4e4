import { request, type IncomingMessage } from 'node:http'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import type { Done, ListedEntry, Meant, SpoolDesk } from './desk.ts'

/** The spool of a service that runs, from another process. @throws what ends the connection */
export class DeskClient implements SpoolDesk {
  readonly #socket: string

  constructor(socket: string) {
    this.#socket = socket
  }

  async *list(): AsyncGenerator<ListedEntry> {
    const response = await this.#ask('GET', '/')
    for await (const line of createInterface({ input: response })) yield JSON.parse(line) as ListedEntry
    if (!response.complete) throw new Error('The service has ended')
  }

  retry(meant: Meant): Promise<Done> {
    return this.#do('/retry', meant)
  }

  drop(meant: Meant): Promise<Done> {
    return this.#do('/drop', meant)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve()
  }

  async #do(path: string, meant: Meant): Promise<Done> {
    return JSON.parse(await text(await this.#ask('POST', path, JSON.stringify(meant)))) as Done
  }

  async #ask(method: string, path: string, body?: string): Promise<IncomingMessage> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request({ socketPath: this.#socket, method, path }, resolve).once('error', reject).end(body)
    })
    if (response.statusCode !== 200) throw new Error('The service is starting; try again')
    return response
  }
}
