import type { InstanceUids, Selection } from '../../instance/uids.ts'
import type { Uid } from '../../dicom/uids.ts'
import type { IncomingStore } from '../../dimse/scp.ts'
import type { Identity } from '../../instance/instance-index.ts'
import { belongsTo } from '../identify.ts'
import type { Instance } from '../instance.ts'

export type Place = Pick<InstanceUids, 'series' | 'sopInstance'>

/** A retrieval that waits for what its C-MOVEs bring. */
export interface ExpectedMove {
  /** Of the archive that was asked. */
  readonly archiveAeTitle: string
  /** Ours, as the archive knows it. */
  readonly callingAeTitle: string
  /** Of the C-MOVEs that were sent for it. */
  readonly messageIds: Set<number>
  readonly selection: Selection
  /** It has not had this instance yet. */
  lacks(instance: Place): boolean
  /** An instance was refused that came for it and is not of its selection. */
  refused(): void
  /** Passes an instance on; resolves with the status of its C-STORE when it was read, or is not wanted. */
  deliver(instance: Instance): Promise<number>
}

/** What names an instance and its move in a C-STORE request. */
export type Named = Pick<IncomingStore, 'sopInstance' | 'moveOriginatorAeTitle' | 'moveOriginatorMessageId'>

/** How well an instance fits a move: the more the better. */
export const Fit = {
  none: 0,
  /** The move has asked for it, and has had it. */
  had: 1,
  /** The move has asked for it, and lacks it. */
  lacking: 2,
  /** It names a C-MOVE of it, too. */
  named: 3,
} as const
type Fit = (typeof Fit)[keyof typeof Fit]

export interface Match {
  readonly move: ExpectedMove
  readonly fit: Fit
}

interface Matching {
  /** Of the instance's data set. */
  readonly identity: Identity
  /** The same instance is on its way to a move already. */
  readonly isPromised: (move: ExpectedMove, place: Place) => boolean
}

/** The move an instance belongs to: the one it names, if it is of that; else one whose selection it is of. */
export function matchingMove(
  moves: readonly ExpectedMove[],
  incoming: Named,
  { identity, isPromised }: Matching,
): Match | undefined {
  const fitting = moves.filter(({ selection }) => belongsTo(identity, selection))
  const named = fitting.find((move) => names(incoming, move))
  if (named) return { move: named, fit: Fit.named }
  // Where the archive does not say, the same instance comes once for each move: each gets one of them.
  const lacking = fitting.find((move) => {
    const place = placeOf(move, identity, incoming.sopInstance)
    return move.lacks(place) && !isPromised(move, place)
  })
  if (lacking) return { move: lacking, fit: Fit.lacking }
  return fitting[0] && { move: fitting[0], fit: Fit.had }
}

/** The move for which something came that is not of its selection; undefined where that is not known. */
export function misledMove(moves: readonly ExpectedMove[], incoming: Named): ExpectedMove | undefined {
  return moves.find((move) => names(incoming, move)) ?? (moves.length === 1 ? moves[0] : undefined)
}

/** Whether an instance names a C-MOVE of a move as the one that asked for it. */
export function names(
  { moveOriginatorAeTitle, moveOriginatorMessageId }: Named,
  move: { readonly callingAeTitle: string; readonly messageIds: ReadonlySet<number> },
): boolean {
  const isOurs = (moveOriginatorAeTitle ?? move.callingAeTitle).trim() === move.callingAeTitle
  return isOurs && moveOriginatorMessageId !== undefined && move.messageIds.has(moveOriginatorMessageId)
}

/** Where an instance of a move is: what its data set does not tell, the move and the command do. */
export function placeOf({ selection }: ExpectedMove, identity: Identity, sopInstance: Uid): Place {
  return { series: identity.series ?? selection.series ?? '', sopInstance: identity.sopInstance ?? sopInstance }
}
