import type { Dataset, Element } from '../dicom/dataset.ts'
import { describeTag } from '../dicom/dictionary.ts'
import type { Tag } from '../dicom/tag.ts'

/** An attribute that is not what it was. */
export interface Difference {
  /** Of it and the sequences around it, with the numbers of items from 1. */
  readonly path: string
  /** Undefined where there was, or is, none. */
  readonly before: string | undefined
  readonly after: string | undefined
}

/** What was changed in a data set, by ascending tags, also within items. */
export function* differences(before: Dataset, after: Dataset, around = ''): Generator<Difference> {
  const tags = new Set([...before.entries(), ...after.entries()].map(([tag]) => tag))
  for (const tag of [...tags].sort((a, b) => a - b)) {
    const path = `${around}${describeTag(tag)}`
    const [old, made] = [before.get(tag), after.get(tag)]
    if (old && made && isSequence(old) && isSequence(made)) {
      yield* itemDifferences(before.items(tag), after.items(tag), path)
      continue
    }
    const [told, now] = [old && valueText(before, tag), made && valueText(after, tag)]
    if (told !== now || (old && made && !isSame(old, made))) yield { path, before: told, after: now }
  }
}

function* itemDifferences(before: readonly Dataset[], after: readonly Dataset[], path: string): Generator<Difference> {
  for (let index = 0; index < Math.max(before.length, after.length); index++) {
    const item = `${path}[${index + 1}]`
    const [old, made] = [before[index], after[index]]
    if (old && made) yield* differences(old, made, `${item}.`)
    else yield { path: item, before: old && 'an item', after: made && 'an item' }
  }
}

function isSequence({ value }: Element): boolean {
  return Array.isArray(value)
}

/** The same text in another character set is the same. */
function isSame(one: Element, other: Element): boolean {
  if (one.vr !== other.vr) return false
  const isBinary = ['OB', 'OW', 'OF', 'OD', 'OL', 'OV', 'UN'].includes(one.vr)
  if (!isBinary || !(one.value instanceof Uint8Array) || !(other.value instanceof Uint8Array)) return true
  return Buffer.compare(one.value, other.value) === 0
}

const MAX_SHOWN = 100

function valueText(dataset: Dataset, tag: Tag): string {
  const { value } = dataset.get(tag)!
  const text = dataset
    .values(tag)
    .map((one) => one ?? '')
    .join('\\')
  if (Array.isArray(value)) return `${value.length} items`
  if (text === '' && value instanceof Uint8Array && value.length > 0) return `${value.length} bytes`
  return JSON.stringify(text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text)
}
