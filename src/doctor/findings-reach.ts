import {
  AssociationAbortedError,
  AssociationRejectedError,
  ConnectionLostError,
  ProtocolError,
} from '../network/errors.ts'
import type { TlsFileError } from '../pacs/tls-files.ts'
import { isTimeout, reasonOf, rejection, seconds, systemCode } from './reason.ts'
import type { Facts, Finding, Level } from './report.ts'

/** The two sides, by the names an administrator knows them by. */
export interface Parties {
  readonly aeTitle: string
  readonly host: string
  readonly port: number
  readonly callingAeTitle: string
  /** The address they see us at. */
  readonly ourHost: string
}

// What is found on the way to an association, in words.

export function connected(to: Parties, milliseconds: number): Finding {
  const text = `TCP connection to ${to.host}:${to.port} from ${to.ourHost} in ${seconds(milliseconds)}.`
  return { level: 'ok', code: 'CONNECTED', text, facts: { milliseconds, ourHost: to.ourHost } }
}

export function notConnected({ aeTitle, host, port }: Parties, error: unknown): Finding {
  const system = systemCode(error)
  const address = `${host}:${port}`
  const facts = { ...(system !== undefined && { system }) }
  const ask = `Please tell us the host and port at which ${aeTitle} takes DICOM associations, and whether a firewall is before it: nothing answers us at ${host}, port ${port}.`
  const problem = (code: string, text: string, asked?: string): Finding => ({
    level: 'problem',
    code,
    text,
    ...(asked !== undefined && { ask: asked }),
    facts,
  })
  if (system === 'ECONNREFUSED') {
    return problem('CONNECT_REFUSED', `Nothing listens at ${address}. Check archives[].host and .port.`, ask)
  }
  if (system === 'ENOTFOUND' || system === 'EAI_AGAIN') {
    return problem('HOST_UNKNOWN', `The name ${host} has no address here. Check archives[].host.`)
  }
  if (isTimeout(error)) {
    return problem('CONNECT_TIMEOUT', `No answer from ${address}: a firewall may drop what we send.`, ask)
  }
  return problem('CONNECT_FAILED', `No connection to ${address}${system === undefined ? '' : ` (${system})`}.`, ask)
}

export function tlsConnected(milliseconds: number, isVerified: boolean): Finding {
  const facts = { milliseconds, isVerified }
  if (isVerified) {
    return {
      level: 'ok',
      code: 'TLS_CONNECTED',
      text: `TLS in ${seconds(milliseconds)}, its certificate verified.`,
      facts,
    }
  }
  const text = `TLS in ${seconds(milliseconds)}, its certificate not verified: archives[].tls.rejectUnauthorized is false, and anybody could be in between.`
  return { level: 'note', code: 'TLS_CONNECTED', text, facts }
}

export function noTls({ host, port, ourHost }: Parties, error: unknown): Finding {
  const system = systemCode(error)
  const why = isTimeout(error) ? 'no answer in time' : (system ?? 'the connection was closed')
  const ask = `Please tell us whether ${host}, port ${port}, speaks DICOM over TLS, which authority signed its certificate, and whether it wants one of ours (we call from ${ourHost}).`
  const text = `No TLS at ${host}:${port}: ${why}. Whom we trust is in archives[].tls.ca; the name that the certificate must have in archives[].tls.servername, else archives[].host.`
  return { level: 'problem', code: 'TLS_FAILED', text, ask, facts: { why } }
}

/** A file that archives[].tls names. Its error is of our own files: it holds nothing of the archive's. */
export function tlsFileUnusable({ message }: TlsFileError): Finding {
  return { level: 'problem', code: 'TLS_FILE_UNUSABLE', text: `${message}.` }
}

export interface Answer {
  readonly implementation: string
  readonly maxPduLength: number
  readonly accepted: readonly string[]
  readonly refused: readonly string[]
  readonly milliseconds: number
}

export function associated(to: Parties, answer: Answer): Finding {
  const { implementation, maxPduLength, accepted, refused, milliseconds } = answer
  const list = (names: readonly string[]): string => names.join(', ') || 'nothing'
  const rest = refused.length > 0 ? ` It refuses ${list(refused)}.` : ''
  const size = maxPduLength === 0 ? 'PDUs of any size' : `PDUs up to ${maxPduLength} bytes`
  const text = `${to.callingAeTitle} called ${to.aeTitle}: accepted in ${seconds(milliseconds)} by ${implementation}, ${size}. It accepts ${list(accepted)}.${rest}`
  return { level: 'ok', code: 'ASSOCIATED', text, facts: { ...answer } }
}

export function extendedNegotiationDropped(): Finding {
  const text =
    'The association came about only without extended negotiation. Set archives[].quirks.noExtendedNegotiation, so that it is not tried each time.'
  return { level: 'note', code: 'EXTENDED_NEGOTIATION_DROPPED', text }
}

/** Of a service whose associations were all at work: no fault of the archive. */
export function notTried(step: string): Finding {
  const text = `${step} is not tried: all the associations that archives[].maxAssociations allows are in use. Ask again when there is less to do.`
  return { level: 'note', code: NOT_TRIED_BUSY, text, facts: { step } }
}

export const NOT_TRIED_BUSY = 'NOT_TRIED_BUSY'

