import { channel } from 'node:diagnostics_channel'
import { Hono, type MiddlewareHandler } from 'hono'
import { routePath } from 'hono/route'
import { FetchAhead } from '../cache/fetch-ahead.ts'
import type { InstanceCache } from '../cache/instance-cache.ts'
import type { Config } from '../config/config.ts'
import type { ImagingPool } from '../imaging/pool/imaging-pool.ts'
import type { Archive } from '../pacs/archive.ts'
import { publicOrigin } from './base-url.ts'
import { crossOrigin } from './cors.ts'
import { AllowedHosts, ownNameOnly, ownPagesOnly } from './allowed-hosts.ts'
import { linksOf } from './auth/auth-config.ts'
import { Gate } from './auth/gate.ts'
import type { Verb } from './auth/principal.ts'
import { retrieveCapabilities } from './capabilities.ts'
import { sharePage } from './auth/share-page.ts'
import { StudyPatients } from './auth/study-patients.ts'
import { checkStudy } from './auth/within-binding.ts'
import type { Audit } from '../audit/audit.ts'
import { trace, traceRefusal } from './audit/trace.ts'
import { clientOf } from './client.ts'
import { ClientGoneError, type HttpContext, type HttpEnv } from './context.ts'
import { ComingLater, comingLater, patienceOf } from './retrieve/coming-later.ts'
import { retrieveBulkData, retrieveBulkDataElement, retrievePixelData } from './retrieve/bulk-data.ts'
import { retrieveFrames } from './retrieve/frames.ts'
import { retrieveMetadata } from './retrieve/metadata.ts'
import type { operations } from './openapi.d.ts'
import { ERROR_PAGE, MAX_PATH, problemOf, RequestError } from './problem.ts'
import { operatorRoutes, probes, type Metrics } from './ops/ops-routes.ts'
import type { ReadinessCheck } from './ops/readiness.ts'
import { renderFrames, renderOneInstance, renderSelection } from './rendered/rendered-resources.ts'
import { RequestsAhead } from './requests-ahead.ts'
import { securityHeaders } from './security-headers.ts'
import { pathSelection, pathUid } from './path.ts'
import { Given } from './validators/given.ts'
import { notModified } from './validators/not-modified.ts'
import { retrieveInstances } from './retrieve/retrieve.ts'
import { Shortfalls } from './retrieve/shortfalls.ts'
import { searchResource } from './search/search.ts'
import { retrievePerformedStep, writePerformedStep } from './performed/performed-steps.ts'
import { searchWorklist } from './search/worklist.ts'
import { Holding } from './made/holding.ts'
import type { Members } from './send/asked-for.ts'
import { cancelSend, requestSend, sendResult } from './send/send.ts'
import { storeInstances } from './store/store.ts'
import { commitmentResult, requestCommitment } from './commitment/commitment.ts'
import { thumbnail } from './rendered/thumbnail.ts'
import { retrieveByUri } from './uri/wado-uri.ts'

export interface AppOptions {
  readonly config: Config
  readonly archives: readonly Archive[]
  readonly cache: InstanceCache
  readonly imaging: ImagingPool
  readonly readiness: ReadinessCheck
  readonly contract: object
  /** What the codes of problems mean, as HTML. */
  readonly errorPage: string
  readonly metrics: Metrics
  readonly audit: Audit
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

type Operation = Exclude<
  keyof operations,
  'live' | 'ready' | 'metrics' | 'openapi' | 'errors' | 'sharePage' | 'openLink' | 'capabilities'
>

const INSTANCE = '/studies/:study/series/:series/instances/:instance'

interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly path: string
  readonly handle: (c: HttpContext) => Promise<Response>
}

