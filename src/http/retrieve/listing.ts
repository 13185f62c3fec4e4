import type { Selection } from '../../instance/uids.ts'
import { Attribute } from '../../dicom/attributes.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import { asFarAsAnswered } from '../../pacs/search/capped.ts'
import { Held } from '../../pacs/search/held.ts'
import { returnKey, selectionKeys, type Key, type QueryLevel } from '../../pacs/search/query.ts'
import type { HttpContext } from '../context.ts'
import { WITHOUT_IMAGES } from '../image-series.ts'

/** Series and instances that are looked at, for instance to choose one of them. */
const MAX_CANDIDATES = 10_000

/** The series of a study, or the one that is selected, with modality and number. @throws as Archive.find */
export function listedSeries(c: HttpContext, { study, series }: Selection): Promise<Dataset[]> {
  return listed(c, 'SERIES', [
    returnKey(Attribute.Modality, 'CS'),
    ...selectionKeys(study, series),
    ...(series === undefined ? [returnKey(Attribute.SeriesInstanceUID, 'UI')] : []),
    returnKey(Attribute.SeriesNumber, 'IS'),
  ])
}

/** What a C-FIND gives, up to so many. @throws ResultsTooLargeError, and as Archive.find */
export async function listed(
  { var: { archive, signal } }: HttpContext,
  level: QueryLevel,
  keys: readonly Key[],
): Promise<Dataset[]> {
  const found: Dataset[] = []
  const held = new Held()
  const ordered = [...keys].sort((a, b) => a.tag - b.tag)
  // As far as it goes: one of some will do.
  const matches = asFarAsAnswered(archive.find({ level, keys: ordered }, { signal }), () => undefined)
  for await (const match of matches) {
    held.row(match)
    found.push(match)
    if (found.length >= MAX_CANDIDATES) break
  }
  return found
}

/**
 * Whether, by its modalities, a selection holds instances for which `isGiven` says no: then nothing is amiss when they are
 * left out. No where the archive does not tell.
 * @throws the signal's reason
 */
export async function holdsOthers(
  c: HttpContext,
  selection: Selection,
  isGiven: (modality: string) => boolean,
): Promise<boolean> {
  const found = await listedSeries(c, selection).catch(() => {
    c.var.signal.throwIfAborted()
    return []
  })
  return found.some((match) => {
    const modality = match.string(Attribute.Modality)
    return modality !== undefined && WITHOUT_IMAGES.includes(modality) && !isGiven(modality)
  })
}
