import type { Audit } from '../../audit/audit.ts'
import type { Verb } from '../auth/principal.ts'
import { addressOf, networkOf } from '../client.ts'
import type { HttpContext, HttpEnv } from '../context.ts'
import { RequestError } from '../problem.ts'
import { blanked } from './blanked.ts'
import { Trail } from './trail.ts'

/** Refusals that somebody may want to know of. */
const ALERTS: readonly string[] = [
  ...['TOKEN_REFUSED', 'CERTIFICATE_REFUSED', 'PROXY_REFUSED'],
  ...['NOT_PERMITTED', 'HOST_NOT_ALLOWED', 'FOREIGN_ORIGIN'],
]
/** Those of somebody who was let in, before it is known what he asks for. */
const EARLY: readonly string[] = ['NO_SUCH_ARCHIVE', 'INVALID_UID']

export interface Traced {
  readonly verb: Exclude<Verb, 'send'>
  /** The study that the path names. */
  readonly study: string | undefined
}

/** Begins what a request leaves in the audit trail. @throws RequestError 503 where that cannot be written */
export function trace(c: HttpContext, audit: Audit, { verb, study }: Traced): void {
  if (audit.isOff) return
  if (audit.isBlocked) {
    const detail = 'What is done here is written down, and that cannot be done at present. Try again later.'
    throw new RequestError(503, 'AUDIT_UNAVAILABLE', detail)
  }
  const { pathname, search } = new URL(c.req.url)
  const resource = blanked(pathname)
  const trail = new Trail(audit, {
    ...{ principal: c.var.principal, archive: c.var.archive.config, address: addressOf(c), verb, resource },
    // WADO-URI names its study in the query.
    study: study ?? (verb === 'retrieve' ? (new URLSearchParams(search).get('studyUID') ?? undefined) : undefined),
    query: blanked(search.slice(1)),
  })
  c.set('trail', trail)
}

/** Tells of a refusal, if it is one that somebody may want to know of. */
export function traceRefusal(c: HttpContext, audit: Audit, code: string): void {
  if (audit.isOff) return
  const { principal, archive, trail } = c.var as Partial<HttpEnv['Variables']>
  const isEarly = EARLY.includes(code) && principal !== undefined && !trail
  // Of another's study, which is not told from none.
  const isOfAnother = code === 'NO_SUCH_STUDY' && principal?.binding !== undefined
  if (!ALERTS.includes(code) && !isEarly && !isOfAnother) return
  const user = principal && { kind: principal.kind, name: principal.name, authority: principal.authority }
  const { name, aeTitle, host } = archive?.config ?? {}
  const address = addressOf(c)
  const alert = {
    ...{ reason: code, user, address, resource: blanked(c.req.path) },
    ...(name !== undefined && aeTitle !== undefined && host !== undefined && { archive: { name, aeTitle, host } }),
  }
  audit.alert(alert, networkOf(address))
}
