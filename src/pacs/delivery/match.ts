import type { InstanceUids, Selection } from '../../instance/uids.ts'
import type { Uid } from '../../dicom/uids.ts'
import type { IncomingStore } from '../../dimse/scp.ts'
import type { Identity } from '../../instance/instance-index.ts'
import { belongsTo } from '../identify.ts'
import type { Instance } from '../instance.ts'

type Place = Pick<InstanceUids, 'series' | 'sopInstance'>

/** A retrieval that waits for what its C-MOVEs bring. */
export interface ExpectedMove {
  /** Of the archive that was asked. */
  readonly archiveAeTitle: string
  /** Ours, as the archive knows it. */
  readonly callingAeTitle: string
  /** Whether the C-MOVE with this message id is one of it. */
  isOf(messageId: number): boolean
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

/** The move an instance belongs to: the one it names, if it is of that; else one whose selection it is of. */
export function matchingMove(
  moves: readonly ExpectedMove[],
  incoming: Named,
  identity: Identity,
): ExpectedMove | undefined {
  const fitting = moves.filter(({ selection }) => belongsTo(identity, selection))
  const named = fitting.find((move) => names(incoming, move))
  // Where the archive does not say, the same instance comes once for each move: each gets one of them.
  return named ?? fitting.find((move) => move.lacks(placeOf(move, identity, incoming.sopInstance))) ?? fitting[0]
}

/** The move for which something came that is not of its selection; undefined where that is not known. */
export function misledMove(moves: readonly ExpectedMove[], incoming: Named): ExpectedMove | undefined {
  return moves.find((move) => names(incoming, move)) ?? (moves.length === 1 ? moves[0] : undefined)
}

function names({ moveOriginatorAeTitle, moveOriginatorMessageId }: Named, move: ExpectedMove): boolean {
  const isOurs = (moveOriginatorAeTitle ?? move.callingAeTitle).trim() === move.callingAeTitle
  return isOurs && moveOriginatorMessageId !== undefined && move.isOf(moveOriginatorMessageId)
}

/** Where an instance of a move is: what its data set does not tell, the move and the command do. */
export function placeOf({ selection }: ExpectedMove, identity: Identity, sopInstance: Uid): Place {
  return { series: identity.series ?? selection.series ?? '', sopInstance: identity.sopInstance ?? sopInstance }
}
