import type { components } from './openapi.d.ts'
import { formatStatus, Status, StatusError } from '../dimse/status.ts'
import { AssociationRejectedError, ConnectError } from '../network/errors.ts'
import { ArchiveDownError, PoolBusyError } from '../pacs/errors.ts'

export type Problem = components['schemas']['Problem']

/** A request that cannot be served as it is; `status` is the HTTP status to say so. */
export class RequestError extends Error {
  readonly status: 400 | 401 | 403 | 404 | 405 | 406 | 408 | 409 | 410 | 413 | 415 | 416 | 421 | 501 | 502 | 503
  readonly code: string
  readonly headers: Readonly<Record<string, string>>
  constructor(
    status: RequestError['status'],
    code: string,
    detail: string,
    headers: Record<string, string> = {},
    options?: ErrorOptions,
  ) {
    super(detail, options)
    this.name = 'RequestError'
    this.status = status
    this.code = code
    this.headers = headers
  }
}

interface Fault {
  readonly status: number
  readonly title: string
  readonly detail?: string
}

/** Characters of the path that a problem document repeats. */
export const MAX_PATH = 1_024

/** Seconds after which a client may try again. */
const RETRY_AFTER_S = '5'

/** What each error of the layers below is for a web client, by its code. Details without one are the error's own. */
const faults = {
  ACCEPT_MALFORMED: { status: 400, title: 'Malformed Accept' },
  CONTENT_TYPE_MALFORMED: { status: 400, title: 'Malformed Content-Type' },
  INVALID_SEARCH_PARAMETER: { status: 400, title: 'Invalid search parameter' },
  KEY_BELOW_LEVEL: { status: 400, title: 'Search attribute of a lower level' },
  UNENCODABLE_KEY: { status: 400, title: 'Search value not encodable' },
  INVALID_VALUE: { status: 400, title: 'Search value not encodable' },
  MULTIPART_NO_BOUNDARY: { status: 400, title: 'Malformed multipart body' },
  MULTIPART_TRUNCATED: { status: 400, title: 'Malformed multipart body' },
  MULTIPART_MALFORMED: { status: 400, title: 'Malformed multipart body' },
  MULTIPART_HEADER_TOO_LARGE: { status: 413, title: 'Part header too large' },
  MULTIPART_TOO_MANY_PARTS: { status: 413, title: 'Too many parts' },
  MULTIPART_PART_TOO_LARGE: { status: 413, title: 'Part too large' },
  STEP_STATUS: { status: 400, title: 'Invalid status' },
  STEP_FINAL: { status: 409, title: 'Step has ended' },
  INVALID_MODEL: { status: 400, title: 'Invalid data set' },
  TOO_MANY_REFERENCES: { status: 413, title: 'Too many instances' },
  TRANSACTION_IN_USE: { status: 409, title: 'Transaction UID in use' },
  TOO_MANY_TRANSACTIONS: { status: 503, title: 'Too many commitment requests' },
  NOTHING_TO_SEND: { status: 404, title: 'Nothing to send' },
  TOO_MANY_SENDS: { status: 503, title: 'Too many sends' },
  SEND_INCOMPLETE: { status: 502, title: 'Send incomplete' },
  SEND_NOT_COUNTED: { status: 502, title: 'Send not counted' },
  SEND_CANCELLED: { status: 409, title: 'Send cancelled' },
  NO_SUCH_INSTANCE: { status: 404, title: 'Not found' },
  NO_SUCH_FRAME: { status: 404, title: 'Not found' },
  FRAME_CUT_SHORT: { status: 502, title: 'Pixel data too short' },
  DAMAGED_INSTANCE: { status: 502, title: 'Damaged instance' },
  CORRUPT_FRAGMENTS: { status: 502, title: 'Malformed pixel data' },
  LENGTH_MISMATCH: { status: 502, title: 'Malformed data set', detail: 'The archive sent a malformed data set.' },
  TOO_MANY_ELEMENTS: { status: 502, title: 'Data set too large' },
  METADATA_TOO_LARGE: { status: 502, title: 'Metadata too large' },
  NO_LONGER_HELD: { status: 503, title: 'Read too slowly', detail: 'The instance is no longer in memory. Try again.' },
  SEARCH_TOO_BROAD: { status: 413, title: 'Search too broad' },
  RESULTS_TOO_LARGE: {
    status: 413,
    title: 'Search too broad',
    detail: 'The archive answers more than can be held of a search. Narrow it, or ask for fewer results or attributes.',
  },
  TOO_MANY_ENTRIES: {
    status: 413,
    title: 'Too many instances',
    detail: 'One archive of files does not hold so many. Ask for series.',
  },
  INCOMPLETE_RETRIEVE: { status: 502, title: 'Incomplete retrieve' },
  NOT_SUPPORTED_BY_ARCHIVE: { status: 501, title: 'Not supported by the archive' },
  LISTENER_FAILED: { status: 502, title: 'DICOM listener unavailable' },
  CONNECT_FAILED: {
    status: 502,
    title: 'Archive unreachable',
  },
  ASSOCIATION_REJECTED: { status: 502, title: 'Association rejected' },
  ASSOCIATION_ABORTED: { status: 502, title: 'Association aborted', detail: 'The archive aborted the association.' },
  CONNECTION_LOST: { status: 502, title: 'Connection lost', detail: 'The archive closed the connection.' },
  PROTOCOL_ERROR: { status: 502, title: 'Protocol error', detail: 'The archive broke the DICOM protocol.' },
  MALFORMED_DATA_SET: { status: 502, title: 'Malformed data set', detail: 'The archive sent a malformed data set.' },
  MALFORMED_DEFLATED_DATA_SET: {
    status: 502,
    title: 'Malformed data set',
    detail: 'The archive sent a malformed data set.',
  },
  HEAD_TOO_LARGE: { status: 502, title: 'Malformed data set', detail: 'The archive sent a malformed data set.' },
  CORRUPT_CODESTREAM: {
    status: 502,
    title: 'Damaged image',
    detail: 'A compressed frame of the archive is damaged, or is not what its attributes say.',
  },
  INVALID_PARAMETER: { status: 400, title: 'Invalid parameter' },
  UNSUPPORTED_PARAMETER: { status: 501, title: 'Parameter not supported' },
  REGION_OUTSIDE: { status: 400, title: 'Region outside of the image' },
  ANIMATION_TOO_LARGE: {
    status: 413,
    title: 'Animation too large',
    detail: 'The frames together are too large for an animation. Ask for a viewport, or for single frames.',
  },
  FRAME_NOT_ENCODED: { status: 406, title: 'Not acceptable' },
  UNUSABLE_IMAGE: { status: 406, title: 'Not an image that can be drawn' },
  CODEC_STOPPED: {
    status: 502,
    title: 'Image too demanding',
    detail: 'A frame took too long, or too much memory, to decode. As it is stored it is given to who accepts that.',
  },
  IMAGING_BUSY: {
    status: 503,
    title: 'Too many images at once',
    detail: 'Too many frames wait to be decoded, encoded or drawn, or this one has waited too long. Try again later.',
  },
  PEER_TIMEOUT: { status: 504, title: 'Archive timeout', detail: 'The archive did not answer in time.' },
  POOL_BUSY: {
    status: 503,
    title: 'Archive busy',
    detail: 'All associations to the archive are in use. Try again later.',
  },
  POOL_FULL: {
    status: 503,
    title: 'Archive busy',
    detail: 'Too many requests wait for an association to the archive. Try again later.',
  },
  WORKLIST_FAILED: { status: 502, title: 'Worklist failed' },
  WEB_STORE_UNREACHABLE: { status: 502, title: 'Destination not reached' },
  WEB_STORE_FAILED: { status: 502, title: 'Destination failed' },
  WEB_STORE_FORBIDDEN: { status: 502, title: 'Not let in by a destination' },
  WEB_STORE_BUSY: { status: 503, title: 'Destination busy' },
  WEB_STORE_SILENT: { status: 504, title: 'Destination silent' },
  ARCHIVE_DOWN: {
    status: 503,
    title: 'Archive down',
    detail: 'The archive could not be reached several times in a row. It is tried again by itself. Try again later.',
  },
  POOL_CLOSED: { status: 503, title: 'Stopping' },
  CLUSTER_UNAVAILABLE: {
    status: 503,
    title: 'Replicas not reachable',
    detail:
      'The archive delivers to any replica of the service, and these cannot tell each other at the moment who asked. ' +
      'Try again later.',
  },
} as const satisfies Readonly<Record<string, Fault>>

