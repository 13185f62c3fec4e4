import { Attribute } from '../../dicom/attributes.ts'
import { groupOf, isGroupLength, isPrivate, type Tag } from '../../dicom/tag.ts'
import { attributePath } from '../../dicom/attribute-path.ts'
import { dictionaryVr } from '../../dicom/dictionary.ts'
import { vrFor } from '../../dicom/dataset.ts'
import { MAX_NESTING } from '../../dicom/element-reader.ts'
import { isNameable } from '../../dicom/uids.ts'
import type { Value } from '../../dicom/value.ts'
import { representation, type Vr } from '../../dicom/vr.ts'

/** An attribute to match: its values, none for universal matching; or the keys in one item of a sequence. */
export interface MatchKey {
  readonly tag: Tag
  readonly vr: Vr
  readonly values: readonly Value[]
  readonly item?: readonly MatchKey[]
}

/** The query part of a search (PS3.18 8.3.4). */
export interface SearchParams {
  readonly match: readonly MatchKey[]
  readonly include: readonly Tag[]
  /** The same with the sequences in front of each, and what is inside of them. */
  readonly includePaths: readonly (readonly Tag[])[]
  /** `includefield=all`. */
  readonly includeAll: boolean
  readonly limit: number | undefined
  readonly offset: number
  readonly fuzzyMatching: boolean
  readonly emptyValueMatching: boolean
  readonly multipleValueMatching: boolean
  /** Names of parameters that are neither of PS3.18 nor of an attribute, for a warning. */
  readonly unknown: readonly string[]
}

/** A query parameter that cannot be understood. Names the parameter, never its value: that may be patient data. */
export class SearchParamError extends Error {
  readonly code = 'INVALID_SEARCH_PARAMETER'
  readonly parameter: string
  constructor(parameter: string, problem: string) {
    super(`Parameter ${JSON.stringify(parameter)} ${problem}`)
    this.name = 'SearchParamError'
    this.parameter = parameter
  }
}

/** Names of PS3.18 that are no attributes; exact lower case. */
const reserved = new Set([
  'includefield',
  'limit',
  'offset',
  'fuzzymatching',
  'emptyvaluematching',
  'multiplevaluematching',
  'accept',
  'charset',
])

/**
 * Reads the query string of a search. Names that are neither reserved nor attributes are passed over (PS3.18 8.3.1), and
 * told. An attribute that can have a list may be given more than once, which is one.
 * @throws SearchParamError
 */
export function parseSearchParams(params: URLSearchParams): SearchParams {
  const match: MutableKey[] = []
  const unknown = new Set<string>()
  const given = new Map<string, { readonly path: readonly Tag[]; readonly name: string; value: string }>()
  const emptyValueMatching = flag(params, 'emptyvaluematching')
  for (const [name, value] of params) {
    if (reserved.has(name)) continue
    const path = keyPath(name)
    if (!path) {
      unknown.add(name)
      continue
    }
    if (path.some(isNoKey)) throw new SearchParamError(name, 'cannot be matched')
    const id = path.join('.')
    const known = given.get(id)
    if (known && !listVrs.has(keyVr(path.at(-1)!))) throw new SearchParamError(name, 'is given more than once')
    if (known) known.value += `\\${value}`
    else given.set(id, { path, name, value })
  }
  for (const { path, name, value } of given.values()) addKey(match, path, { name, value, emptyValueMatching })
  const include = params.getAll('includefield').flatMap((list) => list.split(','))
  const fields = include.map((field) => field.trim()).filter((field) => field !== '')
  const includePaths = fields
    .flatMap((field) => [keyPath(field, 'includefield') ?? []])
    .filter((path) => path.length > 0 && !path.some(isNoKey))
  return {
    match,
    include: includePaths.flatMap(([t]) => t ?? []),
    includePaths,
    includeAll: fields.includes('all'),
    limit: count(params, 'limit'),
    offset: count(params, 'offset') ?? 0,
    fuzzyMatching: flag(params, 'fuzzymatching'),
    emptyValueMatching,
    multipleValueMatching: flag(params, 'multiplevaluematching'),
    unknown: [...unknown],
  }
}

