import type { Uid } from '../dicom/uids.ts'

/** What a URL names: a study, a series of it, an instance of that (PS3.18 10.1). */
export interface Resource {
  readonly study: Uid
  readonly series?: Uid | undefined
  readonly instance?: Uid | undefined
}

/** The URL of a resource below the service's base URL, which has no trailing slash. */
export function resourceUrl(base: string, { study, series, instance }: Resource): string {
  let url = `${base}/studies/${study}`
  if (series !== undefined) url += `/series/${series}`
  if (instance !== undefined) url += `/instances/${instance}`
  return url
}