/** Codes of errors of the layers below that have a problem document of their own. */
export const faultCodes: readonly string[] = Object.keys(faults)

/** HTTP status of a DIMSE status (PS3.7 Annex C, PS3.4 C.4); what is not listed is a bad gateway. */
const dimseStatuses: Readonly<Record<number, number>> = {
  0x0112: 404,
  0x0122: 501,
  0x0124: 403,
  0x0213: 503,
  0xa700: 503,
  0xa701: 503,
  0xa702: 503,
}

/** Those of normalized services (PS3.7 10.1, Annex C; PS3.18 15.4.3, 15.5.3). */
const normalizedStatuses: Readonly<Record<number, number>> = {
  0x0105: 400,
  0x0106: 400,
  0x0111: 409,
  0x0117: 400,
  0x0118: 501,
  0x0120: 400,
  0x0121: 400,
  0x0211: 501,
  0x0212: 400,
}
/** Error ID of a step that may no longer be updated (PS3.4 F.7.2.2.2). */
const NO_LONGER_UPDATED = 0xa710

function httpStatusOf({ status, operation, errorId }: StatusError): number {
  if (operation === 'N-SET' && errorId === NO_LONGER_UPDATED) return 409
  const own = operation.startsWith('N-') ? normalizedStatuses[status] : undefined
  return own ?? dimseStatuses[status] ?? 502
}

