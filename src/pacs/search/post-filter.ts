import { Attribute } from '../../dicom/attributes.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import type { Vr } from '../../dicom/vr.ts'
import { matchesWildcard } from '../../dicom/wildcard.ts'
import type { Key } from './query.ts'

export interface Leniency {
  /** Names were matched by meaning. */
  readonly fuzzy: boolean
  /** The archive matches more than the standard says, and is believed: UIDs and modalities are compared all the same. */
  readonly loose: boolean
}

/**
 * Whether a match fits the keys: some archives ignore a key (PS3.4 C.2.2.2). Only where the answer has a value to look
 * at, and only what can be told for certain: text beyond ASCII may be in another character set than the archive says.
 */
export function fits(match: Dataset, keys: readonly Key[], leniency: Leniency): boolean {
  return fitsKeys(match, keys, { ...leniency, left: MAX_COMPARED })
}

/** `left`: characters that may still be compared, shared by all that is looked at of a match. */
type Looking = Leniency & { left: number }

function fitsKeys(match: Dataset, keys: readonly Key[], looking: Looking): boolean {
  const { fuzzy, loose } = looking
  return keys.every((key) => {
    if (key.item) return loose || fitsItems(match, key, looking)
    if (key.values.length === 0) return true
    if (loose && key.vr !== 'UI' && key.tag !== Attribute.ModalitiesInStudy) return true
    if (fuzzy && key.vr === 'PN') return true
    const found = key.tag === Attribute.ModalitiesInStudy ? modalitiesOf(match) : match.strings(key.tag)
    return (
      found.length === 0 ||
      found.some((value) => key.values.some((one) => fitsOne(key.vr, String(one), value, looking)))
    )
  })
}

/** PS3.4 C.2.2.2.6: one of the items fits all the keys inside. */
function fitsItems(match: Dataset, { tag, item = [] }: Key, looking: Looking): boolean {
  const items = match.items(tag)
  return items.length === 0 || items.some((one) => fitsKeys(one, item, looking))
}

/** Some archives send them as one value: `MR, CT` or `CT/SR`. */
function modalitiesOf(match: Dataset): string[] {
  return match
    .strings(Attribute.ModalitiesInStudy)
    .flatMap((value) => value.split(/[,;/\s]+/).filter((one) => one !== ''))
}

function fitsOne(vr: Vr, key: string, value: string, looking: Looking): boolean {
  looking.left -= costOf(vr, key, value)
  if (looking.left < 0) return true
  switch (vr) {
    case 'UI':
      return matchesWildcard(key, value)
    case 'DA':
      return fitsRange(key, value.replaceAll('.', ''), /^\d{8}$/)
    case 'TM':
      return fitsRange(key, value.replaceAll(':', ''), /^\d{2,6}(\.\d+)?$/)
    case 'DT':
      // With a time zone it is not compared as text.
      return /\d[+-]\d{4}$/.test(key) || fitsRange(key, value, /^\d{4,14}(\.\d+)?$/)
    case 'FL':
      return Math.fround(Number(key)) === Math.fround(Number(value))
    case 'IS':
    case 'DS':
    case 'FD':
    case 'US':
    case 'SS':
    case 'UL':
    case 'SL':
      return Number.isNaN(Number(value)) || Number(key) === Number(value)
    case 'PN':
      // Archives differ in case, in what delimits components, and in whether a part of the name will do.
      return fitsText(key, value) || fitsText(`*${nameText(key)}*`, nameText(value))
    case 'AE':
    case 'AS':
    case 'CS':
    case 'LO':
    case 'SH':
    case 'ST':
    case 'LT':
    case 'UC':
    case 'UT':
    case 'UR':
      return fitsText(key, value)
    default:
      return true
  }
}

/** What it may cost to look at one match. What is behind that is not compared, and taken to fit. */
export const MAX_COMPARED = 1_000_000

/** In characters that are looked at: with a `*`, each of the pattern may be held against each of the value. */
function costOf(vr: Vr, key: string, value: string): number {
  if (vr === 'PN') return 2 * (key.length + 2) * value.length
  if (key.includes('*')) return key.length * value.length
  return vr === 'UI' ? Math.min(key.length, value.length) : key.length + value.length
}

/** Whatever the case: many databases do not tell it apart. */
function fitsText(pattern: string, value: string): boolean {
  if (!/^[\x00-\x7f]*$/.test(pattern + value)) return true
  return matchesWildcard(pattern.trim().toLowerCase(), value.trim().toLowerCase())
}

function nameText(name: string): string {
  return name.replace(/[\^=, ]+/g, '')
}

/** PS3.4 C.2.2.2.5: one value, or two of which one may be left out; each as exact as it is written. */
function fitsRange(key: string, value: string, form: RegExp): boolean {
  if (!form.test(value)) return true
  const [from = '', to] = key.split('-')
  if (to === undefined) return compare(value, from) === 0
  return (from === '' || compare(value, from) >= 0) && (to === '' || compare(value, to) <= 0)
}

/** At the precision of the shorter one. */
function compare(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  const [x, y] = [a.slice(0, length), b.slice(0, length)]
  return x === y ? 0 : x < y ? -1 : 1
}
