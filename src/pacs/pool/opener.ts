import { setTimeout as delay } from 'node:timers/promises'
import { Association, type RequestOptions } from '../../network/association.ts'
import type { Call } from '../call.ts'
import { afterPauses } from './after-pauses.ts'
import { Concessions, type Concession, type Wanted } from './concessions.ts'
import type { Proposal } from './proposal.ts'

/** How an association is asked for, but for its proposal. */
export type Request = Omit<RequestOptions, keyof Proposal>

/** How long a connection may take to go once it is of no more use, in ms. */
export const GONE_MS = 3_000
/** Pauses before another try when the peer rejects for want of resources, in ms (PS3.8 9.3.4, result 2). */
const BACKOFF_MS = [250, 750, 2_000]

/** What one attempt to open an association has come to. */
export interface Attempt {
  /** Resolves when the last connection that was made is gone; undefined where none was. */
  connection?: Promise<undefined>
}

/** Opens associations to one archive, without what it does not bear. */
export class Opener {
  readonly #request: Request
  readonly #concessions: Concessions

  /** `conceded` is told what is left out from now on, and how the archive took it. */
  constructor(request: Request, conceded: (what: Concession, error: unknown) => void) {
    this.#request = request
    this.#concessions = new Concessions(conceded)
  }

  /**
   * Asks with pauses where the archive has no room, unless it is not `patient`: then there is something better to wait
   * for. Never has two connections at once.
   * @throws what Association.request throws, the signal's reason
   */
  open(proposal: Proposal, attempt: Attempt, patient: () => boolean, call: Call): Promise<Association> {
    const { identity: _, ...request } = this.#request
    const onConnected = (closed: Promise<undefined>): void => void (attempt.connection = closed)
    const once = async (wanted: Wanted): Promise<Association> => {
      if (attempt.connection) await untilGone(attempt.connection, call.signal)
      return Association.request({ ...request, ...wanted, onConnected }, call.signal)
    }
    const withPauses = (wanted: Wanted): Promise<Association> =>
      afterPauses(patient() ? BACKOFF_MS : [], call.signal, () => once(wanted))
    return this.#concessions.open(this.#wanted(proposal), withPauses, call)
  }

  /** Opened without something that another try may bring: not for who comes next. */
  isLess(association: Association, proposal: Proposal): boolean {
    return this.#concessions.isLess(association.requested, this.#wanted(proposal))
  }

  #wanted(proposal: Proposal): Wanted {
    const { identity } = this.#request
    return { ...proposal, ...(identity && { identity }) }
  }
}

/** The archive counts a connection until it is gone: waits for that, or for as long as it may take. @throws the signal's reason */
async function untilGone(closed: Promise<undefined>, signal: AbortSignal): Promise<void> {
  const gone = new AbortController()
  void closed.then(() => gone.abort())
  await delay(GONE_MS, undefined, { signal: AbortSignal.any([signal, gone.signal]) }).catch(() =>
    signal.throwIfAborted(),
  )
}
