import type { Tag } from '../../dicom/tag.ts'
import { Attribute } from '../../dicom/attributes.ts'
import type { Uid } from '../../dicom/uids.ts'
import { parseSearchParams, SearchParamError, type MatchKey } from '../../dicomweb/params/search-params.ts'
import type { Destination } from '../../pacs/send/send.ts'
import { selectionKeys, type Key, type Query } from '../../pacs/search/query.ts'
import type { HttpContext } from '../context.ts'
import { pathUid } from '../path.ts'
import { RequestError } from '../problem.ts'

/** What a resource is a set of: its members can be named, by one or by a list of their UIDs. */
export type Members = 'studies' | 'series' | 'instances of a study' | 'instances of a series'

/** UIDs that one request may name: about as much as goes into one PDU. */
export const MAX_NAMED = 1_000

/** Name of the parameter that names a destination. */
const DESTINATION = 'destination'

/** What is of searches alone (PS3.18 8.3.4). */
const OF_SEARCHES = ['limit', 'offset', 'includefield', 'fuzzymatching', 'emptyvaluematching', 'multiplevaluematching']

/** Where to send to. @throws RequestError 400, 501 */
export function destinationOf(c: HttpContext): Destination {
  const { destinations } = c.var.archive.config.send
  if (destinations.length === 0) {
    const detail = 'This archive is not configured to send to anybody: archives[].send.destinations names where it may.'
    throw new RequestError(501, 'NO_DESTINATIONS', detail)
  }
  const [wanted, ...more] = c.req.queries(DESTINATION) ?? []
  const found = more.length === 0 ? destinations.find(({ name }) => name === wanted) : undefined
  if (found) return found
  const names = destinations.map(({ name }) => name).join(', ')
  throw new RequestError(400, 'UNKNOWN_DESTINATION', `destination is one of those of the archive: ${names}.`)
}

/** What to send: what the path names, or of that what the query names by UIDs. @throws RequestError 400, SearchParamError */
export function askedFor(c: HttpContext, members: Members): Query {
  const params = new URLSearchParams(new URL(c.req.url).searchParams)
  params.delete(DESTINATION)
  params.delete('accept')
  const { match, unknown } = parseSearchParams(params)
  const [odd] = [...unknown, ...OF_SEARCHES.filter((name) => params.has(name))]
  if (odd !== undefined) {
    throw new SearchParamError(odd, 'is none of a send: search first, and name what is to be sent by UIDs')
  }
  const study = pathUid(c, 'study')
  const series = pathUid(c, 'series')
  switch (members) {
    case 'studies':
      return { level: 'STUDY', keys: [listOf(namedBy(match, Attribute.StudyInstanceUID), Attribute.StudyInstanceUID)] }
    case 'series': {
      const named = namedBy(match, Attribute.SeriesInstanceUID)
      const keys = selectionKeys(study, undefined)
      if (named.length === 0) return { level: 'STUDY', keys }
      return { level: 'SERIES', keys: [...keys, listOf(named, Attribute.SeriesInstanceUID)] }
    }
    case 'instances of a study':
      // C-MOVE names instances within one series (PS3.4 C.4.2.2.1).
      namedBy(match, undefined)
      return { level: 'STUDY', keys: selectionKeys(study, undefined) }
    case 'instances of a series': {
      const named = namedBy(match, Attribute.SOPInstanceUID)
      return { level: named.length > 0 ? 'IMAGE' : 'SERIES', keys: selectionKeys(study, series, named) }
    }
  }
}

/** The UIDs that the query names, of the one attribute that it may name. */
function namedBy(match: readonly MatchKey[], own: Tag | undefined): Uid[] {
  if (match.some(({ tag, item }) => tag !== own || item)) {
    const expected =
      own === undefined ? 'no attribute: name instances below their series' : 'UIDs of what it is a set of'
    throw new RequestError(
      400,
      'INVALID_PARAMETER',
      `What is sent here is named by ${expected}. Search first for others.`,
    )
  }
  const uids = [...new Set(match.flatMap(({ values }) => values.map(String)))]
  if (uids.length > MAX_NAMED) {
    throw new RequestError(400, 'INVALID_PARAMETER', `One request names up to ${MAX_NAMED} UIDs. Make several.`)
  }
  // An empty one would match all there is.
  if (uids.length === 0 && (match.length > 0 || own === Attribute.StudyInstanceUID)) {
    throw new RequestError(400, 'INVALID_PARAMETER', 'What is to be sent is named by its UIDs, and none is given.')
  }
  return uids
}

function listOf(values: readonly Uid[], tag: Tag): Key {
  return { tag, vr: 'UI', values }
}
