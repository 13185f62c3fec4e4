import type { Selection } from '../../instance/uids.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import type { Uid } from '../../dicom/uids.ts'
import { identifier, selectionKeys, UIDS_ONLY, type QueryLevel } from '../search/query.ts'

/** What one C-GET or C-MOVE asks for: all of a selection, or of a series these instances. */
export interface Ask {
  readonly selection: Selection
  /** None for all. */
  readonly instances: readonly Uid[]
}

/** The identifier of a C-GET or C-MOVE: at the level of what is asked for and never above it (PS3.4 C.4.3.1.3). */
export function askIdentifier({ selection, instances }: Ask): Dataset {
  const { study, series, instance } = selection
  const wanted = instance === undefined ? instances : [instance]
  const level: QueryLevel = wanted.length > 0 ? 'IMAGE' : series === undefined ? 'STUDY' : 'SERIES'
  return identifier({ level, keys: selectionKeys(study, series, wanted) }, UIDS_ONLY)
}

/** Whether an instance is among those that are asked for by name. */
export function isNamed({ instances }: Ask, sopInstance: Uid): boolean {
  return instances.length === 0 || instances.includes(sopInstance)
}
