import type { Config } from '../config/config.ts'
import type { Dataset } from '../dicom/dataset.ts'
import type { IncomingStore } from '../dimse/scp.ts'
import { Status } from '../dimse/status.ts'
import type { Arrival } from '../instance/arrival.ts'
import { AddressList } from '../network/address-list.ts'
import type { Archive } from '../pacs/archive.ts'
import type { Device, DeviceCall, Devices } from '../pacs/delivery/devices.ts'
import { arriving } from '../pacs/instance.ts'
import type { DeviceCommitments } from './device-commitment.ts'
import { publishReceived, statusOf, type Delivery } from './delivery.ts'
import type { Instance } from '../pacs/instance.ts'
import type { Router } from './router.ts'

type DeviceConfig = Config['devices'][number]

export interface RoutedDevicesOptions {
  readonly devices: readonly DeviceConfig[]
  /** Our AE title. */
  readonly aeTitle: string
  readonly router: Router
  readonly archives: ReadonlyMap<string, Pick<Archive, 'worklist'>>
  readonly commitments: DeviceCommitments
  readonly trace: BeginTrace
  /** Nothing may be done, since it could not be written down. */
  readonly isBlocked: () => boolean
}

/** What an association leaves in the audit trail. */
export interface DeviceTrace {
  /** Where it went; to nobody where that is not told. */
  note(instance: Instance, delivery?: Delivery): void
  asked(): void
  /** The association is over. */
  end(): void
}

/** Who has opened an association. */
export interface TracedCaller {
  readonly callingAeTitle: string
  readonly address: string | undefined
}

export type BeginTrace = (caller: TracedCaller) => DeviceTrace

/** Devices, what they bring goes where the routes lead. */
export class RoutedDevices implements Devices {
  readonly #entries: readonly RoutedDevice[]

  constructor({ devices, ...around }: RoutedDevicesOptions) {
    this.#entries = devices.map((config) => new RoutedDevice(config, around))
  }

  get isExpecting(): boolean {
    return this.#entries.length > 0
  }

  at(callingAeTitle: string, calledAeTitle: string, address: string | undefined): Device | undefined {
    return this.#entries.find((device) => device.calls(callingAeTitle, calledAeTitle, address))
  }

  isKnown(address: string | undefined): boolean {
    return this.#entries.some((device) => device.isAt(address))
  }
}

/** No route takes an instance of a device. */
class NoRouteError extends Error {
  readonly code = 'NO_ROUTE'
  constructor() {
    super('No route takes the instance')
    this.name = 'NoRouteError'
  }
}

class RoutedDevice implements Device {
  readonly #config: DeviceConfig
  readonly #around: Omit<RoutedDevicesOptions, 'devices'>
  readonly #addresses: AddressList | undefined
  #associations = 0
  /** By the signals of associations that stand. */
  readonly #traces = new WeakMap<AbortSignal, DeviceTrace>()

  constructor(config: DeviceConfig, around: Omit<RoutedDevicesOptions, 'devices'>) {
    this.#config = config
    this.#around = around
    this.#addresses = config.addresses.length > 0 ? new AddressList(config.addresses) : undefined
  }

  get name(): string {
    return this.#config.name
  }

  get timeout(): number {
    return this.#config.timeout
  }

  get hasRoom(): boolean {
    return this.#associations < this.#config.maxAssociations
  }

  get asksWorklist(): boolean {
    return this.#config.worklist !== null
  }

  get asksCommitment(): boolean {
    return this.#config.commitment !== null
  }

  calls(callingAeTitle: string, calledAeTitle: string, address: string | undefined): boolean {
    const { aeTitle, calledAeTitle: ours } = this.#config
    return (
      aeTitle === callingAeTitle &&
      (ours ?? this.#around.aeTitle) === calledAeTitle &&
      (!this.#addresses || this.#addresses.has(address))
    )
  }

  /** It is told where it is, and is there. */
  isAt(address: string | undefined): boolean {
    return this.#addresses?.has(address) === true
  }

  enter(): Disposable {
    this.#associations++
    return {
      [Symbol.dispose]: () => {
        this.#associations--
      },
    }
  }

  async store(incoming: IncomingStore, arrival: Arrival, call: DeviceCall): Promise<number> {
    const { sopInstance = incoming.sopInstance, sopClass = incoming.sopClass, study, series } = arrival.index.identity
    if (this.#around.isBlocked()) {
      await arrival.return()
      return Status.outOfResources
    }
    // Under another UID it would not be found by who was told that it is stored.
    const isItself = sopInstance === incoming.sopInstance && arrival.index.hasOneIdentity
    if (!isItself || study === undefined || series === undefined) {
      await arrival.return()
      return isItself ? Status.cannotUnderstand : Status.identifierDoesNotMatchSopClass
    }
    const instance = arriving({ sopClass, sopInstance, study, series }, arrival)
    const { aeTitle: callingAeTitle, name: device } = this.#config
    const { calledAeTitle, address, signal } = call
    const origin = { source: 'device', device, callingAeTitle, calledAeTitle, address } as const
    const trace = this.#traceOf(call)
    const { outcome, deliveries } = await this.#around.router.deliver(instance, {
      origin,
      sender: { kind: 'dicom', name: callingAeTitle, address },
      call: { signal, priority: 'bulk' },
      unrouted: () => Promise.resolve({ kind: 'refused', status: Status.notAuthorized, error: new NoRouteError() }),
      told: (delivery) => trace.note(instance, delivery),
    })
    if (deliveries.length === 0) trace.note(instance)
    publishReceived(device, outcome)
    return statusOf(outcome)
  }

  commit(request: Dataset | undefined): number {
    return this.#around.commitments.ask(this.#config, request)
  }

  findSteps(identifier: Dataset, call: DeviceCall): AsyncIterable<Dataset> {
    const { signal } = call
    this.#traceOf(call).asked()
    const { worklist } = this.#around.archives.get(this.#config.worklist!)!
    return worklist.passOn(identifier, { signal, priority: 'interactive' })
  }

  /** One for each association. */
  #traceOf({ signal, address }: DeviceCall): DeviceTrace {
    const known = this.#traces.get(signal)
    if (known) return known
    const trace = this.#around.trace({ callingAeTitle: this.#config.aeTitle, address })
    this.#traces.set(signal, trace)
    signal.addEventListener('abort', () => trace.end(), { once: true })
    return trace
  }
}
