import { channel } from 'node:diagnostics_channel'
import { Hono, type MiddlewareHandler } from 'hono'
import { routePath } from 'hono/route'
import { FetchAhead } from '../cache/fetch-ahead.ts'
import type { InstanceCache } from '../cache/instance-cache.ts'
import type { Federation } from '../pacs/federation/federation.ts'
import type { Config } from '../config/config.ts'
import type { ImagingPool } from '../imaging/pool/imaging-pool.ts'
import type { Archive } from '../pacs/archive.ts'
import type { Prefetcher } from '../cache/prefetch/prefetcher.ts'
import type { PriorFinder } from '../pacs/priors/find-priors.ts'
import { publicOrigin } from './base-url.ts'
import { crossOrigin } from './cors.ts'
import { AllowedHosts, ownNameOnly, ownPagesOnly } from './allowed-hosts.ts'
import { linksOf } from './auth/auth-config.ts'
import { Gate } from './auth/gate.ts'
import { sharePage } from './auth/share-page.ts'
import { StudyPatients } from './auth/study-patients.ts'
import type { Audit } from '../audit/audit.ts'
import { traceRefusal } from './audit/trace.ts'
import { ClientGoneError, type HttpContext, type HttpEnv } from './context.ts'
import { ERROR_PAGE, MAX_PATH, problemOf, RequestError } from './problem.ts'
import type { LinkedIds } from './federation/linked-ids.ts'
import { mount } from './mount.ts'
import { operatorRoutes, probes, type Metrics } from './ops/ops-routes.ts'
import type { ReadinessCheck } from './ops/readiness.ts'
import { RequestsAhead } from './requests-ahead.ts'
import { securityHeaders } from './security-headers.ts'
import type { Router } from '../routing/router.ts'
import type { Given } from './validators/given.ts'
import { Shortfalls } from './retrieve/shortfalls.ts'
import { Holding } from './made/holding.ts'

export interface AppOptions {
  readonly config: Config
  readonly archives: readonly Archive[]
  readonly federation: Federation | undefined
  readonly links: LinkedIds | undefined
  readonly priors: PriorFinder
  readonly prefetcher: Prefetcher | undefined
  readonly cache: InstanceCache
  readonly imaging: ImagingPool
  readonly readiness: ReadinessCheck
  readonly contract: object
  /** What the codes of problems mean, as HTML. */
  readonly errorPage: string
  readonly metrics: Metrics
  readonly audit: Audit
  readonly given: Given
  readonly router: Router
  /** Aborted when requests under way are to end at once. */
  readonly stop: AbortSignal
  /** Whatever else is served, at paths of its own; what it leaves unanswered is not found. */
  readonly pages?: Hono | undefined
}

/** Published for each request when its response is over. `route` is a pattern: no UIDs, no values. */
export interface RequestEvent {
  readonly method: string
  readonly route: string
  readonly archive: string | undefined
  readonly status: number
  readonly milliseconds: number
  /** The body was cut short: by us, or because the client went away. */
  readonly cut: boolean
  readonly error: unknown
}

const requests = channel('dimsegate:request')
const CLIENT_CLOSED_REQUEST = 499

