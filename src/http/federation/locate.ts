import type { Uid } from '../../dicom/uids.ts'
import type { Archive } from '../../pacs/archive.ts'
import { patientOf } from '../auth/study-patients.ts'
import type { Federated } from '../federated.ts'
import type { LinkedIds } from './linked-ids.ts'
import type { Copy, Whereabouts } from '../../pacs/federation/copies.ts'
import { areOfOne } from '../../pacs/federation/patient-id.ts'
import type { Federation } from '../../pacs/federation/federation.ts'
import { LateArchiveError, type Gathered } from '../../pacs/federation/gather.ts'
import { NoSuchInstanceError } from '../../pacs/retrieve/errors.ts'
import { publicOrigin } from '../base-url.ts'
import { notPermitted } from '../auth/errors.ts'
import { isExactly } from '../auth/within-binding.ts'
import type { Binding, Verb } from '../auth/principal.ts'
import type { HttpContext } from '../context.ts'
import { RequestError } from '../problem.ts'
import { archiveRoot } from '../path.ts'
import { isStrict, notComplete, silences } from '../silences.ts'

/**
 * The archives of a federation that somebody may reach.
 * @throws RequestError 403 for who is bound to an ID that may be of several people
 */
export function reachable(c: HttpContext, federation: Federation, verb: Verb): readonly [Archive, ...Archive[]] {
  const { principal } = c.var
  const { patient, patientIssuer } = principal.binding ?? {}
  if (patient !== undefined && patientIssuer === undefined) {
    throw notPermitted('ask several archives at once: its sign-in names a patient without the issuer of the ID')
  }
  const candidates = verb === 'store' ? [federation.storeTo] : federation.archives
  const [first, ...others] = candidates.filter(({ config }) => principal.may(verb, config))
  if (!first) throw notPermitted(`store in the archive ${federation.storeTo.config.name}, which is where it would go`)
  return [first, ...others]
}

/**
 * Where a study is, of what somebody may see: copies of one patient, or none where there are none and nobody is silent.
 * @throws RequestError 404 where it is of another than he is bound to, 409 where it is of several patients, 502 for who wants
 *   all or nothing; NoSuchInstanceError; what an archive has failed with that may have it
 */
export async function locate(
  c: HttpContext,
  { federation, members, links }: Omit<Federated, 'study' | 'uid'>,
  { study, verb }: { readonly study: Uid; readonly verb: Verb },
): Promise<Whereabouts> {
  const { binding } = c.var.principal
  const isReached = ({ archive }: Pick<Gathered, 'archive'>): boolean => members.includes(archive)
  const soon = await federation.copies.of(study, c.var.signal)
  // One that is busy may have it; who asked it alone would wait.
  const isLate =
    !soon.copies.some(isReached) &&
    soon.failures.some((one) => isReached(one) && one.failure instanceof LateArchiveError)
  const all = isLate && verb === 'retrieve' ? await federation.copies.patiently(study, c.var.signal) : soon
  const failures = all.failures.filter(isReached)
  const reached = all.copies.filter(isReached)
  const others = new Set(reached.filter((copy) => !isHis(copy, binding, study)).map(({ archive }) => archive))
  const copies = reached.filter(({ archive }) => !others.has(archive))
  const [first] = copies
  if (first && !(await isOfOnePatient(copies, links))) throw ofSeveralPatients(c, copies)
  if (failures.length > 0 && isStrict(c)) throw notComplete(failures)
  if (!first && failures[0]?.failure) throw failures[0].failure
  if (!first && binding)
    throw new RequestError(404, 'NO_SUCH_STUDY', 'There is no such study, or this sign-in is not for it.')
  if (!first && verb === 'retrieve') throw new NoSuchInstanceError()
  if (verb === 'retrieve')
    for (const text of silences(failures)) c.header('Warning', `299 ${c.var.base}: ${text}`, { append: true })
  return { copies, failures }
}

/** By their own IDs, or by those that they have at other issuers. */
async function isOfOnePatient(copies: readonly Copy[], links: LinkedIds | undefined): Promise<boolean> {
  const identities = copies.map(({ identity }) => identity)
  const [first, ...others] = identities
  if (!first || areOfOne(identities)) return true
  const known = links && (await links.of(patientOf(copies[0]!.row)))
  return known !== undefined && areOfOne([first.linkedBy(known), ...others])
}

/** Of who is bound to a patient: an archive that has the study of another, too, may send that. */
function isHis({ row }: Copy, binding: Binding | undefined, study: Uid): boolean {
  if (!binding) return true
  if (binding.study !== undefined && binding.study !== study) return false
  return binding.patient === undefined || isExactly(patientOf(row), binding)
}

function ofSeveralPatients(c: HttpContext, copies: readonly Copy[]): RequestError {
  const origin = publicOrigin(c, c.var.config.http)
  const roots = copies.map(({ archive }) => origin + archiveRoot(c.var.config.http, archive.config))
  const detail = `Archives hold studies of different patients under this Study Instance UID. Ask each by itself: ${roots.join(', ')}`
  return new RequestError(409, 'STUDY_OF_SEVERAL_PATIENTS', detail)
}
