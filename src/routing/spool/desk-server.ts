import { chmod } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import type { Meant, SpoolDesk } from './desk.ts'

/** Takes what a person asks of the spool, from processes of the same user: HTTP over a socket in the file system. */
export class DeskServer implements AsyncDisposable {
  readonly #server: Server
  #desk: SpoolDesk | undefined

  private constructor(server: Server) {
    this.#server = server
    server.on('request', (request, response) => {
      this.#answer(request, response).catch(() => response.destroy())
    })
  }

  /** @throws faults of the file system */
  static async listen(path: string): Promise<DeskServer> {
    const server = createServer()
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(path, () => {
        server.off('error', reject)
        resolve()
      })
    })
    // A socket that cannot be accepted is tried again by who asks.
    server.on('error', () => undefined)
    server.unref()
    await chmod(path, 0o600)
    return new DeskServer(server)
  }

  serve(desk: SpoolDesk): void {
    this.#desk = desk
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    // Closing removes the socket.
    await new Promise((closed) => this.#server.close(closed))
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const desk = this.#desk
    if (!desk) {
      response.writeHead(503).end()
      return
    }
    if (request.method === 'GET') {
      await pipeline(linesOf(desk), response)
      return
    }
    const meant = JSON.parse(await text(request)) as Meant
    const done = request.url === '/drop' ? await desk.drop(meant) : await desk.retry(meant)
    response.end(JSON.stringify(done))
  }
}

async function* linesOf(desk: SpoolDesk): AsyncGenerator<string> {
  for await (const entry of desk.list()) yield `${JSON.stringify(entry)}\n`
}
