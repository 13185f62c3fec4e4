import { Attribute } from '../dicom/attributes.ts'
import { MalformedDataSetError } from '../dicom/element-reader.ts'
import { HeadTooLargeError } from '../dicom/head.ts'
import { InflateError } from '../dicom/inflater.ts'
import { transferSyntax } from '../dicom/transfer-syntax.ts'
import { untruncated } from '../dicom/verify.ts'
import { SopClass, type Uid } from '../dicom/uids.ts'
import { Scu, type RetrieveEnd, type SubOperation } from '../dimse/scu.ts'
import { Status, statusClass, StatusError } from '../dimse/status.ts'
import type { AcceptedContext } from '../network/negotiation.ts'
import { NotSupportedByArchiveError } from './errors.ts'
import type { Call } from './call.ts'
import { contextOf, getProposal, syntaxRuns, type GetPlan } from './contexts.ts'
import { belongsTo, identify, type Identity } from './identify.ts'
import type { Instance, Selection } from './instance.ts'
import type { Lease } from './pool/lease.ts'
import type { Proposal } from './pool/proposal.ts'
import { listMissing } from './missing.ts'
import { classesOfModality } from './modality-classes.ts'
import { identifier, returnKey, selectionKeys, type Key, type Level, type Query, UIDS_ONLY } from './query.ts'
import type { Received } from './received.ts'
import { IncompleteRetrieveError, NoSuchInstanceError, UIDS_PER_RETRY, type RetrieveSource } from './retrieve-source.ts'
import { wasStale } from './pool/stale.ts'

/** How often an instance may come malformed: as it was first sent, by itself, and once more in another syntax. */
const MAX_MALFORMED = 3

/**
 * Instances of a selection by C-GET, each once, checked to belong to it. SOP classes are learnt by C-FIND, so that
 * the contexts fit what is there; what the archive could not send is asked for again with precise contexts.
 * `compressed`: objects may come in their stored encapsulated syntax; otherwise the archive is asked to decompress.
 * @throws NoSuchInstanceError; IncompleteRetrieveError at the end, behind what did come; StatusError;
 *   NotSupportedByArchiveError; and whatever ends an association
 */
export async function* retrieveByGet(
  selection: Selection,
  compressed: boolean,
  source: RetrieveSource,
  received: Received,
  call: Call,
): AsyncGenerator<Instance> {
  const classes = await learnClasses(selection, source, call)
  const malformed: Malformed = new Map()
  const first = { classes, compressed, others: selection.instance === undefined || classes.length === 0 }
  const end = yield* attempt(selection, [], first, received, malformed, source, call)
  if (isComplete(end, received)) {
    if (received.size === 0) throw new NoSuchInstanceError()
    return
  }
  yield* retryMissing(selection, compressed, end, received, malformed, source, call)
}

/**
 * What is still missing, series by series, with contexts for just its classes. Uncompressed first if that is what is
 * wanted, one instance at a time where one that cannot be converted ends the whole C-GET; then as stored, since the web
 * layer may still be allowed to give it; then in each syntax alone, for archives that use one context a class; at last,
 * where the archive keeps the classes to itself, in any of the frequent ones.
 */
async function* retryMissing(
  selection: Selection,
  compressed: boolean,
  first: RetrieveEnd,
  received: Received,
  malformed: Malformed,
  source: RetrieveSource,
  call: Call,
): AsyncGenerator<Instance> {
  const size = source.singleUidLists ? 1 : UIDS_PER_RETRY
  const missing = await listMissing(selection, received, source, call)
  for (const [series, { likely, instances }] of missing) {
    const isLeft = (uid: Uid): boolean =>
      !received.has({ series, sopInstance: uid }) && (malformed.get(uid)?.times ?? 0) < MAX_MALFORMED
    const left = (): Uid[] => [...instances.keys()].filter(isLeft)
    const one = { study: selection.study, series }
    const attemptBatch = (
      uids: readonly Uid[],
      plan: Pick<GetPlan, 'compressed' | 'only' | 'syntaxes'>,
    ): ReturnType<typeof attempt> => {
      const classes = [...new Set(uids.flatMap((uid) => instances.get(uid) ?? likely))]
      return attempt(one, uids, { classes, others: false, ...plan }, received, malformed, source, call)
    }
    async function* attemptClass(
      uids: readonly Uid[],
      sopClass: Uid,
      syntaxes: readonly Uid[],
    ): AsyncGenerator<Instance> {
      if (uids.length === 0) return
      const plan = { classes: [sopClass], compressed: true, others: false }
      const { accepted } = yield* attempt(one, uids, { ...plan, syntaxes }, received, malformed, source, call)
      for (const syntax of accepted) {
        const missed = uids.filter(isLeft)
        if (missed.length > 0) yield* attempt(one, missed, { ...plan, only: syntax }, received, malformed, source, call)
      }
    }
    for (let at = 0, uids = left(); at < uids.length; at += size) {
      const batch = uids.slice(at, at + size)
      const remaining = (): Uid[] => batch.filter(isLeft)
      if (!compressed) {
        const { status } = yield* attemptBatch(batch, { compressed: false })
        if (statusClass(status) === 'failure' && batch.length > 1) {
          for (const uid of remaining()) yield* attemptBatch([uid], { compressed: false })
        }
      }
      if (remaining().length === 0) continue
      const { accepted } = yield* attemptBatch(remaining(), { compressed: true })
      for (const syntax of accepted) {
        if (remaining().length > 0) yield* attemptBatch(remaining(), { compressed: true, only: syntax })
      }
      // Where there was no room for all, the others class by class.
      for (const syntaxes of remaining().length > 0 ? syntaxRuns(source.contexts.size) : []) {
        for (const [sopClass, uids] of byClass(remaining(), instances, likely)) {
          const offered = syntaxes.filter((syntax) => !accepted.includes(syntax))
          if (offered.length > 0) yield* attemptClass(uids.filter(isLeft), sopClass, offered)
        }
      }
      const unknown = remaining().filter((uid) => instances.get(uid) === undefined)
      if (unknown.length > 0) {
        const any = { classes: [], compressed: false, others: true }
        yield* attempt(one, unknown, any, received, malformed, source, call)
      }
    }
  }
  const listed = [...missing].flatMap(([series, { instances }]) =>
    [...instances.keys()].filter((sopInstance) => !received.has({ series, sopInstance })),
  )
  // What came malformed was there, listed or not.
  const unread = [...malformed.keys()].filter((uid) => !received.hasInstance(uid) && !listed.includes(uid))
  const absent = [...listed, ...unread]
  if (received.size === 0 && absent.length === 0) throw new NoSuchInstanceError()
  if (received.size === 0 && statusClass(first.status) === 'failure') throw new StatusError(first.response)
  if (absent.length === 0) return
  const cause = absent.map((uid) => malformed.get(uid)?.error).find((error) => error !== undefined)
  throw new IncompleteRetrieveError(received.size, absent.length, first.status, cause && { cause })
}

