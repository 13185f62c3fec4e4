import { isIP } from 'node:net'
import { z } from 'zod'
import { normaliseTerms } from '../dicom/charset-terms.ts'
import { isUid } from '../dicom/uids.ts'
import { isLoopback } from '../network/loopback.ts'
import { byteSizePattern, durationPattern, parseBytes, parseDuration } from './units.ts'

/** What stands below basePath, or below the root where that is empty. */
const RESERVED_SEGMENTS = [
  ...['studies', 'series', 'instances', 'wado', 'aets', 'prefetch', 'commitment-requests'],
  ...['modality-scheduled-procedure-steps', 'modality-performed-procedure-steps'],
  ...['openapi.json', 'errors', 'livez', 'readyz', 'metrics', 'share'],
]

// The kinds of value there are. An `error` text says what is expected, and is read after that word:
// "http.port: is 0.5; expected a whole number from 0 to 65535".

/** Node's timers hold at most 2^31 - 1 ms; a longer one fires at once. */
const MAX_DURATION = 2 ** 31 - 1

/**
 * Both fields of a user identity. The User Information item around it has a length of 16 bits too (PS3.8 9.3.2.3): a role
 * selection for each of 127 classes (PS3.7 D.3.3.4) takes up to 9,144 bytes of it, the other items less than 200.
 */
export const MAX_IDENTITY_BYTES = 56_000

export const bool = z.boolean({ error: 'true or false' })

export const aeTitle = text(
  'an AE title: 1 to 16 ASCII characters, none of them a backslash or control character',
  // PS3.5 table 6.2-1: the default repertoire without backslash; leading and trailing spaces are not significant.
  (value) => /^[ -[\]-~]*$/.test(value) && isWithin(value.trim().length, 1, 16),
).transform((value) => value.trim())

export const archiveAeTitle = aeTitle.refine((value) => value !== '.' && value !== '..', {
  error: 'an AE title that can stand in a URL, so neither "." nor ".."',
})

export const host = text('a host name or an IP address, without scheme or port', isHost)

/** Where to listen, as `host:port`. */
export const listenAddress = text('an address and a port, such as 127.0.0.1:9090 or [::]:9090', (value) => {
  const { host: at, port } = splitAddress(value)
  return isHost(at) && isWithin(port, 0, 65_535)
}).transform(splitAddress)

/** One address, or a block of them in CIDR notation. */
export const addressBlock = text('an IP address, or a block such as 192.0.2.0/24', isAddressBlock)

export const filePath = text(
  'a path to a PEM file',
  (value) => value.trim() !== '' && !/[\n\r\0]|-----BEGIN/.test(value),
)

export const outputPath = text('a path to a file', (value) => value.trim() !== '' && !/[\n\r\0]/.test(value))

export const folderPath = text('a path to a folder', (value) => value.trim() !== '' && !/[\n\r\0]/.test(value))

export const webAddress = text('an http or https URL without user name, query or fragment', isWebAddress)

/** What is fetched from it is believed: nobody on the way may change it. */
export const secureAddress = text(
  'an https URL without user name, query or fragment; http on loopback only',
  (value) => isWebAddress(value) && (value.startsWith('https:') || isLoopback(new URL(value).hostname)),
)

/** Without the trailing slash, so that `/` becomes empty. */
export const urlPath = text('a path such as /dicomweb, or / for the root', (value) =>
  /^(?:\/(?!\.{1,2}(?:\/|$))[\w.~-]+)*\/?$/.test(value),
).transform(withoutTrailingSlash)

export const name = text('a name of 1 to 64 printable characters', (value) =>
  /^[^\p{C}]{1,64}$/u.test(value.trim()),
).transform((value) => value.trim())

/** PS3.5 6.2: LO, of characters that any character set has. */
export const issuer = text('an issuer: 1 to 64 ASCII characters, none of them a backslash', isPlainText).transform(
  (value) => value.trim(),
)

export const patientIdPrefix = text('1 to 63 ASCII characters, none of them a backslash, * or ?', (value) =>
  /^(?! )[ -)+->@-[\]-~]{1,63}$/.test(value),
)

/** What is below basePath already is not to be hidden. */
export const pathSegment = text(
  `one part of a path, other than ${RESERVED_SEGMENTS.join(', ')}`,
  (value) => /^(?!\.{1,2}$)[\w.~-]{1,64}$/.test(value) && !RESERVED_SEGMENTS.includes(value),
)

export const systemUri = text('a URI such as urn:oid:1.2.3', (value) =>
  /^[a-z][a-z0-9+.-]*:[!-{}~]{1,200}$/i.test(value),
)

