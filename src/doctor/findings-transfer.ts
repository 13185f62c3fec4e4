import { formatStatus } from '../dimse/status.ts'
import { NotSupportedByArchiveError } from '../pacs/errors.ts'
import type { TlsFileError } from '../pacs/tls-files.ts'
import type { Parties } from './findings-reach.ts'
import { reasonOf, seconds } from './reason.ts'
import type { Finding, Level } from './report.ts'

// What is found by C-GET, C-MOVE and C-STORE, in words.

/** One instance that came. */
export interface Arrival {
  readonly bytes: number
  readonly syntax: string
  readonly milliseconds: number
}

/** No search brought an instance to fetch. */
export function fetchNotTried(): Finding {
  const text = 'C-GET and C-MOVE are not tried: C-FIND gave no instance to ask for.'
  return { level: 'note', code: 'FETCH_NOT_TRIED', text }
}

/** Why a way to fetch failed, and how much had come. */
export interface Failure {
  readonly error: unknown
  readonly bytes?: number
}

/** Our listener as an archive has to know it. */
export interface Listener {
  readonly aeTitle: string
  readonly host: string
  readonly port: number
  /** It wants TLS. */
  readonly isSecured: boolean
}

const overTls = ({ isSecured }: Listener): string => (isSecured ? ', with TLS' : '')

const arrived = ({ bytes, syntax, milliseconds }: Arrival): string =>
  `one instance of ${bytes} bytes in ${syntax} after ${seconds(milliseconds)}`

export function got(arrival: Arrival, roleConfirmed: boolean): Finding {
  const role = roleConfirmed ? '' : ' It did not confirm our role as SCP, and sends all the same.'
  const text = `C-GET: ${arrived(arrival)}.${role}`
  return { level: 'ok', code: 'GET_OK', text, facts: { ...arrival, roleConfirmed } }
}

/** `level`: a note where C-GET is not needed. */
export function notGot({ aeTitle, callingAeTitle, ourHost }: Parties, level: Level, failure: Failure): Finding {
  const { error } = failure
  const isAbsent = error instanceof NotSupportedByArchiveError
  const text = isAbsent
    ? `The archive does not accept C-GET, or not from us.${instead(level, 'C-MOVE')}`
    : `C-GET does not work: ${begun(failure)}the archive ${reasonOf(error)}.${instead(level, 'C-MOVE')}`
  const ask = `Please allow the AE title ${callingAeTitle} at host ${ourHost} C-GET (Study Root Query/Retrieve - GET) on ${aeTitle}.`
  return { level, code: isAbsent ? 'GET_NOT_ACCEPTED' : 'GET_FAILED', text, ask }
}

/** The archive ended the C-GET without the instance. */
export function gotNothing(level: Level, status: number, roleConfirmed: boolean): Finding {
  const role = roleConfirmed ? '' : ' It did not confirm our role as SCP: archives[].quirks.getRoles: both may help.'
  const text = `C-GET ended with status ${formatStatus(status)} and brought nothing.${role}${instead(level, 'C-MOVE')}`
  return { level, code: 'GET_EMPTY', text, facts: { status: formatStatus(status), roleConfirmed } }
}

export function moved(arrival: Arrival, listener: Listener): Finding {
  const { aeTitle, host, port } = listener
  const text = `C-MOVE to ${aeTitle} at ${host}:${port}${overTls(listener)}: ${arrived(arrival)}.`
  return { level: 'ok', code: 'MOVE_OK', text, facts: { ...arrival } }
}

function addUs(listener: Listener): string {
  const { aeTitle, host, port } = listener
  return `Please add the AE title ${aeTitle} at host ${host}, port ${port}${overTls(listener)}, as a C-MOVE destination.`
}

/** Status A801 (PS3.4 C.4.2.1.5). */
export function destinationUnknown(listener: Listener, level: Level): Finding {
  const text = `The archive does not know ${listener.aeTitle} as a destination of C-MOVE (A801).${instead(level, 'C-GET')}`
  return { level, code: 'MOVE_DESTINATION_UNKNOWN', text, ask: addUs(listener) }
}

/** Nobody came to our listener, or nobody who brought it. `status`: none where the C-MOVE did not end. */
export function nothingArrived(listener: Listener, level: Level, status: number | undefined): Finding {
  const { aeTitle, host, port } = listener
  const end = status === undefined ? 'did not end' : `ended with status ${formatStatus(status)}`
  const text = `The C-MOVE ${end}, and nothing arrived at our listener: the archive does not know ${aeTitle}, knows another address for it, or cannot reach ${host}:${port}.${instead(level, 'C-GET')}`
  const ask = `Please check that the AE title ${aeTitle} is a C-MOVE destination at host ${host}, port ${port}${overTls(listener)}, and that the archive can open a connection to it.`
  const facts = status === undefined ? {} : { status: formatStatus(status) }
  return { level, code: 'MOVE_NOTHING_ARRIVED', text, ask, facts }
}

