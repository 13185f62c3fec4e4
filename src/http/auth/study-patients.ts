import { LRUCache } from 'lru-cache'
import { Attribute } from '../../dicom/attributes.ts'
import type { Uid } from '../../dicom/uids.ts'
import type { Archive } from '../../pacs/archive.ts'

/** How long whose study it is is kept, in ms. */
export const PATIENT_MS = 5 * 60_000
/** Studies of which it is kept. */
const MAX_STUDIES = 10_000
/** How long an archive may take to say it, in ms. */
const LOOKUP_MS = 30_000

/** Whose a study is; `id` is empty where the archive names nobody, or several. */
export interface StudyPatient {
  readonly id: string
  /** Empty where the archive does not say it. */
  readonly issuer: string
}

/** Whose the studies of archives are, as they say by C-FIND. */
export class StudyPatients {
  readonly #known = new LRUCache<string, StudyPatient>({ max: MAX_STUDIES, ttl: PATIENT_MS })
  readonly #asking = new Map<string, Promise<StudyPatient | undefined>>()

  /**
   * The patient of a study; undefined where the archive has no such study. Asked for once for all
   * who want to know at a time. @throws what a search throws
   */
  async of(archive: Archive, study: Uid): Promise<StudyPatient | undefined> {
    const key = keyOf(archive, study)
    const known = this.#known.get(key)
    if (known) return known
    let asking = this.#asking.get(key)
    if (!asking) {
      asking = ask(archive, study).finally(() => this.#asking.delete(key))
      this.#asking.set(key, asking)
    }
    const patient = await asking
    if (patient) this.#known.set(key, patient)
    return patient
  }

  /** Whether the archive need not be asked. */
  isKnown(archive: Archive, study: Uid): boolean {
    return this.#known.has(keyOf(archive, study))
  }
}

function keyOf(archive: Archive, study: Uid): string {
  return `${archive.config.name} ${study}`
}

async function ask(archive: Archive, study: Uid): Promise<StudyPatient | undefined> {
  const call = { signal: AbortSignal.timeout(LOOKUP_MS) }
  const include = [Attribute.PatientID, Attribute.IssuerOfPatientID]
  const request = { level: 'STUDY', study, withParents: false, match: [], include } as const
  const options = await archive.queryOptions(false, call)
  let found: StudyPatient | undefined
  for await (const match of archive.search(request, options, call)) {
    if (match.string(Attribute.StudyInstanceUID) !== study) continue
    const id = match.string(Attribute.PatientID)?.trim() ?? ''
    const issuer = match.string(Attribute.IssuerOfPatientID)?.trim() ?? ''
    const isOther = found !== undefined && (found.id !== id || found.issuer !== issuer)
    found = isOther ? { id: '', issuer: '' } : { id, issuer }
  }
  return found
}
