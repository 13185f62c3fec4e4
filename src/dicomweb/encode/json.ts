import type { Dataset, Element } from '../../dicom/dataset.ts'
import { formatTag } from '../../dicom/tag.ts'
import type { Value } from '../../dicom/value.ts'
import type { Vr } from '../../dicom/vr.ts'
import { contentOf, isOmitted, isSequence, itemPath, nameGroups, type EncodeOptions } from './encoded-model.ts'
import { MAX_REPEATED_BYTES, type Repeats } from './repeats.ts'
import { textPieces, type GrowingText } from './text-pieces.ts'

/**
 * A data set as a DICOM JSON object (PS3.18 F.2), its text in UTF-8 whatever its character set. What it repeats of the
 * last one that was written with the same `repeats` is not made again; then no value that is here may have a URI.
 */
export function encodeJson(dataset: Dataset, options: EncodeOptions = {}, repeats?: Repeats): string {
  return [...jsonPieces(dataset, options, repeats)].join('')
}

/** The same in pieces: a data set may have a million items. */
export function jsonPieces(dataset: Dataset, options: EncodeOptions = {}, repeats?: Repeats): Generator<string> {
  return textPieces((text) => object(text, dataset, options, '', repeats))
}

function* object(
  text: GrowingText,
  dataset: Dataset,
  options: EncodeOptions,
  path: string,
  repeats: Repeats | undefined,
): Generator<undefined> {
  let before = '{'
  for (const [t, element] of dataset.entries()) {
    if (isOmitted(t, options)) continue
    const { vr, value } = element
    const isRepeatable = repeats && value instanceof Uint8Array && value.length <= MAX_REPEATED_BYTES
    if (isRepeatable && !element.omitted) {
      const write = (): string => joined(member(dataset, formatTag(t), element, options, path))
      text.add(before + repeats.text(t, vr, value, dataset.characterSet, write))
    } else {
      text.add(before)
      const key = formatTag(t)
      if (isSequence(value)) yield* items(text, value, options, { key, vr, path: path + key }, repeats?.within(t))
      else yield* written(text, member(dataset, key, element, options, path))
    }
    before = ','
    if (text.isFull) yield
  }
  text.add(before === '{' ? '{}' : '}')
}

function* items(
  text: GrowingText,
  all: readonly Dataset[],
  options: EncodeOptions,
  { key, vr, path }: { readonly key: string; readonly vr: Vr; readonly path: string },
  repeats: Repeats | undefined,
): Generator<undefined> {
  text.add(`"${key}":{"vr":"${vr}"`)
  for (const [index, item] of all.entries()) {
    text.add(index === 0 ? ',"Value":[' : ',')
    yield* object(text, item, options, itemPath(path, index), repeats)
    if (text.isFull) yield
  }
  text.add(all.length === 0 ? '}' : ']}')
}

function* written(text: GrowingText, pieces: Iterable<string>): Generator<undefined> {
  for (const piece of pieces) {
    text.add(piece)
    if (text.isFull) yield
  }
}

function joined(pieces: Iterable<string>): string {
  let text = ''
  for (const piece of pieces) text += piece
  return text
}

function* member(
  dataset: Dataset,
  key: string,
  element: Element,
  options: EncodeOptions,
  path: string,
): Generator<string> {
  const head = `"${key}":{"vr":"${element.vr}"`
  const content = contentOf(dataset, element, options, path + key)
  switch (content.kind) {
    case 'none':
    case 'items':
      yield `${head}}`
      return
    case 'bulkData':
      yield `${head},"BulkDataURI":${JSON.stringify(content.uri)}}`
      return
    case 'binary':
      yield `${head},"InlineBinary":"${content.base64}"}`
      return
    case 'values': {
      const { values } = content
      const first = jsonValue(element.vr, values[0])
      // A name of empty component groups alone is no value (PS3.18 F.2.5).
      if (values.length === 1 && first === 'null') {
        yield `${head}}`
        return
      }
      yield `${head},"Value":[${first}`
      for (let n = 1; n < values.length; n++) yield `,${jsonValue(element.vr, values[n])}`
      yield ']}'
    }
  }
}

function jsonValue(vr: Vr, value: Value): string {
  if (value === undefined) return 'null'
  switch (vr) {
    case 'PN':
      return personName(String(value))
    case 'IS':
    case 'DS':
      return numberString(vr, String(value))
    case 'SV':
    case 'UV': {
      const n = Number(value)
      return Number.isSafeInteger(n) ? String(n) : `"${String(value)}"`
    }
    case 'FL':
    case 'FD':
      // JSON has no NaN or infinities: their names, as strings.
      return Number.isFinite(value) ? JSON.stringify(value) : `"${String(value)}"`
    default:
      return typeof value === 'string' ? JSON.stringify(value) : String(value)
  }
}

/** A number; text that is not numeric is kept as text (PS3.18 F.2.3.1). */
function numberString(vr: 'IS' | 'DS', text: string): string {
  const trimmed = text.trim()
  if (!/^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/.test(trimmed)) return JSON.stringify(text)
  const n = Number(trimmed)
  const fits = vr === 'IS' ? Number.isSafeInteger(n) : Number.isFinite(n)
  return fits ? JSON.stringify(n) : JSON.stringify(text)
}

/** PS3.18 F.2.2: only the component groups that are not empty. */
function personName(name: string): string {
  const members = nameGroups(name).map(([group, text]) => `"${group}":${JSON.stringify(text)}`)
  return members.length === 0 ? 'null' : `{${members.join(',')}}`
}