/** Instances by their class, or by each that is likely for one whose class is not told. */
function byClass(
  uids: readonly Uid[],
  instances: ReadonlyMap<Uid, Uid | undefined>,
  likely: readonly Uid[],
): Map<Uid, Uid[]> {
  const found = new Map<Uid, Uid[]>()
  for (const uid of uids) {
    const known = instances.get(uid)
    for (const sopClass of known === undefined ? likely : [known]) {
      found.set(sopClass, [...(found.get(sopClass) ?? []), uid])
    }
  }
  return found
}

interface AttemptEnd extends RetrieveEnd {
  /** Instances that came and belong to what was asked for, those that had come before included. */
  readonly arrived: number
  /** Instances that came and do not. */
  readonly foreign: number
  /** Instances that came and cannot be read. */
  readonly malformed: number
  /** Encapsulated syntaxes the archive accepted, for any class. */
  readonly accepted: readonly Uid[]
}

/** One C-GET; a pooled association that proves dead before the first answer is replaced, once. */
async function* attempt(...args: AttemptArguments): AsyncGenerator<Instance, AttemptEnd> {
  const progress: Progress = { answered: false }
  try {
    return yield* attemptOnce(...args, progress)
  } catch (error) {
    if (progress.answered || !progress.lease || !wasStale(progress.lease, error)) throw error
  }
  progress.fresh = true
  return yield* attemptOnce(...args, progress)
}

/** By the UID of the command, since their own cannot be read: how often they came so, and why they are malformed. */
type Malformed = Map<Uid, { readonly times: number; readonly error: Error }>

type AttemptArguments = [
  selection: Selection,
  uids: readonly Uid[],
  plan: Pick<GetPlan, 'classes' | 'compressed' | 'others' | 'only' | 'syntaxes'>,
  received: Received,
  malformed: Malformed,
  source: RetrieveSource,
  call: Call,
]

interface Progress {
  answered: boolean
  /** The pooled association was dead. */
  fresh?: boolean
  lease?: Lease
}

