import { once } from 'node:events'
import { Attribute } from '../../dicom/attributes.ts'
import { SopClass, WellKnownInstance, type Uid } from '../../dicom/uids.ts'
import { takeReports, type EventReport } from '../../dimse/event-report.ts'
import { invoke } from '../../dimse/normalized.ts'
import { Status, StatusError } from '../../dimse/status.ts'
import type { Association } from '../../network/association.ts'
import type { AcceptedContext } from '../../network/negotiation.ts'
import type { Call } from '../call.ts'
import type { ReportTaker } from '../delivery/deliverer.ts'
import { commitmentProposal, contextOf } from '../contexts.ts'
import { TransactionInUseError } from '../errors.ts'
import type { Lease } from '../pool/lease.ts'
import type { AssociationPool } from '../pool/pool.ts'
import { amended, requestOf, resultOf } from './report.ts'
import type { Reference, Transactions, TransactionState } from './transactions.ts'

/** Action Type ID of a request (PS3.4 J.3.2). */
const REQUEST_STORAGE_COMMITMENT = 1
/** Event types of a report (PS3.4 J.3.3). */
const EVENT_TYPES = [1, 2]
/** The event is none of the service (PS3.7 C.5.17). */
const NO_SUCH_EVENT_TYPE = 0x0113

/** An association that is held for a report; `wanted` when others wait for it. */
interface Held {
  readonly lease: Lease
  readonly wanted: AbortSignal
  /** The archive has been asked. */
  readonly rests: () => void
}

/** What commitment is asked for over. */
export interface CommitmentTarget {
  readonly archive: string
  readonly pool: Pick<AssociationPool, 'lease' | 'stats'>
  readonly transactions: Transactions
  /** Opens our listener, where reports may come by an association of the archive's own. @throws ListenerError */
  readonly listen: () => Promise<unknown>
  /** Milliseconds that the archive may be silent before it answers. */
  readonly timeout: number
}

/** A request for commitment. */
export interface CommitmentRequest {
  readonly uid: Uid
  /** Who asks. */
  readonly owner: string
  /** Whose share it is. */
  readonly client: string
  readonly references: readonly Reference[]
  /** Milliseconds that the report is awaited. */
  readonly wait: number
}

/** Storage commitment of one archive, as its SCU (PS3.4 J). */
export class Commitments implements ReportTaker {
  readonly #target: CommitmentTarget
  /** Those who wait for a report, by Transaction UID. */
  readonly #waiting = new Map<Uid, () => void>()

  constructor(target: CommitmentTarget) {
    this.#target = target
  }

  /** Where a transaction stands. */
  state(uid: Uid): Promise<TransactionState> {
    return this.#target.transactions.state(this.#target.archive, uid)
  }

