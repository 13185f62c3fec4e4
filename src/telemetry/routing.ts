import type { Logger } from 'pino'
import { Counter, Gauge, type Registry } from 'prom-client'
import { formatStatus } from '../dimse/status.ts'
import type { DeviceCommitmentEvent } from '../routing/device-commitment.ts'
import type { LookupEvent } from '../routing/change/steps.ts'
import type { DeliveryEvent, ReceivedEvent } from '../routing/delivery.ts'
import type { Spool, SpoolEvent } from '../routing/spool/spool.ts'
import { errorFields } from './error-fields.ts'
import { listen } from './listen.ts'
import { SparedLines } from './spared-lines.ts'

/** What devices have sent, and where it went. A failure is told, and that it is over. */
export function logRouting(log: Logger, registry: Registry): () => void {
  const stops = [
    logDeliveries(log, registry),
    logReceived(log, registry),
    logCommitments(log),
    logSpool(log),
    measureLookups(registry),
  ]
  return () => stops.forEach((stop) => stop())
}

function logDeliveries(log: Logger, registry: Registry): () => void {
  const spared = new SparedLines()
  const deliveries = new Counter({
    name: 'dimsegate_deliveries_total',
    help: 'Instances that routes have sent to each destination, by what became of them',
    labelNames: ['route', 'destination', 'delivery', 'result'],
    registers: [registry],
  })
  return listen('dimsegate:delivery', (message) => {
    const { route, destination, isRequired, result, status, error } = message as DeliveryEvent
    const delivery = isRequired ? 'required' : 'best-effort'
    deliveries.inc({ route, destination, delivery, result })
    if (result === 'stored' || result === 'spooled') return
    const line = spared.next(`${destination} ${result}`)
    const dimse = status === undefined ? {} : { dimse: formatStatus(status) }
    if (line) log.warn({ route, destination, delivery, result, ...dimse, ...errorFields(error), ...line }, 'delivery')
  })
}

function logReceived(log: Logger, registry: Registry): () => void {
  const spared = new SparedLines()
  const received = new Counter({
    name: 'dimsegate_device_instances_total',
    help: 'Instances that devices have sent, by what they were told',
    labelNames: ['device', 'result'],
    registers: [registry],
  })
  return listen('dimsegate:received', (message) => {
    const { device, result, status, error } = message as ReceivedEvent
    received.inc({ device, result })
    if (result === 'stored') return
    const line = spared.next(`${device} ${status}`)
    if (line) log.warn({ device, result, dimse: formatStatus(status), ...errorFields(error), ...line }, 'not stored')
  })
}

/** A device that is not told keeps what it has: somebody has to know. */
function logCommitments(log: Logger): () => void {
  return listen('dimsegate:device-commitment', (message) => {
    const { device, archive, isTold, committed, failed, error } = message as DeviceCommitmentEvent
    const level = isTold && failed === 0 ? 'info' : 'warn'
    log[level]({ device, archive, isTold, committed, failed, ...errorFields(error) }, 'storage commitment of a device')
  })
}

/** Once when a destination does not take what waits for it, and once when it does again. */
function logSpool(log: Logger): () => void {
  return listen('dimsegate:spool', (message) => {
    const { destination, isPassing, reason } = message as SpoolEvent
    log[isPassing ? 'info' : 'warn']({ destination, reason }, isPassing ? 'spool passes again' : 'spool waits')
  })
}

export function measureSpool(registry: Registry, spool: Pick<Spool, 'bytes' | 'stats'>): void {
  new Gauge({
    name: 'dimsegate_spool_bytes',
    help: 'Bytes that the spool of best-effort deliveries takes on disk',
    registers: [registry],
    collect() {
      this.set(spool.bytes)
    },
  })
  new Gauge({
    name: 'dimsegate_spool_instances',
    help: 'Instances in the spool that wait to be sent to each destination, and that are given up',
    labelNames: ['destination', 'state'],
    registers: [registry],
    collect() {
      for (const { destination, waiting, givenUp } of spool.stats) {
        this.set({ destination, state: 'waiting' }, waiting)
        this.set({ destination, state: 'given-up' }, givenUp)
      }
    },
  })
}

/** Where nothing is found what was typed stays. */
function measureLookups(registry: Registry): () => void {
  const asked = new Counter({
    name: 'dimsegate_worklist_lookups_total',
    help: 'Instances of which a route has asked a worklist, and whether that had a step',
    labelNames: ['archive', 'result'],
    registers: [registry],
  })
  return listen('dimsegate:worklist-lookup', (message) => {
    const { archive, isFound } = message as LookupEvent
    asked.inc({ archive, result: isFound ? 'found' : 'missing' })
  })
}