export const scope = text('a scope: text without spaces', (value) => /^[!#-[\]-~]+$/.test(value))

export const origin = text('an origin such as https://viewer.example, without path or trailing slash', isOrigin)

export const characterSet = text(
  'defined terms of Specific Character Set, such as ISO_IR 192, or several joined by a backslash',
  (value) => definedTerms(value) !== '',
).transform(definedTerms)

export const privateSyntax = text(
  'the UID of a private transfer syntax, at most 64 digits and dots; those of the standard are offered anyway',
  (value) => isUid(value) && !value.startsWith('1.2.840.10008.'),
)

export const filled = text('text that is not empty', (value) => value.trim() !== '')

/** Host name or IP address, a port behind it or not. */
export const peerAddress = text('an address such as 10.0.0.7 or 10.0.0.7:11113', (value) => {
  const { host: at, port } = splitAddress(value)
  return isHost(value) || (isHost(at) && isWithin(port, 1, 65_535))
})

export const valkeyUrl = text(
  'a redis, rediss, valkey or valkeys URL, such as rediss://user:password@valkey:6379/0',
  (value) => {
    const url = URL.parse(value)
    return (
      url !== null &&
      /^(?:redis|valkey)s?:$/.test(url.protocol) &&
      url.hostname !== '' &&
      /^(?:\/\d*)?$/.test(url.pathname)
    )
  },
)

/** Secrets are never shown: see faults.ts. */
export const secretText = text('text that is not empty', (value) => value.trim() !== '')

/** Of HMAC with SHA-256: a shorter one may be guessed (RFC 2104 3). */
const MIN_KEY_BYTES = 32

/** Keys of our own cryptography are made of it. */
export const longKey = secretText.refine((value) => Buffer.byteLength(value) >= MIN_KEY_BYTES, {
  error: `at least ${MIN_KEY_BYTES} bytes, such as openssl rand -base64 32 prints`,
})

/** RFC 9110 5.1, without what only proxies and browsers may mean. */
export const headerName = text('the name of a header', (value) => /^[A-Za-z0-9][A-Za-z0-9-]{0,63}$/.test(value))

export const uid = text('a UID of at most 64 digits and dots', isUid)

/** With `*.` in front: every name below it. */
export const hostPattern = text(
  'a host name without scheme or port, *.example for every name below it',
  (value) => value !== '*.' && isHost(value.replace(/^\*\./, '')),
)

export const identityField = (what: string) =>
  text(`${what}, 1 to ${MAX_IDENTITY_BYTES} bytes`, (value) =>
    isWithin(Buffer.byteLength(value), 1, MAX_IDENTITY_BYTES),
  )

/** A group of keys that may be left out: each key then has its default. */
export function group<const T extends z.ZodRawShape>(shape: T) {
  return z.strictObject(shape).prefault({} as never)
}

/** PS3.5 6.2, of an LO. */
function isPlainText(value: string): boolean {
  return /^[ -[\]-~]{1,64}$/.test(value) && value.trim() !== ''
}

function text(error: string, fits: (value: string) => boolean) {
  return z.string({ error }).refine(fits, { error })
}

export function integer(min: number, max = Number.MAX_SAFE_INTEGER) {
  const range = max === Number.MAX_SAFE_INTEGER ? `of ${min} or more` : `from ${min} to ${max}`
  const error = `a whole number ${range}`
  return z.int({ error }).min(min, { error }).max(max, { error })
}

export function oneOf<const T extends readonly (string | number | boolean)[]>(values: T) {
  return z.literal(values, { error: `one of: ${values.join(', ')}` })
}

/** Written with a unit, read as milliseconds. */
export function duration(byDefault: string, min: 0 | 1 = 1) {
  return durationAbove(min).prefault(byDefault)
}

/** The same, where none may be told. */
export function optionalDuration() {
  return durationAbove(1).optional()
}

/** The same, or null. */
export function nullableDuration(byDefault: string) {
  return durationAbove(1).nullable().prefault(byDefault)
}

function durationAbove(min: 0 | 1) {
  const error = `a duration with its unit, such as 250ms, 10s, 5m or 1h${min > 0 ? ', more than 0' : ''} and at most 24d`
  return z
    .string({ error })
    .regex(durationPattern, { error })
    .refine((value) => isWithin(parseDuration(value), min, MAX_DURATION), { error })
    .transform((value) => parseDuration(value)!)
}

/** Written as a number of bytes or with a unit, read as bytes. */
export function byteSize(byDefault: string, min: 0 | 1 = 1) {
  const error = `a size such as 512MiB, 4GiB or a number of bytes${min > 0 ? ', more than 0' : ''}`
  const withUnit = z
    .string({ error })
    .regex(byteSizePattern, { error })
    .refine((value) => isWithin(parseBytes(value), min, Number.MAX_SAFE_INTEGER), { error })
  return z
    .union([z.int({ error }).min(min, { error }), withUnit], { error })
    .transform((value) => (typeof value === 'number' ? value : parseBytes(value)!))
    .prefault(byDefault)
}

function isWithin(value: number | undefined, min: number, max: number): boolean {
  return value !== undefined && value >= min && value <= max
}

function splitAddress(value: string): { host: string; port: number } {
  const [, at = '', port = ''] = /^(.*):(\d{1,5})$/.exec(value) ?? []
  return { host: at.replace(/^\[(.*)\]$/, '$1'), port: port === '' ? NaN : Number(port) }
}

function isHost(value: string): boolean {
  return isIP(value) !== 0 || (value.length <= 253 && /^\w(?:[\w.-]*\w)?\.?$/.test(value))
}

function isAddressBlock(value: string): boolean {
  const [address, prefix, ...rest] = value.split('/')
  const bits = { 0: -1, 4: 32, 6: 128 }[isIP(address!)] ?? -1
  return rest.length === 0 && bits > 0 && (prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= bits))
}

function isWebAddress(value: string): boolean {
  const url = URL.parse(value)
  if (!url || !/^https?:\/\//.test(value)) return false
  return url.username === '' && url.password === '' && !/[?#\s]/.test(value)
}

function isOrigin(value: string): boolean {
  return /^https?:/.test(value) && URL.parse(value)?.origin === value
}

/** In the spelling of PS3.3 C.12.1.1.2; empty when a term is unknown. */
function definedTerms(value: string): string {
  const { terms, unknown } = normaliseTerms(value.split('\\'))
  return unknown.length > 0 ? '' : terms.join('\\')
}

/** As it goes into Retrieve URLs, which are ASCII (PS3.5 6.2, UR): names in Punycode, other letters percent-encoded. */
export function asciiUrl(value: string): string {
  return withoutTrailingSlash(new URL(value).href)
}

function withoutTrailingSlash(value: string): string {
  return value.replace(/\/+$/, '')
}
