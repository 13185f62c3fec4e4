import { isLoopback } from '../network/loopback.ts'
import { fields, type Fields, type Path, type Say } from './fields.ts'
import { reportRouting } from './routing/routing-conflicts.ts'

/** Checks of several keys against each other. Where `value` has other faults it may have any shape. */
export function reportConflicts(value: unknown, say: Say): void {
  const { archives, dimse, http, auth, audit, cache, federation, prefetch, cluster } = fields(value)
  reportRouting(fields(value), say)
  reportTrust(fields(http), auth, archives, say)
  reportNowhere(audit, say)
  reportReplicas(cluster, say)
  reportFederation(federation, archives, say)
  reportPrefetch(cache, say)
  reportPriors(prefetch, cache, say)
  reportPair(fields(audit).syslog, ['audit', 'syslog'], say)
  const titles = new Map<unknown, number>()
  const names = new Map<unknown, number>()
  for (const [index, entry] of Array.isArray(archives) ? archives.entries() : []) {
    const { aeTitle, name, retrieve, send, tls } = fields(entry)
    const sameTitle = typeof aeTitle === 'string' ? titles.get(aeTitle) : undefined
    const sameName = typeof name === 'string' ? names.get(name) : undefined
    if (sameTitle !== undefined) {
      say(['archives', index, 'aeTitle'], `is that of archives[${sameTitle}] too; expected a title of its own`)
    } else if (sameName !== undefined) {
      say(['archives', index, 'name'], `is that of archives[${sameName}] too; expected a name of its own`)
    }
    if (!titles.has(aeTitle)) titles.set(aeTitle, index)
    if (!names.has(name)) names.set(name, index)
    if (retrieve === 'move' && fields(dimse).enabled === false) {
      say(
        ['archives', index, 'retrieve'],
        'is move while dimse.enabled is false; expected get, or the listener that C-MOVE needs',
      )
    }
    reportPair(tls, ['archives', index, 'tls'], say)
    reportDestinations(fields(send).destinations, ['archives', index, 'send', 'destinations'], say)
  }
}

/** Replicas that anybody could say to be one of, or that two things say. */
function reportReplicas(cluster: unknown, say: Say): void {
  if (typeof cluster !== 'object' || cluster === null) return
  const { secret, tls, url, ca } = fields(cluster)
  if (typeof ca === 'string' && typeof url === 'string' && !/^(?:rediss|valkeys):/.test(url)) {
    say(['cluster', 'ca'], 'is there beside a URL without TLS; expected rediss or valkeys in cluster.url')
  }
  if (secret === null && tls === null) {
    say(['cluster', 'secret'], 'is missing; expected what replicas know each other by: a secret, or cluster.tls')
  }
  if (typeof secret === 'string' && typeof tls === 'object' && tls !== null) {
    say(['cluster', 'tls'], 'is there beside cluster.secret; expected one of them')
  }
}

/** Two destinations that a client could not tell apart. */
function reportDestinations(destinations: unknown, path: Path, say: Say): void {
  const names = new Set<unknown>()
  for (const [index, one] of Array.isArray(destinations) ? destinations.entries() : []) {
    const { name } = fields(one)
    if (names.has(name)) say([...path, index, 'name'], 'is that of another destination; expected a name of its own')
    names.add(name)
  }
}

/** Archives that are none, or of which nobody can tell whose patients they hold. */
function reportFederation(federation: unknown, archives: unknown, say: Say): void {
  if (typeof federation !== 'object' || federation === null || !Array.isArray(archives)) return
  const { archives: named, store, pixm } = fields(federation)
  const all = archives.map((one, index) => ({ index, name: nameOf(one), patients: fields(fields(one).patients) }))
  const names = Array.isArray(named) ? (named as unknown[]) : all.map(({ name }) => name)
  const expected = all.map(({ name }) => String(name)).join(', ')
  for (const [at, one] of names.entries()) {
    const path = Array.isArray(named) ? ['federation', 'archives', at] : ['federation']
    const archive = all.find(({ name }) => name === one)
    if (names.indexOf(one) < at) say(path, `names ${String(one)} twice; expected each archive once`)
    else if (!archive) say(path, `names ${String(one)}, which is none; expected: ${expected}`)
    else if (typeof archive.patients.issuer !== 'string') {
      const text = 'is missing; expected who issues its Patient IDs: in a federation the same ID may be of two people'
      say(['archives', archive.index, 'patients', 'issuer'], text)
    }
  }
  if (names.length < 2) say(['federation', 'archives'], 'names less than two; expected the archives to search together')
  if (typeof store === 'string' && !names.includes(store)) {
    say(['federation', 'store'], `is ${store}, which is not among them; expected: ${names.map(String).join(', ')}`)
  }
  const systems = fields(pixm).systems
  for (const key of ['issuer', 'system']) {
    const seen = new Set<unknown>()
    for (const [index, one] of Array.isArray(systems) ? systems.entries() : []) {
      const value = fields(one)[key]
      if (seen.has(value)) say(['federation', 'pixm', 'systems', index, key], 'is there already; expected each once')
      seen.add(value)
    }
  }
}