  /**
   * Asks the archive to commit itself, and waits for its report: over the association of the request as long as nobody else
   * wants that, or over one of the archive's own. Who leaves meanwhile may ask for the `state` later.
   * @throws TransactionInUseError, TooManyTransactionsError, NotSupportedByArchiveError, StatusError, ListenerError, what
   *   opening an association throws: then the archive was not asked, and the UID may be used again. What losing it throws:
   *   then it may have been asked, and may report
   */
  async request({ uid, owner, client, references, wait }: CommitmentRequest, call: Call): Promise<TransactionState> {
    const { archive, transactions, listen } = this.#target
    if ((await this.state(uid)).kind !== 'unknown') throw new TransactionInUseError()
    await listen()
    const held = await this.#held(call)
    const reported = new AbortController()
    let isOurs = false
    try {
      const { association } = held.lease
      const context = contextOf(association, SopClass.storageCommitmentPushModel, archive, 'storage commitment')
      // From here on a report may come, and not before.
      if (!(await transactions.begin({ archive, uid, owner, client, references }))) throw new TransactionInUseError()
      isOurs = true
      this.#waiting.set(uid, () => reported.abort())
      await this.#ask(association, context, uid, references).catch(async (error: unknown) => {
        if (error instanceof StatusError) await transactions.withdraw(archive, uid)
        throw error
      })
    } catch (error) {
      if (isOurs) this.#waiting.delete(uid)
      // Never asked over again: one that has died meanwhile would leave it unknown whether the archive was asked.
      held.lease.retire()
      throw error
    }
    held.rests()
    try {
      const over = AbortSignal.any([call.signal, AbortSignal.timeout(wait), reported.signal])
      await this.#reportsOver(held, over)
      if (!over.aborted) await once(over, 'abort')
    } finally {
      this.#waiting.delete(uid)
    }
    return this.state(uid)
  }

  /** What was asked for is told: nobody else needs to know. */
  async forget(uid: Uid): Promise<void> {
    await this.#target.transactions.withdraw(this.#target.archive, uid)
  }

  /** An association to ask over; once it `rests`, it is let go for whoever waits for one. */
  async #held(call: Call): Promise<Held> {
    const { pool } = this.#target
    const wanted = new AbortController()
    let isResting = false
    let isWanted = false
    const lease = await pool.lease(commitmentProposal(), {
      signal: call.signal,
      ...(call.deadline !== undefined && { deadline: call.deadline }),
      // At rest it makes way even for what is not urgent.
      get priority() {
        return isResting ? 'background' : 'bulk'
      },
      // It is told once.
      wanted: () => {
        isWanted = true
        if (isResting) wanted.abort()
      },
    })
    const rests = (): void => {
      isResting = true
      if (isWanted || pool.stats.waiting > 0) wanted.abort()
    }
    return { lease, wanted: wanted.signal, rests }
  }

  /** To its end, though the client leaves: then it is known that the archive was asked. */
  async #ask(
    association: Association,
    context: AcceptedContext,
    uid: Uid,
    references: readonly Reference[],
  ): Promise<void> {
    const request = {
      type: 'N-ACTION-RQ',
      requestedSopClassUid: SopClass.storageCommitmentPushModel,
      requestedSopInstanceUid: WellKnownInstance.storageCommitmentPushModel,
      actionTypeId: REQUEST_STORAGE_COMMITMENT,
    } as const
    const { timeout } = this.#target
    await invoke(association, context, request, { dataset: requestOf(uid, references), take: this.#taking, timeout })
  }

  /** Takes the reports that come over an association, until it is over, or the archive or others want it. */
  async #reportsOver({ lease, wanted }: Held, over: AbortSignal): Promise<void> {
    try {
      await takeReports(lease.association, this.#taking, () => over.aborted, {
        timeout: this.#target.timeout,
        signal: AbortSignal.any([over, wanted]),
      })
    } catch {
      // Whatever ended it: the report may come by an association of the archive's own.
    } finally {
      // It reports by one of its own from now on.
      lease.retire()
    }
  }

  /** Reports that come over an association of ours are of this archive. */
  readonly #taking = async (report: EventReport): Promise<number> =>
    (await this.take(report)) ?? Status.processingFailure

  /** Whether a report is of a transaction of this archive. */
  async isFor(report: EventReport): Promise<boolean> {
    const uid = transactionOf(report)
    return uid !== undefined && 'transaction' in (await this.state(uid))
  }

  /** Takes a report in; undefined where it is of no transaction of this archive. Comes to a status of PS3.7 10.1.1.1.8. */
  async take(report: EventReport): Promise<number | undefined> {
    const { archive, transactions } = this.#target
    const { eventTypeId, information } = report
    const uid = transactionOf(report)
    if (!information || uid === undefined) return undefined
    const state = await this.state(uid)
    if (!('transaction' in state)) return undefined
    if (!EVENT_TYPES.includes(eventTypeId)) return NO_SUCH_EVENT_TYPE
    const result =
      state.kind === 'done'
        ? amended(state.result, information)
        : resultOf({ eventTypeId, information }, state.transaction.references)
    await transactions.settle(archive, uid, result)
    this.#waiting.get(uid)?.()
    return Status.success
  }
}

/** The Transaction UID of a report of storage commitment. */
function transactionOf({ sopClass, information }: EventReport): Uid | undefined {
  return sopClass === SopClass.storageCommitmentPushModel ? information?.string(Attribute.TransactionUID) : undefined
}
