import { attributePath, type AttributePath } from '../../dicom/attribute-path.ts'
import { vrFor } from '../../dicom/dataset.ts'
import { representation } from '../../dicom/vr.ts'
import { addressBlock } from '../values.ts'

/** How an instance came: what a condition may ask about besides attributes. */
export const ORIGINS = [
  'source',
  'device',
  'archive',
  'callingAeTitle',
  'calledAeTitle',
  'address',
  'transferSyntax',
] as const

export type OriginKey = (typeof ORIGINS)[number]

export type Subject = { readonly origin: OriginKey } | { readonly path: AttributePath }

/** What is asked of one of the values. */
export type Test =
  | { readonly in: readonly string[] }
  | { readonly like: string }
  | { readonly exists: boolean }
  | { readonly from: string | undefined; readonly to: string | undefined }

export type Condition =
  | { readonly kind: 'all' | 'any'; readonly of: readonly Condition[] }
  | { readonly kind: 'not'; readonly of: Condition }
  | { readonly kind: 'test'; readonly subject: Subject; readonly test: Test }

/** Tells a fault, below a condition. */
type Say = (path: readonly PropertyKey[], message: string) => void

/** Conditions within conditions: more nobody reads. */
const MAX_DEPTH = 16
const TESTS = ['in', 'like', 'exists', 'from', 'to'] as const
const ALWAYS: Condition = { kind: 'all', of: [] }

/** A group of keys, which all have to hold: subjects with what is asked of them, and `all`, `any`, `not`. */
export function parseCondition(value: unknown, say: Say, depth = 0): Condition {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    say([], 'is no condition; expected a group of attributes with their values, or of all, any, not')
    return ALWAYS
  }
  if (depth > MAX_DEPTH) {
    say([], `goes deeper than ${MAX_DEPTH} conditions`)
    return ALWAYS
  }
  const within =
    (...prefix: readonly PropertyKey[]): Say =>
    (path, message) =>
      say([...prefix, ...path], message)
  const parts = Object.entries(value).map(([key, inner]: [string, unknown]): Condition => {
    if (key === 'not') return { kind: 'not', of: parseCondition(inner, within(key), depth + 1) }
    if (key !== 'all' && key !== 'any') return tested(key, inner, within(key))
    if (!Array.isArray(inner) || inner.length === 0) {
      say([key], 'is no list; expected conditions')
      return ALWAYS
    }
    return { kind: key, of: inner.map((one, index) => parseCondition(one, within(key, index), depth + 1)) }
  })
  return parts.length === 1 ? parts[0]! : { kind: 'all', of: parts }
}

function tested(key: string, value: unknown, say: Say): Condition {
  const subject = subjectOf(key)
  if (!subject) {
    say([], `is no attribute; expected a keyword, eight hexadecimal digits, or one of: ${ORIGINS.join(', ')}`)
    return ALWAYS
  }
  const test = testOf(value, say)
  if (test && 'path' in subject) {
    reportNumber(value, subject.path, say)
    return { kind: 'test', subject, test: normalised(test, subject.path, say) }
  }
  if (test && 'in' in test && key === 'address') {
    const wrong = test.in.find((one) => !addressBlock.safeParse(one).success)
    if (wrong !== undefined)
      say([], `is ${JSON.stringify(wrong)}; expected IP addresses, or blocks such as 192.0.2.0/24`)
  }
  return test ? { kind: 'test', subject, test } : ALWAYS
}

/** Of what is text a number has lost its zeros in front. */
function reportNumber(value: unknown, path: AttributePath, say: Say): void {
  const vr = vrFor(path.at(-1)!)
  const isText = representation(vr).kind === 'text' || ['AE', 'CS', 'LO', 'PN', 'SH', 'UC', 'UI'].includes(vr)
  const inner = typeof value === 'object' && value !== null ? Object.values(value as Record<string, unknown>) : []
  const values = [value, ...inner].flatMap((one): unknown[] => (Array.isArray(one) ? (one as unknown[]) : [one]))
  if (isText && values.some((one) => typeof one === 'number')) {
    say([], `has a number, where ${vr} is text; write it in quotes, since 0012 is 12 otherwise`)
  }
}

