import type { RetrieveEnd } from '../../dimse/scu.ts'
import { statusClass } from '../../dimse/status.ts'
import type { Instance } from '../instance.ts'
import { climb } from './climb.ts'
import { MOVE_LADDER, type MoveRung } from './ladder.ts'
import { isLeft, type Batch } from './missing.ts'
import { attemptMove, broughtBy } from './move-attempt.ts'
import type { Received } from './received.ts'
import type { MoveSource, Retrieval } from './retrieval.ts'

/**
 * Instances of a selection by C-MOVE to our own listener, as they are stored, each once, checked to belong to it. What
 * did not come is listed by C-FIND and asked for again; also at first, where some came already by another way.
 * @throws NoSuchInstanceError; IncompleteRetrieveError at the end, behind what did come; StatusError;
 *   NotSupportedByArchiveError; ListenerError; and whatever ends an association
 */
export async function* retrieveByMove(retrieval: Retrieval<MoveSource>): AsyncGenerator<Instance> {
  const { selection, received } = retrieval
  const climber = {
    whole: () => attemptMove(retrieval, { selection, instances: [] }),
    isComplete: (end: RetrieveEnd) => isComplete(end, received),
    batch: (batch: Batch, rungs: readonly MoveRung[]) => climbBatch(retrieval, batch, rungs),
  }
  yield* climb(MOVE_LADDER, climber, retrieval)
}

/** The counts are right, and there is something. */
function isComplete(end: RetrieveEnd, received: Received): boolean {
  if (statusClass(end.status) !== 'success' || (end.failed ?? 0) > 0) return false
  return received.size > 0 && broughtBy(end) === received.size
}

async function* climbBatch(
  retrieval: Retrieval<MoveSource>,
  { of: { series }, instances }: Batch,
  rungs: readonly MoveRung[],
): AsyncGenerator<Instance, RetrieveEnd | undefined> {
  let last: RetrieveEnd | undefined
  for (const _ of rungs) {
    const left = instances.filter((uid) => isLeft(retrieval, series, uid))
    if (left.length === 0) break
    last = yield* attemptMove(retrieval, { selection: { study: retrieval.selection.study, series }, instances: left })
  }
  return last
}
