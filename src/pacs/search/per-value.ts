import type { Key, Query } from './query.ts'

/** Queries that one with lists may become; with more of them the lists go out as they are. */
export const MAX_QUERIES = 64

/**
 * A query as one for each value of its lists, where the archive cannot match them: lists of UIDs it should (PS3.4
 * C.2.2.2.2), others only when that was negotiated. What it answers to them together may hold doubles. `isSpread`: all
 * such lists were taken apart.
 */
export function perValue(
  query: Query,
  cannotMatch: (list: Key) => boolean,
): { readonly queries: Query[]; readonly isSpread: boolean } {
  const lists = query.keys.filter((key) => key.values.length > 1 && !key.item && cannotMatch(key))
  const uids = lists.filter(({ vr }) => vr === 'UI')
  const others = lists.filter(({ vr }) => vr !== 'UI')
  const count = others.reduce((product, { values }) => product * values.length, 1)
  const isSpread = count <= MAX_QUERIES
  return { queries: spread(query, isSpread ? [...uids, ...others] : uids), isSpread }
}

function spread(query: Query, [list, ...rest]: readonly Key[]): Query[] {
  if (list === undefined) return [query]
  return list.values.flatMap((value) => {
    const keys = query.keys.map((key) => (key === list ? { ...key, values: [value] } : key))
    return spread({ ...query, keys }, rest)
  })
}
