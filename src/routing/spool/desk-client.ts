import { request, type IncomingMessage } from 'node:http'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { SpoolCommandError, type Done, type ListedEntry, type Meant, type SpoolDesk } from './desk.ts'

/** The spool of a service that runs, from another process. @throws SpoolCommandError */
export class DeskClient implements SpoolDesk {
  readonly #socket: string

  constructor(socket: string) {
    this.#socket = socket
  }

  async *list(): AsyncGenerator<ListedEntry> {
    const response = await this.#ask('GET', '/')
    try {
      for await (const line of createInterface({ input: response })) yield JSON.parse(line) as ListedEntry
    } catch {
      throw unasked('it has ended')
    }
    if (!response.complete) throw unasked('it has ended')
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
    const response = await this.#ask('POST', path, JSON.stringify(meant))
    try {
      return JSON.parse(await text(response)) as Done
    } catch {
      throw unasked('it has ended')
    }
  }

  async #ask(method: string, path: string, body?: string): Promise<IncomingMessage> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const failed = (error: NodeJS.ErrnoException): void => reject(unasked(error.code ?? error.message))
      request({ socketPath: this.#socket, method, path }, resolve).once('error', failed).end(body)
    })
    if (response.statusCode !== 200) throw unasked('it is starting')
    return response
  }
}

function unasked(reason: string): SpoolCommandError {
  return new SpoolCommandError(`The service that has the spool cannot be asked (${reason}); try again as its user.`)
}
