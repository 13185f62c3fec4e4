import type { Dataset } from '../../dicom/dataset.ts'
import type { IncomingStore } from '../../dimse/scp.ts'
import type { Arrival } from '../../instance/arrival.ts'

/** Who calls, over an association that stands. */
export interface DeviceCall {
  readonly calledAeTitle: string
  readonly address: string | undefined
  /** Aborted when the association is over. */
  readonly signal: AbortSignal
}

/** A device that may call our listener at any time, and what it may do there. */
export interface Device {
  readonly name: string
  /** Milliseconds it may be silent within an instance. */
  readonly timeout: number
  /** It may have one more association. */
  readonly hasRoom: boolean
  /** It may ask for a worklist. */
  readonly asksWorklist: boolean
  /** It may ask for storage commitment. */
  readonly asksCommitment: boolean
  /** It has one more association, until what is returned is disposed of. */
  enter(): Disposable
  /** Takes an instance; comes to the status of the C-STORE response (PS3.4 B.2.3). */
  store(incoming: IncomingStore, arrival: Arrival, call: DeviceCall): Promise<number>
  /** Takes a request for storage commitment; comes to the status of the N-ACTION response. */
  commit(request: Dataset | undefined): number
  /** Scheduled steps that match. @throws what asking for them throws */
  findSteps(identifier: Dataset, call: DeviceCall): AsyncIterable<Dataset>
}

/** The devices of the configuration. */
export interface Devices {
  /** There are any: the listener has to be open. */
  readonly isExpecting: boolean
  /** The one that calls so. */
  at(callingAeTitle: string, calledAeTitle: string, address: string | undefined): Device | undefined
  /** Whether one is expected at an address. */
  isKnown(address: string | undefined): boolean
}

/** Nobody. */
export const NO_DEVICES: Devices = { isExpecting: false, at: () => undefined, isKnown: () => false }
