import type { Logger } from 'pino'
import { Histogram, Counter, type Registry } from 'prom-client'
import type { RequestEvent } from '../http/app.ts'
import { codeOf, errorFields } from './error-fields.ts'
import { listen } from './listen.ts'

export function logRequests(log: Logger, registry: Registry): () => void {
  const duration = new Histogram({
    name: 'dimsegate_http_request_duration_seconds',
    help: 'Time from the request to the end of its response',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120],
    registers: [registry],
  })
  const cuts = new Counter({
    name: 'dimsegate_http_responses_cut_total',
    help: 'Responses whose connection ended before their body did',
    labelNames: ['route'],
    registers: [registry],
  })
  return listen('dimsegate:request', (message) => {
    const { method, route, archive, status, milliseconds, cut, error } = message as RequestEvent
    duration.observe({ method, route, status }, milliseconds / 1000)
    if (cut) cuts.inc({ route })
    const isFailure = status >= 500 || (cut && codeOf(error) !== 'CLIENT_GONE' && error !== undefined)
    // What an archive has damaged, or does not give, is its administrator's business.
    const level = isFailure ? 'error' : status === PARTIAL_CONTENT && error !== undefined ? 'warn' : 'info'
    const fields = {
      method,
      route,
      archive,
      status,
      ms: Math.round(milliseconds),
      ...(cut && { cut }),
      ...errorFields(error),
    }
    log[operational.has(route) && level === 'info' ? 'debug' : level](fields, 'request')
  })
}

const PARTIAL_CONTENT = 206

/** Routes that probes and scrapers ask continually: logged at debug unless they fail. */
const operational = new Set(['/livez', '/readyz', '/metrics'])
