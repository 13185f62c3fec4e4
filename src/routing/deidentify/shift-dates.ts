import type { Dataset } from '../../dicom/dataset.ts'
import { dictionaryVr, type DictionaryVr } from '../../dicom/dictionary.ts'

/** By what it is written as, or by what it is. */
function isDate(vr: DictionaryVr | undefined): boolean {
  return vr === 'DA' || vr === 'DT'
}

const OTHER_CALENDARS = [0x00100033, 0x00100034]
const DAY_MS = 86_400_000

/** Moves the dates of a data set by days; a date that cannot be read is emptied: nobody knows what it tells. */
export function shiftDates(dataset: Dataset, days: number): void {
  // Dates of birth and death as other calendars have them.
  for (const tag of OTHER_CALENDARS) dataset.delete(tag)
  for (const [tag, { vr }] of dataset.entries()) {
    if (!isDate(vr) && !isDate(dictionaryVr(tag))) continue
    const shifted = dataset
      .values(tag)
      .map((value) => (value === undefined ? undefined : shiftedDate(String(value), days)))
    dataset.set(tag, shifted.every((value) => value === undefined) ? [] : shifted, vr)
  }
}

/** A DA, or the date of a DT, also one that leaves out the day, or the month too (PS3.5 6.2). */
export function shiftedDate(text: string, days: number): string | undefined {
  const [, year, month, day, rest = ''] =
    /^(\d{4})(?:[.]?(\d{2})(?:[.]?(\d{2})((?:\d{2}){0,3}(?:\.\d{1,6})?))?)?(?:[+-]\d{4})?$/.exec(text.trim()) ?? []
  if (year === undefined) return undefined
  // Where it is not told, the middle.
  const at = new Date(0).setUTCFullYear(Number(year), Number(month ?? 7) - 1, Number(day ?? 15))
  if (month !== undefined && new Date(at).getUTCMonth() !== Number(month) - 1) return undefined
  const moved = new Date(at + days * DAY_MS)
  if (Number.isNaN(moved.getTime()) || moved.getUTCFullYear() < 1 || moved.getUTCFullYear() > 9999) return undefined
  const digits = moved.toISOString().slice(0, 10).replaceAll('-', '')
  const shown = digits.slice(0, day !== undefined ? 8 : month !== undefined ? 6 : 4)
  const [zone = ''] = /[+-]\d{4}$/.exec(text.trim()) ?? []
  return `${shown}${rest}${zone}`
}
