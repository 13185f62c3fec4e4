import { PoolBusyError } from '../pacs/errors.ts'
import type { Proposal } from '../pacs/pool/proposal.ts'
import type { ArchiveConfig, Config } from '../config/config.ts'
import { Association, type RequestOptions } from '../network/association.ts'
import { MAX_CONTEXTS } from '../network/negotiation.ts'
import type { TlsOptions } from '../network/transport.ts'
import { besideConfig, type System } from '../pacs/beside.ts'
import { requestOptions } from '../pacs/request-options.ts'
import { type Call } from '../pacs/call.ts'
import { Concessions, type Wanted } from '../pacs/pool/concessions.ts'
import { ContextLimit } from '../pacs/pool/context-limit.ts'
import type { MoveDestination } from '../pacs/delivery/move-destination.ts'
import { afterPauses } from '../pacs/pool/after-pauses.ts'
import { notTried, type Parties } from './findings-reach.ts'
import { StepTimeoutError } from './reason.ts'
import type { Finding } from './report.ts'

/** What a running service must not be disturbed in. */
export interface Service {
  /** A place among the associations that it may have open; what is returned gives it back. */
  reserve(call: Call): Promise<() => void>
  readonly destination: MoveDestination
}

export interface ProbeOptions {
  readonly config: ArchiveConfig
  /** Our own application entity. */
  readonly dimse: Config['dimse']
  /** Ends everything at once. */
  readonly signal: AbortSignal
  /** The service that examines what it serves; without one, whoever examines has the archive for himself. */
  readonly service?: Service
  /** Store one synthetic image. */
  readonly storeTest?: boolean
  /** Milliseconds a step may take; STEP_MS unless told. */
  readonly stepTimeout?: number
  /** Told the name of each step as it begins. */
  readonly progress?: (step: string) => void
}

/** No step takes longer, in ms, whatever the archive's timeouts. */
export const STEP_MS = 15_000
/** How long an operation may go on after its C-CANCEL, in ms. */
export const CANCEL_MS = 2_000
/** How long a peer may take to answer a release, in ms. */
const RELEASE_MS = 2_000
/** A released association keeps its place at some archives for a second: pauses before another try, in ms. */
const AGAIN_MS = [250, 1_000, 1_500]

/** One archive under examination: what the steps need of it, and what they have found. */
export class Probe {
  readonly config: ArchiveConfig
  readonly dimse: Config['dimse']
  readonly service: Service | undefined
  readonly storeTest: boolean
  readonly findings: Finding[] = []
  readonly tls: TlsOptions | undefined
  /** Where the archive is, and where it sees us, as soon as a connection tells. */
  theirHost: string | undefined
  ourHost: string | undefined
  readonly #concessions = new Concessions()
  /** What gives back the place of each association that is open. */
  readonly #places = new Map<Association, () => void>()
  readonly contexts: ContextLimit
  /** What the step is at: it may wait for a place among the associations of the service. */
  #at: 'archive' | 'queue' = 'archive'
  readonly #signal: AbortSignal
  readonly #stepTimeout: number
  readonly #progress: (step: string) => void

  constructor(
    { config, dimse, signal, service, storeTest, stepTimeout, progress }: ProbeOptions,
    tls: TlsOptions | undefined,
  ) {
    this.config = config
    this.dimse = dimse
    this.service = service
    this.contexts = new ContextLimit(config.quirks.maxContexts ?? MAX_CONTEXTS)
    this.storeTest = storeTest === true
    this.tls = tls
    this.#signal = signal
    this.#stepTimeout = stepTimeout ?? STEP_MS
    this.#progress = progress ?? (() => undefined)
  }