/** The DICOMweb operations of openapi/dicomweb.yaml. */
const routes: Readonly<Record<Operation, Route>> = {
  searchStudies: get('/studies', (c) => searchResource(c, { level: 'STUDY', withParents: false })),
  searchStudySeries: get('/studies/:study/series', (c) => searchResource(c, { level: 'SERIES', withParents: false })),
  searchSeriesInstances: get('/studies/:study/series/:series/instances', (c) =>
    searchResource(c, { level: 'IMAGE', withParents: false }),
  ),
  searchStudyInstances: get('/studies/:study/instances', (c) =>
    searchResource(c, { level: 'IMAGE', withParents: true }),
  ),
  searchAllSeries: get('/series', (c) => searchResource(c, { level: 'SERIES', withParents: true })),
  searchAllInstances: get('/instances', (c) => searchResource(c, { level: 'IMAGE', withParents: true })),
  retrieveStudy: get('/studies/:study', retrieveInstances),
  retrieveSeries: get('/studies/:study/series/:series', retrieveInstances),
  retrieveInstance: get(INSTANCE, retrieveInstances),
  retrieveStudyMetadata: get('/studies/:study/metadata', retrieveMetadata),
  retrieveSeriesMetadata: get('/studies/:study/series/:series/metadata', retrieveMetadata),
  retrieveInstanceMetadata: get(`${INSTANCE}/metadata`, retrieveMetadata),
  retrieveFrames: get(`${INSTANCE}/frames/:frames`, retrieveFrames),
  retrieveStudyBulkData: get('/studies/:study/bulkdata', retrieveBulkData),
  retrieveSeriesBulkData: get('/studies/:study/series/:series/bulkdata', retrieveBulkData),
  retrieveInstanceBulkData: get(`${INSTANCE}/bulkdata`, retrieveBulkData),
  retrieveBulkDataElement: get(`${INSTANCE}/bulkdata/:path{.+}`, retrieveBulkDataElement),
  retrieveStudyPixelData: get('/studies/:study/pixeldata', retrievePixelData),
  retrieveSeriesPixelData: get('/studies/:study/series/:series/pixeldata', retrievePixelData),
  retrieveInstancePixelData: get(`${INSTANCE}/pixeldata`, retrievePixelData),
  renderStudy: get('/studies/:study/rendered', renderSelection),
  renderSeries: get('/studies/:study/series/:series/rendered', renderSelection),
  renderInstance: get(`${INSTANCE}/rendered`, renderOneInstance),
  renderFrames: get(`${INSTANCE}/frames/:frames/rendered`, renderFrames),
  thumbnailOfStudy: get('/studies/:study/thumbnail', thumbnail),
  thumbnailOfSeries: get('/studies/:study/series/:series/thumbnail', thumbnail),
  thumbnailOfInstance: get(`${INSTANCE}/thumbnail`, thumbnail),
  thumbnailOfFrames: get(`${INSTANCE}/frames/:frames/thumbnail`, thumbnail),
  retrieveByUri: get('/wado', retrieveByUri),
  storeInstances: post('/studies', storeInstances),
  storeStudyInstances: post('/studies/:study', storeInstances),
  searchWorklist: get('/modality-scheduled-procedure-steps', searchWorklist),
  writePerformedStep: post('/modality-performed-procedure-steps/:step', writePerformedStep),
  retrievePerformedStep: get('/modality-performed-procedure-steps/:step', retrievePerformedStep),
  ...sends('/studies', 'Studies', 'studies'),
  ...sends('/studies/:study/series', 'Series', 'series'),
  ...sends('/studies/:study/instances', 'StudyInstances', 'instances of a study'),
  ...sends('/studies/:study/series/:series/instances', 'SeriesInstances', 'instances of a series'),
  requestCommitment: post('/commitment-requests/:transaction', requestCommitment),
  commitmentResult: get('/commitment-requests/:transaction', commitmentResult),
}

function get(path: string, handle: Route['handle']): Route {
  return { method: 'GET', path, handle }
}

function post(path: string, handle: Route['handle']): Route {
  return { method: 'POST', path, handle }
}

/** What the archive sends of a set, with what became of it. */
function sends<const N extends string>(
  path: string,
  name: N,
  members: Members,
): Record<`send${N}` | `send${N}Result` | `send${N}Cancel`, Route> {
  const resource = `${path}/send-requests/:transaction`
  return {
    [`send${name}`]: post(resource, (c) => requestSend(c, members)),
    [`send${name}Result`]: get(resource, sendResult),
    [`send${name}Cancel`]: { method: 'DELETE', path: resource, handle: cancelSend },
  } as Record<`send${N}` | `send${N}Result` | `send${N}Cancel`, Route>
}

