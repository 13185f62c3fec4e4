import type { Archive } from '../pacs/archive.ts'
import type { Federation } from '../pacs/federation/federation.ts'
import type { Surroundings } from '../pacs/priors/find-priors.ts'
import type { Verb } from './auth/principal.ts'
import type { HttpContext } from './context.ts'
import type { LinkedIds } from './federation/linked-ids.ts'

/** Milliseconds that one archive has to tell the studies of a patient. */
const TIMEOUT_MS = 60_000

/** Where priors are looked for: at the archives that are asked, as far as who asks may do all that with them. */
export function surroundingsOf(
  { var: { archive, federated, principal } }: HttpContext,
  verbs: readonly Verb[] = ['search'],
): Surroundings {
  if (!federated) return ofArchive(archive)
  const all = ofFederation(federated.federation, federated.links)
  return { ...all, archives: all.archives.filter(({ config }) => verbs.every((verb) => principal.may(verb, config))) }
}

/** One archive, which knows a patient by one ID. */
export function ofArchive(archive: Archive): Surroundings {
  const linked: Surroundings['linked'] = (patient) => Promise.resolve([patient])
  return { archives: [archive], isFederation: false, timeout: TIMEOUT_MS, linked }
}

/** Several as one. */
export function ofFederation({ archives, config }: Federation, links: LinkedIds | undefined): Surroundings {
  const linked: Surroundings['linked'] = async (patient) => (await links?.of(patient)) ?? [patient]
  return { archives, isFederation: true, timeout: config.timeout, linked }
}