/** Somebody called our listener, and there was no agreement about TLS, for a reason that OpenSSL calls `code`. */
export function movedWithoutTls({ aeTitle, host, port }: Listener, level: Level, code: string): Finding {
  const found = (why: string, ask: string): Finding => {
    const text = `Our listener was called, and ${why} (${code}).${instead(level, 'C-GET')}`
    return { level, code: 'MOVE_TLS_FAILED', text, ask, facts: { why: code } }
  }
  const destination = `${aeTitle} at host ${host}, port ${port}`
  // An alert is the other side's word.
  if (/ALERT.*(CERT|UNKNOWN_CA)/.test(code)) {
    return found(
      'the archive did not accept our certificate: look at dimse.tls.cert, whether it has expired',
      `Please have the archive trust the authority of the certificate of ${destination}.`,
    )
  }
  // Faults of a certificate have names without a prefix.
  if (!code.startsWith('ERR_') || code.includes('PEER_DID_NOT_RETURN')) {
    return found(
      'the certificate that the archive showed, if any, is not one for which dimse.tls.ca vouches',
      `Please tell us which authority signed the certificate that the archive shows when it stores to ${destination}, and whether it has expired.`,
    )
  }
  return found(
    'not by TLS as dimse.tls wants it',
    `Please have the archive store to ${destination} by DICOM over TLS, 1.2 at least.`,
  )
}

/** What called our listener did not speak DICOM, or not plainly. */
export function movedNotDicom({ port }: Listener, level: Level): Finding {
  const text = `Our listener was called, by something that is not plain DICOM: perhaps the archive stores by TLS. See dimse.tls.${instead(level, 'C-GET')}`
  const ask = `Please tell us whether the archive stores to port ${port} by DICOM over TLS.`
  return { level, code: 'MOVE_NOT_DICOM', text, ask }
}

/** Somebody called our listener, not by the archive's AE title, or not from its address. */
export function movedByStranger(
  { aeTitle }: Parties,
  level: Level,
  { callingAeTitle = '', address = '' }: { readonly callingAeTitle?: string; readonly address?: string | undefined },
): Finding {
  const who = `the AE title ${callingAeTitle} at ${address}`
  const text = `Our listener was called by ${who}, which is not what archives[].aeTitle (${aeTitle}) and archives[].delivery allow, and refused what came. If that is the archive, set archives[].aeTitle or .delivery to it.${instead(level, 'C-GET')}`
  const ask = `Please tell us whether the archive stores under ${who}.`
  return { level, code: 'MOVE_CALLER_UNKNOWN', text, ask, facts: { callingAeTitle, address } }
}

export function moveFailed(parties: Parties, at: Listener, level: Level, failure: Failure): Finding {
  const { aeTitle, callingAeTitle, ourHost } = parties
  const { error } = failure
  const isAbsent = error instanceof NotSupportedByArchiveError
  const text = isAbsent
    ? `The archive does not accept C-MOVE, or not from us.${instead(level, 'C-GET')}`
    : `C-MOVE does not work: ${begun(failure)}the archive ${reasonOf(error)}.${instead(level, 'C-GET')}`
  const ask = `Please allow the AE title ${callingAeTitle} at host ${ourHost} C-MOVE (Study Root Query/Retrieve - MOVE) on ${aeTitle}, to the destination ${at.aeTitle} at host ${at.host}, port ${at.port}${overTls(at)}.`
  return { level, code: isAbsent ? 'MOVE_NOT_ACCEPTED' : 'MOVE_FAILED', text, ask }
}

export function portTaken({ port }: Listener, level: Level): Finding {
  const text = `C-MOVE is not tried: port ${port} (dimse.port) is taken, perhaps by Dimsegate itself. Stop what listens there and run this again.`
  return { level, code: 'MOVE_PORT_TAKEN', text, facts: { port } }
}

export function noListener({ host, port }: Listener, level: Level, system: string | undefined): Finding {
  const why = system === undefined ? '' : ` (${system})`
  const text = `C-MOVE is not tried: the listener cannot be opened at ${host}:${port}${why}. Check dimse.host and dimse.port.`
  return { level, code: 'MOVE_LISTENER_FAILED', text, facts: { port } }
}

