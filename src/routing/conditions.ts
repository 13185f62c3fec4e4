import type { Config } from '../config/config.ts'
import { datasetsAt } from '../dicom/datasets-at.ts'
import type { Dataset } from '../dicom/dataset.ts'
import { vrFor } from '../dicom/dataset.ts'
import { representation, type Vr } from '../dicom/vr.ts'
import { matchesWildcard } from '../dicom/wildcard.ts'
import { AddressList } from '../network/address-list.ts'
import { FrontTooLongError, type Front } from './front.ts'
import type { Origin } from './origin.ts'

export type Condition = Config['routes'][number]['when']
type TestOf = Extract<Condition, { readonly kind: 'test' }>

/**
 * Whether an instance meets a condition. Of an attribute with several values, or in several items, one that fits is enough.
 * @throws FrontTooLongError where it is asked for what is not held
 */
export function meets(condition: Condition, origin: Origin, front: Front): boolean {
  switch (condition.kind) {
    case 'all':
      return condition.of.every((one) => meets(one, origin, front))
    case 'any':
      return condition.of.some((one) => meets(one, origin, front))
    case 'not':
      return !meets(condition.of, origin, front)
    case 'test':
      return passes(condition, origin, front)
  }
}

function passes({ subject, test }: TestOf, origin: Origin, front: Front): boolean {
  if ('origin' in subject) {
    const value = origin[subject.origin]
    const isBlock = subject.origin === 'address' && 'in' in test
    if (isBlock) return value !== undefined && new AddressList(test.in).has(value)
    return fits(value === undefined ? [] : [value], test, 'LO')
  }
  const { path } = subject
  if (!front.covers(path)) throw new FrontTooLongError()
  const found = datasetsAt(front.dataset, path)
  const tag = path.at(-1)!
  if ('exists' in test) {
    const isThere = found.some((dataset) => dataset.strings(tag).length > 0 || isFilled(dataset, tag))
    return isThere === test.exists
  }
  const vr = found.map((dataset) => dataset.get(tag)?.vr).find((one) => one !== undefined) ?? vrFor(tag)
  return fits(
    found.flatMap((dataset) => dataset.strings(tag)),
    test,
    vr,
  )
}

/** Of what has no text: there is something in it. */
function isFilled(dataset: Dataset, tag: number): boolean {
  const { vr, value } = dataset.get(tag) ?? {}
  if (vr === undefined || value === undefined || ['string', 'text'].includes(representation(vr).kind)) return false
  return 'fragments' in value || value.length > 0
}

function fits(values: readonly string[], test: TestOf['test'], vr: Vr): boolean {
  if ('exists' in test) return values.length > 0 === test.exists
  const compared = values.map((value) => comparable(value, vr))
  if ('in' in test) {
    // The empty text is what has no value.
    if (values.length === 0) return test.in.includes('')
    return test.in.some((wanted) => compared.includes(comparable(wanted, vr)))
  }
  if ('like' in test) return values.some((value) => matchesWildcard(test.like, value))
  const { from, to } = test
  return compared.some(
    (value) =>
      (from === undefined || isOrdered(comparable(from, vr), value)) &&
      (to === undefined || isOrdered(value, comparable(to, vr), true)),
  )
}

/** Numbers by their value; names without the delimiters at their end (PS3.5 6.2.1). */
function comparable(value: string, vr: Vr): string | number {
  const isNumber = vr === 'DS' || vr === 'IS' || representation(vr).kind === 'number'
  if (isNumber && value.trim() !== '' && !Number.isNaN(Number(value))) return Number(value)
  // PS3.5 6.2: an old form of dates.
  if (vr === 'DA') return value.replaceAll('.', '')
  return vr === 'PN' ? value.replace(/[\^=]+$/, '') : value
}

/** `isEnd`: of a date or time that is longer than the bound, what is in it counts: 2026 is until the end of 2026. */
function isOrdered(low: string | number, high: string | number, isEnd = false): boolean {
  if (typeof low === 'number' && typeof high === 'number') return low <= high
  const [first, last] = [String(low), String(high)]
  return first <= last || (isEnd && first.startsWith(last))
}
