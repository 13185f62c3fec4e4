import { APPLICATION_CONTEXT, IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, type Uid } from '../dicom/uids.ts'
import {
  ContextResult,
  PROTOCOL_VERSION,
  type AssociateAccept,
  type AssociateReject,
  type AssociateRequest,
  type ContextAnswer,
  type ExtendedNegotiation,
  type ProposedContext,
  type RoleSelection,
  type UserIdentity,
  type UserInformation,
} from './pdu.ts'

/** A presentation context both sides agreed on. */
export interface AcceptedContext {
  readonly id: number
  readonly abstractSyntax: Uid
  readonly transferSyntax: Uid
}

/** PS3.8 9.3.2.2: ids are odd, 1 to 255. */
export const MAX_CONTEXTS = 128

/**
 * The contexts that stand after an A-ASSOCIATE-AC. A context that is missing from it, or answered by a syntax that was
 * not offered, is rejected (PS3.8 9.3.3.2).
 */
export function acceptedContexts(request: AssociateRequest, accept: AssociateAccept): Map<number, AcceptedContext> {
  const accepted = new Map<number, AcceptedContext>()
  for (const { id, result, transferSyntax } of accept.contexts) {
    const proposed = request.contexts.find((context) => context.id === id)
    if (!proposed || result !== ContextResult.acceptance || transferSyntax === undefined) continue
    if (!proposed.transferSyntaxes.includes(transferSyntax)) continue
    accepted.set(id, { id, abstractSyntax: proposed.abstractSyntax, transferSyntax })
  }
  return accepted
}

/** What an acceptor is willing to do. */
export interface AcceptorPolicy {
  /** The syntax to use for a context, of those offered; 'abstract' refuses the class, 'transfer' the syntaxes. */
  // eslint-disable-next-line @typescript-eslint/no-redundant-type-constituents -- the words are what matters
  choose(abstractSyntax: Uid, offered: readonly Uid[]): Uid | 'abstract' | 'transfer'
  /** Roles granted of those proposed; absent: none are returned. */
  roles?(proposed: RoleSelection): RoleSelection | undefined
  extended?(proposed: ExtendedNegotiation): ExtendedNegotiation | undefined
}

/** Answers each proposed context (PS3.8 9.3.3.2). */
function answerContexts(request: AssociateRequest, policy: AcceptorPolicy): ContextAnswer[] {
  return request.contexts.map(({ id, abstractSyntax, transferSyntaxes }) => {
    const choice = policy.choose(abstractSyntax, transferSyntaxes)
    if (choice === 'abstract') {
      return { id, result: ContextResult.abstractSyntaxNotSupported, transferSyntax: transferSyntaxes[0] ?? '' }
    }
    if (choice === 'transfer') {
      return { id, result: ContextResult.transferSyntaxesNotSupported, transferSyntax: transferSyntaxes[0] ?? '' }
    }
    return { id, result: ContextResult.acceptance, transferSyntax: choice }
  })
}

/** A peer that takes less than this is broken: PDV headers alone are 6 bytes. */
const MIN_PDU_BYTES = 128

/** Whether a peer's maximum length leaves no room for messages; 0 is no limit. */
export function isTooSmall(maxLength: number): boolean {
  return maxLength !== 0 && maxLength < MIN_PDU_BYTES
}

/** Why a request is rejected whoever asks, if it is (PS3.8 9.3.4). */
export function refusal(request: AssociateRequest): Omit<AssociateReject, 'type'> | undefined {
  // PS3.8 9.3.2: of the versions, only the bit of ours is tested.
  if ((request.protocolVersion & PROTOCOL_VERSION) === 0) return { result: 1, source: 2, reason: 2 }
  if (request.applicationContext !== APPLICATION_CONTEXT) return { result: 1, source: 1, reason: 2 }
  if (request.calledAeTitle === '') return { result: 1, source: 1, reason: 7 }
  if (request.callingAeTitle === '') return { result: 1, source: 1, reason: 3 }
  if (!hasValidContextIds(request) || isTooSmall(request.user.maxLength)) return { result: 1, source: 1, reason: 1 }
  return undefined
}

/** Ids must be odd and each used once, which leaves MAX_CONTEXTS of them. */
function hasValidContextIds(request: AssociateRequest): boolean {
  const ids = new Set(request.contexts.map(({ id }) => id))
  return ids.size === request.contexts.length && [...ids].every((id) => (id & 1) === 1)
}

/** What a requestor offers. */
export interface Offer {
  readonly calledAeTitle: string
  readonly callingAeTitle: string
  readonly contexts: readonly ProposedContext[]
  readonly roles?: readonly RoleSelection[]
  readonly extended?: readonly ExtendedNegotiation[]
  readonly identity?: UserIdentity
  /** Announced as the largest P-DATA-TF body we take, in bytes. */
  readonly maxPduLength: number
}

/** The A-ASSOCIATE-RQ of an offer. */
export function associateRequest(offer: Offer): AssociateRequest {
  const { calledAeTitle, callingAeTitle, contexts, roles = [], extended = [], identity } = offer
  return {
    type: 'associate-request',
    protocolVersion: PROTOCOL_VERSION,
    calledAeTitle,
    callingAeTitle,
    applicationContext: APPLICATION_CONTEXT,
    contexts,
    user: { ...ourselves(offer.maxPduLength), roles, extended, ...(identity && { identity }) },
  }
}

/** The A-ASSOCIATE-AC that answers a request as the policy decides. */
export function associateAccept(
  request: AssociateRequest,
  policy: AcceptorPolicy,
  maxPduLength: number,
): AssociateAccept {
  return {
    type: 'associate-accept',
    calledAeTitle: request.calledAeTitle,
    callingAeTitle: request.callingAeTitle,
    applicationContext: APPLICATION_CONTEXT,
    contexts: answerContexts(request, policy),
    user: {
      ...ourselves(maxPduLength),
      roles: request.user.roles.flatMap((role) => policy.roles?.(role) ?? []),
      extended: request.user.extended.flatMap((item) => policy.extended?.(item) ?? []),
    },
  }
}

/** What we send to a peer that sets no limit, and at most to any. */
const MAX_SENT_PDU_BYTES = 131_072

/** The largest fragment a peer takes: its P-DATA-TF limit less the 6 bytes of the PDV header, even (PS3.8 D.1, E.1). */
export function maxFragmentBytes({ maxLength }: UserInformation): number {
  const limit = maxLength === 0 ? MAX_SENT_PDU_BYTES : Math.min(maxLength, MAX_SENT_PDU_BYTES)
  return (limit - 6) & ~1
}

function ourselves(maxPduLength: number): UserInformation {
  return {
    maxLength: maxPduLength,
    implementationClassUid: IMPLEMENTATION_CLASS_UID,
    implementationVersionName: IMPLEMENTATION_VERSION_NAME,
    roles: [],
    extended: [],
    commonExtended: [],
  }
}
