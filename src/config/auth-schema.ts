import { z } from 'zod'
import { conflict, fields, type Fields, type Path, type Say } from './fields.ts'
import {
  addressBlock,
  bool,
  duration,
  filePath,
  filled,
  group,
  headerName,
  name,
  oneOf,
  scope,
  secretText,
  secureAddress,
  uid,
  webAddress,
} from './values.ts'

// Who may use the API, and for what.

/** What a request does: each needs a permission of its own. `admin` is for what operators look at. */
export const verbs = ['search', 'retrieve', 'store', 'send', 'admin'] as const

/** Signatures by a private key, which a service that verifies them cannot make: no `none`, no HS (RFC 8725 3.1). */
export const ASYMMETRIC_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
] as const

/** HMAC with SHA-256 takes a key of at least its output (RFC 7518 3.2). */
const MIN_LINK_KEY_BYTES = 32

const texts = (byDefault: readonly string[], description: string) =>
  z
    .array(scope, { error: 'a list of scopes' })
    .default([...byDefault])
    .describe(description)

const scopesWith = (defaults: Readonly<Record<(typeof verbs)[number], readonly string[]>>) =>
  group({
    search: texts(defaults.search, 'Any of these lets search; {archive} stands for its name, * for anybody'),
    retrieve: texts(defaults.retrieve, 'Any of these lets retrieve'),
    store: texts(defaults.store, 'Any of these lets store'),
    send: texts(defaults.send, 'Any of these lets have the archive send to its destinations'),
    admin: texts(defaults.admin, 'Any of these lets see metrics and what the doctor finds'),
  })

const claim = (description: string) => filled.nullable().default(null).describe(description)

const issuerKeys = {
  jwks: secureAddress
    .nullable()
    .default(null)
    .describe('Address of the JSON Web Key Set; null asks the issuer where it is (OpenID Connect Discovery)'),
  jwksFile: filePath.nullable().default(null).describe('File that holds the JSON Web Key Set, in place of an address'),
  algorithms: z
    .array(oneOf(ASYMMETRIC_ALGORITHMS), { error: 'a list of algorithms' })
    .min(1, { error: 'at least one algorithm' })
    .default([...ASYMMETRIC_ALGORITHMS])
    .describe('Signatures to accept'),
  clockSkew: duration('30s', 0).describe('How far clocks may be apart'),
  introspection: z
    .strictObject({
      url: secureAddress.nullable().default(null).describe('Where to ask; null asks the issuer where that is'),
      clientId: filled.describe('Our name there'),
      clientSecret: secretText.meta({ description: 'Our secret there', writeOnly: true }),
    })
    .nullable()
    .default(null)
    .describe('Asking the issuer about tokens that are no JWT (RFC 7662); null refuses them'),
  scopes: scopesWith({
    search: ['dicom.search'],
    retrieve: ['dicom.retrieve'],
    store: ['dicom.store'],
    send: ['dicom.send'],
    admin: ['dicom.admin'],
  }).describe('What the scopes of a token let do'),
  claims: group({
    subject: filled.default('sub').describe('Claim that names who asks'),
    scope: claim('Claim of the scopes, as text or list, a.b for b in a; null takes scope and scp'),
    archives: claim('Claim of the archives a token is for, by name or AE title; null: for all'),
    patient: claim('Claim of the one PatientID a token is for; null: for all'),
    patientIssuer: claim('Claim of the Issuer of Patient ID that belongs to it'),
    study: claim('Claim of the one Study Instance UID a token is for; null: for all'),
    bindingRequired: bool
      .default(true)
      .describe('With a claim for a patient or a study: whether tokens that name neither are refused'),
  }).describe('What the claims are called'),
}

const audience = z
  .union([filled, z.array(filled).min(1)], { error: 'text, or a list of text' })
  .transform((value) => (typeof value === 'string' ? [value] : value))
  .describe('Audience (aud) a token must name: one, or a list of which one is enough')

const issuerName = secureAddress.describe('Issuer (iss) of the tokens to accept')

const issuer = z.strictObject({ issuer: issuerName, audience, ...issuerKeys })

const permissions = {
  scopes: z
    .array(oneOf(verbs), { error: `a list of: ${verbs.join(', ')}` })
    .default(['search', 'retrieve'])
    .describe('What it lets do'),
  archives: z
    .array(filled, { error: 'a list of archives' })
    .nullable()
    .default(null)
    .describe('Archives it is for, by name or AE title; null: for all'),
}

const apiKey = z.strictObject({
  name: name.describe('Who uses it, for the audit trail'),
  hash: z
    .string({ error: 'a hash as `dimsegate key` prints it' })
    .regex(/^sha256:[0-9a-f]{64}$/, { error: 'a hash as `dimsegate key` prints it' })
    .describe('What `dimsegate key` prints beside the key'),
  ...permissions,
  patient: filled.nullable().default(null).describe('The one PatientID it is for; null: for all'),
  study: uid.nullable().default(null).describe('The one Study Instance UID it is for; null: for all'),
})

const certificate = z.strictObject({
  name: filled.describe('Common name, or a DNS name, address or URI of the certificate, as it is written there'),
  ...permissions,
})

const proxy = z.strictObject({
  addresses: z
    .array(addressBlock, { error: 'a list of IP addresses and blocks of them' })
    .min(1, { error: 'at least one address' })
    .describe('Where the proxy calls from; nobody else is believed'),
  userHeader: headerName.default('X-Auth-Request-User').describe('Header that names who asks'),
  groupsHeader: headerName
    .default('X-Auth-Request-Groups')
    .describe('Header of the groups he is in, separated by commas'),
  scopes: scopesWith({ search: ['*'], retrieve: ['*'], store: [], send: [], admin: [] }).describe('What groups let do'),
})