/** As the schema fills it in. */
function nameOf(archive: unknown): unknown {
  const { name, aeTitle } = fields(archive)
  return name ?? (typeof aeTitle === 'string' ? aeTitle.toLowerCase() : undefined)
}

/** What is fetched ahead, and not kept. */
function reportPrefetch(cache: unknown, say: Say): void {
  const { prefetch, maxBytes } = fields(cache)
  if (maxBytes === 0 && typeof prefetch === 'string' && prefetch !== 'off') {
    say(['cache', 'prefetch'], 'fetches for a cache that keeps nothing; expected off, or a cache.maxBytes')
  }
}

/** Priors that are fetched, and not kept. */
function reportPriors(prefetch: unknown, cache: unknown, say: Say): void {
  if (typeof prefetch !== 'object' || prefetch === null || fields(prefetch).destination !== null) return
  if (fields(cache).maxBytes === 0) {
    say(['prefetch'], 'fetches for a cache that keeps nothing; expected a cache.maxBytes, or a destination')
  }
}

/** An audit trail that is kept nowhere. */
function reportNowhere(audit: unknown, say: Say): void {
  const { file, syslog, fhir } = fields(audit)
  if (file === null && syslog === null && fhir === null) {
    say(['audit'], 'has nowhere to be written; expected file, syslog or fhir, or null for no audit trail')
  }
}

/** A certificate and its key, of which neither is of use alone. */
function reportPair(tls: unknown, path: Path, say: Say): void {
  const { cert, key } = fields(tls)
  if (typeof cert === 'string' && key === null) {
    say([...path, 'key'], 'is missing; expected the key that belongs to cert')
  }
  if (typeof key === 'string' && cert === null) {
    say([...path, 'cert'], 'is missing; expected the certificate that belongs to key')
  }
}

/** What keeps the service to those it is for. */
function reportTrust(http: Fields, auth: unknown, archives: unknown, say: Say): void {
  const { tls } = http
  const door = auth === null ? openDoor(http) : undefined
  if (door !== undefined) {
    say(['auth'], `is empty while ${door}; expected who may use the API, or open for everybody`)
  }
  const { certificates, keys } = fields(auth)
  const asksForCertificates = typeof fields(tls).clientCa === 'string'
  if (Array.isArray(certificates) && certificates.length > 0 && !asksForCertificates) {
    say(['auth', 'certificates'], 'needs to know whose; expected http.tls.clientCa beside it')
  }
  if (typeof auth === 'object' && auth !== null) reportSharedWords(archives, say)
  const names = Array.isArray(archives)
    ? archives.flatMap((one) => [fields(one).name, fields(one).aeTitle]).filter((one) => typeof one === 'string')
    : []
  const expected = [...new Set(names)].join(', ')
  for (const [list, entries] of Object.entries({ certificates, keys })) {
    for (const [index, entry] of Array.isArray(entries) ? entries.entries() : []) {
      const named: unknown = fields(entry).archives
      for (const one of Array.isArray(named) ? (named as unknown[]) : []) {
        if (names.includes(String(one))) continue
        say(['auth', list, index, 'archives'], `names ${String(one)}, which is none; expected: ${expected}`)
      }
    }
  }
}

/** By what others than programs of this machine are let in. */
function openDoor({ host, publicUrl, trustProxy }: Fields): string | undefined {
  if (typeof host === 'string' && !isLoopback(host)) return `http.host lets others in (${host})`
  if (trustProxy === true) return 'http.trustProxy says that a proxy lets others in'
  const name = typeof publicUrl === 'string' ? URL.parse(publicUrl)?.hostname : undefined
  if (name === undefined || isLoopback(name)) return undefined
  return `others come by http.publicUrl (${name})`
}

/** Permissions name archives by either: a word that means two of them would let in to both. */
function reportSharedWords(archives: unknown, say: Say): void {
  const all = Array.isArray(archives) ? archives.map(fields) : []
  for (const [index, { name }] of all.entries()) {
    const other = all.findIndex(({ aeTitle }, at) => at !== index && typeof name === 'string' && aeTitle === name)
    if (other < 0) continue
    say(
      ['archives', index, 'name'],
      `is the AE title of archives[${other}]; expected another beside auth, which names both`,
    )
  }
}
