import type { InstanceUids, Selection } from '../instance/uids.ts'
import type { Archive } from '../pacs/archive.ts'

/** Where instances come from. */
export type Source = Pick<Archive, 'config' | 'retrieve'>

/** What is fetched: as stored, or with the archive asked to decompress. */
export type Mode = 'stored' | 'native'

export interface Route {
  readonly source: Source
  readonly mode: Mode
}

/** Names have no spaces, UIDs neither. */
export function routeKey({ source, mode }: Route, selection?: Selection): string {
  const { study = '', series = '', instance = '' } = selection ?? {}
  const route = `${encodeURIComponent(source.config.name)} ${mode}`
  return selection ? `${route} ${study} ${series} ${instance}` : route
}

export function instanceKey(route: Route, { study, series, sopInstance }: InstanceUids): string {
  return routeKey(route, { study, series, instance: sopInstance })
}
