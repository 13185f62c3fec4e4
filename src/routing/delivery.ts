import { channel } from 'node:diagnostics_channel'
import { Status, statusClass } from '../dimse/status.ts'
import type { StoreOutcome } from '../pacs/store.ts'
import type { TargetNode } from './target.ts'

/** What became of an instance at one destination. */
export interface Delivery {
  readonly route: string
  readonly node: TargetNode
  readonly isRequired: boolean
  /** What it was stored in is the spool: its destination gets it from there. */
  readonly isSpooled: boolean
  readonly outcome: StoreOutcome
  /** It has other UIDs there than it came with. */
  readonly isRenamed: boolean
}

/** Published for each instance at each destination. */
export interface DeliveryEvent {
  readonly route: string
  readonly destination: string
  readonly isRequired: boolean
  /** `stored`, `spooled`: it is on disk to be sent there, or why not. */
  readonly result: StoreOutcome['kind'] | 'spooled'
  /** DIMSE status, where the destination has given one. */
  readonly status?: number | undefined
  readonly error?: unknown
  /** It was changed on its way. */
  readonly isChanged: boolean
}

/** Published for each instance that a device has sent, when it is answered. */
export interface ReceivedEvent {
  readonly device: string
  readonly result: StoreOutcome['kind']
  /** DIMSE status that it was answered by. */
  readonly status: number
  readonly error?: unknown
}

const deliveries = channel('dimsegate:delivery')
const received = channel('dimsegate:received')

export function publishReceived(device: string, outcome: StoreOutcome): void {
  const error = 'error' in outcome ? outcome.error : undefined
  received.publish({ device, result: outcome.kind, status: statusOf(outcome), error } satisfies ReceivedEvent)
}

export function publishDelivery({ outcome, route, node, isRequired, isSpooled }: Delivery, isChanged: boolean): void {
  if (!deliveries.hasSubscribers) return
  deliveries.publish({
    ...{ route, destination: node.name, isRequired },
    isChanged,
    result: isSpooled && outcome.kind === 'stored' ? 'spooled' : outcome.kind,
    ...('status' in outcome && { status: outcome.status }),
    ...('error' in outcome && { error: outcome.error }),
  } satisfies DeliveryEvent)
}

/**
 * What the sender is told: the worst of the destinations that are required; what will not go better before what may. Where
 * none is, what one of the others says that has stored it: nothing is acknowledged that nobody has.
 */
export function worstOf(deliveries: readonly Delivery[]): StoreOutcome {
  const required = deliveries.filter(({ isRequired }) => isRequired)
  const outcomes = (required.length > 0 ? required : deliveries).map(({ outcome }) => outcome)
  const failed = outcomes.filter(({ kind }) => kind !== 'stored')
  if (failed.length > 0 && (required.length > 0 || failed.length === outcomes.length)) {
    return failed.find((outcome) => !mayPass(outcome)) ?? failed[0]!
  }
  const stored = outcomes.filter(({ kind }) => kind === 'stored')
  return stored.find((outcome) => 'status' in outcome && statusClass(outcome.status) === 'warning') ?? stored[0]!
}

/** It may go better the next time: somebody was not there, or has no room (PS3.4 B.2.3). */
function mayPass(outcome: StoreOutcome): boolean {
  return statusOf(outcome) >>> 8 === 0xa7
}

/** The status of a C-STORE response for an outcome (PS3.4 B.2.3). */
export function statusOf(outcome: StoreOutcome): number {
  if ('status' in outcome) return outcome.status
  // Who sent it may try again: somebody was not there.
  return outcome.kind === 'failed' ? Status.outOfResources : Status.cannotUnderstand
}
