import type { Selection } from '../../instance/uids.ts'
import { statusClass } from '../../dimse/status.ts'
import type { Instance } from '../instance.ts'
import { climb } from './climb.ts'
import { foresee } from './foresee.ts'
import { MOVE_LADDER, type MoveRung } from './ladder.ts'
import { isLeft, type Batch } from './missing.ts'
import { attemptMove, type MoveEnd } from './move-attempt.ts'
import { MoveInbox } from './move-inbox.ts'
import type { MoveSource, Retrieval } from './retrieval.ts'

/**
 * Instances of a selection by C-MOVE to our own listener, as they are stored, each once, checked to belong to it. What
 * did not come is listed by C-FIND and asked for again; also at first, where some came already by another way.
 * @throws NoSuchInstanceError; IncompleteRetrieveError at the end, behind what did come; StatusError;
 *   NotSupportedByArchiveError; ListenerError; and whatever ends an association
 */
export async function* retrieveByMove(retrieval: Retrieval<MoveSource>): AsyncGenerator<Instance> {
  const { selection, received } = retrieval
  // Only who knows how many there are can tell whether more is to be waited for.
  if (received.size === 0 && selection.instance === undefined) await foresee(retrieval)
  using inbox = new MoveInbox(retrieval)
  const climber = {
    all: (of: Selection) => attemptMove(retrieval, { selection: of, instances: [] }, inbox),
    isComplete,
    unseen: ({ counted, arrived }: MoveEnd) => counted - arrived,
    batch: (batch: Batch, rungs: readonly MoveRung[]) => climbBatch(retrieval, inbox, batch, rungs),
  }
  yield* climb(MOVE_LADDER, climber, retrieval)
}

/** The archive counts neither more nor less than came. */
function isComplete(end: MoveEnd): boolean {
  if (statusClass(end.status) !== 'success' || (end.failed ?? 0) > 0) return false
  return end.arrived === (end.completed ?? 0) + (end.warning ?? 0)
}

async function* climbBatch(
  retrieval: Retrieval<MoveSource>,
  inbox: MoveInbox,
  { of: { series }, instances }: Batch,
  rungs: readonly MoveRung[],
): AsyncGenerator<Instance, MoveEnd | undefined> {
  let last: MoveEnd | undefined
  for (const _ of rungs) {
    const left = instances.filter((uid) => isLeft(retrieval, series, uid))
    if (left.length === 0) break
    const selection = { study: retrieval.selection.study, series }
    last = yield* attemptMove(retrieval, { selection, instances: left }, inbox)
  }
  return last
}
