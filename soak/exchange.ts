import { Agent, request, type ClientRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'

/** Nothing in either direction for so long is more than all time limits of the gateway together: the request hangs. */
export const HANG_MS = 90_000
/** A slow reader reads on at full speed after this, so that it ends. */
const SLOW_FOR_MS = 4_000

export interface Ask {
  readonly path: string
  readonly accept?: string
  readonly body?: { readonly type: string; readonly bytes: Buffer }
  /** How the client behaves; to the end and as fast as it can unless told. */
  readonly manner?: Manner
}

export type Manner =
  { readonly leavesAfterBytes: number } | { readonly leavesAfterMs: number } | { readonly bytesPerSecond: number }

const AS_IT_COMES: Manner = { bytesPerSecond: Infinity }

/** What became of a request. */
export type Outcome =
  | {
      readonly kind: 'answered'
      readonly status: number
      readonly headers: IncomingHttpHeaders
      readonly body: Buffer
    }
  /** The connection ended before the answer did. `sentAt`: when the request had a connection, of performance.now. */
  | {
      readonly kind: 'cut'
      readonly status: number | undefined
      readonly why: string
      readonly sentAt: number | undefined
    }
  | { readonly kind: 'refused' }
  /** The client left, as it was told. */
  | { readonly kind: 'left' }
  | { readonly kind: 'hung'; readonly status: number | undefined }

/** Where requests go: one client with its connections. */
export class WebClient {
  readonly #port: number
  readonly #agent: Agent
  /** Whether nothing stands between it and the gateway. */
  readonly direct: boolean

  constructor(port: number, direct: boolean) {
    this.#port = port
    this.direct = direct
    this.#agent = new Agent({ keepAlive: true, maxSockets: 6 })
  }

  async ask(ask: Ask): Promise<Outcome> {
    for (;;) {
      const outcome = await this.#once(ask)
      // RFC 9112 9.3.1: a kept connection may have been closed while the request was on its way.
      if (outcome !== 'stale') return outcome
    }
  }

  close(): void {
    this.#agent.destroy()
  }

  async #once({ path, accept = '*/*', body, manner = AS_IT_COMES }: Ask): Promise<Outcome | 'stale'> {
    const headers = { accept, ...(body && { 'content-type': body.type, 'content-length': body.bytes.length }) }
    const method = body ? 'POST' : 'GET'
    const sent = request({ host: '127.0.0.1', port: this.#port, path, method, headers, agent: this.#agent })
    const watch = new Watch(sent)
    const leaving = 'leavesAfterMs' in manner ? setTimeout(() => watch.leave(), manner.leavesAfterMs) : undefined
    let answer: IncomingMessage | undefined
    // Requests wait for a connection of the client: the gateway knows of none that has none yet.
    let sentAt: number | undefined
    const hasConnection = (): void => void (sentAt = performance.now())
    sent.once('socket', (socket) => (socket.connecting ? socket.once('connect', hasConnection) : hasConnection()))
    try {
      answer = await response(sent, body?.bytes, manner, watch)
      const bytes = await read(answer, manner, watch)
      const { statusCode: status = 0, headers: given } = answer
      return { kind: 'answered', status, headers: given, body: bytes }
    } catch (error) {
      const status = answer?.statusCode
      const { code = 'unknown', message } = error as NodeJS.ErrnoException
      if (watch.state === 'left') return { kind: 'left' }
      if (watch.state === 'hung') return { kind: 'hung', status }
      if (code === 'ECONNREFUSED') return { kind: 'refused' }
      if (answer === undefined && sent.reusedSocket && method === 'GET') return 'stale'
      return { kind: 'cut', status, why: `${code} ${message}`, sentAt }
    } finally {
      clearTimeout(leaving)
      watch.end()
      if (watch.state !== 'watching') sent.destroy()
    }
  }
}

/** Ends a request that hangs, or whose client leaves. */
class Watch {
  state: 'watching' | 'left' | 'hung' = 'watching'
  readonly #sent: ClientRequest
  readonly #timer: NodeJS.Timeout
  #last = performance.now()
  #written = 0

  constructor(sent: ClientRequest) {
    this.#sent = sent
    this.#timer = setInterval(() => this.#look(), 1000)
  }

  progress(): void {
    this.#last = performance.now()
  }

  leave(): void {
    this.state = 'left'
    this.#sent.destroy()
  }

  end(): void {
    clearInterval(this.#timer)
  }

  #look(): void {
    const written = this.#sent.socket?.bytesWritten ?? 0
    if (written !== this.#written) this.progress()
    this.#written = written
    if (performance.now() - this.#last < HANG_MS) return
    this.state = 'hung'
    this.#sent.destroy()
  }
}

function response(
  sent: ClientRequest,
  body: Buffer | undefined,
  manner: Manner,
  watch: Watch,
): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  sent.on('response', resolve)
  sent.on('error', reject)
  sent.on('close', () => reject(Object.assign(new Error('closed'), { code: 'CLOSED' })))
  if (body && 'leavesAfterBytes' in manner) {
    sent.write(body.subarray(0, manner.leavesAfterBytes), () => watch.leave())
  } else sent.end(body)
  return promise
}

async function read(answer: IncomingMessage, manner: Manner, watch: Watch): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  const started = performance.now()
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    watch.progress()
    chunks.push(chunk)
    size += chunk.length
    if ('leavesAfterBytes' in manner && size >= manner.leavesAfterBytes) watch.leave()
    if ('bytesPerSecond' in manner && performance.now() - started < SLOW_FOR_MS) {
      await new Promise((resolve) => setTimeout(resolve, (chunk.length / manner.bytesPerSecond) * 1000))
      watch.progress()
    }
  }
  if (!answer.complete) throw Object.assign(new Error('aborted'), { code: 'INCOMPLETE' })
  // An answer of a known length that came to its end in front of where the client was to leave.
  return Buffer.concat(chunks)
}
