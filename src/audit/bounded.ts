import type { AuditEvent } from './event.ts'

// An event as a message of syslog stays below 64 KiB, whatever is asked: by these, none is longer than 60 KiB, with every
// character of text written as the longest that XML or base64 makes of it.

/** Characters of what was searched for. */
export const MAX_QUERY = 4_096
/** Characters of a path. */
export const MAX_RESOURCE = 1_024
/** Characters of the name of somebody or something, of a patient's id, of an address. */
export const MAX_NAME = 256
/** Characters of a UID: what archives hold for one may be longer than PS3.5 9.1 lets it. */
export const MAX_UID = 128
/** SOP classes of one study that are told in one event. */
export const MAX_SOP_CLASSES = 50

/** In the place of what is left out. */
const MARK = '…'

/** Text of a length at most, without the mark of what was left out. */
export function cut(text: string, length: number): string {
  return (text.length <= length ? text : text.slice(0, length) + MARK).toWellFormed()
}

/** An event whose texts are cut. */
export function bounded(event: AuditEvent): AuditEvent {
  const { user, address, archive, resource, query, patient, study, reason } = event
  const name = (text: string): string => cut(text, MAX_NAME)
  return {
    ...event,
    ...(reason !== undefined && { reason: name(reason) }),
    ...(user && { user: eachOf(user, name) }),
    ...(address !== undefined && { address: name(address) }),
    ...(archive && { archive: eachOf(archive, name) }),
    ...(resource !== undefined && { resource: cut(resource, MAX_RESOURCE) }),
    ...(query !== undefined && { query: cut(query, MAX_QUERY) }),
    ...(patient && { patient: eachOf(patient, name) }),
    ...(study && { study: { ...study, uid: cut(study.uid, MAX_UID) } }),
  }
}

function eachOf<T extends object>(texts: T, change: (text: string) => string): T {
  const entries = Object.entries(texts) as [string, unknown][]
  return Object.fromEntries(
    entries.map(([key, value]) => [key, typeof value === 'string' ? change(value) : value]),
  ) as T
}
