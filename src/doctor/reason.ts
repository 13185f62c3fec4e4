import { formatStatus, StatusError } from '../dimse/status.ts'
import {
  AssociationAbortedError,
  AssociationRejectedError,
  ConnectError,
  ConnectionLostError,
  PeerTimeoutError,
  ProtocolError,
} from '../network/errors.ts'
import { NotSupportedByArchiveError } from '../pacs/errors.ts'

/** A step was not over in its time. */
export class StepTimeoutError extends Error {
  readonly code = 'STEP_TIMEOUT'
  readonly milliseconds: number
  constructor(milliseconds: number) {
    super(`Not over after ${milliseconds} ms`)
    this.name = 'StepTimeoutError'
    this.milliseconds = milliseconds
  }
}

/**
 * Why a step failed, to go on "the archive ...". From the class of the error and never from its text: what an archive
 * wrote may be patient data.
 */
export function reasonOf(error: unknown): string {
  if (error instanceof StatusError) return `answered with status ${formatStatus(error.status)}`
  if (error instanceof NotSupportedByArchiveError) return 'does not accept it'
  if (error instanceof AssociationRejectedError) return `rejected the association (${rejection(error)})`
  if (error instanceof AssociationAbortedError) return 'aborted the association'
  if (error instanceof ConnectionLostError) return 'closed the connection'
  if (error instanceof ConnectError) return `could not be connected to${inBrackets(systemCode(error))}`
  if (error instanceof PeerTimeoutError || error instanceof StepTimeoutError) {
    return `did not answer within ${seconds(error.milliseconds)}`
  }
  if (error instanceof ProtocolError) return 'broke the DICOM protocol'
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'UNKNOWN'
  return `answered with something that cannot be used (${code})`
}

/** The system's own name for what is wrong with a connection: ECONNREFUSED, a TLS certificate's fault. */
export function systemCode(error: unknown): string | undefined {
  const cause = error instanceof Error ? error.cause : undefined
  return cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : undefined
}

export function isTimeout(error: unknown): boolean {
  return error instanceof PeerTimeoutError || error instanceof StepTimeoutError
}

/** Result, source and reason as PS3.8 9.3.4 numbers them, with the words for the reason. */
export function rejection({ why, result, source, reason }: AssociationRejectedError): string {
  return `${why}; result ${result}, source ${source}, reason ${reason}`
}

/** Milliseconds as text: `12 ms`, `1.5 s`. */
export function seconds(milliseconds: number): string {
  if (milliseconds < 1_000)
    return `${milliseconds < 10 ? Math.round(milliseconds * 10) / 10 : Math.round(milliseconds)} ms`
  return `${Math.round(milliseconds / 100) / 10} s`
}

function inBrackets(text: string | undefined): string {
  return text === undefined ? '' : ` (${text})`
}
