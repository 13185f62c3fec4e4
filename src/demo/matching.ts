import { Attribute } from '../dicom/attributes.ts'
import type { Dataset, Element } from '../dicom/dataset.ts'
import type { Tag } from '../dicom/tag.ts'
import type { Vr } from '../dicom/vr.ts'
import { matchesWildcard } from '../dicom/wildcard.ts'

/** Whether a record fits every key of an identifier (PS3.4 C.2.2.2). */
export function matches(record: Dataset, identifier: Dataset): boolean {
  for (const [t, key] of identifier.entries()) {
    if (t === Attribute.QueryRetrieveLevel || t === Attribute.SpecificCharacterSet) continue
    if (!matchesKey(record, identifier, t, key)) return false
  }
  return true
}

function matchesKey(record: Dataset, identifier: Dataset, t: Tag, key: Element): boolean {
  if (Array.isArray(key.value)) {
    // Sequence matching: one of the items fits all keys (PS3.4 C.2.2.2.6).
    const [wanted] = identifier.items(t)
    if (!wanted || !hasValues(wanted)) return true
    return record.items(t).some((item) => matches(item, wanted))
  }
  const wanted = identifier.strings(t)
  if (wanted.length === 0) return true
  const values = record.strings(t)
  return wanted.some((pattern) => values.some((value) => matchesValue(key.vr, value, pattern)))
}

function hasValues(item: Dataset): boolean {
  return [...item.entries()].some(([t, { value }]) =>
    Array.isArray(value) ? item.items(t).some(hasValues) : item.strings(t).length > 0,
  )
}

function matchesValue(vr: Vr, value: string, pattern: string): boolean {
  if (vr === 'DA' || vr === 'TM' || vr === 'DT') return matchesRange(value, pattern)
  if (vr === 'IS' || vr === 'DS') return Number(value) === Number(pattern)
  const fold = (text: string): string => (vr === 'PN' ? text.toLowerCase().replace(/[\^=]+$/, '') : text)
  return matchesWildcard(fold(pattern), fold(value))
}

/** Inclusive, open at either end (PS3.4 C.2.2.2.5); a shorter bound stands for all that begins with it. */
function matchesRange(value: string, pattern: string): boolean {
  const range = /^(\d[\d.]*)?-(\d[\d.]*)?$/.exec(pattern)
  if (!range) return value.startsWith(pattern)
  const [, from, to] = range
  return (from === undefined || value >= from) && (to === undefined || value.slice(0, to.length) <= to)
}
