import type { Selection } from '../../instance/uids.ts'
import type { Uid } from '../../dicom/uids.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import type { Call } from '../call.ts'
import type { ContextLimit } from '../pool/context-limit.ts'
import type { MoveDestination } from '../delivery/move-destination.ts'
import type { AssociationPool } from '../pool/pool.ts'
import type { Query } from '../search/query.ts'
import type { Habits } from '../habits.ts'
import type { Ledger } from './ledger.ts'
import type { MovedClasses } from './moved-classes.ts'
import type { Malformed } from './malformed.ts'
import type { Received } from './received.ts'

/** What a retrieve needs of an archive. */
export interface RetrieveSource {
  readonly archive: string
  readonly habits: Habits
  readonly pool: AssociationPool
  find(query: Query, call: Call): AsyncIterable<Dataset>
  readonly contexts: ContextLimit
  readonly roles: 'scp' | 'both'
  /** Transfer syntaxes that the archive stores instances in beside those of the standard. */
  readonly ownSyntaxes: readonly Uid[]
  /** The archive cannot match lists of UIDs. */
  readonly singleUidLists: boolean
  /** Numbers of instances that the archive tells are not to be believed. */
  readonly wrongCounts: boolean
  /** Milliseconds of silence of the archive. */
  readonly timeout: number
}

/** What a retrieve by C-MOVE needs besides. */
export interface MoveSource extends RetrieveSource {
  readonly destination: MoveDestination
  readonly aeTitle: string
  readonly callingAeTitle: string
  /** Milliseconds of silence of the archive: it may fetch from tape. */
  readonly moveTimeout: number
}

/** One retrieve under way: what is wanted, from where, for whom, and what has come of it by whichever way. */
export interface Retrieval<Source extends RetrieveSource = RetrieveSource> {
  readonly selection: Selection
  readonly source: Source
  readonly received: Received
  /** What the archive says that there is. */
  readonly ledger: Ledger
  readonly malformed: Malformed
  /** Classes that the archive is not asked for again by C-GET once it has left them out. */
  readonly moved: Pick<MovedClasses, 'has'>
  readonly call: Call
}
