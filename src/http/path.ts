import type { ArchiveConfig, Config } from '../config/config.ts'
import type { InstanceUids, Selection } from '../instance/uids.ts'
import { isNameable, isUid, type Uid } from '../dicom/uids.ts'
import { resourceUrl } from '../dicomweb/resource.ts'
import type { HttpContext } from './context.ts'
import { RequestError } from './problem.ts'

/**
 * The UID of a path parameter, undefined when the route has none.
 * @throws RequestError 400 when it is no UID
 */
export function pathUid(
  c: HttpContext,
  name: 'study' | 'series' | 'instance' | 'transaction' | 'step',
): Uid | undefined {
  const text = c.req.param(name)
  if (text === undefined) return undefined
  if (isNameable(text)) return text
  throw new RequestError(
    400,
    'INVALID_UID',
    `The ${name} in the path is no UID: digits and dots, or what else an archive may hold for one.`,
  )
}

/**
 * The UID of what a client makes, and that is sent to an archive as it is.
 * @throws RequestError 400 when it is none by PS3.5 9.1
 */
export function pathOwnUid(c: HttpContext, name: 'transaction' | 'step'): Uid {
  const uid = c.req.param(name)!
  if (isUid(uid)) return uid
  throw new RequestError(400, 'INVALID_UID', `The ${name} in the path is no UID: digits and dots, up to 64 of them.`)
}

/** The study, series or instance that the path names. @throws as pathUid */
export function pathSelection(c: HttpContext): Selection {
  const series = pathUid(c, 'series')
  const instance = pathUid(c, 'instance')
  return {
    study: pathUid(c, 'study')!,
    ...(series !== undefined && { series }),
    ...(instance !== undefined && { instance }),
  }
}

/** The instance that the path of an instance names. @throws as pathUid */
export function pathInstance(c: HttpContext): InstanceUids {
  return { study: pathUid(c, 'study')!, series: pathUid(c, 'series')!, sopInstance: pathUid(c, 'instance')! }
}

/** Where an instance is found. */
export function instanceUrl(c: HttpContext, { study, series, sopInstance }: InstanceUids): string {
  return resourceUrl(c.var.base, { study, series, instance: sopInstance })
}

/** Path of the DICOMweb root of one archive. */
export function archiveRoot({ basePath }: Config['http'], { aeTitle }: Pick<ArchiveConfig, 'aeTitle'>): string {
  return `${basePath}/aets/${encodeURIComponent(aeTitle)}`
}