/** The status of a store of which nothing was stored, where one refusal has it all: out of resources, or not authorized. */
export function refusalOf(reasons: readonly number[]): { status: number; headers: Record<string, string> } | undefined {
  if (reasons.every((reason) => reason >>> 8 === 0xa7))
    return { status: 503, headers: { 'Retry-After': RETRY_AFTER_S } }
  return reasons.every((reason) => reason === 0x0124) ? { status: 403, headers: {} } : undefined
}

const titles: Readonly<Record<number, string>> = {
  400: 'Bad request',
  401: 'Not signed in',
  403: 'Not authorized',
  404: 'Not found',
  405: 'Method not allowed',
  406: 'Not acceptable',
  408: 'Request timeout',
  409: 'Conflict',
  410: 'Gone',
  413: 'Too large',
  415: 'Unsupported media type',
  416: 'Range not satisfiable',
  421: 'Misdirected request',
  501: 'Not supported',
  502: 'Archive failed',
  503: 'Archive unavailable',
}

/** Where the meaning of each code is told, at an anchor of its name. */
export const ERROR_PAGE = '/errors'

export interface ProblemResponse {
  readonly problem: Problem
  readonly headers: Readonly<Record<string, string>>
}

/**
 * An error as the problem document a client gets (RFC 9457). `path` is the request's, without its query; `origin` where
 * the service is found, below which ERROR_PAGE says what each code means.
 */
export function problemOf(error: unknown, path: string, origin = ''): ProblemResponse {
  const { fault, code, headers, dicom } = describe(error)
  const retry = fault.status === 503 ? { 'Retry-After': RETRY_AFTER_S } : {}
  return {
    headers: { ...retry, ...headers },
    problem: {
      type: `${origin}${ERROR_PAGE}#${code}`,
      title: fault.title,
      status: fault.status,
      detail: fault.detail ?? fault.title,
      instance: path.slice(0, MAX_PATH),
      code,
      ...(dicom && { dicom }),
    },
  }
}

