import type { Config } from '../config/config.ts'
import type { Bytes, ByteStream } from '../dicom/bytes.ts'
import { part10Header } from '../dicom/part10.ts'
import { WaitingLine } from '../dicom/waiting-line.ts'
import { closing, newBoundary, partHeader, relatedType } from '../dicomweb/multipart/writer.ts'
import type { Call } from '../pacs/call.ts'
import type { Instance } from '../pacs/instance.ts'
import type { StoreOutcome } from '../pacs/store.ts'
import { storeAnswer } from './store-answer.ts'
import { WebStoreError } from './web-store-error.ts'
import type { Outlet, Target, TargetNode } from './target.ts'

type WebStoreConfig = Extract<Config['destinations'][number], { readonly type: 'stow' }>

/** How long a request waits for its turn, in ms. */
const QUEUE_MS = 30_000
/** How long a server that could not be reached is not tried again, in ms: the sender is told at once. */
const DOWN_MS = 5_000

/** A DICOMweb server that is stored to by STOW-RS (PS3.18 10.5), an instance a request. */
export class WebStore implements Target {
  readonly config: WebStoreConfig
  readonly #line = new WaitingLine<undefined>()
  #underWay = 0
  #down: { readonly until: number; readonly error: WebStoreError } | undefined

  constructor(config: WebStoreConfig) {
    this.config = config
  }

  get node(): TargetNode {
    const { name, url } = this.config
    return { name, aeTitle: url, host: new URL(url).hostname }
  }

  open({ signal }: Call): Outlet {
    const over = new AbortController()
    const ends = AbortSignal.any([signal, over.signal])
    let turn: Promise<Error | undefined> | undefined
    const reach = (): Promise<Error | undefined> => (turn ??= this.#turn(ends))
    return {
      reach: async () => {
        await reach()
      },
      store: async (instance) => {
        const refusal = await reach()
        return refusal ? { kind: 'failed', error: refusal } : this.#store(instance, signal)
      },
      [Symbol.asyncDispose]: async () => {
        over.abort(new Error('Nothing is stored any more'))
        // What came of it: a turn is given back, a refusal is none.
        const had = await turn?.then(
          (refusal) => refusal === undefined,
          () => false,
        )
        if (had === true) this.#leave()
        turn = Promise.resolve(new Error('It is over'))
      },
    }
  }

  /** Comes to why there is none. @throws the signal's reason */
  async #turn(signal: AbortSignal): Promise<Error | undefined> {
    return this.#refusal() ?? this.#enter(signal)
  }

  #refusal(): WebStoreError | undefined {
    return this.#down && performance.now() < this.#down.until ? this.#down.error : undefined
  }

  /** Waits for its turn; comes to why it has none. @throws the signal's reason */
  async #enter(signal: AbortSignal): Promise<Error | undefined> {
    if (this.#underWay < this.config.maxRequests) {
      this.#underWay++
      return undefined
    }
    const late = new WebStoreError('WEB_STORE_BUSY', `No request to ${this.config.name} ended in ${QUEUE_MS} ms`)
    try {
      await this.#line.join(undefined, { signal, until: performance.now() + QUEUE_MS, late: () => late })
      return undefined
    } catch (error) {
      if (error === late) return late
      throw error
    }
  }

  /** The place goes to who waits first. */
  #leave(): void {
    if (this.#line.size > 0) this.#line.serve(undefined)
    else this.#underWay--
  }

  async #store(instance: Instance, signal: AbortSignal): Promise<StoreOutcome> {
    const { url, token, timeout } = this.config
    const boundary = newBoundary()
    const sending = new Sending(instance, boundary, timeout)
    try {
      const response = await fetch(`${url}/studies`, {
        method: 'POST',
        redirect: 'error',
        duplex: 'half',
        signal: AbortSignal.any([signal, sending.silence]),
        headers: {
          'Content-Type': relatedType('application/dicom', boundary),
          Accept: 'application/dicom+json',
          ...(token !== null && { Authorization: `Bearer ${token}` }),
        },
        // Node's fetch takes what is iterated; its types do not say so.
        body: sending,
      })
      const outcome = await storeAnswer(response, instance)
      this.#down = undefined
      // An answer to what was not sent whole is to something else.
      if (outcome.kind !== 'stored' || sending.isComplete) return outcome
      return { kind: 'failed', error: new WebStoreError('WEB_STORE_FAILED', `${this.config.name} answered too early`) }
    } catch (error) {
      signal.throwIfAborted()
      const { failure } = sending
      if (failure !== undefined) return { kind: 'broken', error: failure }
      return { kind: 'failed', error: this.#fault(error, sending) }
    } finally {
      await sending.end()
    }
  }

  #fault(cause: unknown, { silence }: Sending): WebStoreError {
    if (silence.aborted) {
      return new WebStoreError('WEB_STORE_SILENT', `${this.config.name} was silent for ${this.config.timeout} ms`, {
        cause,
      })
    }
    if (cause instanceof WebStoreError) return cause
    const { name } = this.config
    if (!isUnreachable(cause)) return new WebStoreError('WEB_STORE_FAILED', `${name} ended the connection`, { cause })
    return this.#rests(new WebStoreError('WEB_STORE_UNREACHABLE', `${name} cannot be reached`, { cause }))
  }

  /** It is not asked for a while. */
  #rests(error: WebStoreError): WebStoreError {
    this.#down = { until: performance.now() + DOWN_MS, error }
    return error
  }
}

/** Nothing was heard of the server at all. */
function isUnreachable(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const code = 'code' in error ? String(error.code) : ''
  const isOne = /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|UND_ERR_CONNECT_TIMEOUT)$/.test(
    code,
  )
  return isOne || isUnreachable(error.cause)
}

/** The body of a request, and how long nothing of it was taken. */
class Sending implements ByteStream {
  isComplete = false
  /** Of the instance itself. */
  failure: unknown
  readonly #instance: Instance
  readonly #boundary: string
  readonly #timeout: number
  readonly #silent = new AbortController()
  readonly #source: AsyncIterator<Bytes, unknown>
  #timer: NodeJS.Timeout | undefined

  constructor(instance: Instance, boundary: string, timeout: number) {
    this.#instance = instance
    this.#boundary = boundary
    this.#timeout = timeout
    this.#source = instance.body[Symbol.asyncIterator]()
    this.#wait()
  }

  /** Aborted when the server has been silent for too long. */
  get silence(): AbortSignal {
    return this.#silent.signal
  }

  async end(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#source.return?.()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Bytes> {
    const { sopClass, sopInstance, syntax } = this.#instance
    yield partHeader(this.#boundary, { 'Content-Type': 'application/dicom' }, true)
    yield part10Header(sopClass, sopInstance, syntax)
    for (;;) {
      // What is slow from here on is the sender.
      clearTimeout(this.#timer)
      const chunk = await this.#next()
      this.#wait()
      if (!chunk) break
      yield chunk
    }
    yield closing(this.#boundary)
    this.isComplete = true
  }

  async #next(): Promise<Bytes | undefined> {
    try {
      const { value, done } = await this.#source.next()
      return done ? undefined : value
    } catch (error) {
      this.failure = error
      throw error
    }
  }

  #wait(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#silent.abort(new Error('silent')), this.#timeout)
  }
}
