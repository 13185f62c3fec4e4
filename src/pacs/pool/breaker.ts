import { channel } from 'node:diagnostics_channel'
import { StatusError } from '../../dimse/status.ts'
import {
  AssociationAbortedError,
  AssociationRejectedError,
  ConnectError,
  ConnectionLostError,
  PeerTimeoutError,
} from '../../network/errors.ts'
import {
  ArchiveDownError,
  NotSupportedByArchiveError,
  PoolBusyError,
  PoolClosedError,
  PoolFullError,
} from '../errors.ts'

/** Associations in a row that could not be opened, and the archive counts as down. */
export const FAILURES_TO_OPEN = 3
/** Failures at once are one event, unless each of them had waited for so long, in ms. */
export const BURST_MS = 1_000
/** Until the first trial of an archive that is down, in ms; twice as long behind each that failed. */
export const FIRST_PAUSE_MS = 1_000
export const LONGEST_PAUSE_MS = 30_000
/** A pause is longer or shorter by up to this part of it: gateways do not try in step. */
export const JITTER = 0.2

/** `closed`: associations are opened; `open`: none is; `half-open`: a trial is under way. */
export type BreakerState = 'closed' | 'open' | 'half-open'

/** Published when the state changes. */
export interface BreakerEvent {
  readonly archive: string
  readonly state: BreakerState
  readonly previous: BreakerState
  /** In a row, those of trials included. */
  readonly failures: number
  /** The last of them. */
  readonly error?: unknown
}

export interface BreakerOptions {
  readonly archive: string
  /** C-ECHO over a new association; ends with the signal. */
  readonly trial: (signal: AbortSignal) => Promise<void>
  /** Told when it opens: who waits need not. */
  readonly opened: (error: ArchiveDownError) => void
  /** Milliseconds; FIRST_PAUSE_MS and LONGEST_PAUSE_MS unless told. */
  readonly pauses?: { readonly first: number; readonly longest: number }
}

const breakers = channel('dimsegate:breaker')

/** Knows whether an archive is down, and finds out by itself when it is back. */
export class Breaker {
  readonly #options: BreakerOptions
  readonly #pauses: { readonly first: number; readonly longest: number }
  readonly #stop = new AbortController()
  #state: BreakerState = 'closed'
  #failures = 0
  #cause: unknown
  /** When the last failure was counted; by performance.now(), as are the others. */
  #lastFailure = -Infinity
  #closedAt = -Infinity
  #trialAt = 0
  /** Trials that failed. */
  #trials = 0
  #timer: NodeJS.Timeout | undefined

  constructor(options: BreakerOptions) {
    this.#options = options
    this.#pauses = options.pauses ?? { first: FIRST_PAUSE_MS, longest: LONGEST_PAUSE_MS }
  }

  get state(): BreakerState {
    return this.#state
  }

  /** Why nothing is to be had; undefined while it is closed. */
  get refusal(): ArchiveDownError | undefined {
    if (this.#state === 'closed') return undefined
    const left = Math.max(0, this.#trialAt - performance.now())
    return new ArchiveDownError(this.#options.archive, left, { cause: this.#cause })
  }

  /** An association stands. In another state than `closed` a trial alone tells. */
  succeeded(): void {
    if (this.#state === 'closed') this.#failures = 0
  }

  /** An association that was asked for at `began` could not be opened. `alone`: no other stood. */
  failed(error: unknown, { began, alone }: { began: number; alone: boolean }): void {
    if (this.#state !== 'closed' || this.#stop.signal.aborted || !meansDown(error, alone)) return
    const now = performance.now()
    if (began < this.#lastFailure && now - began < BURST_MS) return
    this.#lastFailure = now
    this.#failures++
    this.#cause = error
    if (this.#failures < FAILURES_TO_OPEN) return
    // One that goes down again at once is not tried as often as before.
    this.#trials = now - this.#closedAt < this.#pauses.longest ? this.#trials + 1 : 0
    this.#open()
    this.#options.opened(this.refusal!)
  }

  /** Tries no more. */
  close(): void {
    clearTimeout(this.#timer)
    this.#stop.abort(new PoolClosedError())
  }

  #open(): void {
    const { first, longest } = this.#pauses
    const pause = Math.min(longest, first * 2 ** this.#trials) * (1 + JITTER * (2 * Math.random() - 1))
    this.#trialAt = performance.now() + pause
    this.#timer = setTimeout(() => void this.#try(), pause)
    this.#timer.unref()
    this.#move('open')
  }

  async #try(): Promise<void> {
    this.#move('half-open')
    try {
      await this.#options.trial(this.#stop.signal)
    } catch (error) {
      if (this.#stop.signal.aborted) return
      if (!isAnswer(error)) {
        // A trial that found no place tells nothing.
        if (!(error instanceof PoolBusyError || error instanceof PoolFullError)) {
          this.#failures++
          this.#trials++
          this.#cause = error
        }
        this.#open()
        return
      }
    }
    this.#failures = 0
    this.#closedAt = performance.now()
    this.#move('closed')
  }

  #move(state: BreakerState): void {
    const previous = this.#state
    this.#state = state
    const event: BreakerEvent = {
      archive: this.#options.archive,
      state,
      previous,
      failures: this.#failures,
      ...(state === 'open' && { error: this.#cause }),
    }
    if (breakers.hasSubscribers) breakers.publish(event)
  }
}

/** Beyond the connection, an archive may be full in place of down as long as other associations stand. */
function meansDown(error: unknown, alone: boolean): boolean {
  if (error instanceof ConnectError) return true
  if (error instanceof PeerTimeoutError) return alone || error.waitedFor === 'connection'
  return alone && error instanceof ConnectionLostError
}

/** It is there, whatever it said. */
function isAnswer(error: unknown): boolean {
  return (
    error instanceof AssociationRejectedError ||
    (error instanceof AssociationAbortedError && error.by === 'peer') ||
    error instanceof StatusError ||
    error instanceof NotSupportedByArchiveError
  )
}
