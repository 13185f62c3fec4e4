import { isNameable, type Uid } from '../dicom/uids.ts'

/** What a URL names: a study, a series of it, an instance of that (PS3.18 10.1). */
export interface Resource {
  readonly study: Uid
  readonly series?: Uid | undefined
  readonly instance?: Uid | undefined
}

/**
 * The URL of a resource below the service's base URL, which has no trailing slash. UIDs of archives may have any
 * characters.
 */
export function resourceUrl(base: string, { study, series, instance }: Resource): string {
  let url = `${base}/studies/${encodeURIComponent(study)}`
  if (series !== undefined) url += `/series/${encodeURIComponent(series)}`
  if (instance !== undefined) url += `/instances/${encodeURIComponent(instance)}`
  return url
}

/** What Retrieve URL says of a resource; undefined where one of its UIDs cannot be named safely. */
export function retrieveUrl(base: string, resource: Resource): string | undefined {
  const { study, series, instance } = resource
  const isSafe = [study, series, instance].every((uid) => uid === undefined || isNameable(uid))
  return isSafe ? resourceUrl(base, resource) : undefined
}
