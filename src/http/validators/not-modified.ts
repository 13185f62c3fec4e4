import { Attribute } from '../../dicom/attributes.ts'
import { StatusError } from '../../dimse/status.ts'
import type { InstanceUids, Selection } from '../../instance/uids.ts'
import { NotSupportedByArchiveError } from '../../pacs/errors.ts'
import { isCapped } from '../../pacs/search/capped.ts'
import { isSamePatient } from '../auth/study-patients.ts'
import type { HttpContext } from '../context.ts'
import { heldAs, heldTags } from './entity-tag.ts'
import { keptUnder, type Validators } from './freshness.ts'
import { arrivalsDigest, listDigest, MAX_GIVEN, type Answer } from './given.ts'
import { answerKey } from './giving.ts'
import { immutableTag } from './immutable-tag.ts'

/**
 * 304 (RFC 9110 15.4.5) where what the client holds is still what it would get; undefined where it is to be made, or nobody
 * knows. The archive is not asked where the instances are here as they were given; else once what is there, and whose.
 * @throws what ends an association; the signal's reason
 */
export async function notModified(c: HttpContext, selection: Selection): Promise<Response | undefined> {
  const held = heldBy(c)
  if (held.length === 0) return undefined
  for (const tag of held) {
    const answer = c.var.given.under(tag)
    if (answer?.key === answerKey(c) && (await isAsGiven(c, selection, answer))) return unchanged(c, tag)
  }
  const { study, series, instance } = selection
  if (series === undefined || instance === undefined) return undefined
  const tag = heldAs(immutableTag(c), held)
  if (tag === undefined || !(await isThere(c, { study, series, sopInstance: instance }))) return undefined
  return unchanged(c, tag)
}

/** The tags of what the client holds; none where `http.browserCache` is off. */
export function heldBy(c: HttpContext): readonly string[] {
  return c.var.config.http.browserCache === null ? [] : heldTags(c.req.header('if-none-match'))
}

/** What the client holds is what it would get. */
export function unchanged(c: HttpContext, tag: string, headers: Record<string, string[]> = {}): Response {
  const validators: Validators = keptUnder(c, tag)
  return c.body(null, 304, { ...headers, ...(validators as Record<string, string>) })
}

async function isThere(c: HttpContext, uids: InstanceUids): Promise<boolean> {
  const { cache, archive } = c.var
  if (cache.arrivalOf(archive, uids) !== undefined) return true
  const { study, series, sopInstance } = uids
  const found = await instancesOf(c, { study, series, instance: sopInstance })
  return found?.some((one) => one.series === series && one.sopInstance === sopInstance) === true
}

async function isAsGiven(c: HttpContext, selection: Selection, answer: Answer): Promise<boolean> {
  const { cache, archive, patients, signal } = c.var
  const held = cache.held(archive, selection)
  // What has come anew may have come otherwise, and is here to be given.
  if (held) return arrivalsDigest(held) === answer.arrivals
  const patient = await patients.of(archive, selection.study, signal).catch(orUnknown)
  if (!patient || !isSamePatient(patient, answer.patient)) return false
  const found = await instancesOf(c, selection)
  if (found === undefined || listDigest(found) !== answer.list) return false
  const here = found.flatMap((uids) => {
    const arrival = cache.arrivalOf(archive, uids)
    return arrival === undefined ? [] : [{ ...uids, arrival }]
  })
  return here.length < found.length || arrivalsDigest(here) === answer.arrivals
}

/** What there is of a selection, as the archive says; undefined where it does not say all. @throws what ends an association */
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
  try {
    const options = await archive.queryOptions(false, { signal })
    for await (const one of archive.search(request, options, { signal }, cut)) {
      const sopInstance = one.string(Attribute.SOPInstanceUID) ?? ''
      found.push({ study, series: one.string(Attribute.SeriesInstanceUID) ?? series ?? '', sopInstance })
      if (found.length > MAX_GIVEN) return undefined
    }
  } catch (error) {
    orUnknown(error)
    return undefined
  }
  return isCut ? undefined : found
}

/** An archive that does not answer such a question leaves it open. */
function orUnknown(error: unknown): undefined {
  if (error instanceof StatusError || error instanceof NotSupportedByArchiveError || isCapped(error)) return undefined
  throw error
}