const links = z.strictObject({
  key: secretText
    .refine((value) => Buffer.byteLength(value) >= MIN_LINK_KEY_BYTES, {
      error: `at least ${MIN_LINK_KEY_BYTES} bytes, such as openssl rand -base64 32 prints`,
    })
    .meta({ description: 'Signs the links that `dimsegate share` makes', writeOnly: true }),
  maxAge: duration('7d').describe('Longest time that a link may be good for'),
  viewer: webAddress
    .nullable()
    .default(null)
    .describe('Address of a viewer beside us on the same origin; a page of our own shows the study otherwise'),
})

/** Any of what it names is enough. */
export const auth = z
  .strictObject({
    issuer: issuerName.optional(),
    audience: audience.optional(),
    ...issuerKeys,
    issuers: z.array(issuer, { error: 'a list of issuers' }).default([]).describe('Further issuers'),
    proxy: proxy.nullable().default(null).describe('A proxy that signs people in and names them in headers'),
    keys: z.array(apiKey, { error: 'a list of keys' }).default([]).describe('Keys of machines, as bearer tokens'),
    certificates: z
      .array(certificate, { error: 'a list of certificates' })
      .default([])
      .describe('Who shows which certificate of http.tls.clientCa'),
    links: links.nullable().default(null).describe('Links to one study that need no sign-in'),
  })
  .superRefine(
    (value, context) => {
      reportAuth(value, (path, message) =>
        context.addIssue({ code: 'custom', path, message, params: { [conflict]: true } }),
      )
    },
    { when: () => true },
  )
  .transform(({ issuer: first, audience: of, issuers, proxy, keys, certificates, links, ...rest }) => ({
    issuers: [...(first === undefined ? [] : [{ issuer: first, audience: of ?? [], ...rest }]), ...issuers],
    proxy,
    keys,
    certificates,
    links,
  }))

/** `open`: everybody who can reach the server may do everything but what `admin` is for. */
export const authOrOpen = z
  .union([z.literal('open'), auth], { error: 'null, open, or a group of keys' })
  .nullable()
  .default(null)
  .describe('Who may use the API; null: everybody, on loopback only')

/** Stands for the name of the archive in a scope. */
const ARCHIVE_PLACEHOLDER = '{archive}'

function reportAuth(value: unknown, say: Say): void {
  if (typeof value !== 'object' || value === null) return
  const { issuer: first, audience: of, issuers, proxy: trusted, keys, certificates, links: signed } = value as Fields
  const further = Array.isArray(issuers) ? issuers.map(fields) : []
  const others = further.map(({ issuer: one }) => one)
  const isEmpty = (list: unknown): boolean => list === undefined || (Array.isArray(list) && list.length === 0)
  const isNobody =
    first === undefined && trusted == null && signed == null && [issuers, keys, certificates].every(isEmpty)
  if (isNobody && of === undefined) {
    say([], 'lets nobody in; expected an issuer, a proxy, keys, certificates or links, or open for everybody')
  }
  if (first !== undefined && of === undefined) {
    say(['audience'], 'is missing; expected the audience that tokens of the issuer name')
  }
  if (first === undefined && of !== undefined)
    say(['issuer'], 'is missing; expected the issuer whose tokens name the audience')
  reportIssuer(value as Fields, [], say)
  reportKeys(keys, say)
  reportProxy(trusted, say)
  for (const [index, one] of others.entries()) {
    const isTwice = one !== undefined && (one === first || others.indexOf(one) !== index)
    if (isTwice) say(['issuers', index, 'issuer'], 'is there twice; expected each issuer once')
    reportIssuer(further[index]!, ['issuers', index], say)
  }
}

function reportIssuer({ jwks, jwksFile, claims, scopes }: Fields, path: Path, say: Say): void {
  if (typeof jwks === 'string' && typeof jwksFile === 'string') {
    say([...path, 'jwksFile'], 'is there beside jwks; expected one of them')
  }
  const { patient, patientIssuer } = fields(claims)
  if (typeof patientIssuer === 'string' && typeof patient !== 'string') {
    say([...path, 'claims', 'patientIssuer'], 'binds nobody alone; expected claims.patient beside it')
  }
  reportScopes(scopes, [...path, 'scopes'], say)
}

/** What looks like {archive} and is not would be a scope that nobody has. */
function reportScopes(scopes: unknown, path: Path, say: Say): void {
  for (const [verb, needed] of Object.entries(fields(scopes))) {
    for (const [index, one] of Array.isArray(needed) ? needed.entries() : []) {
      const isMisspelt = /[{}]/.test(String(one).replaceAll(ARCHIVE_PLACEHOLDER, ''))
      if (isMisspelt) say([...path, verb, index], `is ${String(one)}; expected ${ARCHIVE_PLACEHOLDER} between braces`)
    }
  }
}

/** A key of two names would be of the last. */
function reportKeys(keys: unknown, say: Say): void {
  const seen = new Map<unknown, number>()
  for (const [index, one] of Array.isArray(keys) ? keys.entries() : []) {
    const { hash } = fields(one)
    const first = seen.get(hash)
    if (typeof hash === 'string' && first !== undefined) {
      say(['keys', index, 'hash'], `is that of keys[${first}] too; expected a key of its own`)
    }
    if (first === undefined) seen.set(hash, index)
  }
}

function reportProxy(proxy: unknown, say: Say): void {
  const { addresses, scopes } = fields(proxy)
  for (const [index, one] of Array.isArray(addresses) ? addresses.entries() : []) {
    if (!/\/0+$/.test(String(one))) continue
    say(['proxy', 'addresses', index], 'is everybody, who could then be anybody; expected the addresses of the proxy')
  }
  reportScopes(scopes, ['proxy', 'scopes'], say)
}
