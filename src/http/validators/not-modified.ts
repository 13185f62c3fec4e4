import { Attribute } from '../../dicom/attributes.ts'
import type { InstanceUids, Selection } from '../../instance/uids.ts'
import { isSamePatient } from '../auth/study-patients.ts'
import type { HttpContext } from '../context.ts'
import { heldTags } from './entity-tag.ts'
import { keptUnder } from './freshness.ts'
import { arrivalsDigest, listDigest, MAX_GIVEN, type Answer, type Freshness } from './given.ts'
import { answerKey } from './giving.ts'

/**
 * 304 (RFC 9110 15.4.5) where what the client holds is still what it would get; undefined where it is to be made, or nobody
 * knows. The archive is not asked where the instances are here as they were given. Where they are not here any more, it is
 * asked what there is, and for headers whose it is, for as long as they might be (`cache.ttl`).
 * @throws the signal's reason
 */
export async function notModified(c: HttpContext, selection: Selection): Promise<Response | undefined> {
  for (const [tag, answer] of answersHeld(c)) {
    if (answer.of !== 'chosen' && (await isAsGiven(c, selection, answer))) return unchanged(c, tag, answer.freshness)
  }
  return undefined
}

/** The same of a picture of one instance, which has just been chosen to stand for all that was asked for. */
export function chosenNotModified(c: HttpContext, uids: InstanceUids): Response | undefined {
  const arrived = arrivedOf(c, [uids])
  for (const [tag, answer] of answersHeld(c)) {
    if (answer.of !== 'chosen' || answer.list !== listDigest([uids])) continue
    if (arrived.length > 0 ? arrivalsDigest(arrived) !== answer.arrivals : !mightBeHere(c, answer)) continue
    noteGiven(c, uids.study, answer)
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

/** Of what the client holds, what was given to the same question, by its tags. */
function answersHeld(c: HttpContext): (readonly [string, Answer])[] {
  return heldBy(c).flatMap((tag) => {
    const answer = c.var.given.under(tag)
    return answer?.key === answerKey(c) ? [[tag, answer] as const] : []
  })
}

async function isAsGiven(c: HttpContext, selection: Selection, answer: Answer): Promise<boolean> {
  const { cache, archive, trail } = c.var
  const held = cache.held(archive, selection)
  if (held) {
    // What has come anew may have come otherwise, and is here to be given.
    if (arrivalsDigest(held) !== answer.arrivals) return false
    for (const instance of held) trail?.note(instance)
    return true
  }
  if (!mightBeHere(c, answer)) return false
  try {
    if (!(await isStillThere(c, selection, answer))) return false
  } catch {
    c.var.signal.throwIfAborted()
    // Who cannot be told that it is the same is given it, or why that cannot be.
    return false
  }
  noteGiven(c, selection.study, answer)
  return true
}

/** With more room what was given would still be here, and be given. */
function mightBeHere({ var: { given, config } }: HttpContext, answer: Answer): boolean {
  return given.isRecent(answer, config.cache.ttl)
}

/** @throws what a search throws */
async function isStillThere(c: HttpContext, selection: Selection, answer: Answer): Promise<boolean> {
  const { archive, patients, signal } = c.var
  if (answer.of === 'headers') {
    const patient = await patients.afresh(archive, selection.study, signal)
    if (!patient || !isSamePatient(patient, answer.patient)) return false
  }
  const found = await instancesOf(c, selection)
  if (!found || listDigest(found) !== answer.list) return false
  const arrived = arrivedOf(c, found)
  if (arrived.length === found.length) return arrivalsDigest(arrived) === answer.arrivals
  // What has come since may have come otherwise.
  return arrived.every(({ arrival }) => arrival <= answer.newest)
}

/** Of instances those that are here, by their arrivals. */
function arrivedOf(
  c: HttpContext,
  instances: readonly InstanceUids[],
): (InstanceUids & { readonly arrival: number })[] {
  const { cache, archive } = c.var
  return instances.flatMap((uids) => {
    const arrival = cache.arrivalOf(archive, uids)
    return arrival === undefined ? [] : [{ ...uids, arrival }]
  })
}

/** As if it were given. */
function noteGiven({ var: { trail } }: HttpContext, study: string, { patient, sopClasses }: Answer): void {
  trail?.noteAll(study, patient, sopClasses)
}

/** What there is of a selection, as the archive says; undefined where it does not say all. @throws what a search throws */
async function instancesOf(c: HttpContext, selection: Selection): Promise<InstanceUids[] | undefined> {
  const { archive, signal } = c.var
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
