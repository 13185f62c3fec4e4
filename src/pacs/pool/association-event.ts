import { channel } from 'node:diagnostics_channel'

/**
 * Published when an association is opened, could not be, is no longer wanted before it is, or has ended; and when something is given up for a while:
 * extended negotiation (plain), user identity (anonymous), the number of contexts.
 */
export interface AssociationEvent {
  readonly archive: string
  readonly event: 'opened' | 'failed' | 'given-up' | 'closed' | 'plain' | 'anonymous' | 'fewer-contexts'
  /** Why it could not be opened. */
  readonly error?: unknown
}

const associations = channel('dimsegate:association')

/** Tells who listens. */
export function publishAssociation(event: AssociationEvent): void {
  if (associations.hasSubscribers) associations.publish(event)
}
