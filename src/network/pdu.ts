import type { Bytes } from '../dicom/bytes.ts'
import type { Uid } from '../dicom/uids.ts'

/** PDU types (PS3.8 9.3.1). */
export const PduType = {
  associateRequest: 0x01,
  associateAccept: 0x02,
  associateReject: 0x03,
  data: 0x04,
  releaseRequest: 0x05,
  releaseResponse: 0x06,
  abort: 0x07,
} as const

/** A presentation context offered: one abstract syntax, the transfer syntaxes to choose from (PS3.8 9.3.2.2). */
export interface ProposedContext {
  /** Odd, 1 to 255. */
  readonly id: number
  readonly abstractSyntax: Uid
  readonly transferSyntaxes: readonly Uid[]
}

/** Result of a presentation context (PS3.8 9.3.3.2). */
export const ContextResult = {
  acceptance: 0,
  userRejection: 1,
  noReason: 2,
  abstractSyntaxNotSupported: 3,
  transferSyntaxesNotSupported: 4,
} as const

export interface ContextAnswer {
  readonly id: number
  readonly result: number
  /** Absent where some peers leave it out of a refusal. */
  readonly transferSyntax?: Uid
}

/** PS3.7 D.3.3.4. */
export interface RoleSelection {
  readonly sopClass: Uid
  readonly scu: boolean
  readonly scp: boolean
}

/** PS3.7 D.3.3.5: the bytes are the service class's own. */
export interface ExtendedNegotiation {
  readonly sopClass: Uid
  readonly information: Bytes
}

/** PS3.7 D.3.3.6. */
export interface CommonExtendedNegotiation {
  readonly sopClass: Uid
  readonly serviceClass: Uid
  readonly relatedGeneralSopClasses: readonly Uid[]
}

/** PS3.7 D.3.3.7. Type 1 name, 2 name and passcode, 3 Kerberos, 4 SAML, 5 JWT. */
export interface UserIdentity {
  readonly type: number
  readonly positiveResponseRequested: boolean
  readonly primary: Bytes
  readonly secondary: Bytes
}

/** PS3.7 D.3.3, PS3.8 D.1. */
export interface UserInformation {
  /** The largest P-DATA-TF body its sender takes, in bytes; 0 is no limit. */
  readonly maxLength: number
  readonly implementationClassUid: Uid
  readonly implementationVersionName?: string
  readonly asyncOperations?: { readonly invoked: number; readonly performed: number }
  readonly roles: readonly RoleSelection[]
  readonly extended: readonly ExtendedNegotiation[]
  readonly commonExtended: readonly CommonExtendedNegotiation[]
  readonly identity?: UserIdentity
  /** Server response of user identity, in an acceptance. */
  readonly identityResponse?: Bytes
}

/** Version 1 of the protocol, the only one there is: a bit stands for each (PS3.8 9.3.2). */
export const PROTOCOL_VERSION = 1

export interface AssociateRequest {
  readonly type: 'associate-request'
  /** See PROTOCOL_VERSION. */
  readonly protocolVersion: number
  readonly calledAeTitle: string
  readonly callingAeTitle: string
  readonly applicationContext: Uid
  readonly contexts: readonly ProposedContext[]
  readonly user: UserInformation
}

export interface AssociateAccept {
  readonly type: 'associate-accept'
  readonly calledAeTitle: string
  readonly callingAeTitle: string
  readonly applicationContext: Uid
  readonly contexts: readonly ContextAnswer[]
  readonly user: UserInformation
}

/** PS3.8 9.3.4. */
export interface AssociateReject {
  readonly type: 'associate-reject'
  /** 1 permanent, 2 transient. */
  readonly result: number
  /** 1 service user, 2 provider (ACSE), 3 provider (presentation). */
  readonly source: number
  readonly reason: number
}

/** PS3.8 9.3.8. Source 0 service user, 2 service provider. */
export interface Abort {
  readonly type: 'abort'
  readonly source: number
  readonly reason: number
}

export type ControlPdu =
  | AssociateRequest
  | AssociateAccept
  | AssociateReject
  | { readonly type: 'release-request' }
  | { readonly type: 'release-response' }
  | Abort

/**
 * A piece of a presentation data value as it arrives (PS3.8 9.3.5.1): any part of a fragment, its bytes a view.
 * `last` marks the final piece of a command or data set, possibly an empty one.
 */
export interface DataPiece {
  readonly type: 'data'
  readonly contextId: number
  readonly command: boolean
  readonly last: boolean
  readonly bytes: Bytes
}

/** Reasons of an A-ABORT by the service provider (PS3.8 Table 9-26). */
export const AbortReason = {
  notSpecified: 0,
  unrecognizedPdu: 1,
  unexpectedPdu: 2,
  unrecognizedParameter: 4,
  unexpectedParameter: 5,
  invalidParameter: 6,
} as const