/** What an identifier says of itself (PS3.4 C.4.1.1.3), what we make, and what is of no data set. */
function isNoKey(t: Tag): boolean {
  const own: readonly Tag[] = [Attribute.SpecificCharacterSet, Attribute.QueryRetrieveLevel, Attribute.RetrieveURL]
  const group = groupOf(t)
  return own.includes(t) || group < 0x0008 || group === 0xfffe || isGroupLength(t)
}

interface MutableKey extends MatchKey {
  item?: MutableKey[]
}

/** Undefined when it is no attribute. @throws SearchParamError that names `parameter` */
function keyPath(name: string, parameter = name): Tag[] | undefined {
  const tags = attributePath(name)
  // The last one is the attribute itself; an identifier that is deeper nobody would read.
  if (tags && tags.length > MAX_NESTING + 1)
    throw new SearchParamError(parameter, `goes deeper than ${MAX_NESTING} sequences`)
  return tags
}

interface Given {
  readonly name: string
  readonly value: string
  readonly emptyValueMatching: boolean
}

function addKey(keys: MutableKey[], path: readonly Tag[], given: Given): void {
  const [t, ...inner] = path
  const vr = keyVr(t!)
  if (inner.length === 0) {
    keys.push({ tag: t!, vr, values: keyValues(vr, given), ...(vr === 'SQ' && { item: [] }) })
    return
  }
  if (vr !== 'SQ') throw new SearchParamError(given.name, 'goes into an attribute that is no sequence')
  let sequence = keys.find((key) => key.tag === t)
  if (!sequence) {
    sequence = { tag: t!, vr, values: [], item: [] }
    keys.push(sequence)
  }
  addKey((sequence.item ??= []), inner, given)
}

/** Private attributes are matched as text: their VR is the archive's to know. */
function keyVr(t: Tag): Vr {
  return isPrivate(t) && dictionaryVr(t) === undefined ? 'LO' : vrFor(t)
}

/** PS3.4 C.2.2.2.4: the representations that take wildcards. */
const wildcardVrs = new Set<Vr>(['AE', 'CS', 'LO', 'LT', 'PN', 'SH', 'ST', 'UC', 'UR', 'UT'])

/** Their values cannot hold a comma (PS3.5 6.2): one stands between the values of a list, as a backslash does. */
const listVrs = new Set<Vr>(['AS', 'CS', 'DA', 'DS', 'DT', 'IS', 'TM', 'UI'])

const patterns: Partial<Record<Vr, RegExp>> = {
  DA: /^(\d{8}|\d{8}-|-\d{8}|\d{8}-\d{8})$/,
  TM: /^(?=-?\d)(\d{2}([0-5]\d([0-5]\d(\.\d{1,6})?)?)?)?(-(\d{2}([0-5]\d([0-5]\d(\.\d{1,6})?)?)?)?)?$/,
  DT: /^(?=-?\d)(\d{4,14}(\.\d{1,6})?([+-]\d{4})?)?(-(\d{4,14}(\.\d{1,6})?([+-]\d{4})?)?)?$/,
  IS: /^[+-]?\d{1,11}$/,
  // No digit may match in two places: a long value would take minutes to refuse.
  DS: /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/,
  AS: /^\d{3}[DWMY]$/,
}

const expected: Partial<Record<Vr, string>> = {
  DA: 'YYYYMMDD, or a range YYYYMMDD-YYYYMMDD open at either end',
  TM: 'HHMMSS.FFFFFF, or a range of two',
  DT: 'YYYYMMDDHHMMSS.FFFFFF+ZZXX, or a range of two',
  IS: 'an integer',
  DS: 'a decimal number',
  AS: 'an age such as 042Y',
}

/**
 * Characters of a value, twice those of PS3.5 6.2: wildcards come on top, and there are archives that hold longer ones. Of
 * a name those of a component group; of a range those of both ends.
 */
