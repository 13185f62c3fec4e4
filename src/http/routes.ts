import type { Verb } from './auth/principal.ts'
import { commitmentResult, requestCommitment } from './commitment/commitment.ts'
import type { HttpContext } from './context.ts'
import type { operations } from './openapi.d.ts'
import { retrievePerformedStep, writePerformedStep } from './performed/performed-steps.ts'
import { requestPrefetch } from './prefetch/request-prefetch.ts'
import { renderFrames, renderOneInstance, renderSelection } from './rendered/rendered-resources.ts'
import { thumbnail } from './rendered/thumbnail.ts'
import { retrieveBulkData, retrieveBulkDataElement, retrievePixelData } from './retrieve/bulk-data.ts'
import { retrieveFrames } from './retrieve/frames.ts'
import { retrieveMetadata } from './retrieve/metadata.ts'
import { retrieveInstances } from './retrieve/retrieve.ts'
import { searchPriors } from './search/priors.ts'
import { searchResource } from './search/search.ts'
import { searchWorklist } from './search/worklist.ts'
import type { Members } from './send/asked-for.ts'
import { cancelSend, requestSend, sendResult } from './send/send.ts'
import { storeInstances } from './store/store.ts'
import { retrieveByUri } from './uri/wado-uri.ts'

type Operation = Exclude<
  keyof operations,
  'live' | 'ready' | 'metrics' | 'openapi' | 'errors' | 'sharePage' | 'openLink' | 'capabilities'
>

const INSTANCE = '/studies/:study/series/:series/instances/:instance'

export interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly path: string
  readonly handle: (c: HttpContext) => Promise<Response>
}

/** The DICOMweb operations of openapi/dicomweb.yaml. */
export const routes: Readonly<Record<Operation, Route>> = {
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
  searchPriors: get('/studies/:study/priors', searchPriors),
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
  requestPrefetch: post('/prefetch', requestPrefetch),
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

/** Sets of instances, whose transfer is told when it begins as well. */
export const SETS: readonly string[] = ['retrieveStudy', 'retrieveSeries', 'storeStudyInstances']

export function verbOf(operation: string): Verb {
  const own = verbs[operation] ?? (['search', 'store', 'send'] as const).find((verb) => operation.startsWith(verb))
  return own ?? 'retrieve'
}

/** What those need that say something else by their names. */
const verbs: Readonly<Record<string, Verb>> = {
  requestPrefetch: 'retrieve',
  requestCommitment: 'store',
  commitmentResult: 'store',
  writePerformedStep: 'store',
  retrievePerformedStep: 'search',
}

/** As the audit trail has it: what transfers no instance tells something of a patient. */
export function toldAs(operation: string): Exclude<Verb, 'send'> {
  const verb = operation in verbs ? 'search' : verbOf(operation)
  return verb === 'send' ? 'search' : verb
}

/** What several archives as one have no answer to: which of them is meant has to be said. */
const OF_ONE_ARCHIVE: readonly string[] = ['searchWorklist', 'writePerformedStep', 'retrievePerformedStep']

/** Whether an operation is one of several archives as one, too. */
export function isOfFederation(operation: string): boolean {
  return !OF_ONE_ARCHIVE.includes(operation) && !operation.startsWith('send')
}
