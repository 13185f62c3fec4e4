import type { RetrieveEnd } from '../../dimse/scu.ts'
import { Status, statusClass, StatusError } from '../../dimse/status.ts'
import type { Instance } from '../instance.ts'
import { isAskable } from '../search/query.ts'
import type { Selection } from '../../instance/uids.ts'
import { IncompleteRetrieveError, NoSuchInstanceError } from './errors.ts'
import { numberStudy } from './foresee.ts'
import type { Ladder } from './ladder.ts'
import { absentOf, batchesOf, listMissing, type Batch, type Missing } from './missing.ts'
import type { Retrieval } from './retrieval.ts'

/** How C-GET or C-MOVE climbs a ladder. */
export interface Climber<Rung, End extends RetrieveEnd> {
  /** Asks for all of a selection. */
  all(selection: Selection): AsyncGenerator<Instance, End>
  /** Whether it ended as one does that has brought all there is. */
  isComplete(end: End): boolean
  /** How many instances it counts that were not seen, whether or not they belong to the selection. */
  unseen(end: End): number
  /** Tries the rungs for a batch of what is missing, until nothing of it is left; returns how the last try ended. */
  batch(batch: Batch, rungs: readonly Rung[]): AsyncGenerator<Instance, End | undefined>
}

/**
 * The instances of a selection: the whole at first, unless something of it has come by another way, then what is missing
 * by the rungs of a ladder. It has ended well when nothing is missing by whatever the archive has said.
 * @throws NoSuchInstanceError; behind what did come IncompleteRetrieveError, or StatusError
 */
export async function* climb<Rung, End extends RetrieveEnd>(
  { rounds, rungs, final, tells }: Ladder<Rung>,
  climber: Climber<Rung, End>,
  retrieval: Retrieval,
): AsyncGenerator<Instance> {
  const { selection, received, ledger } = retrieval
  const hasNone = (): boolean => received.size === 0
  let first: End | undefined
  let told: End | undefined
  if (hasNone()) {
    first = told = yield* climber.all(selection)
    note(told, climber, retrieval)
    if (climber.isComplete(told) && !hasNone() && (await isBorneOut(retrieval))) return
    if (hasNone() && final.includes(told.status)) throw new StatusError(told.response)
  }
  for (let round = 1; ; round++) {
    let missing: Missing
    try {
      missing = await listMissing(retrieval)
    } catch (error) {
      retrieval.call.signal.throwIfAborted()
      // All came that was said to be there. That more cannot be asked is no reason to doubt it.
      if (!first || !climber.isComplete(first) || hasNone() || ledger.outstanding > 0) throw error
      retrieval.source.habits.learn('uncounted')
      return
    }
    for (const batch of batchesOf(missing, retrieval)) {
      const end = yield* climber.batch(batch, rungs)
      if (!end) continue
      for (const uid of end.failedInstances) ledger.fails(uid)
      if (final.includes(end.status)) throw new StatusError(end.response)
      if (tells === 'last' || !told) told = end
    }
    // Counted and not listed: nobody can ask for it by its name.
    if (round === 1) for (const short of shortOf(retrieval)) yield* climber.all(short)
    const absent = absentOf(missing, retrieval)
    const lacking = Math.max(absent.length, ledger.outstanding)
    if (absent.length > 0 && round < rounds) continue
    if (lacking === 0 && !hasNone()) {
      if (first?.completed === undefined && !ledger.hasWitness) retrieval.source.habits.learn('uncounted')
      return
    }
    if (lacking === 0 && missing.isNothing) throw new NoSuchInstanceError()
    const { malformed } = retrieval
    const cause = absent.map((one) => malformed.errorOf(one)).find((error) => error !== undefined)
    if (hasNone() && !cause && told && statusClass(told.status) === 'failure') throw new StatusError(told.response)
    const status = told?.status ?? Status.subOperationsWithFailures
    const damaged = absent.filter((one) => malformed.isGiven(one)).length
    throw new IncompleteRetrieveError(received.size, Math.max(1, lacking), status, { damaged, ...(cause && { cause }) })
  }
}

/** What the end of a retrieve of the whole selection says that there is. */
function note<End extends RetrieveEnd>(end: End, climber: Climber<unknown, End>, retrieval: Retrieval): void {
  const { ledger, received, selection } = retrieval
  // Of one instance it is known; some archives send its series instead, and count that.
  if (selection.instance !== undefined) return
  for (const uid of end.failedInstances) ledger.fails(uid)
  ledger.counts(received.size + climber.unseen(end))
}

/** Series, or the whole, of which the archive counts more than it lists. */
function* shortOf({ ledger, selection }: Retrieval): Generator<Selection> {
  const { study } = selection
  for (const series of ledger.shortSeries) if (isAskable(series)) yield { study, series }
  if (ledger.isShort) yield selection
}

/**
 * Whether another statement of the archive than that of the retrieve itself says that all has come: numbers of related
 * instances. Where there are none, all has to be listed.
 */
async function isBorneOut(retrieval: Retrieval): Promise<boolean> {
  const { selection, ledger } = retrieval
  if (selection.instance !== undefined) return true
  await numberStudy(retrieval).catch(() => retrieval.call.signal.throwIfAborted())
  return ledger.isNumbered && ledger.outstanding === 0
}
