import type { AcceptorPolicy, Offer } from './negotiation.ts'
import type { AssociateReject, AssociateRequest } from './pdu.ts'
import type { Address, TlsOptions } from './transport.ts'

/** PS3.8 9.1.4; runs in Sta2 and Sta13. */
export const ARTIM_MS = 30_000

export interface RequestOptions extends Offer {
  readonly address: Address
  readonly tls?: TlsOptions | undefined
  /** Milliseconds. */
  readonly timeouts: { readonly connect: number; readonly associate: number }
  /** Milliseconds; ARTIM_MS unless told. */
  readonly artim?: number
  /** Called when there is a connection; what it is given resolves when that is gone, also where no association stands. */
  readonly onConnected?: (closed: Promise<undefined>) => void
}

export interface AcceptOptions {
  readonly maxPduLength: number
  /** Decides on a request: a policy for its contexts, or a rejection. */
  decide(request: AssociateRequest): AcceptorPolicy | Omit<AssociateReject, 'type'>
  /** Called when the peer sends bytes that are not an A-ASSOCIATE-RQ. */
  readonly onMalformed?: () => void
  /** Milliseconds; ARTIM_MS unless told. */
  readonly artim?: number
}
