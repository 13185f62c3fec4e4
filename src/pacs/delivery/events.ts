import { channel } from 'node:diagnostics_channel'

/** Published for each instance that is stored to us and that nobody asked for, and each caller who is not let in. */
export interface RefusedStoreEvent {
  /** Of who called; not known of who is gone already. */
  readonly address?: string | undefined
  /** OpenSSL's name for what is wrong with TLS. */
  readonly code?: string | undefined
  /** How who called named itself. */
  readonly callingAeTitle?: string
  readonly reason: RefusalReason
}

export type RefusalReason =
  | 'tls-failed'
  | 'not-dicom'
  /** Of an address that may not connect. */
  | 'not-allowed'
  /** A connection without an association, or an association at rest, that was ended for another. */
  | 'made-room'
  /** Not one of our archives, or calling from another address. */
  | 'unknown-caller'
  /** Who calls names another AE title than ours. */
  | 'wrong-title'
  /** As many associations as there may be, of which none is at rest. */
  | 'no-room'
  /** One of our archives, which has no C-MOVE under way. */
  | 'unasked'
  /** An instance that none of the C-MOVEs under way asked for. */
  | 'unexpected'
  | 'unreadable'
  /** A report that nobody waits for. */
  | 'unasked-report'

/** Published when the listener is opened. */
export interface ListenerEvent {
  readonly aeTitle: string
  readonly port: number
}

const refusals = channel('dimsegate:refused-store')
const openings = channel('dimsegate:listener')

export function publishRefusal(event: RefusedStoreEvent): void {
  refusals.publish(event)
}

export function publishListener(event: ListenerEvent): void {
  openings.publish(event)
}
