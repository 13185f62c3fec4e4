import { vrFor } from '../../dicom/dataset.ts'
import { representation } from '../../dicom/vr.ts'
import type { SearchParams } from '../../dicomweb/params/search-params.ts'
import { depthOf, levelOf, optionalAttributes } from '../../pacs/search/attribute-levels.ts'
import type { QueryLevel } from '../../pacs/search/query.ts'
import type { SearchRequest } from '../../pacs/search/search.ts'
import type { HttpContext } from '../context.ts'
import { pathUid } from '../path.ts'

/** A search resource: the level it lists, and whether each result shows the levels above (PS3.18 10.6.1). */
export interface SearchResource {
  readonly level: QueryLevel
  readonly withParents: boolean
}

/** What a search asks for, by its path and parameters. @throws as pathUid */
export function searchRequest(c: HttpContext, resource: SearchResource, params: SearchParams): SearchRequest {
  const study = pathUid(c, 'study')
  const series = pathUid(c, 'series')
  const { level, withParents } = resource
  return {
    level,
    withParents,
    fuzzy: params.fuzzyMatching,
    ...(study !== undefined && { study }),
    ...(series !== undefined && { series }),
    match: params.match,
    include: params.includeAll ? [...optionalAttributes[level]] : params.include.filter((t) => isReturned(t, level)),
  }
}

/** Attributes of a lower level are not returned (PS3.18 10.6.3.3.1), nor is bulk data: some archives never answer that. */
function isReturned(t: number, level: QueryLevel): boolean {
  const own = levelOf(t)
  return (own === undefined || depthOf(own) <= depthOf(level)) && representation(vrFor(t)).kind !== 'binary'
}
