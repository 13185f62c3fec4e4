import type { Dataset, Element } from '../../dicom/dataset.ts'
import { formatTag, type Tag } from '../../dicom/tag.ts'
import type { Value } from '../../dicom/value.ts'
import type { Vr } from '../../dicom/vr.ts'
import { contentOf, isOmitted, itemPath, nameGroups, type EncodeOptions } from './encoded-model.ts'
import type { Repeats } from './repeats.ts'

/**
 * A data set as a DICOM JSON object (PS3.18 F.2), its text in UTF-8 whatever its character set. What it repeats of the
 * last one that was written with the same `repeats` is not made again; then no value that is here may have a URI.
 */
export function encodeJson(dataset: Dataset, options: EncodeOptions = {}, repeats?: Repeats): string {
  return object(dataset, options, '', repeats)
}

function object(dataset: Dataset, options: EncodeOptions, path: string, repeats: Repeats | undefined): string {
  const members: string[] = []
  for (const [t, element] of dataset.entries()) {
    if (isOmitted(t)) continue
    const { vr, value } = element
    const write = (): string => member(dataset, t, element, options, path, repeats)
    const isRepeatable = repeats !== undefined && value instanceof Uint8Array && !element.omitted
    members.push(isRepeatable ? repeats.text(t, vr, value, dataset.characterSet, write) : write())
  }
  return `{${members.join(',')}}`
}

function member(
  dataset: Dataset,
  t: Tag,
  element: Element,
  options: EncodeOptions,
  path: string,
  repeats: Repeats | undefined,
): string {
  const key = formatTag(t)
  const head = `"${key}":{"vr":"${element.vr}"`
  const content = contentOf(dataset, element, options, path + key)
  switch (content.kind) {
    case 'none':
      return `${head}}`
    case 'items': {
      const within = repeats?.within(t)
      const items = content.items.map((item, index) => object(item, options, itemPath(path + key, index), within))
      return `${head},"Value":[${items.join(',')}]}`
    }
    case 'bulkData':
      return `${head},"BulkDataURI":${JSON.stringify(content.uri)}}`
    case 'binary':
      return `${head},"InlineBinary":"${content.base64}"}`
    case 'values': {
      const values = content.values.map((one) => jsonValue(element.vr, one))
      // A name of empty component groups alone is no value (PS3.18 F.2.5).
      const isEmpty = values.length === 1 && values[0] === 'null'
      return isEmpty ? `${head}}` : `${head},"Value":[${values.join(',')}]}`
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
