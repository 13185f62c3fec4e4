import type { Surroundings } from '../pacs/priors/find-priors.ts'
import type { HttpContext } from './context.ts'

/** Milliseconds that one archive has to tell the studies of a patient. */
const TIMEOUT_MS = 60_000

/** Where priors are looked for: at the archives that are asked, as far as who asks may search them. */
export function surroundingsOf({ var: { archive, federated, principal } }: HttpContext): Surroundings {
  if (!federated) {
    const linked: Surroundings['linked'] = (patient) => Promise.resolve([patient])
    return { archives: [archive], isFederation: false, timeout: TIMEOUT_MS, linked }
  }
  const { federation, links } = federated
  return {
    archives: federation.archives.filter(({ config }) => principal.may('search', config)),
    isFederation: true,
    timeout: federation.config.timeout,
    linked: async (patient) => (await links?.of(patient)) ?? [patient],
  }
}
