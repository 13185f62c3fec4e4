/** No TCP or TLS connection to the peer. */
export class ConnectError extends Error {
  readonly code = 'CONNECT_FAILED'
  readonly host: string
  readonly port: number
  constructor(host: string, port: number, options?: ErrorOptions) {
    super(`No connection to ${host}:${port}`, options)
    this.name = 'ConnectError'
    this.host = host
    this.port = port
  }
}

const rejectReasons: Record<string, string> = {
  '1/1': 'no reason given',
  '1/2': 'application context not supported',
  '1/3': 'calling AE title not recognized',
  '1/7': 'called AE title not recognized',
  '2/1': 'no reason given',
  '2/2': 'protocol version not supported',
  '3/1': 'temporary congestion',
  '3/2': 'local limit exceeded',
}

/** The peer refused the association (PS3.8 9.3.4). */
export class AssociationRejectedError extends Error {
  readonly code = 'ASSOCIATION_REJECTED'
  readonly result: number
  readonly source: number
  readonly reason: number
  /** The reason in words (PS3.8 9.3.4). */
  readonly why: string
  constructor(result: number, source: number, reason: number) {
    const why = rejectReasons[`${source}/${reason}`] ?? `source ${source}, reason ${reason}`
    super(`The association was rejected: ${why}`)
    this.name = 'AssociationRejectedError'
    this.result = result
    this.source = source
    this.reason = reason
    this.why = why
  }

  /** Worth another try later: result 2, or one of the provider's resource reasons. */
  get transient(): boolean {
    return this.result === 2 || this.source === 3
  }
}

/** The association ended by A-ABORT, from the peer or, after a fault of the peer, from us (PS3.8 7.3, 7.4). */
export class AssociationAbortedError extends Error {
  readonly code = 'ASSOCIATION_ABORTED'
  readonly by: 'peer' | 'us'
  readonly source: number
  readonly reason: number
  constructor(by: 'peer' | 'us', source: number, reason: number, options?: ErrorOptions) {
    super(by === 'peer' ? 'The peer aborted the association' : 'The association was aborted', options)
    this.name = 'AssociationAbortedError'
    this.by = by
    this.source = source
    this.reason = reason
  }
}

/** The TCP connection ended while the association was up, or the peer released it with work outstanding. */
export class ConnectionLostError extends Error {
  readonly code = 'CONNECTION_LOST'
  constructor(problem = 'The peer closed the connection', options?: ErrorOptions) {
    super(problem, options)
    this.name = 'ConnectionLostError'
  }
}

/** The peer did not answer within its time. */
export class PeerTimeoutError extends Error {
  readonly code = 'PEER_TIMEOUT'
  readonly waitedFor: string
  readonly milliseconds: number
  constructor(waitedFor: string, milliseconds: number) {
    super(`No ${waitedFor} within ${milliseconds} ms`)
    this.name = 'PeerTimeoutError'
    this.waitedFor = waitedFor
    this.milliseconds = milliseconds
  }
}

/** The peer broke the protocol; the association is aborted and never used again. */
export class ProtocolError extends Error {
  readonly code = 'PROTOCOL_ERROR'
  constructor(problem: string, options?: ErrorOptions) {
    super(problem, options)
    this.name = 'ProtocolError'
  }
}

/** Bytes that are no PDU we can take; `reason` goes into the A-ABORT (PS3.8 Table 9-26). */
export class InvalidPduError extends Error {
  readonly code = 'INVALID_PDU'
  readonly reason: number
  constructor(problem: string, reason: number) {
    super(problem)
    this.name = 'InvalidPduError'
    this.reason = reason
  }
}
