import type { RetrieveEnd } from '../../dimse/scu.ts'
import { Status, statusClass, StatusError } from '../../dimse/status.ts'
import type { Instance } from '../instance.ts'
import { IncompleteRetrieveError, NoSuchInstanceError } from './errors.ts'
import type { Ladder } from './ladder.ts'
import { absentOf, batchesOf, listMissing, type Batch } from './missing.ts'
import type { Retrieval } from './retrieval.ts'

/** How C-GET or C-MOVE climbs a ladder. */
export interface Climber<Rung, End extends RetrieveEnd> {
  /** Asks for the whole selection. */
  whole(): AsyncGenerator<Instance, End>
  /** Whether `whole` brought all there is; then nothing is listed. */
  isComplete(end: End): boolean
  /** Tries the rungs for a batch of what is missing, until nothing of it is left; returns how the last try ended. */
  batch(batch: Batch, rungs: readonly Rung[]): AsyncGenerator<Instance, End | undefined>
}

/**
 * The instances of a selection: the whole at first, unless something of it has come by another way, then what is missing
 * by the rungs of a ladder.
 * @throws NoSuchInstanceError; behind what did come IncompleteRetrieveError, or StatusError
 */
export async function* climb<Rung, End extends RetrieveEnd>(
  { rounds, rungs, final, tells }: Ladder<Rung>,
  climber: Climber<Rung, End>,
  retrieval: Retrieval,
): AsyncGenerator<Instance> {
  const { received } = retrieval
  const hasNone = (): boolean => received.size === 0
  let told: End | undefined
  if (hasNone()) {
    const end = yield* climber.whole()
    if (climber.isComplete(end)) {
      if (hasNone()) throw new NoSuchInstanceError()
      return
    }
    if (hasNone() && final.includes(end.status)) throw new StatusError(end.response)
    told = end
  }
  for (let round = 1; ; round++) {
    const missing = await listMissing(retrieval)
    for (const batch of batchesOf(missing, retrieval)) {
      const end = yield* climber.batch(batch, rungs)
      if (!end) continue
      if (final.includes(end.status)) throw new StatusError(end.response)
      if (tells === 'last' || !told) told = end
    }
    const absent = absentOf(missing, retrieval)
    if (absent.length > 0 && round < rounds) continue
    if (hasNone() && absent.length === 0) throw new NoSuchInstanceError()
    if (hasNone() && told && statusClass(told.status) === 'failure') throw new StatusError(told.response)
    if (absent.length === 0) return
    const cause = absent.map((uid) => retrieval.malformed.errorOf(uid)).find((error) => error !== undefined)
    const status = told?.status ?? Status.subOperationsWithFailures
    throw new IncompleteRetrieveError(received.size, absent.length, status, cause && { cause })
  }
}