export function identityDropped(): Finding {
  const text =
    'The association came about only without user identity negotiation: the archive does not know on whose behalf we ask. Set archives[].identity to null, so that it is not tried each time, or have it supported there.'
  return { level: 'note', code: 'IDENTITY_DROPPED', text }
}

/** Of an association with as many presentation contexts as a retrieve proposes. */
export function contextsLimited(proposed: number, stood: number): Finding {
  const text = `An association with ${proposed} presentation contexts does not stand, one with ${stood} does. Set archives[].quirks.maxContexts to ${stood}, so that more are not tried each time.`
  return { level: 'note', code: 'CONTEXTS_LIMITED', text, facts: { proposed, stood } }
}

export function notAssociated(to: Parties, error: unknown, tls: boolean): Finding {
  const { aeTitle, host, port, callingAeTitle, ourHost } = to
  const letUsIn = `Please let the AE title ${callingAeTitle} at host ${ourHost} call ${aeTitle} (port ${port}) for C-ECHO, C-FIND, C-GET, C-MOVE and C-STORE.`
  const problem = (code: string, text: string, ask?: string, facts?: Facts): Finding => ({
    level: 'problem',
    code,
    text,
    ...(ask !== undefined && { ask }),
    ...(facts && { facts }),
  })
  if (error instanceof AssociationRejectedError) {
    const { result, source, reason, transient } = error
    const facts = { result, source, reason }
    const key = `${source}/${reason}`
    if (key === '1/7') {
      const ask = `Please tell us the AE title of the archive at ${host}, port ${port}, which does not recognize ${aeTitle}, and check that it knows the AE title ${callingAeTitle} at host ${ourHost}.`
      return problem('CALLED_AE_REJECTED', `The archive is not called ${aeTitle}, or does not know us.`, ask, facts)
    }
    if (key === '1/3') {
      return problem('CALLING_AE_REJECTED', `The archive does not know the AE title ${callingAeTitle}.`, letUsIn, facts)
    }
    if (transient) {
      const ask = `Please let the AE title ${callingAeTitle} at host ${ourHost} open more associations to ${aeTitle}: we are rejected as over the limit.`
      return problem('ASSOCIATION_BUSY', `The archive is too busy for us (${rejection(error)}).`, ask, facts)
    }
    return problem('ASSOCIATION_REJECTED', `The association is rejected (${rejection(error)}).`, letUsIn, facts)
  }
  const wantsTls = tls
    ? ' It may want a certificate of ours, or not accept the one that we have: see archives[].tls.cert.'
    : ' It may want TLS: see archives[].tls.'
  // Of TLS 1.3 the other side's word on our certificate comes when we think that all is well.
  const alert = systemCode(error)
  if (isTimeout(error)) {
    return problem('ASSOCIATION_TIMEOUT', `Connected, but the association is not answered.${wantsTls}`, letUsIn)
  }
  if (error instanceof ProtocolError) {
    return problem('NOT_DICOM', `What answers at ${host}:${port} is not DICOM; perhaps the archive's web port.`)
  }
  if (error instanceof ConnectionLostError || error instanceof AssociationAbortedError) {
    return problem(
      'ASSOCIATION_LOST',
      `The archive ${reasonOf(error)}${alert === undefined ? '' : ` (${alert})`} before the association was accepted.${wantsTls}`,
      letUsIn,
    )
  }
  return problem('ASSOCIATION_FAILED', `No association: the archive ${reasonOf(error)}.`)
}

export function echoed(milliseconds: number): Finding {
  const text = `C-ECHO answered; a round trip takes ${seconds(milliseconds)}.`
  return { level: 'ok', code: 'ECHO_OK', text, facts: { milliseconds } }
}

export function notEchoed({ aeTitle, callingAeTitle, ourHost }: Parties, error: unknown): Finding {
  const text = `No C-ECHO: the archive ${reasonOf(error)}. The service does not need it, but /readyz does.`
  const ask = `Please allow the AE title ${callingAeTitle} at host ${ourHost} C-ECHO on ${aeTitle}.`
  return { level: 'problem', code: 'ECHO_FAILED', text, ask }
}

export interface Limit {
  /** Associations that were tried at once, and that stood. */
  readonly tried: number
  readonly stood: number
  readonly configured: number
  readonly error: unknown
}

export function limited(
  { aeTitle, callingAeTitle, ourHost }: Parties,
  { tried, stood, configured, error }: Limit,
): Finding {
  const facts = { tried, stood, configured }
  if (stood >= configured) {
    const more = stood >= tried ? 'and would take one more' : 'and no more'
    const text = `It takes the ${configured} associations at once of archives[].maxAssociations, ${more}.`
    return { level: 'ok', code: 'LIMIT_OK', text, facts }
  }
  const text = `It takes ${stood} associations at once; archives[].maxAssociations is ${configured}. After that it ${reasonOf(error)}. Set it to ${Math.max(stood, 1)}, or have the limit raised.`
  const ask = `Please allow the AE title ${callingAeTitle} at host ${ourHost} ${configured} associations at once on ${aeTitle}.`
  const level: Level = 'problem'
  return { level, code: 'LIMIT_LOW', text, ask, facts }
}
