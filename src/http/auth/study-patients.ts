import { LRUCache } from 'lru-cache'
import { Attribute } from '../../dicom/attributes.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import type { Uid } from '../../dicom/uids.ts'
import type { Archive } from '../../pacs/archive.ts'
import { PeerTimeoutError } from '../../network/errors.ts'
import { AskedOnce } from '../../pacs/asked-once.ts'
import type { Call } from '../../pacs/call.ts'

/** How long whose study it is is kept, in ms. */
export const PATIENT_MS = 5 * 60_000
/** Studies of which it is kept. */
const MAX_STUDIES = 10_000
/** How long an archive may take to say it, in ms. */
export const LOOKUP_MS = 30_000

/** Whose a study is; `id` is empty where the archive names nobody, or several. */
export interface StudyPatient {
  readonly id: string
  /** Empty where the archive does not say it. */
  readonly issuer: string
  /** As it is written, but for what is empty at its end; not for telling people apart. */
  readonly name: string
}

const NOBODY: StudyPatient = { id: '', issuer: '', name: '' }

/** Whose a data set says that it is; nobody's where it names several, of whom others may take any. */
export function patientOf(dataset: Dataset): StudyPatient {
  const [ids, issuers] = [Attribute.PatientID, Attribute.IssuerOfPatientID].map((tag) => dataset.values(tag))
  if (ids!.length > 1 || issuers!.length > 1) return NOBODY
  const name = dataset.string(Attribute.PatientName) ?? ''
  // PS3.5 6.2.1.1: what is empty at the end of a name may be left out.
  return { id: String(ids![0] ?? ''), issuer: String(issuers![0] ?? ''), name: name.replace(/[\^= ]+$/, '') }
}

/** Whether both are the same, and called the same. */
export function isSamePatient(one: StudyPatient, other: StudyPatient): boolean {
  const isOfOne = one.issuer === other.issuer || one.issuer === '' || other.issuer === ''
  return one.id === other.id && isOfOne && one.name === other.name
}

/** Whose the studies of archives are, as they say by C-FIND. */
export class StudyPatients {
  readonly #known = new LRUCache<string, StudyPatient>({ max: MAX_STUDIES, ttl: PATIENT_MS })
  readonly #asking = new AskedOnce<StudyPatient | undefined>()

  /** The patient of a study; undefined where the archive has no such study. @throws what a search throws */
  async of(archive: Archive, study: Uid, signal: AbortSignal): Promise<StudyPatient | undefined> {
    const key = keyOf(archive, study)
    const known = this.#known.get(key)
    if (known) return known
    return this.afresh(archive, study, signal)
  }

  /** The same as the archive says now; asked for once for all who want to know at a time. @throws what a search throws */
  afresh(archive: Archive, study: Uid, signal: AbortSignal): Promise<StudyPatient | undefined> {
    const key = keyOf(archive, study)
    return this.#asking.of(key, signal, async (stop) => {
      const late = setTimeout(() => stop.abort(new PeerTimeoutError('response', LOOKUP_MS)), LOOKUP_MS)
      try {
        const told = await ask(archive, study, { signal: stop.signal })
        if (told) this.#known.set(key, told)
        else this.#known.delete(key)
        return told
      } finally {
        clearTimeout(late)
      }
    })
  }

  /** Whether the archive need not be asked. */
  isKnown(archive: Archive, study: Uid): boolean {
    return this.#known.has(keyOf(archive, study))
  }

  forget(archive: Archive, study: Uid): void {
    this.#known.delete(keyOf(archive, study))
  }
}

function keyOf(archive: Archive, study: Uid): string {
  return `${archive.config.name} ${study}`
}

async function ask(archive: Archive, study: Uid, call: Call): Promise<StudyPatient | undefined> {
  const include = [Attribute.PatientID, Attribute.IssuerOfPatientID]
  const request = { level: 'STUDY', study, withParents: false, match: [], include, doubles: true } as const
  const options = await archive.queryOptions(false, call)
  let found: StudyPatient | undefined
  for await (const match of archive.search(request, options, call)) {
    if (match.string(Attribute.StudyInstanceUID) !== study) continue
    const told = patientOf(match)
    const isOther = found !== undefined && (found.id !== told.id || found.issuer !== told.issuer)
    found = isOther ? NOBODY : told
  }
  return found
}
