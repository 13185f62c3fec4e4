import type { Command } from './command.ts'

/** Status values the gateway itself sends or tells apart (PS3.7 Annex C, PS3.4 B, C). */
export const Status = {
  success: 0x0000,
  cancel: 0xfe00,
  pending: 0xff00,
  pendingWithWarning: 0xff01,
  processingFailure: 0x0110,
  duplicateSopInstance: 0x0111,
  noSuchSopInstance: 0x0112,
  sopClassNotSupported: 0x0122,
  noSuchAction: 0x0123,
  notAuthorized: 0x0124,
  unrecognizedOperation: 0x0211,
  resourceLimitation: 0x0213,
  outOfResources: 0xa700,
  cannotCalculateMatches: 0xa701,
  cannotPerformSubOperations: 0xa702,
  moveDestinationUnknown: 0xa801,
  identifierDoesNotMatchSopClass: 0xa900,
  subOperationsWithFailures: 0xb000,
  dataSetDoesNotMatchSopClass: 0xb007,
  cannotUnderstand: 0xc000,
  transferSyntaxNotSupported: 0xc122,
} as const

export type StatusClass = 'success' | 'pending' | 'cancel' | 'warning' | 'failure'

/** The class of a status (PS3.7 C.1). A code that nobody knows is a failure. */
export function statusClass(status: number): StatusClass {
  if (status === Status.success) return 'success'
  if (status === Status.pending || status === Status.pendingWithWarning) return 'pending'
  if (status === Status.cancel) return 'cancel'
  if (status === 0x0001 || status === 0x0107 || status === 0x0116 || status >>> 12 === 0xb) return 'warning'
  return 'failure'
}

/** Four upper-case hexadecimal digits, as the standard writes them. */
export function formatStatus(status: number): string {
  return status.toString(16).toUpperCase().padStart(4, '0')
}

/** The peer answered with a failure. The Error Comment may hold patient data: it is not passed on. */
export class StatusError extends Error {
  readonly code = 'DIMSE_STATUS'
  readonly operation: string
  readonly status: number
  readonly offendingElement: readonly string[]
  /** Error ID (0000,0903), where there is one. */
  readonly errorId: number | undefined
  constructor(response: Extract<Command, { status: number }>) {
    super(`${response.type} with status ${formatStatus(response.status)}`)
    this.name = 'StatusError'
    this.operation = response.type.replace('-RSP', '')
    this.status = response.status
    this.offendingElement = response.offendingElement ?? []
    this.errorId = response.errorId
  }
}