/** As values are written in a data set: dates and times without what people put between their parts. */
function normalised(test: Test, path: AttributePath, say: Say): Test {
  const group = path[0]! >>> 16
  if (group < 8 || group >= 0x7fe0) say([], 'cannot be looked at; expected an attribute in front of the pixel data')
  const vr = vrFor(path.at(-1)!)
  const isNumber = vr === 'DS' || vr === 'IS' || representation(vr).kind === 'number'
  const one = (text: string): string => {
    const plain = vr === 'DA' ? text.replaceAll('-', '') : vr === 'TM' ? text.replaceAll(':', '') : text
    const isOdd = ['DA', 'DT', 'TM'].includes(vr)
      ? !/^\d+([.+-]\d+)*$/.test(plain)
      : isNumber && Number.isNaN(Number(plain))
    if (isOdd && plain !== '') say([], `is ${JSON.stringify(text)}, which is no value of its VR, ${vr}`)
    return plain.trim()
  }
  if ('in' in test) return { in: test.in.map(one) }
  if ('like' in test || 'exists' in test) return test
  const [from, to] = [test.from, test.to].map((bound) => (bound === undefined ? undefined : one(bound)))
  const isEmpty = isNumber
    ? Number(from) > Number(to)
    : from !== undefined && to !== undefined && from > to && !from.startsWith(to)
  if (isEmpty) say([], 'begins behind its end; expected from before to')
  return { from, to }
}

function subjectOf(key: string): Subject | undefined {
  const origin = ORIGINS.find((one) => one === key)
  if (origin) return { origin }
  // YAML takes eight digits for a number, whose zeros in front do not count.
  const path = attributePath(/^\d{5,7}$/.test(key) ? key.padStart(8, '0') : key)
  return path && { path }
}

function testOf(value: unknown, say: Say): Test | undefined {
  if (isScalar(value)) return { in: [String(value)] }
  if (Array.isArray(value)) return listOf(value, say)
  const keys = typeof value === 'object' && value !== null ? Object.keys(value) : []
  const given = (value ?? {}) as Readonly<Record<string, unknown>>
  const unknown = keys.find((key) => !TESTS.some((test) => test === key))
  if (unknown !== undefined || keys.length === 0) {
    const what = unknown === undefined ? 'asks nothing' : `asks for ${unknown}, which is unknown`
    say([], `${what}; expected a value, a list of values, or one of: ${TESTS.join(', ')}`)
    return undefined
  }
  if (keys.length > 1 && keys.some((key) => key !== 'from' && key !== 'to')) {
    say([], 'asks several things at once; expected one, or from and to; several are joined by all')
    return undefined
  }
  if ('in' in given) return listOf(given.in, (path, message) => say(['in', ...path], message))
  if ('exists' in given) {
    if (typeof given.exists === 'boolean') return { exists: given.exists }
    say(['exists'], 'is neither true nor false')
    return undefined
  }
  const wrong = keys.find((key) => !isScalar(given[key]))
  if (wrong !== undefined) {
    say([wrong], 'is no value; expected text or a number')
    return undefined
  }
  if ('like' in given) return { like: String(given.like) }
  const bound = (key: 'from' | 'to'): string | undefined => (key in given ? String(given[key]) : undefined)
  return { from: bound('from'), to: bound('to') }
}

function listOf(value: unknown, say: Say): Test | undefined {
  if (Array.isArray(value) && value.length > 0 && value.every(isScalar)) return { in: value.map(String) }
  say([], 'is no list of values; expected one or more texts or numbers')
  return undefined
}

function isScalar(value: unknown): value is string | number {
  return typeof value === 'string' || typeof value === 'number'
}