/** At the level asked and never above it. Instances already received are dropped. */
async function* attemptOnce(
  ...[selection, uids, plan, received, malformed, source, call, progress]: [...AttemptArguments, progress: Progress]
): AsyncGenerator<Instance, AttemptEnd> {
  const { pool, contexts, roles, timeout, archive } = source
  const wanted = selection.instance === undefined ? uids : [selection.instance]
  const level: Level = wanted.length > 0 ? 'IMAGE' : selection.series === undefined ? 'STUDY' : 'SERIES'
  const propose = (maxContexts: number): Proposal => getProposal({ ...plan, maxContexts, roles })
  const fresh = progress.fresh === true
  const lease = await contexts.open(propose, (proposal) => pool.lease(proposal, call, { fresh }), call)
  progress.lease = lease
  try {
    const context = contextOf(lease.association, SopClass.studyRootGet, archive, 'C-GET')
    const keys = selectionKeys(selection.study, selection.series, wanted)
    const request = identifier({ level, keys }, UIDS_ONLY)
    let arrived = 0
    let foreign = 0
    let unread = 0
    for await (const event of new Scu(lease.association).get(context, request, { timeout, signal: call.signal })) {
      progress.answered = true
      if (event.kind === 'end') {
        const accepted = encapsulatedOf(lease.association.contexts.values())
        return { ...event, arrived, foreign, malformed: unread, accepted }
      }
      const identified = await identifyIn(event, malformed)
      if (!identified) {
        // What is left of it is passed over when the next event is asked for.
        unread++
        continue
      }
      const { identity, body } = identified
      // The data set is right where it differs from the command; what was not selected is never passed on.
      const sopInstance = identity.sopInstance ?? event.sopInstance
      const asked = belongsTo(identity, selection) && (uids.length === 0 || uids.includes(sopInstance))
      if (asked) arrived++
      else foreign++
      const series = identity.series ?? selection.series ?? ''
      if (!asked || received.has({ series, sopInstance })) {
        for await (const _ of body);
        continue
      }
      const reading = { complete: false }
      yield {
        sopClass: identity.sopClass ?? event.sopClass,
        sopInstance,
        study: selection.study,
        series,
        syntax: event.syntax,
        // The archive's word that it is whole is not enough: a data set that ends inside an element is not.
        body: counted(untruncated(body, event.syntax), () => (reading.complete = true)),
      }
      if (reading.complete) received.add({ series, sopInstance })
    }
    throw new NotSupportedByArchiveError(archive, 'C-GET')
  } finally {
    // Ended early, the operation was cancelled to its final response, or the association is no longer fit for reuse.
    lease.release()
  }
}

/** Who an instance is; undefined when it is malformed, which is then noted. */
async function identifyIn(
  { sopInstance, body, syntax }: SubOperation,
  malformed: Malformed,
): Promise<{ identity: Identity; body: SubOperation['body'] } | undefined> {
  try {
    return await identify(body, syntax)
  } catch (error) {
    const isMalformed =
      error instanceof MalformedDataSetError || error instanceof InflateError || error instanceof HeadTooLargeError
    if (!isMalformed) throw error
    malformed.set(sopInstance, { times: (malformed.get(sopInstance)?.times ?? 0) + 1, error })
    return undefined
  }
}

function encapsulatedOf(contexts: Iterable<AcceptedContext>): Uid[] {
  const uids = [...contexts].map((context) => context.transferSyntax)
  return [...new Set(uids)].filter((uid) => transferSyntax(uid).encapsulated)
}

async function* counted<T>(source: AsyncIterable<T>, done: () => void): AsyncGenerator<T> {
  yield* source
  done()
}

function isComplete(end: AttemptEnd, received: Received): boolean {
  const kind = statusClass(end.status)
  // We did not cancel it.
  if (kind === 'failure' || kind === 'cancel' || end.malformed > 0) return false
  // It counts more than it sent, or sent something else instead.
  if ((end.completed ?? 0) > end.arrived + end.foreign || (end.foreign > 0 && received.size > 0)) return false
  if (end.status === Status.subOperationsWithFailures) return (end.failed ?? 1) === 0 && received.size > 0
  return (end.failed ?? 0) === 0
}

/**
 * The SOP classes of a selection, as far as a small query tells: of an instance its own; of series those that their
 * modalities are made of, or where a modality says too little, the class of one of its instances.
 * @throws NoSuchInstanceError
 */
async function learnClasses(selection: Selection, source: RetrieveSource, call: Call): Promise<Uid[]> {
  const { study, series, instance } = selection
  if (instance !== undefined) {
    const sopClass = await classOf(selectionKeys(study, series, [instance]), source, call)
    if (sopClass === undefined) throw new NoSuchInstanceError()
    return sopClass === '' ? [] : [sopClass]
  }
  const byModality = new Map<string, Uid>()
  const keys = [returnKey(Attribute.Modality, 'CS'), ...selectionKeys(study, series)]
  if (series === undefined) keys.push(returnKey(Attribute.SeriesInstanceUID, 'UI'))
  for await (const match of source.find({ level: 'SERIES', keys }, call)) {
    byModality.set(match.string(Attribute.Modality) ?? '', match.string(Attribute.SeriesInstanceUID) ?? series ?? '')
  }
  if (byModality.size === 0) throw new NoSuchInstanceError()
  const classes = new Set<Uid>()
  for (const [modality, uid] of byModality) {
    const likely = classesOfModality(modality)
    const asked = likely
      ? undefined
      : await classOf([...selectionKeys(study, uid), returnKey(Attribute.SOPInstanceUID, 'UI')], source, call)
    for (const sopClass of likely ?? (asked ? [asked] : [])) classes.add(sopClass)
  }
  return [...classes]
}

/** The SOP class of the first instance that matches; the query is ended behind it. */
async function classOf(keys: readonly Key[], source: RetrieveSource, call: Call): Promise<Uid | undefined> {
  const query: Query = { level: 'IMAGE', keys: [returnKey(Attribute.SOPClassUID, 'UI'), ...keys] }
  for await (const match of source.find(query, call)) {
    // Without a class the answer still says that there is something: any context may fit.
    return match.string(Attribute.SOPClassUID) ?? ''
  }
  return undefined
}
