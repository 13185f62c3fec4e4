import type { Dataset, Element } from '../../dicom/dataset.ts'
import { groupOf, isOfEncoding, type Tag } from '../../dicom/tag.ts'
import { decodeValues, type Value } from '../../dicom/value.ts'
import { representation } from '../../dicom/vr.ts'

// What DICOM JSON (PS3.18 F.2) and the Native DICOM Model (PS3.19 A.1) have in common.

export interface EncodeOptions {
  /**
   * The URI of an element whose value is not to be inline, by its path: tags, with item numbers from 0 between them,
   * joined by `/`. Without it binary values are inline, and encapsulated pixel data and values passed over are left out.
   */
  readonly bulkDataUri?: (path: string, element: Element) => string | undefined
  /** It tells what a DIMSE response told: Command Elements are of it, which no data set has. */
  readonly withCommandElements?: boolean
}

/** The value field of an element, as both models represent it. */
export type Content =
  | { readonly kind: 'none' }
  | { readonly kind: 'items'; readonly items: readonly Dataset[] }
  | { readonly kind: 'bulkData'; readonly uri: string }
  | { readonly kind: 'binary'; readonly base64: string }
  | { readonly kind: 'values'; readonly values: readonly Value[] }

const NONE: Content = { kind: 'none' }

/** The content of an element of `dataset` at `path`; values and items are never an empty list. */
export function contentOf(dataset: Dataset, element: Element, options: EncodeOptions, path: string): Content {
  const { vr, value } = element
  if (isSequence(value)) return value.length === 0 ? NONE : { kind: 'items', items: value }
  const uri = options.bulkDataUri?.(path, element)
  if (uri !== undefined) return { kind: 'bulkData', uri }
  if (element.omitted || !(value instanceof Uint8Array) || value.length === 0) return NONE
  if (representation(vr).kind === 'binary') {
    const base64 = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')
    return { kind: 'binary', base64 }
  }
  const values = decodeValues(vr, value, dataset.characterSet)
  return values.length === 0 ? NONE : { kind: 'values', values }
}

/** A value is the items of a sequence. */
export function isSequence(value: Element['value']): value is readonly Dataset[] {
  return Array.isArray(value)
}

/** The prefix of the paths of an item's elements; `index` is from 0. */
export function itemPath(sequencePath: string, index: number): string {
  return `${sequencePath}/${index}/`
}

const LENGTH_TO_END: Tag = 0x00080001

/** Not part of the model (PS3.18 F.2.2, 10.4.3.3.2; PS3.19 A.1.1). */
export function isOmitted(t: Tag, { withCommandElements = false }: EncodeOptions = {}): boolean {
  const group = groupOf(t)
  return (group === 0 && !withCommandElements) || group === 2 || isOfEncoding(t) || t === LENGTH_TO_END
}

/** The component groups of a name, in their order (PS3.18 F.2.2). */
export const NAME_GROUPS = ['Alphabetic', 'Ideographic', 'Phonetic'] as const

/** The component groups of a name that are not empty, by their names (PS3.18 F.2.2, PS3.19 Table A.1.5-2). */
export function nameGroups(name: string): [name: (typeof NAME_GROUPS)[number], text: string][] {
  const texts = name.split('=').map((text) => text.trimEnd())
  return NAME_GROUPS.flatMap((group, index) => {
    const text = texts[index] ?? ''
    return text === '' ? [] : [[group, text]]
  })
}
