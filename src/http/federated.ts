import type { Uid } from '../dicom/uids.ts'
import type { Archive } from '../pacs/archive.ts'
import type { Whereabouts } from '../pacs/federation/copies.ts'
import type { LinkedIds } from './federation/linked-ids.ts'
import type { Federation } from '../pacs/federation/federation.ts'

/** What a request concerns that is asked of several archives as one. */
export interface Federated {
  readonly federation: Federation
  /** Of its archives those that who asks may reach. */
  readonly members: readonly Archive[]
  /** Who links the IDs of a patient, where there is one. */
  readonly links: LinkedIds | undefined
  /** The study that is asked for, where one is named. */
  readonly uid: Uid | undefined
  /** Of the study that is asked for, at those: of one patient. Undefined where none is named. */
  readonly study: Whereabouts | undefined
}
