import type { Hono } from 'hono'
import type { Audit } from '../audit/audit.ts'
import type { InstanceCache } from '../cache/instance-cache.ts'
import { isNameable } from '../dicom/uids.ts'
import type { ImagingPool } from '../imaging/pool/imaging-pool.ts'
import type { Archive } from '../pacs/archive.ts'
import type { Federation } from '../pacs/federation/federation.ts'
import { noting } from './audit/noting-cache.ts'
import { trace } from './audit/trace.ts'
import type { Gate } from './auth/gate.ts'
import type { Verb } from './auth/principal.ts'
import { checkStudy } from './auth/within-binding.ts'
import { publicOrigin } from './base-url.ts'
import { retrieveCapabilities } from './capabilities.ts'
import { clientOf } from './client.ts'
import type { HttpContext, HttpEnv } from './context.ts'
import { federatedInstances } from './federation/federated-instances.ts'
import type { LinkedIds } from './federation/linked-ids.ts'
import { locate, reachable } from './federation/locate.ts'
import type { Instances } from './instances.ts'
import { archiveRoot, pathSelection, pathUid } from './path.ts'
import { RequestError } from './problem.ts'
import { noteUse, opened, OPENING } from './prefetch/opened.ts'
import type { RequestsAhead } from './requests-ahead.ts'
import { ComingLater, comingLater, patienceOf } from './retrieve/coming-later.ts'
import { isOfFederation, routes, SETS, toldAs, verbOf } from './routes.ts'
import { notModified } from './validators/not-modified.ts'

/** What the roots of a service share. */
export interface Place {
  readonly app: Hono<HttpEnv>
  readonly ahead: RequestsAhead
  readonly gate: Gate
  readonly imaging: ImagingPool
  readonly cache: InstanceCache
  readonly audit: Audit
  readonly contract: object
}

/** A DICOMweb root: of an archive that its path names, or of several as one. */
export type Root = { readonly path: string } & (
  | { readonly find: (c: HttpContext) => Archive | undefined; readonly federation?: undefined }
  | { readonly federation: Federation; readonly links: LinkedIds | undefined }
)

/** Serves DICOMweb below a root. */
export function mount(place: Place, root: Root): void {
  const { app, ahead, imaging, contract } = place
  const methods = new Map<string, string[]>()
  const later = new ComingLater()
  for (const [operation, { method, path, handle }] of Object.entries(routes)) {
    const verb = verbOf(operation)
    methods.set(path, [...(methods.get(path) ?? []), method])
    app.on(method, root.path + path, async (c) => {
      // Hono answers HEAD by GET: that would fetch a study to throw it away.
      if (c.req.method !== method) throw methodNotAllowed(methods.get(path)!)
      const leave = ahead.enter(c.env)
      const client = await admitted(c, place, { verb, among: archivesOf(c, root) }).catch((error: unknown) => {
        leave()
        throw error
      })
      c.set('imaging', imaging.of(client))
      select(c, root, verb)
      if (root.federation && !isOfFederation(operation)) throw ofOneArchive(c)
      const study = pathUid(c, 'study')
      const patience = verb === 'retrieve' ? patienceOf(c) : undefined
      trace(c, place.audit, { verb: toldAs(operation), study })
      const source = root.federation ? await located(c, place, { verb, study }) : place.cache
      const waits = patience !== undefined && { name: client, patience }
      const cache = waits ? later.for(c.var.archive, source, waits) : source
      c.set('cache', noting(cache, c.var.trail))
      if (study !== undefined && verb !== 'store') await checkStudy(c, study)
      if (verb === 'retrieve' && study !== undefined) await noteUse(c, pathSelection(c))
      const kept = verb === 'retrieve' && study !== undefined ? await unchangedSince(c, patience) : undefined
      if (kept) return kept
      if (SETS.includes(operation)) c.var.trail?.begin()
      const answered = patience === undefined ? handle(c) : handle(c).catch((error: unknown) => comingLater(c, error))
      if (study !== undefined && OPENING.includes(operation))
        return answered.then((response) => seen(c, study, response))
      return answered
    })
  }
  for (const path of [root.path, `${root.path}/`]) {
    app.options(path || '/', (c) => {
      ahead.enterConnection(c.env)
      setBase(c, root, archivesOf(c, root)[0])
      return retrieveCapabilities(c, contract)
    })
  }
  for (const [path, allowed] of methods) {
    app.all(root.path + path, () => {
      throw methodNotAllowed(allowed)
    })
  }
}

