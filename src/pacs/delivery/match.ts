import type { InstanceUids, Selection } from '../../instance/uids.ts'
import type { Uid } from '../../dicom/uids.ts'
import type { IncomingStore } from '../../dimse/scp.ts'
import type { Identity } from '../../instance/instance-index.ts'
import { belongsTo } from '../identify.ts'
import type { Instance } from '../instance.ts'

type Place = Pick<InstanceUids, 'series' | 'sopInstance'>

/** A move that waits for its instances. */
export interface ExpectedMove {
  /** Of the archive that was asked. */
  readonly archiveAeTitle: string
  /** Ours, as the archive knows it. */
  readonly callingAeTitle: string
  readonly messageId: number
  readonly selection: Selection
  /** It has not had this instance yet. */
  lacks(instance: Place): boolean
  /** Passes an instance on; resolves with the status of its C-STORE when it was read, or is not wanted. */
  deliver(instance: Instance): Promise<number>
}

/** What names an instance and its move in a C-STORE request. */
export type Named = Pick<IncomingStore, 'sopInstance' | 'moveOriginatorAeTitle' | 'moveOriginatorMessageId'>

/** The move an instance belongs to: the one it names, if it is of that; else one whose selection it is of. */
export function matchingMove(
  moves: readonly ExpectedMove[],
  { sopInstance, moveOriginatorAeTitle, moveOriginatorMessageId }: Named,
  identity: Identity,
): ExpectedMove | undefined {
  const fitting = moves.filter(({ selection }) => belongsTo(identity, selection))
  const named = fitting.find(
    ({ callingAeTitle, messageId }) =>
      messageId === moveOriginatorMessageId && (moveOriginatorAeTitle ?? callingAeTitle).trim() === callingAeTitle,
  )
  // Where the archive does not say, the same instance comes once for each move: each gets one of them.
  return named ?? fitting.find((move) => move.lacks(placeOf(move, identity, sopInstance))) ?? fitting[0]
}

/** Where an instance of a move is: what its data set does not tell, the move and the command do. */
export function placeOf({ selection }: ExpectedMove, identity: Identity, sopInstance: Uid): Place {
  return { series: identity.series ?? selection.series ?? '', sopInstance: identity.sopInstance ?? sopInstance }
}
