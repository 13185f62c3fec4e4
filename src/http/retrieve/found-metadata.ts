import { covers, type Selection } from '../../instance/uids.ts'
import { Attribute } from '../../dicom/attributes.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import type { Tag } from '../../dicom/tag.ts'
import type { Uid } from '../../dicom/uids.ts'
import type { Archive } from '../../pacs/archive.ts'
import {
  conditionalAttributes,
  levels,
  optionalAttributes,
  requiredAttributes,
} from '../../pacs/search/attribute-levels.ts'
import type { Call } from '../../pacs/call.ts'
import { selectionKeys } from '../../pacs/search/query.ts'
import { NoSuchInstanceError } from '../../pacs/retrieve/errors.ts'
import type { SearchRequest } from '../../pacs/search/search.ts'

export const FOUND_ONLY = 'Only the attributes that the archive tells in a search are returned'

/**
 * What a C-FIND tells of each instance of a selection: little, but nothing is retrieved for it. Bulk data is not named:
 * whether there is any is not known.
 * @throws NoSuchInstanceError, and as Archive.search
 */
export async function* foundMetadata(archive: Archive, selection: Selection, call: Call): AsyncGenerator<Dataset> {
  const { study, series, instance } = selection
  const request: SearchRequest = {
    level: 'IMAGE',
    withParents: true,
    study,
    ...(series !== undefined && { series }),
    match: instance === undefined ? [] : selectionKeys(study, undefined, [instance]).slice(1),
    include: levels.flatMap((level) => optionalAttributes[level]),
  }
  const options = await archive.queryOptions(false, call)
  let found = false
  for await (const match of archive.search(request, options, call)) {
    // Some archives pass over keys of the levels above: what they find may be of another patient.
    if (!covers(selection, uidsOf(match))) continue
    found = true
    yield withoutQueryAttributes(match)
  }
  if (!found) throw new NoSuchInstanceError()
}

function uidsOf(match: Dataset): Selection {
  const uid = (t: Tag): Uid => match.string(t) ?? ''
  return {
    study: uid(Attribute.StudyInstanceUID),
    series: uid(Attribute.SeriesInstanceUID),
    instance: uid(Attribute.SOPInstanceUID),
  }
}

/** Attributes of the answer to a query, which the instance itself does not have; and those the archive left empty. */
function withoutQueryAttributes(match: Dataset): Dataset {
  const queried = [Attribute.QueryRetrieveLevel, Attribute.RetrieveAETitle, Attribute.InstanceAvailability]
  const counts = [
    Attribute.ModalitiesInStudy,
    Attribute.SOPClassesInStudy,
    Attribute.NumberOfStudyRelatedSeries,
    Attribute.NumberOfStudyRelatedInstances,
    Attribute.NumberOfSeriesRelatedInstances,
  ]
  for (const t of [...queried, ...counts]) match.delete(t)
  for (const level of levels) {
    for (const t of [...requiredAttributes[level], ...conditionalAttributes[level], ...optionalAttributes[level]]) {
      const value = match.get(t)?.value
      if (value && 'length' in value && value.length === 0) match.delete(t)
    }
  }
  return match
}