interface Described {
  readonly fault: Fault
  readonly code: string
  readonly headers?: Readonly<Record<string, string>>
  readonly dicom?: NonNullable<Problem['dicom']>
}

function describe(error: unknown): Described {
  if (error instanceof RequestError) {
    const { status, code, headers, message: detail } = error
    const dicom = error.cause instanceof StatusError ? dicomOf(error.cause) : undefined
    // What we do not give is not for want of the archive, unless that has said so.
    const title = status === 503 && !dicom ? 'Service unavailable' : titles[status]!
    return { fault: { status, title, detail }, code, headers, ...(dicom && { dicom }) }
  }
  if (error instanceof StatusError) return describeStatus(error)
  if (error instanceof AssociationRejectedError) {
    const status = error.transient ? 503 : 502
    return {
      fault: { status, title: 'Association rejected', detail: `${error.message}. ${rejectAdvice(error)}` },
      code: error.code,
    }
  }
  if (error instanceof ConnectError) {
    return { fault: { ...faults.CONNECT_FAILED, detail: connectDetail(error) }, code: error.code }
  }
  if (error instanceof ArchiveDownError) {
    const seconds = Math.max(1, Math.ceil(error.retryAfter / 1_000))
    return { fault: faults.ARCHIVE_DOWN, code: error.code, headers: { 'Retry-After': String(seconds) } }
  }
  if (error instanceof PoolBusyError && error.why === 'transfers') {
    return { fault: { ...faults['POOL_BUSY'], detail: transfersDetail(error) }, code: error.code }
  }
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') {
    const { code } = error
    if (isFaultCode(code)) return { fault: { detail: error.message, ...faults[code] }, code }
  }
  return { fault: { status: 500, title: 'Internal error', detail: 'The gateway failed.' }, code: 'INTERNAL' }
}

function isFaultCode(code: string): code is keyof typeof faults {
  return Object.hasOwn(faults, code)
}

function transfersDetail({ limit }: PoolBusyError): string {
  return limit === 1
    ? 'The archive allows one association, and a download or a store holds it. Try again later.'
    : `Downloads and stores hold all they may of the ${limit} associations to the archive. Try again later.`
}

/** PS3.8 9.3.4: what each reason asks for. */
function rejectAdvice({ transient, source, reason }: AssociationRejectedError): string {
  if (transient) return 'Try again later.'
  if (source === 1 && reason === 7) return 'Check the aeTitle of the archive in the configuration.'
  return "Ask the archive's administrator to allow our AE title (callingAeTitle)."
}

/** The system's own name for what is wrong with a connection: ECONNREFUSED, a TLS certificate's fault. */
function connectDetail({ cause }: ConnectError): string {
  const code = cause instanceof Error && 'code' in cause ? ` (${String(cause.code)})` : ''
  return `No connection to the archive${code}. Check its host, port and TLS settings, and that it is running.`
}

/** The Error Comment stays out: it may hold patient data. */
function describeStatus(error: StatusError): Described {
  const { status, operation } = error
  const http = httpStatusOf(error)
  if (status === Status.moveDestinationUnknown) {
    const detail =
      'The archive does not know us as a destination of C-MOVE. Ask its administrator to add our AE title ' +
      '(dimse.aeTitle) with the host and port (dimse.port) at which it reaches us.'
    return { fault: { status: http, title: titles[http]!, detail }, code: 'DIMSE_STATUS', dicom: dicomOf(error) }
  }
  return {
    fault: {
      status: http,
      title: titles[http]!,
      detail: `The archive answered the ${operation} with status ${formatStatus(status)}.`,
    },
    code: 'DIMSE_STATUS',
    dicom: dicomOf(error),
  }
}

function dicomOf({ status, offendingElement }: StatusError): NonNullable<Problem['dicom']> {
  return {
    status: formatStatus(status),
    ...(offendingElement.length > 0 && { offendingElement: [...offendingElement] as [string, ...string[]] }),
  }
}
