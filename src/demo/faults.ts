import type { Dataset } from '../dicom/dataset.ts'
import type { Uid } from '../dicom/uids.ts'

/** What the demo archive is told to do wrong, for tests. */
export interface Faults {
  /** Told the identifier of each C-FIND, before it is answered. */
  readonly onFind?: (identifier: Dataset) => void
  /** Told how many matches of a C-FIND were made so far, before each is sent. */
  readonly onMatch?: (count: number) => void
  /** Answers every C-FIND with this status. */
  readonly findStatus?: number
  /** Leaves out ModalitiesInStudy and the counts, as many archives do. */
  readonly withoutCounts?: boolean
  /** Milliseconds between the matches of a C-FIND. */
  readonly findDelay?: number
  /** Aborts the association when so many matches of a C-FIND have been sent. */
  readonly findAbortAfter?: number
  /** The status of a C-STORE, instead of storing. */
  readonly storeStatus?: (sopInstance: Uid) => number | undefined
  /** The status of every C-MOVE. */
  readonly moveStatus?: number
  /** Does not tell the destination which move an instance belongs to. */
  readonly withoutOriginator?: boolean
  /** The AE title under which instances are moved, in place of its own. */
  readonly movesAs?: string
  /** Awaited before each instance of a C-GET or C-MOVE is sent. */
  readonly onGet?: (sopInstance: Uid) => Promise<void>
  /** Instance Availability of what it finds, where it is asked for. */
  readonly availability?: string
  /** Sub-operations of a C-GET or C-MOVE that fail. */
  readonly getFails?: (sopInstance: Uid) => boolean
  /** Aborts the association when so many instances of a C-GET have been sent. */
  readonly abortAfter?: number
  /** Sends so many bytes of an instance of a C-GET, then nothing more. */
  readonly stallAfterBytes?: number
  /** Ends the data set of each instance of a C-GET behind so many bytes, as if that were all. */
  readonly endAfterBytes?: number
  /** Syntaxes accepted, of those offered; all by default. */
  readonly acceptsSyntax?: (uid: Uid) => boolean
  /** Abstract syntaxes accepted; all that are known by default. */
  readonly acceptsClass?: (uid: Uid) => boolean
  /** Answers N-CREATE, N-SET and N-GET. */
  readonly normalizedStatus?: number
  /** Answers an N-ACTION, or nothing. */
  readonly actionStatus?: number | 'none'
  /** Reports of commitment come over an association of the archive's own. */
  readonly reportsOwn?: boolean
  /** Awaited before an association for a report is opened. */
  readonly beforeReport?: () => Promise<void>
  /** Such an association does not say that the archive is the SCP. */
  readonly withoutRoles?: boolean
  /** Changes what is reported. */
  readonly onReport?: (information: Dataset) => Dataset | 'none'
  /** Told of the status that each report is answered by. */
  readonly reported?: (status: number) => void
}
