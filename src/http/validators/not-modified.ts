import { Attribute } from '../../dicom/attributes.ts'
import type { InstanceUids, Selection } from '../../instance/uids.ts'
import { isSamePatient } from '../auth/study-patients.ts'
import type { HttpContext } from '../context.ts'
import { heldTags } from './entity-tag.ts'
import { keptUnder } from './freshness.ts'
import { arrivalsDigest, listDigest, MAX_GIVEN, type Answer, type Arrived, type Freshness } from './given.ts'
import { answerKey } from './giving.ts'

/** How long it is asked whether something is still there, in ms: then it is given. */
export const QUESTION_MS = 10_000

/**
 * 304 (RFC 9110 15.4.5) where what the client holds is still what it would get; undefined where it is to be made, or nobody
 * knows. The archive is not asked where the instances are here as they were given. Where none of them is here any more, it is
 * asked what there is, and for headers whose it is, for as long as they might be (`cache.ttl`). `patience`: ms that the client
 * waits, where it says so.
 * @throws the signal's reason
 */
export async function notModified(
  c: HttpContext,
  selection: Selection,
  patience = QUESTION_MS,
): Promise<Response | undefined> {
  const { cache, archive, trail, signal } = c.var
  const answers = answersHeld(c).filter(([, { of }]) => of !== 'chosen')
  if (answers.length === 0) return undefined
  const held = cache.held(archive, selection)
  if (held) {
    // What has come anew may have come otherwise, and is here to be given.
    const arrivals = arrivalsDigest(held)
    const found = answers.find(([, answer]) => answer.arrivals === arrivals)
    if (!found) return undefined
    for (const instance of held) trail?.note(instance)
    return unchanged(c, found[0], found[1].freshness)
  }
  const asked = AbortSignal.any([signal, AbortSignal.timeout(Math.min(patience, QUESTION_MS))])
  try {
    const recent = answers.filter(([, answer]) => mightBeHere(c, answer))
    const found = await orLate(stillThere(c, selection, recent, asked), asked)
    if (!found) return undefined
    noteGiven(c, found[1])
    return unchanged(c, found[0], found[1].freshness)
  } catch {
    signal.throwIfAborted()
    // Who cannot be told that it is the same is given it, or why that cannot be.
    return undefined
  }
}

/** The same of a picture of one instance, which has just been chosen to stand for all that was asked for. */
export function chosenNotModified(c: HttpContext, uids: InstanceUids): Response | undefined {
  const arrived = arrivedOf(c, [uids])
  const list = listDigest([uids])
  for (const [tag, answer] of answersHeld(c)) {
    if (answer.of !== 'chosen' || answer.list !== list) continue
    if (arrived.length > 0 ? arrivalsDigest(arrived) !== answer.arrivals : !mightBeHere(c, answer)) continue
    noteGiven(c, answer)
    return unchanged(c, tag, answer.freshness)
  }
  return undefined
}

/** The tags of what the client holds; none where `http.browserCache` is off. */
export function heldBy(c: HttpContext): readonly string[] {
  return c.var.config.http.browserCache === null ? [] : heldTags(c.req.header('if-none-match'))
}

/** What the client holds is what it would get. */
export function unchanged(
  c: HttpContext,
  tag: string,
  freshness: Freshness,
  headers: Record<string, string[]> = {},
): Response {
  return c.body(null, 304, { ...headers, ...(keptUnder(c, tag, freshness) as Record<string, string>) })
}

/** What was given under a tag. */
type Held = readonly [tag: string, answer: Answer]

/** Of what the client holds, what was given to the same question. */
function answersHeld(c: HttpContext): Held[] {
  const tags = heldBy(c)
  if (tags.length === 0) return []
  const key = answerKey(c)
  return tags.flatMap((tag) => {
    const answer = c.var.given.under(tag)
    return answer?.key === key ? [[tag, answer] as const] : []
  })
}

/** With more room what was given would still be here, and be given. */
function mightBeHere({ var: { given, config } }: HttpContext, answer: Answer): boolean {
  return given.isRecent(answer, config.cache.ttl)
}

/** Of answers one that is made of what there still is. @throws what a search throws */
async function stillThere(
  c: HttpContext,
  selection: Selection,
  answers: readonly Held[],
  signal: AbortSignal,
): Promise<Held | undefined> {
  if (answers.length === 0) return undefined
  const { archive, patients } = c.var
  const isOfHeaders = answers.some(([, { of }]) => of === 'headers')
  const patient = isOfHeaders ? await patients.afresh(archive, selection.study, signal) : undefined
  const found = await instancesOf(c, selection, signal)
  if (!found) return undefined
  const list = listDigest(found)
  const arrived = arrivedOf(c, found)
  // What has come since may have come otherwise.
  if (arrived.length > 0 && arrived.length < found.length) return undefined
  const arrivals = arrived.length > 0 ? arrivalsDigest(arrived) : undefined
  return answers.find(([, answer]) => {
    if (answer.list !== list || (arrivals !== undefined && answer.arrivals !== arrivals)) return false
    return answer.of !== 'headers' || (patient !== undefined && isSamePatient(patient, answer.patient))
  })
}

/** What ends by a signal ends behind that, in its own time. @throws its reason */
async function orLate<T>(question: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const late = (): void => reject(signal.reason as Error)
  signal.addEventListener('abort', late, { once: true })
  question.catch(() => undefined)
  try {
    return await Promise.race([question, promise])
  } finally {
    signal.removeEventListener('abort', late)
  }
}

/** Of instances those that are here, by their arrivals. */
function arrivedOf(c: HttpContext, instances: readonly InstanceUids[]): Arrived[] {
  const { cache, archive } = c.var
  return instances.flatMap((uids) => {
    const arrival = cache.arrivalOf(archive, uids)
    return arrival === undefined ? [] : [{ ...uids, arrival }]
  })
}

/** As if it were given. */
function noteGiven({ var: { trail } }: HttpContext, { study, told, sopClasses }: Answer): void {
  trail?.noteAll(study, told, sopClasses)
}

/** What there is of a selection, as the archive says; undefined where it does not say all. @throws what a search throws */
async function instancesOf(
  c: HttpContext,
  selection: Selection,
  signal: AbortSignal,
): Promise<InstanceUids[] | undefined> {
  const { archive } = c.var
  const { study, series, instance } = selection
  const match = instance === undefined ? [] : [{ tag: Attribute.SOPInstanceUID, vr: 'UI', values: [instance] } as const]
  const request = {
    level: 'IMAGE',
    study,
    ...(series !== undefined && { series }),
    withParents: false,
    match,
    include: [],
  } as const
  const found: InstanceUids[] = []
  let isCut = false as boolean
  const cut = (): void => {
    isCut = true
  }
  const options = await archive.queryOptions(false, { signal })
  for await (const one of archive.search(request, options, { signal }, cut)) {
    const sopInstance = one.string(Attribute.SOPInstanceUID) ?? ''
    found.push({ study, series: one.string(Attribute.SeriesInstanceUID) ?? series ?? '', sopInstance })
    if (found.length > MAX_GIVEN) return undefined
  }
  return isCut ? undefined : found
}
