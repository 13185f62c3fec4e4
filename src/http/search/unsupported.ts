import type { SearchParams } from '../../dicomweb/params/search-params.ts'
import type { QueryOptions } from '../../pacs/archive.ts'

/** What of a search the archive does not do, in a sentence each (PS3.18 8.3.4). */
export function unsupported(
  params: SearchParams,
  options: Pick<QueryOptions, 'fuzzy' | 'emptyValue' | 'multipleValue'>,
): string[] {
  const texts: string[] = []
  if (params.fuzzyMatching && !options.fuzzy) {
    texts.push('The fuzzymatching parameter is not supported. Only literal matching has been performed.')
  }
  if (params.emptyValueMatching && !options.emptyValue) {
    texts.push('The emptyvaluematching parameter is not supported. Empty Value Matching has not been performed.')
  }
  if (params.multipleValueMatching && !options.multipleValue) {
    texts.push('The multiplevaluematching parameter is not supported. Multiple Value Matching has not been performed.')
  }
  if (params.unknown.length > 0) texts.push(unknownParameters(params.unknown))
  return texts
}

/** So many of them are named. */
const MAX_NAMED = 5

function unknownParameters(names: readonly string[]): string {
  // What is not a plain name may be anything, also a value.
  const plain = names.filter((name) => /^[\w.-]{1,64}$/.test(name)).slice(0, MAX_NAMED)
  const named = plain.length > 0 ? `: ${plain.join(', ')}${plain.length < names.length ? ', and others' : ''}` : ''
  return `Parameters that are not known have been passed over${named}. Attributes are named by their keyword or tag.`
}
