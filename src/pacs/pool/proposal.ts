import type { ExtendedNegotiation, ProposedContext, RoleSelection } from '../../network/pdu.ts'

/** What an association is opened for. Those with equal proposals can stand in for each other. */
export interface Proposal {
  readonly contexts: readonly ProposedContext[]
  readonly roles?: readonly RoleSelection[]
  readonly extended?: readonly ExtendedNegotiation[]
}

/** Equal where proposals are. */
export function proposalKey({ contexts, roles = [], extended = [] }: Proposal): string {
  return JSON.stringify([contexts, roles, extended.map(({ sopClass, information }) => [sopClass, [...information]])])
}
