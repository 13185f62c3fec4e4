import { LRUCache } from 'lru-cache'
import type { Config } from '../../config/config.ts'
import type { PatientId } from '../../pacs/federation/patient-id.ts'
import { fetchJson } from '../auth/fetch-json.ts'

type PixmConfig = NonNullable<NonNullable<Config['federation']>['pixm']>

/** Patients whose IDs are kept. */
const MAX_PATIENTS = 10_000
/** IDs of one patient that are believed. */
const MAX_LINKED = 50

/** The IDs that a patient has at several issuers, as a PIXm manager says (IHE ITI-83). */
export class LinkedIds {
  readonly #config: PixmConfig
  readonly #known: LRUCache<string, Promise<readonly PatientId[]>>

  constructor(config: PixmConfig) {
    this.#config = config
    this.#known = new LRUCache({ max: MAX_PATIENTS, ttl: config.keep })
  }

  /** All IDs of the patient that has one of them, that one included; undefined where nobody says it. It does not throw. */
  async of(patient: PatientId): Promise<readonly PatientId[] | undefined> {
    const { issuer, id } = patient
    const system = this.#config.systems.find((one) => one.issuer === issuer)?.system
    if (system === undefined) return [patient]
    const key = `${issuer}\\${id}`
    const known = this.#known.get(key)
    const asked = known ?? this.#ask(`${system}|${id}`)
    // What is kept is believed for so long from when it was told.
    if (!known) this.#known.set(key, asked)
    try {
      return [patient, ...(await asked)]
    } catch {
      if (this.#known.get(key) === asked) this.#known.delete(key)
      return undefined
    }
  }

  /** ITI TF PIXm 2:3.83.4.1: `$ihe-pix`, whose answer has a targetIdentifier for each. */
  async #ask(sourceIdentifier: string): Promise<readonly PatientId[]> {
    const { url, systems, timeout } = this.#config
    const query = new URLSearchParams({ sourceIdentifier })
    const answer = await fetchJson(
      `${url.replace(/\/$/, '')}/Patient/$ihe-pix?${query.toString()}`,
      { headers: { Accept: 'application/fhir+json' } },
      timeout,
    )
    const told = Array.isArray(answer.parameter) ? (answer.parameter as unknown[]) : []
    return told.slice(0, MAX_LINKED).flatMap((one): PatientId[] => {
      const { name, valueIdentifier } = fieldsOf(one)
      const { system, value } = fieldsOf(valueIdentifier)
      const issuer = systems.find((known) => known.system === system)?.issuer
      const isId = typeof value === 'string' && /^[^\\\p{C}*?]{1,64}$/u.test(value)
      return name === 'targetIdentifier' && issuer !== undefined && isId ? [{ id: value, issuer }] : []
    })
  }
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}
