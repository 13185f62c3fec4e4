import type { Uid } from '../../dicom/uids.ts'
import type { Selection } from '../../instance/uids.ts'
import { statusClass } from '../../dimse/status.ts'
import type { Instance } from '../instance.ts'
import { climb } from './climb.ts'
import { foresee } from './foresee.ts'
import { MOVE_LADDER, SINGLES_TRIED, type MoveRung } from './ladder.ts'
import { isLeft, type Batch } from './missing.ts'
import { attemptMove, broughtBy, type MoveEnd } from './move-attempt.ts'
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
  return end.arrived === broughtBy(end)
}

async function* climbBatch(
  retrieval: Retrieval<MoveSource>,
  inbox: MoveInbox,
  { of: { series }, instances }: Batch,
  rungs: readonly MoveRung[],
): AsyncGenerator<Instance, MoveEnd | undefined> {
  const { received, source } = retrieval
  const selection = { study: retrieval.selection.study, series }
  const leftOf = (some: readonly Uid[]): Uid[] => some.filter((uid) => isLeft(retrieval, series, uid))
  let last: MoveEnd | undefined
  for (const { asks } of rungs) {
    const left = leftOf(instances)
    if (left.length === 0) break
    if (asks === 'all') last = yield* attemptMove(retrieval, { selection, instances: left }, inbox)
    // What some of them brought together, lists can bring.
    if (asks === 'all' || instances.length === 1 || left.length < instances.length) continue
    const before = received.size
    for (const [tries, uid] of left.entries()) {
      if (tries === SINGLES_TRIED && received.size === before) break
      if (leftOf([uid]).length > 0) last = yield* attemptMove(retrieval, { selection, instances: [uid] }, inbox)
    }
    if (received.size > before) source.habits.learn('single-uids')
  }
  return last
}