export const MAX_KEY_LENGTHS: Readonly<Partial<Record<Vr, number>>> = {
  AE: 32,
  CS: 32,
  SH: 32,
  LO: 128,
  PN: 128,
  ST: 2_048,
  LT: 20_480,
  UC: 20_480,
  UR: 20_480,
  UT: 20_480,
}
/** Of those that are not listed: dates and times, numbers, tags. */
export const MAX_OTHER_KEY_LENGTH = 64
const COMPONENT_GROUPS = 3

/** PS3.4 C.2.2.2.7: matches an empty value, in whatever representation that is written in text. */
const EMPTY_VALUE = '""'

function keyValues(vr: Vr, { name, value, emptyValueMatching }: Given): Value[] {
  if (value === '' || (value === '*' && wildcardVrs.has(vr))) return []
  const { kind } = representation(vr)
  if (kind === 'sequence' || kind === 'binary') throw new SearchParamError(name, 'has a type that cannot be matched')
  if (emptyValueMatching && value === EMPTY_VALUE && (kind === 'string' || kind === 'text')) return [value]
  if (vr === 'UI') return uidList(name, value)
  const values = kind === 'text' || vr === 'UR' ? [value] : listOf(vr, value)
  for (const one of values) {
    checkLength(vr, name, one)
    const wild = /[*?]/.test(one)
    if (wild && !wildcardVrs.has(vr)) throw new SearchParamError(name, `takes no wildcards (VR ${vr})`)
    const pattern = patterns[vr]
    if (pattern && !pattern.test(one)) throw new SearchParamError(name, `is not ${expected[vr]!}`)

    if (/[\x00-\x1f\x7f]/.test(one)) throw new SearchParamError(name, 'has control characters')
  }
  if (kind === 'number') return values.map((one) => numeric(name, one))
  if (kind === 'tag' && !values.every((one) => /^[0-9a-fA-F]{8}$/.test(one))) {
    throw new SearchParamError(name, 'is no tag of eight hexadecimal digits')
  }
  return values
}

/** @throws SearchParamError */
function checkLength(vr: Vr, name: string, value: string): void {
  const most = MAX_KEY_LENGTHS[vr] ?? MAX_OTHER_KEY_LENGTH
  const parts = vr === 'PN' ? value.split('=') : [value]
  if (parts.length > COMPONENT_GROUPS) throw new SearchParamError(name, `has more than ${COMPONENT_GROUPS} groups`)
  if (parts.some((part) => part.length > most)) throw new SearchParamError(name, `is longer than ${most} characters`)
}

/** The values of a list. Codes are words of people too: `MR, US`. */
function listOf(vr: Vr, value: string): string[] {
  if (!listVrs.has(vr)) return value.split('\\')
  const values = value.split(/[,\\]/)
  return vr === 'CS' ? values.map((one) => one.trim()).filter((one) => one !== '') : values
}

function numeric(name: string, value: string): Value {
  const n = Number(value)
  if (value.trim() === '' || !Number.isFinite(n)) throw new SearchParamError(name, 'is no number')
  return n
}

/** PS3.4 C.2.2.2.2, lists by comma (PS3.18 8.3.4.1) or backslash. */
function uidList(name: string, value: string): string[] {
  const uids = listOf('UI', value).map((uid) => uid.trim())
  if (!uids.every(isNameable)) throw new SearchParamError(name, 'is no UID or list of UIDs')
  return uids
}

function count(params: URLSearchParams, name: string): number | undefined {
  const values = params.getAll(name)
  if (values.length === 0) return undefined
  if (values.length > 1) throw new SearchParamError(name, 'is given more than once')
  if (!/^\d+$/.test(values[0]!)) throw new SearchParamError(name, 'is no whole number from 0')
  return Math.min(Number(values[0]), Number.MAX_SAFE_INTEGER)
}

function flag(params: URLSearchParams, name: string): boolean {
  const values = params.getAll(name)
  if (values.length === 0) return false
  if (values.length > 1) throw new SearchParamError(name, 'is given more than once')
  if (values[0] !== 'true' && values[0] !== 'false') throw new SearchParamError(name, 'is neither true nor false')
  return values[0] === 'true'
}
