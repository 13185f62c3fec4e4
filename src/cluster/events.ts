import { channel } from 'node:diagnostics_channel'

/** Published when the shared server is found, or found lost. */
export interface ControlPlaneEvent {
  readonly event: 'found' | 'lost'
  readonly error?: unknown
}

/** Published for each instance that was passed on to another replica, or came from one. */
export interface RelayEvent {
  readonly direction: 'out' | 'in'
  /** `refused`: it was not wanted any more; `failed`: the connection, or the archive's, ended within it. */
  readonly outcome: 'stored' | 'refused' | 'failed'
  readonly bytes: number
}

const controlPlane = channel('dimsegate:control-plane')
const relays = channel('dimsegate:relay')

export function publishControlPlane(event: ControlPlaneEvent): void {
  controlPlane.publish(event)
}

export function publishRelay(event: RelayEvent): void {
  relays.publish(event)
}