/** The web application: DICOMweb for each archive, and what operators need. */
export function createApp(options: AppOptions): Hono<HttpEnv> {
  const { config, archives, readiness, contract, errorPage, metrics } = options
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
  mount(place, config.http.basePath, () => archives[0])
  mount(place, `${config.http.basePath}/aets/:aeTitle`, (c) =>
    archives.find((archive) => archive.config.aeTitle === c.req.param('aeTitle')),
  )
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

interface Place {
  readonly app: Hono<HttpEnv>
  readonly ahead: RequestsAhead
  readonly gate: Gate
  readonly imaging: ImagingPool
  readonly cache: InstanceCache
  readonly audit: Audit
  readonly contract: object
}

function mount(place: Place, root: string, find: (c: HttpContext) => Archive | undefined): void {
  const { app, ahead, imaging, contract } = place
  const methods = new Map<string, string[]>()
  const later = new ComingLater()
  for (const [operation, { method, path, handle }] of Object.entries(routes)) {
    const verb = verbOf(operation)
    methods.set(path, [...(methods.get(path) ?? []), method])
    app.on(method, root + path, async (c) => {
      // Hono answers HEAD by GET: that would fetch a study to throw it away.
      if (c.req.method !== method) throw methodNotAllowed(methods.get(path)!)
      const leave = ahead.enter(c.env)
      const archive = find(c)
      const client = await admitted(c, place, { verb, archive }).catch((error: unknown) => {
        leave()
        throw error
      })
      c.set('imaging', imaging.of(client))
      select(c, root, archive)
      const study = pathUid(c, 'study')
      const patience = verb === 'retrieve' ? patienceOf(c) : undefined
      const isWaiting = patience === undefined || !archive
      const cache = isWaiting ? place.cache : later.for(archive, place.cache, { name: client, patience })
      c.set('cache', cache)
      trace(c, { audit: place.audit, cache }, { verb: toldAs(operation), study })
      if (study !== undefined && verb !== 'store') await checkStudy(c, study)
      const kept =
        verb === 'retrieve' && study !== undefined ? await notModified(c, pathSelection(c), patience) : undefined
      if (kept) return kept
      if (SETS.includes(operation)) c.var.trail?.begin()
      return patience === undefined ? handle(c) : handle(c).catch((error: unknown) => comingLater(c, error))
    })
  }
  for (const path of [root, `${root}/`]) {
    app.options(path || '/', (c) => {
      ahead.enterConnection(c.env)
      select(c, root, find(c))
      return retrieveCapabilities(c, contract)
    })
  }
  for (const [path, allowed] of methods) {
    app.all(root + path, () => {
      throw methodNotAllowed(allowed)
    })
  }
}

/** Lets a request in, and says whose it is. @throws RequestError 401, 403, 503 */
async function admitted(
  c: HttpContext,
  { gate, ahead }: Place,
  { verb, archive }: { readonly verb: Verb; readonly archive: Archive | undefined },
): Promise<string> {
  await gate.admit(c, verb, archive)
  const client = clientOf(c)
  ahead.enterAs(client, c.env)
  return client
}

function methodNotAllowed(allowed: readonly string[]): RequestError {
  const list = allowed.join(', ')
  return new RequestError(405, 'METHOD_NOT_ALLOWED', `This resource takes: ${list}.`, { Allow: list })
}

/** Sets of instances, whose transfer is told when it begins as well. */
const SETS: readonly string[] = ['retrieveStudy', 'retrieveSeries', 'storeStudyInstances']

function verbOf(operation: string): Verb {
  const own = verbs[operation] ?? (['search', 'store', 'send'] as const).find((verb) => operation.startsWith(verb))
  return own ?? 'retrieve'
}

/** What those need that say something else by their names. */
const verbs: Readonly<Record<string, Verb>> = {
  requestCommitment: 'store',
  commitmentResult: 'store',
  writePerformedStep: 'store',
  retrievePerformedStep: 'search',
}

/** As the audit trail has it: what transfers no instance tells something of a patient. */
function toldAs(operation: string): Exclude<Verb, 'send'> {
  const verb = operation in verbs ? 'search' : verbOf(operation)
  return verb === 'send' ? 'search' : verb
}

function select(c: HttpContext, root: string, archive: Archive | undefined): void {
  if (!archive) throw new RequestError(404, 'NO_SUCH_ARCHIVE', 'No archive of that AE title is configured.')
  const path = root.replace(':aeTitle', encodeURIComponent(archive.config.aeTitle))
  c.set('archive', archive)
  c.set('base', publicOrigin(c, c.var.config.http) + path)
}

/** Gives handlers their variables and reports the request when its response is over. */
function preparing(options: AppOptions): MiddlewareHandler<HttpEnv> {
  const { config, cache, stop } = options
  const shared: Shared = {
    config,
    cache,
    shortfalls: new Shortfalls(),
    holding: new Holding(),
    given: new Given(),
    patients: new StudyPatients(),
    ahead: new FetchAhead(cache, config.cache.maxBytes),
  }
  const secure = securityHeaders(options.config.http)
  return (c, next) => {
    secure(c.env)
    return prepare(c, next, shared, stop)
  }
}

/** What all requests share. */
type Shared = Pick<HttpEnv['Variables'], 'config' | 'cache' | 'shortfalls' | 'holding' | 'given' | 'patients' | 'ahead'>

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