/** Lets a request in, and says whose it is. @throws RequestError 401, 403, 503 */
async function admitted(
  c: HttpContext,
  { gate, ahead }: Place,
  { verb, among }: { readonly verb: Verb; readonly among: readonly Archive[] },
): Promise<string> {
  await gate.admit(c, verb, among)
  const client = clientOf(c)
  ahead.enterAs(client, c.env)
  return client
}

function methodNotAllowed(allowed: readonly string[]): RequestError {
  const list = allowed.join(', ')
  return new RequestError(405, 'METHOD_NOT_ALLOWED', `This resource takes: ${list}.`, { Allow: list })
}

function archivesOf(c: HttpContext, root: Root): readonly Archive[] {
  if (root.federation) return root.federation.archives
  const archive = root.find(c)
  return archive ? [archive] : []
}

/** @throws RequestError 404 where there is no such archive, 403 where it is not for who asks */
function select(c: HttpContext, root: Root, verb: Verb): void {
  if (!root.federation) {
    setBase(c, root, archivesOf(c, root)[0])
    return
  }
  const { federation, links } = root
  const members = reachable(c, federation, verb)
  setBase(c, root, members[0])
  c.set('federated', { federation, members, links, uid: undefined, study: undefined })
}

/** @throws RequestError 404 where there is none */
function setBase(c: HttpContext, { path }: Root, archive: Archive | undefined): void {
  if (!archive) throw new RequestError(404, 'NO_SUCH_ARCHIVE', 'No archive of that AE title is configured.')
  c.set('archive', archive)
  const own = path.replace(':aeTitle', encodeURIComponent(archive.config.aeTitle))
  c.set('base', publicOrigin(c, c.var.config.http) + own)
}

/** Finds where a study is of several archives, and what is to be done with the cache to get it. @throws as locate */
async function located(
  c: HttpContext,
  { cache }: Place,
  { verb, study }: { readonly verb: Verb; readonly study: string | undefined },
): Promise<Instances> {
  const federated = c.var.federated!
  const { federation, members } = federated
  const [first, ...others] = members.map(({ config }) => config)
  if (verb === 'search') c.var.trail?.concerns([first!, ...others])
  // WADO-URI names it in the query.
  const inQuery = verb === 'retrieve' ? new URL(c.req.url).searchParams.get('studyUID') : null
  const named = study ?? inQuery ?? undefined
  if (verb === 'store' || named === undefined || !isNameable(named)) return cache
  const whereabouts = await locate(c, federated, { study: named, verb })
  const { copies } = whereabouts
  c.set('federated', { ...federated, uid: named, study: whereabouts })
  if (copies[0]) {
    c.set('archive', copies[0].archive)
    if (verb === 'retrieve') c.var.trail?.concerns([copies[0].archive.config])
  }
  return federatedInstances({ cache, copies, listings: federation.listings, timeout: federation.config.timeout })
}

/** What the client has, where it is still what it would get. */
async function unchangedSince(c: HttpContext, patience: number | undefined): Promise<Response | undefined> {
  const selection = pathSelection(c)
  // Whether one of several archives has more by now, nobody knows.
  const isOfSeveral = (c.var.federated?.study?.copies.length ?? 0) > 1
  return isOfSeveral && selection.instance === undefined ? undefined : notModified(c, selection, patience)
}

/** A study was opened; where it was not found there are no priors. */
function seen(c: HttpContext, study: string, response: Response): Response {
  if (response.status < 400) opened(c, study)
  return response
}

function ofOneArchive(c: HttpContext): RequestError {
  const { config, federated } = c.var
  const roots = federated!.members.map((archive) => archiveRoot(config.http, archive.config))
  const detail = `This is asked of one archive: below ${roots.join(' or ')}.`
  return new RequestError(404, 'NOT_OF_A_FEDERATION', detail)
}
