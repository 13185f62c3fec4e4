import type { Bytes } from '../dicom/bytes.ts'
import type { Dataset, Element } from '../dicom/dataset.ts'
import { DATA_SET_TRAILING_PADDING, formatTag, groupOf, isGroupLength, type Tag } from '../dicom/tag.ts'
import { decodeValues, type Value } from '../dicom/value.ts'
import { representation, type Vr } from '../dicom/vr.ts'

export interface JsonOptions {
  /**
   * The BulkDataURI of an element whose value is not to be inline, by its path: tags, with item numbers from 0 between
   * them, joined by `/`. Without it binary values are inline and encapsulated pixel data has no value.
   */
  readonly bulkDataUri?: (path: string, element: Element) => string | undefined
}

const LENGTH_TO_END: Tag = 0x00080001

/** A data set as a DICOM JSON object (PS3.18 F.2), its text in UTF-8 whatever its character set. */
export function encodeJson(dataset: Dataset, options: JsonOptions = {}): string {
  return object(dataset, options, '')
}

function object(dataset: Dataset, options: JsonOptions, path: string): string {
  const members: string[] = []
  for (const [t, element] of dataset.entries()) {
    if (isOmitted(t)) continue
    const key = formatTag(t)
    members.push(`"${key}":${attribute(dataset, element, options, path + key)}`)
  }
  return `{${members.join(',')}}`
}

/** Not part of the model (PS3.18 F.2.2, 10.4.3.3.2). */
function isOmitted(t: Tag): boolean {
  const group = groupOf(t)
  return group === 0 || group === 2 || isGroupLength(t) || t === LENGTH_TO_END || t === DATA_SET_TRAILING_PADDING
}

function attribute(dataset: Dataset, element: Element, options: JsonOptions, path: string): string {
  const { vr, value } = element
  const head = `{"vr":"${vr}"`
  if (Array.isArray(value)) {
    const items = (value as readonly Dataset[]).map((item, index) => object(item, options, `${path}/${index}/`))
    return items.length === 0 ? `${head}}` : `${head},"Value":[${items.join(',')}]}`
  }
  const uri = options.bulkDataUri?.(path, element)
  if (uri !== undefined) return `${head},"BulkDataURI":${JSON.stringify(uri)}}`
  if (!(value instanceof Uint8Array) || value.length === 0) return `${head}}`
  if (representation(vr).kind === 'binary') return `${head},"InlineBinary":"${base64(value)}"}`
  const values = decodeValues(vr, value, dataset.characterSet).map((one) => jsonValue(vr, one))
  // A name of empty component groups alone is no value (PS3.18 F.2.5).
  const isEmpty = values.length === 0 || (values.length === 1 && values[0] === 'null')
  return isEmpty ? `${head}}` : `${head},"Value":[${values.join(',')}]}`
}

function base64(bytes: Bytes): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
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

/** A number where the text is one; text that is none is kept as it is (PS3.18 F.2.3.1). */
function numberString(vr: 'IS' | 'DS', text: string): string {
  const trimmed = text.trim()
  if (!/^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/.test(trimmed)) return JSON.stringify(text)
  const n = Number(trimmed)
  const fits = vr === 'IS' ? Number.isSafeInteger(n) : Number.isFinite(n)
  return fits ? JSON.stringify(n) : JSON.stringify(text)
}

const GROUPS = ['Alphabetic', 'Ideographic', 'Phonetic']

/** PS3.18 F.2.2: only the component groups that are not empty. */
function personName(name: string): string {
  const groups = name.split('=').slice(0, GROUPS.length)
  const members = groups.flatMap((group, index) => {
    const text = group.trimEnd()
    return text === '' ? [] : [`"${GROUPS[index]!}":${JSON.stringify(text)}`]
  })
  return members.length === 0 ? 'null' : `{${members.join(',')}}`
}