  /** A timeout of the archive, within that of a step; in ms. */
  within(timeout: number): number {
    return Math.min(timeout, this.#stepTimeout)
  }

  /** The host that an archive is told for our listener: 0.0.0.0 is none. */
  get listenerHost(): string {
    const { host } = this.dimse
    return host === '0.0.0.0' || host === '::' ? (this.ourHost ?? host) : host
  }

  get parties(): Parties {
    const { aeTitle, host, port, callingAeTitle } = this.config
    return { aeTitle, host, port, callingAeTitle, ourHost: this.ourHost ?? 'unknown' }
  }

  add(...findings: readonly (Finding | undefined)[]): void {
    for (const finding of findings) if (finding) this.findings.push(finding)
  }

  /**
   * Runs one step within its time; undefined when it failed, which `failed` puts in words.
   * @throws the reason of the signal that ends everything
   */
  async step<T>(
    name: string,
    work: (signal: AbortSignal) => Promise<T>,
    failed: (error: unknown) => Finding | undefined,
  ): Promise<T | undefined> {
    this.#signal.throwIfAborted()
    this.#progress(name)
    const late = new AbortController()
    const timer = setTimeout(() => late.abort(this.#lateness()), this.#stepTimeout)
    this.#at = 'archive'
    try {
      return await work(AbortSignal.any([this.#signal, late.signal]))
    } catch (error) {
      this.#signal.throwIfAborted()
      const reason: unknown = late.signal.aborted ? late.signal.reason : error
      this.add(reason instanceof PoolBusyError ? notTried(name) : failed(reason))
      return undefined
    } finally {
      clearTimeout(timer)
    }
  }

  /** Whose fault it is that a step was not over in time. */
  #lateness(): Error {
    return this.#at === 'queue'
      ? new PoolBusyError(this.config.name, this.#stepTimeout, { why: 'all', limit: this.config.maxAssociations })
      : new StepTimeoutError(this.#stepTimeout)
  }

  /** Opens an association to a system beside the archive, for something, and aborts or releases it. */
  async beside<T>(
    system: Omit<System, 'service'>,
    proposal: Proposal,
    signal: AbortSignal,
    use: (association: Association) => Promise<T>,
  ): Promise<T> {
    const request = { ...requestOptions(besideConfig(this.config, system), this.tls), timeouts: this.#timeouts }
    const association = await Association.request({ ...request, ...proposal }, signal)
    return this.using([association], signal, ([one]) => use(one!))
  }

  /** Opens an association for something and releases it. */
  async associated<T>(
    proposal: Proposal,
    signal: AbortSignal,
    use: (association: Association) => Promise<T>,
  ): Promise<T> {
    return this.using([await this.open(proposal, signal)], signal, ([association]) => use(association!))
  }

  /** Releases associations behind their use; they are aborted as soon as the signal says so. */
  async using<T>(
    associations: readonly Association[],
    signal: AbortSignal,
    use: (associations: readonly Association[]) => Promise<T>,
  ): Promise<T> {
    const abort = (): void => associations.forEach((association) => association.abort())
    signal.addEventListener('abort', abort)
    try {
      signal.throwIfAborted()
      return await use(associations)
    } finally {
      await Promise.all(associations.map((association) => association.release(RELEASE_MS)))
      // One that does not close is no longer ours, as in the pool.
      for (const association of associations) this.#places.get(association)?.()
      signal.removeEventListener('abort', abort)
    }
  }

  /** Without what the archive does not bear, as the service opens it. */
  async open(proposal: Proposal, signal: AbortSignal): Promise<Association> {
    const { identity, ...request } = this.#request
    const wanted = { ...proposal, ...(identity && { identity }) }
    const leave = await this.#place(signal)
    try {
      // Where the archive rejects for want of resources the association before may not be gone yet.
      const again = (one: Wanted): Promise<Association> =>
        afterPauses(AGAIN_MS, signal, () => Association.request({ ...request, ...one }, signal))
      const association = await this.#concessions.open(wanted, again, { signal })
      this.#places.set(association, leave)
      return association
    } catch (error) {
      leave()
      throw error
    }
  }

  async #place(signal: AbortSignal): Promise<() => void> {
    if (!this.service) return () => undefined
    this.#at = 'queue'
    const leave = await this.service.reserve({ signal })
    this.#at = 'archive'
    return leave
  }

  get #request(): Omit<RequestOptions, keyof Proposal> {
    return { ...requestOptions(this.config, this.tls), timeouts: this.#timeouts }
  }

  get #timeouts(): RequestOptions['timeouts'] {
    const { connect, associate } = this.config.timeouts
    return { connect: this.within(connect), associate: this.within(associate) }
  }
}
