import type { Selection } from '../../instance/uids.ts'
import { Attribute } from '../../dicom/attributes.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import { asFarAsAnswered } from '../../pacs/search/capped.ts'
import { Held } from '../../pacs/search/held.ts'
import { returnKey, selectionKeys, uniqueKeys, type Key, type QueryLevel } from '../../pacs/search/query.ts'
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

/**
 * What a C-FIND gives, up to so many; of several archives as one what any of them tells, each once.
 * @throws ResultsTooLargeError, and as Archive.find, where none of them tells anything
 */
export async function listed(
  { var: { archive, federated, signal } }: HttpContext,
  level: QueryLevel,
  keys: readonly Key[],
): Promise<Dataset[]> {
  const found = new Map<string, Dataset>()
  const held = new Held()
  const ordered = [...keys].sort((a, b) => a.tag - b.tag)
  let failure: unknown
  const copies = federated?.study?.copies.map((copy) => copy.archive)
  for (const one of new Set(copies ?? [archive])) {
    try {
      // As far as it goes: one of some will do.
      for await (const match of asFarAsAnswered(one.find({ level, keys: ordered }, { signal }), () => undefined)) {
        const uid = match.string(uniqueKeys[level]) ?? String(found.size)
        if (found.has(uid)) continue
        held.row(match)
        found.set(uid, match)
        if (found.size >= MAX_CANDIDATES) break
      }
    } catch (error) {
      signal.throwIfAborted()
      failure ??= error
    }
  }
  if (found.size === 0 && failure !== undefined) throw failure as Error
  return [...found.values()]
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
