import type { Logger } from 'pino'
import { Counter, type Registry } from 'prom-client'
import type { RefusedConnectionEvent } from '../http/tls.ts'
import type { ListenerEvent, RefusedStoreEvent } from '../pacs/delivery/events.ts'
import { listen } from './listen.ts'
import { SparedLines } from './spared-lines.ts'

export function logRefusals(log: Logger, registry: Registry): () => void {
  const refused = new Counter({
    name: 'dimsegate_refused_stores_total',
    help: 'Instances, associations and connections that our DICOM listener refused',
    labelNames: ['reason'],
    registers: [registry],
  })
  const lines = new SparedLines()
  return listen('dimsegate:refused-store', (message) => {
    const { reason, address, callingAeTitle, code } = message as RefusedStoreEvent
    refused.inc({ reason })
    const line = lines.next(reason)
    if (line) log.warn({ reason, address, callingAeTitle, code, ...line }, 'refused store')
  })
}

export function logConnections(log: Logger, registry: Registry): () => void {
  const refused = new Counter({
    name: 'dimsegate_http_refused_connections_total',
    help: 'Connections to the web server that did not come to terms about TLS',
    registers: [registry],
  })
  const lines = new SparedLines()
  return listen('dimsegate:refused-connection', (message) => {
    const { address, code } = message as RefusedConnectionEvent
    refused.inc()
    const line = lines.next('tls')
    if (line) log.warn({ reason: 'tls-failed', address, code, ...line }, 'refused connection')
  })
}

export function logListener(log: Logger): () => void {
  return listen('dimsegate:listener', (message) => {
    const { aeTitle, port } = message as ListenerEvent
    log.info({ aeTitle, port }, 'DICOM listener')
  })
}
