import { LRUCache } from 'lru-cache'
import { Attribute } from '../../dicom/attributes.ts'
import type { Dataset } from '../../dicom/dataset.ts'
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

const NOBODY: StudyPatient = { id: '', issuer: '' }

/** Whose a data set says that it is; nobody's where it names several, of whom others may take any. */
export function patientOf(dataset: Dataset): StudyPatient {
  const [ids, issuers] = [Attribute.PatientID, Attribute.IssuerOfPatientID].map((tag) => dataset.values(tag))
  if (ids!.length > 1 || issuers!.length > 1) return NOBODY
  return { id: String(ids![0] ?? ''), issuer: String(issuers![0] ?? '') }
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
    const told = patientOf(match)
    const isOther = found !== undefined && (found.id !== told.id || found.issuer !== told.issuer)
    found = isOther ? NOBODY : told
  }
  return found
}
