import { InflatedTooLargeError } from '../../dicom/inflater.ts'
import { decompressed } from './decompress.ts'
import { Growth } from './growth.ts'
import { Attribute } from '../../dicom/attributes.ts'
import { readPart10 } from '../../dicom/part10.ts'
import { isUid, type Uid } from '../../dicom/uids.ts'
import { FailureReason, StoreResponse } from '../../dicomweb/encode/store-response.ts'
import { Status, statusClass } from '../../dimse/status.ts'
import { Arrival, FROM_CLIENT } from '../../instance/arrival.ts'
import { arriving, type Instance } from '../../pacs/instance.ts'
import type { StoreBatch, StoreOutcome } from '../../pacs/store.ts'
import type { Delivery } from '../../routing/delivery.ts'
import type { Routed } from '../../routing/router.ts'
import { fateOf } from '../audit/fate.ts'
import { addressOf } from '../client.ts'
import type { HttpContext } from '../context.ts'
import { mayStore, unambiguous } from '../auth/bound-store.ts'
import { pathUid } from '../path.ts'
import { problemOf, refusalOf, RequestError } from '../problem.ts'
import { commitStored, wantsCommitment } from './commit-stored.ts'
import type { StorePart, UnmadePart } from '../made/made-part.ts'
import { outdate } from './outdate.ts'
import { storeParts } from './store-parts.ts'

/** Media types a file may bear; what it is shows when it is read. */
const fileTypes = new Set(['application/dicom', 'application/octet-stream', 'application/dicom+octet-stream'])

/** STOW-RS (PS3.18 10.5): each part goes to the archive as it arrives, and each has its place in the answer. */
export async function storeInstances(c: HttpContext): Promise<Response> {
  const study = pathUid(c, 'study')
  const { archive, signal } = c.var
  const commits = wantsCommitment(c)
  const report = new Report()
  const growth = new Growth(c.var.config.http.maxInflatedBytes)
  using held = c.var.holding.begin()
  await using batch = archive.storeBatch({ signal, priority: 'bulk' }, (instance) =>
    decompressed(instance, { ...c.var, decompress: archive.config.store.decompress, growth }),
  )
  try {
    const { maxInstances } = archive.config.store
    for await (const part of storeParts(c, held)) {
      if (maxInstances !== null && report.response.total >= maxInstances) throw tooMany(maxInstances)
      if ('reason' in part) report.unmade(part)
      else await storePart(part, { c, study, batch, growth }, report)
    }
  } catch (error) {
    signal.throwIfAborted()
    // Nothing came of it: the fault of the body is the answer. Otherwise it is one more failure beside the rest.
    if (report.response.stored === 0 && !(report.response.total > 0 && report.failure !== undefined)) throw error
    report.response.addOther(FailureReason.cannotUnderstand)
  }
  if (report.response.total === 0) {
    throw new RequestError(400, 'NO_INSTANCES', 'The body holds no DICOM instance.')
  }
  const { status, headers } = statusOf(report, c.req.path)
  if (commits && report.response.stored > 0) {
    // No association is waited for while another is held.
    batch.pause()
    const committed = await commitStored(c, report.response)
    // Not 200 unless all of it is safe; and not 409, since it is stored.
    const own = committed.isCommitted ? status : 202
    return stored(c, report.response, own, { ...headers, ...committed.headers })
  }
  return stored(c, report.response, status, headers)
}

function stored(
  c: HttpContext,
  response: StoreResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
): Response {
  const all = { 'Content-Type': 'application/dicom+json', ...headers }
  return c.body(response.toJson(c.var.base), status as 200, all)
}

function tooMany(limit: number): RequestError {
  const detail = `One request may store ${limit} instances (archives[].store.maxInstances). Send several.`
  return new RequestError(413, 'TOO_MANY_INSTANCES', detail)
}

/** What happened to the parts, and the first failure of the archive itself. */
class Report {
  readonly response = new StoreResponse()
  failure: unknown
  /** Parts that held an instance, whatever became of it. */
  instances = 0

  /** What could not be made an instance. */
  unmade({ sopClass, sopInstance, reason }: UnmadePart): void {
    if (sopClass === undefined || sopInstance === undefined) {
      this.response.addOther(reason)
      return
    }
    this.instances++
    this.response.addFailed({ sopClass, sopInstance, reason })
  }
}

interface Storing {
  readonly c: HttpContext
  /** The study that the URL names. */
  readonly study: Uid | undefined
  readonly batch: StoreBatch
  readonly growth: Growth
}

