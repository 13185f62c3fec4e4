import { Attribute } from '../../dicom/attributes.ts'
import { vrFor, type Dataset } from '../../dicom/dataset.ts'
import { retrieveUrl } from '../../dicomweb/resource.ts'
import { conditionalAttributes, depthOf, levels, requiredAttributes } from '../../pacs/search/attribute-levels.ts'
import type { SearchRequest } from '../../pacs/search/search.ts'

/** What a result must have, and nothing that is the archive's own business (PS3.18 10.6.3.3). */
export function complete(result: Dataset, request: SearchRequest, base: string): Dataset {
  const depth = depthOf(request.level)
  for (const level of request.withParents ? levels.slice(0, depth + 1) : [request.level]) {
    for (const t of requiredAttributes[level]) if (!result.has(t)) result.setEmpty(t)
  }
  // Attributes given only where they are known: an empty answer says that they are not.
  for (const level of levels) {
    for (const t of conditionalAttributes[level]) {
      if (isEmpty(result, t) && !request.include.includes(t)) result.delete(t)
    }
  }
  for (const { tag: t, vr } of request.match) if (!result.has(t)) result.setEmpty(t, vr)
  for (const t of request.include) if (!result.has(t)) result.setEmpty(t, vrFor(t))
  result.delete(Attribute.QueryRetrieveLevel)
  const study = result.string(Attribute.StudyInstanceUID)
  if (study !== undefined) {
    const series = depth > 0 ? result.string(Attribute.SeriesInstanceUID) : undefined
    const instance = depth > 1 ? result.string(Attribute.SOPInstanceUID) : undefined
    const url = retrieveUrl(base, { study, series, instance })
    if (url === undefined) result.delete(Attribute.RetrieveURL)
    else result.set(Attribute.RetrieveURL, url)
  }
  return result
}

function isEmpty(result: Dataset, t: number): boolean {
  const value = result.get(t)?.value
  return value !== undefined && 'length' in value && value.length === 0
}
