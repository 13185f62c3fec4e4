import { createHash } from 'node:crypto'
import { createClient } from '@redis/client'
import type { ClusterFiles } from '../pacs/tls-files.ts'
import { ClusterUnavailableError } from './errors.ts'
import { publishControlPlane, type ControlPlaneEvent } from './events.ts'

/** How long an answer of the shared server may take, in ms. */
export const COMMAND_TIMEOUT_MS = 2_000
/** How long a connection to it may take, and be silent though it is asked every second, in ms. */
const SILENCE_MS = 4_000
const PING_MS = 1_000
/** Between attempts to connect, at most, in ms. */
const MAX_PAUSE_MS = 2_000
/** Commands that wait to be sent or answered. */
const MAX_COMMANDS = 10_000

/** It is not, or not yet, the one that can be written to. */
const NOT_PRIMARY = /^(?:READONLY|MASTERDOWN|LOADING|UNBLOCKED)\b/

/** Lua, run by the server in one piece. */
export interface Script {
  readonly text: string
  readonly sha: string
}

export function script(text: string): Script {
  return { text, sha: createHash('sha1').update(text).digest('hex') }
}

export interface ControlPlaneOptions {
  /** redis, rediss, valkey or valkeys. */
  readonly url: string
  /** PEM of the authorities to trust; undefined for those of Node. */
  readonly ca: ClusterFiles['ca']
}

/**
 * The Valkey or Redis server that replicas share. It holds who waits for what, for seconds, and nothing of patients but
 * UIDs. It may be lost at any time, and be found again without what it held.
 */
export class ControlPlane implements AsyncDisposable {
  readonly #client
  /** Messages come over a connection of their own. */
  readonly #messages
  readonly #subscriptions = new Map<string, (message: string) => void>()
  readonly #found = new Set<() => void>()
  readonly #lostToo = new Set<() => void>()
  #isClosed = false
  #told: ControlPlaneEvent['event'] | undefined
  /** By performance.now(). */
  #connectedAnew = -Infinity

  constructor({ url, ca }: ControlPlaneOptions) {
    const client = createClient({
      url: url.replace(/^valkey/, 'redis'),
      socket: {
        connectTimeout: SILENCE_MS,
        socketTimeout: SILENCE_MS,
        reconnectStrategy: (tries: number) => Math.min(MAX_PAUSE_MS, 50 * 2 ** Math.min(tries, 10)),
        ...(ca && { tls: true as const, ca }),
      },
      pingInterval: PING_MS,
      disableOfflineQueue: true,
      commandsQueueMaxLength: MAX_COMMANDS,
      disableClientInfo: true,
      maintNotifications: 'disabled',
    })
    this.#client = client
    this.#messages = client.duplicate()
    // It connects again by itself, and subscribes anew; what was said meanwhile is missed.
    this.#messages.on('error', () => undefined)
    this.#messages.on('ready', () => this.#tellFound())
    this.#client.on('ready', () => {
      this.#tell({ event: 'found' })
      this.#tellFound()
    })
    this.#client.on('error', (error: unknown) => {
      // A command that is answered by an error is no lost connection.
      if (!this.#client.isReady) this.#lost(error)
    })
  }

  /** Connects, now or when it can; resolves at the first attempt's end, whether it is connected or not. */
  async open(): Promise<void> {
    const first = Promise.withResolvers<undefined>()
    const ended = (): void => first.resolve(undefined)
    this.#client.once('ready', ended)
    this.#client.once('error', ended)
    // They go on trying until they are closed.
    void this.#client.connect().catch(ended)
    const second = Promise.withResolvers<undefined>()
    this.#messages.once('error', () => second.resolve(undefined))
    void this.#listen().then(() => second.resolve(undefined))
    await Promise.all([first.promise, second.promise])
  }

  /** It is connected, and has answered what it was asked last. */
  get isUp(): boolean {
    return this.#client.isReady && this.#told === 'found'
  }

  /** Calls back each time that it is found; what it held may be gone. */
  onFound(told: () => void): void {
    this.#found.add(told)
  }

  /** Calls back each time that it is lost, or not found at first. */
  onLost(told: () => void): void {
    this.#lostToo.add(told)
  }

  /** Calls back with each message on a channel; some may be missed. Only before `open`. */
  subscribe(channel: string, told: (message: string) => void): void {
    this.#subscriptions.set(channel, told)
  }

  /** What a script returns. @throws ClusterUnavailableError */
  async run({ text, sha }: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    const rest = [String(keys.length), ...keys, ...args.map(String)]
    try {
      return await this.#within(['EVALSHA', sha, ...rest])
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw this.#unavailable(error)
    }
    return this.#within(['EVAL', text, ...rest]).catch((error: unknown) => {
      throw this.#unavailable(error)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    this.#client.destroy()
    this.#messages.destroy()
    await Promise.resolve()
  }

  async #listen(): Promise<void> {
    if (this.#subscriptions.size === 0) return
    await this.#messages.connect().catch(() => undefined)
    if (this.#isClosed) return
    for (const [channel, told] of this.#subscriptions) {
      await this.#messages.subscribe(channel, told).catch(() => undefined)
    }
    this.#tellFound()
  }

  #tellFound(): void {
    if (this.#client.isReady) for (const told of this.#found) told()
  }

  async #within(command: readonly string[]): Promise<unknown> {
    if (!this.#client.isReady) throw new ClusterUnavailableError()
    const { promise, reject } = Promise.withResolvers<never>()
    const timer = setTimeout(() => reject(new ClusterUnavailableError()), COMMAND_TIMEOUT_MS)
    try {
      const answer = this.#client.sendCommand(command)
      answer.catch(() => undefined)
      const answered = await Promise.race([answer, promise])
      this.#tell({ event: 'found' })
      return answered
    } finally {
      clearTimeout(timer)
    }
  }

  #lost(error: unknown): void {
    if (this.#isClosed) return
    if (this.#tell({ event: 'lost', error })) for (const told of this.#lostToo) told()
  }

  /** Once for each change: every attempt to connect fails while it is not there. */
  #tell(event: ControlPlaneEvent): boolean {
    const isNew = this.#told !== event.event
    if (isNew) publishControlPlane(event)
    this.#told = event.event
    return isNew
  }

  #unavailable(error: unknown): ClusterUnavailableError {
    if (error instanceof ClusterUnavailableError) return error
    // It may be there and not do what is asked, as without the right to, or without memory.
    this.#lost(error)
    // What stands where it was is asked for by a new connection, as behind a failover.
    if (error instanceof Error && NOT_PRIMARY.test(error.message)) this.#connectAnew()
    return new ClusterUnavailableError({ cause: error })
  }

  #connectAnew(): void {
    if (this.#isClosed || performance.now() - this.#connectedAnew < MAX_PAUSE_MS) return
    this.#connectedAnew = performance.now()
    this.#client.destroy()
    this.#messages.destroy()
    this.#client.connect().catch(() => undefined)
    void this.#listen()
  }
}