async function storePart(part: StorePart, { c, study, batch, growth }: Storing, report: Report): Promise<void> {
  const { response } = report
  if (part.type !== undefined && !fileTypes.has(part.type)) {
    await skip(part.body)
    response.addOther(FailureReason.cannotUnderstand)
    return
  }
  // What is routed is looked at; deflated it could not be.
  const inflates = !c.var.router.isIdle
  const instance = await readInstance(part, growth, inflates)
  if (!instance) {
    report.unmade({ reason: FailureReason.cannotUnderstand, ...part.names })
    return
  }
  report.instances++
  const { sopClass, sopInstance, series } = instance
  if (study !== undefined && instance.study !== study) {
    await skip(instance.body)
    response.addFailed({ sopClass, sopInstance, reason: FailureReason.otherStudy })
    return
  }
  // No association is waited for while another is held.
  if (!(await mayStore(c, instance, () => batch.pause()))) {
    c.var.trail?.note(instance, { refusal: 'NOT_PERMITTED' })
    await skip(instance.body)
    response.addFailed({ sopClass, sopInstance, reason: FailureReason.notAuthorized })
    return
  }
  const { outcome, deliveries } = await sentOn(c, c.var.principal.binding ? unambiguous(instance) : instance, batch)
  switch (outcome.kind) {
    case 'stored': {
      if (deliveries.length === 0) c.var.trail?.note(instance)
      const told = statusClass(outcome.status) === 'warning' ? outcome.status : undefined
      // Taken, and against PS3.5 9.1: others may not.
      const isOdd = ![sopInstance, instance.study, series].every(isUid)
      const warning = told ?? (isOdd ? Status.dataSetDoesNotMatchSopClass : undefined)
      response.addStored({
        ...{ sopClass, sopInstance, study: instance.study, series },
        ...(warning !== undefined && { warning }),
        ...(deliveries.length > 0 && { isElsewhere: !isAtArchive(c, deliveries) }),
      })
      return
    }
    case 'refused':
      await skip(instance.body)
      response.addFailed({ sopClass, sopInstance, reason: outcome.status })
      return
    case 'failed':
      if (outcome.error instanceof RequestError) {
        response.addFailed({ sopClass, sopInstance, reason: FailureReason.cannotUnderstand })
        throw outcome.error
      }
      report.failure ??= outcome.error
      // Not the instance's own body: what sent it has closed that.
      await skip(part.body)
      response.addFailed({ sopClass, sopInstance, reason: FailureReason.processingFailure })
      return
    case 'broken':
      response.addFailed({ sopClass, sopInstance, reason: FailureReason.cannotUnderstand })
      if (outcome.error instanceof InflatedTooLargeError) throw growth.tooMuch(outcome.error)
      await skip(part.body)
      return
  }
}

/** To where the routes lead, or to the archive of the URL where none takes it. @throws the signal's reason */
async function sentOn(c: HttpContext, instance: Instance, batch: StoreBatch): Promise<Routed> {
  const { archive, router, signal } = c.var
  const stored = async (one: Instance): Promise<StoreOutcome> => {
    try {
      return await batch.store(one)
    } finally {
      // Whatever came of it, and who has left: it may be there all the same.
      outdate(c.var, archive, one)
    }
  }
  if (router.isIdle) return { outcome: await stored(instance), deliveries: [] }
  // No association is waited for while another is held.
  batch.pause()
  const origin = { source: 'stow', archive: archive.config.name, address: addressOf(c) } as const
  const { trail, principal, config } = c.var
  return router.deliver(instance, {
    origin,
    sender: { kind: principal.kind, name: principal.name, address: addressOf(c) },
    call: { signal, priority: 'bulk' },
    unrouted: stored,
    told: (delivery) => trail?.note(instance, fateOf(delivery, config.dimse)),
  })
}

/** It can be retrieved where it was sent to, by the UIDs that it was sent with. */
function isAtArchive(c: HttpContext, deliveries: readonly Delivery[]): boolean {
  const { name } = c.var.archive.config
  return deliveries.some(
    ({ node, outcome, isRenamed, isSpooled }) =>
      node.name === name && outcome.kind === 'stored' && !isRenamed && !isSpooled,
  )
}

/** The rest of a part that is not wanted, so that the next can be read; its own faults no longer matter. */
async function skip(body: AsyncIterable<unknown>): Promise<void> {
  try {
    for await (const _ of body);
  } catch {
    // A fault of the whole body shows again when the next part is asked for.
  }
}

async function readInstance(part: StorePart, growth: Growth, inflates: boolean): Promise<Instance | undefined> {
  try {
    const { meta, syntax, body: data } = await readPart10(part.body)
    const arrival = await Arrival.begin(data, syntax, {
      ...FROM_CLIENT,
      rewrites: inflates && syntax.deflated,
      inflatedLimit: growth.left,
    })
    growth.watch(arrival)
    const { identity } = arrival.index
    const sopClass = identity.sopClass ?? meta.string(Attribute.MediaStorageSOPClassUID)
    const sopInstance = identity.sopInstance ?? meta.string(Attribute.MediaStorageSOPInstanceUID)
    const { study, series } = identity
    if (!sopClass || !sopInstance || !study || !series) {
      await skip(arrival)
      return undefined
    }
    return arriving({ sopClass, sopInstance, study, series }, arrival)
  } catch (error) {
    // Of the body as a whole: it stalled, or is too large.
    if (error instanceof RequestError) throw error
    if (error instanceof InflatedTooLargeError) throw growth.tooMuch(error)
    await skip(part.body)
    return undefined
  }
}

/** PS3.18 Table 10.5.3-1; when nothing was stored the archive's failure gives the status. */
function statusOf(report: Report, path: string): { status: number; headers: Record<string, string> } {
  const { response, failure } = report
  const reasons = response.failureReasons
  if (response.stored > 0) return { status: response.status, headers: {} }
  if (report.instances === 0) return { status: 400, headers: {} }
  if (failure !== undefined) {
    const { problem, headers } = problemOf(failure, path)
    return { status: problem.status >= 500 && problem.status !== 500 ? problem.status : 502, headers: { ...headers } }
  }
  return refusalOf(reasons) ?? { status: response.status, headers: {} }
}