/** What dimse.tls names. */
export function listenerTlsUnusable(level: Level, { message }: TlsFileError): Finding {
  return { level, code: 'MOVE_TLS_UNUSABLE', text: `C-MOVE is not tried: ${message}.` }
}

/** Bound to a loopback address, with an archive on another machine. */
export function listenerLocal({ host }: Listener, level: Level): Finding {
  const text = `C-MOVE is not tried: dimse.host is ${host}, which the archive cannot reach. Set it to 0.0.0.0.`
  return { level, code: 'MOVE_LISTENER_LOCAL', text }
}

export function listenerOff(): Finding {
  const text = 'C-MOVE is not tried: dimse.enabled is false.'
  return { level: 'note', code: 'MOVE_OFF', text }
}

/** In a running service, which opens it when it is needed. */
export function listenerNotOpen(): Finding {
  const text =
    'C-MOVE is not tried: the listener of the running service is not open. Run dimsegate doctor while the service is stopped, or set dimse.enabled to true.'
  return { level: 'note', code: 'MOVE_LISTENER_NOT_OPEN', text }
}

function begun({ bytes = 0 }: Failure): string {
  return bytes > 0 ? `after ${bytes} bytes had come, ` : ''
}

function instead(level: Level, other: string): string {
  return level === 'note' ? ` It is not needed: ${other} works, or is what archives[].retrieve asks for.` : ''
}

/** What is accepted to be stored: names of classes, and of the compressed syntaxes they are taken in. */
export interface Storable {
  readonly accepted: readonly string[]
  readonly refused: readonly string[]
  /** Taken with all classes that are accepted, with some of them, with none. */
  readonly all: readonly string[]
  readonly some: readonly string[]
  readonly none: readonly string[]
}

export function storable({ aeTitle, callingAeTitle, ourHost }: Parties, result: Storable): Finding[] {
  const { accepted, refused, all, some, none } = result
  const facts = { ...result }
  if (accepted.length === 0) {
    const text = `C-STORE is refused for ${refused.join(', ')}: users cannot store.`
    const ask = `Please allow the AE title ${callingAeTitle} at host ${ourHost} C-STORE on ${aeTitle}.`
    return [{ level: 'note', code: 'STORE_NOT_ACCEPTED', text, ask, facts }]
  }
  const text = `Contexts for C-STORE are accepted for ${accepted.join(', ')}. Compressed, for each of these classes: ${all.join(', ') || 'no syntax'}. Nothing was stored: --store-test shows whether we may.`
  const ok: Finding = { level: 'ok', code: 'STORE_ACCEPTED', text, facts }
  const lacking = [...refused, ...none, ...some.map((name) => `${name} (taken for some classes)`)]
  if (lacking.length === 0) return [ok]
  const ask = `Please allow the AE title ${callingAeTitle} at host ${ourHost} to store on ${aeTitle} also: ${[...refused, ...none, ...some].join(', ')}.`
  const partly = `C-STORE is not accepted for ${lacking.join(', ')}. A class that is not accepted cannot be stored; what is compressed otherwise is stored uncompressed where archives[].store.decompress allows it.`
  return [ok, { level: 'note', code: 'STORE_PARTLY_ACCEPTED', text: partly, ask }]
}

export function storeFailed(error: unknown): Finding {
  const text = `Whether C-STORE is accepted could not be seen: the archive ${reasonOf(error)}.`
  return { level: 'note', code: 'STORE_UNKNOWN', text }
}

/** Its UIDs are ours: they tell of no patient. */
export function stored(study: string, status: number): Finding {
  const text = `C-STORE: one synthetic image (patient DIMSEGATE^TEST, study ${study}) WAS STORED with status ${formatStatus(status)}. Have it deleted.`
  return { level: 'ok', code: 'STORE_TEST_STORED', text, facts: { study, status: formatStatus(status) } }
}

/** `error`, or the status the archive answered with. */
export function notStored(
  { aeTitle, callingAeTitle, ourHost }: Parties,
  failure: { error: unknown } | number,
): Finding {
  const why = typeof failure === 'number' ? `answered with status ${formatStatus(failure)}` : reasonOf(failure.error)
  const text = `C-STORE of one synthetic image does not work: the archive ${why}.`
  const ask = `Please allow the AE title ${callingAeTitle} at host ${ourHost} C-STORE of Secondary Capture images on ${aeTitle}.`
  return { level: 'problem', code: 'STORE_TEST_FAILED', text, ask }
}