/** The web application: DICOMweb for each archive, and what operators need. */
export function createApp(options: AppOptions): Hono<HttpEnv> {
  const { config, archives, federation, readiness, contract, errorPage, metrics } = options
  const app = new Hono<HttpEnv>()
  const ahead = new RequestsAhead()
  const gate = new Gate(config.auth)
  const { origins } = config.http.cors
  app.use(preparing(options))
  const hosts = new AllowedHosts(config.http)
  app.use(ownNameOnly(hosts))
  if (origins.length > 0) app.use(crossOrigin(origins))
  app.use(ownPagesOnly(hosts, origins))
  if (config.ops.listen) probes(app, readiness)
  else operatorRoutes(app, { readiness, metrics, admit: (c) => gate.admit(c, 'admin') })
  const contractText = JSON.stringify(contract)
  app.get('/openapi.json', (c) => {
    ahead.enterConnection(c.env)
    return c.body(contractText, 200, { 'Content-Type': 'application/json' })
  })
  app.get(ERROR_PAGE, (c) => {
    ahead.enterConnection(c.env)
    return c.html(errorPage)
  })
  const { imaging, cache, audit } = options
  const place = { app, ahead, gate, imaging, cache, audit, contract }
  const { basePath } = config.http
  mount(place, { path: basePath, find: () => archives[0] })
  mount(place, {
    path: `${basePath}/aets/:aeTitle`,
    find: (c) => archives.find((archive) => archive.config.aeTitle === c.req.param('aeTitle')),
  })
  if (federation) {
    mount(place, { path: `${basePath}/${federation.config.name}`, federation, links: options.links })
  }
  const links = linksOf(config.auth)
  if (links) sharePage(app, links, { archives, ahead })
  if (options.pages) app.route('/', options.pages)
  app.notFound((c) => {
    throw new RequestError(404, 'NO_SUCH_RESOURCE', `Nothing is served at ${c.req.path.slice(0, MAX_PATH)}.`)
  })
  app.onError((error, c) => {
    c.error = error
    const { problem, headers } = problemOf(error, c.req.path, publicOrigin(c, config.http))
    traceRefusal(c, audit, problem.code)
    return c.body(JSON.stringify(problem), problem.status as 500, {
      ...headers,
      'Content-Type': 'application/problem+json',
    })
  })
  return app
}

/** Gives handlers their variables and reports the request when its response is over. */
function preparing(options: AppOptions): MiddlewareHandler<HttpEnv> {
  const { config, federation, cache, stop } = options
  const shared: Shared = {
    config,
    federation,
    cache,
    shortfalls: new Shortfalls(),
    holding: new Holding(),
    given: options.given,
    router: options.router,
    patients: new StudyPatients(),
    priors: options.priors,
    prefetcher: options.prefetcher,
    ahead: new FetchAhead(cache, config.cache.maxBytes),
  }
  const secure = securityHeaders(options.config.http)
  return (c, next) => {
    secure(c.env)
    return prepare(c, next, shared, stop)
  }
}

/** What all requests share. */
type Shared = Pick<
  HttpEnv['Variables'],
  | 'config'
  | 'federation'
  | 'cache'
  | 'shortfalls'
  | 'holding'
  | 'given'
  | 'router'
  | 'patients'
  | 'priors'
  | 'prefetcher'
  | 'ahead'
>

async function prepare(c: HttpContext, next: () => Promise<void>, shared: Shared, stop: AbortSignal): Promise<void> {
  const started = performance.now()
  const { outgoing } = c.env
  const gone = new AbortController()
  const { socket } = c.env.incoming
  const [received, sent] = [socket.bytesRead, socket.bytesWritten]
  outgoing.once('close', () => {
    const cut = !outgoing.writableFinished
    if (cut) gone.abort(new ClientGoneError())
    const { trail, archive } = c.var as Partial<HttpEnv['Variables']>
    // 499, as others log it: the client left before there was a status.
    const status = outgoing.headersSent ? outgoing.statusCode : CLIENT_CLOSED_REQUEST
    trail?.end({
      status,
      cut,
      isRange: outgoing.hasHeader('Content-Range'),
      code: codeOf(c.error, { cut, isStopped: stop.aborted }),
      bytes: socket.bytesRead - received + socket.bytesWritten - sent,
    })
    if (!requests.hasSubscribers) return
    const event: RequestEvent = {
      method: c.req.method,
      route: routePath(c, -1),
      archive: archive?.config.name,
      status,
      milliseconds: performance.now() - started,
      cut,
      error: c.error ?? (cut ? new ClientGoneError() : undefined),
    }
    requests.publish(event)
  })
  for (const [name, value] of Object.entries(shared)) c.set(name as keyof Shared, value as never)
  c.set('signal', AbortSignal.any([gone.signal, stop]))
  await next()
}

/** Why a response is not what was asked for, as the audit trail says it. */
function codeOf(
  error: Error | undefined,
  { cut, isStopped }: { readonly cut: boolean; readonly isStopped: boolean },
): string | undefined {
  // What a stop ends fails in many ways.
  if (cut && isStopped) return 'STOPPED'
  if (error) return problemOf(error, '').problem.code
  return cut ? 'CLIENT_GONE' : undefined
}
