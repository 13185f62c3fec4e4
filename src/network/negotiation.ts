import type { Uid } from '../dicom/uids.ts'
import {
  ContextResult,
  type AssociateAccept,
  type AssociateRequest,
  type ContextAnswer,
  type ExtendedNegotiation,
  type RoleSelection,
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
  choose(abstractSyntax: Uid, offered: readonly Uid[]): Uid | 'abstract' | 'transfer'
  /** Roles granted of those proposed; absent: none are returned. */
  roles?(proposed: RoleSelection): RoleSelection | undefined
  extended?(proposed: ExtendedNegotiation): ExtendedNegotiation | undefined
}

/** Answers each proposed context (PS3.8 9.3.3.2). Even or repeated ids are an error of the requestor. */
export function answerContexts(request: AssociateRequest, policy: AcceptorPolicy): ContextAnswer[] {
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

/** Ids must be odd and each used once; at most 128 of them. */
export function hasValidContextIds(request: AssociateRequest): boolean {
  const ids = new Set(request.contexts.map(({ id }) => id))
  return ids.size === request.contexts.length && ids.size <= MAX_CONTEXTS && [...ids].every((id) => (id & 1) === 1)
}
