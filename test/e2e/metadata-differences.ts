import { Attribute } from '../../src/dicom/attributes.ts'
import { Dataset, type Element } from '../../src/dicom/dataset.ts'
import { formatTag, isGroupLength, type Tag } from '../../src/dicom/tag.ts'
import { encodeJson } from '../../src/dicomweb/encode/json.ts'
import type { XmlElement } from '../support/xml.ts'
import type { JsonAttribute, JsonDataset } from './http.ts'
import type { Sample } from './corpus.ts'

const PIXELS: readonly Tag[] = [Attribute.PixelData, Attribute.FloatPixelData, Attribute.DoubleFloatPixelData]
/** They describe the items of encapsulated pixel data, which no client gets (PS3.3 C.7.6.3.1.8). */
const OFFSET_TABLES: readonly Tag[] = [0x7fe00001, 0x7fe00002, 0x7fe00003]
const AVAILABLE_TRANSFER_SYNTAX = '00083002'
const BINARY = ['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'UN']
const ALWAYS_BULK: readonly Tag[] = [...PIXELS, 0x54001010, 0x00420011]
const INLINE_BYTES = 1024

/** A value that metadata gives by a BulkDataURI. */
export interface StoredBulk {
  /** Tags, with item numbers from 0 between them. */
  readonly path: string
  /** Undefined for encapsulated pixel data. */
  readonly bytes: Buffer | undefined
}

/** What is inside of a file, as its metadata has to have it. */
export interface MetadataCompareOptions {
  /** Of the instance, without a slash behind it. */
  readonly url: string
  /** Somewhere on the way the data set was in Implicit VR: of private and unknown elements the VR is lost. */
  readonly looseVrs: boolean
}

/** Where the metadata of an instance is not what its file says, element by element. */
export function metadataDifferences(sample: Sample, actual: JsonDataset, options: MetadataCompareOptions): string[] {
  const { [AVAILABLE_TRANSFER_SYNTAX]: available, ...own } = actual
  const isSyntax = available?.vr === 'UI' && available.Value?.length === 1
  const faults = isSyntax ? [] : [`00083002 is ${JSON.stringify(available)}`]
  const found = [...faults, ...itemDifferences(inFrontOfPixels(sample.dataset), own, options, '')]
  return found.map((fault) => `${sample.name}: ${fault}`)
}

/** The values of a file that are given by a BulkDataURI. */
export function storedBulk(dataset: Dataset, path = ''): StoredBulk[] {
  return [...inFrontOfPixels(dataset).entries()].flatMap(([t, element]) => {
    const at = path + formatTag(t)
    const { value } = element
    if (Array.isArray(value)) {
      return (value as readonly Dataset[]).flatMap((item, index) => storedBulk(item, `${at}/${index}/`))
    }
    if (!isBulk(t, element)) return []
    return [{ path: at, bytes: value instanceof Uint8Array ? Buffer.from(value) : undefined }]
  })
}

/** A metadata object with its BulkDataURIs replaced by what is behind them, as it is in a file. */
export function withBulk(metadata: JsonDataset, bulk: ReadonlyMap<string, Buffer>): JsonDataset {
  const resolved = (attribute: JsonAttribute): JsonAttribute => {
    const { vr, Value, BulkDataURI } = attribute
    const bytes = BulkDataURI === undefined ? undefined : bulk.get(BulkDataURI)
    if (bytes) return { vr, InlineBinary: bytes.toString('base64') }
    if (vr === 'SQ' && Value) return { vr, Value: (Value as JsonDataset[]).map((item) => withBulk(item, bulk)) }
    return attribute
  }
  return Object.fromEntries(Object.entries(metadata).map(([tag, attribute]) => [tag, resolved(attribute)]))
}

/** Metadata as dcm2json has it: without the attribute that is no part of the file, and without encapsulated pixels. */
export function asInFile(metadata: JsonDataset): JsonDataset {
  return Object.fromEntries(
    Object.entries(metadata).filter(
      ([tag, { BulkDataURI }]) =>
        tag !== AVAILABLE_TRANSFER_SYNTAX && !(tag === '7FE00010' && BulkDataURI !== undefined),
    ),
  )
}

/** What comes behind the pixel data is not given: for that the whole instance would have to come first. */
function inFrontOfPixels(dataset: Dataset): Dataset {
  const part = new Dataset(dataset.characterSet)
  for (const [t, element] of dataset.entries()) {
    if (!isGroupLength(t) && t !== 0x00080001 && t > 0x0002ffff && !OFFSET_TABLES.includes(t)) part.put(t, element)
    if (PIXELS.includes(t)) break
  }
  return part
}

function itemDifferences(
  expected: Dataset,
  actual: JsonDataset,
  options: MetadataCompareOptions,
  path: string,
): string[] {
  const stored = new Map([...expected.entries()].map(([t, element]) => [formatTag(t), [t, element] as const]))
  const keys = [...new Set([...stored.keys(), ...Object.keys(actual)])].sort()
  return keys.flatMap((key) => {
    const [own, other] = [stored.get(key), actual[key]]
    if (!own) return [`${path}${key} should not be there`]
    if (!other) return [`${path}${key} is missing`]
    return attributeDifferences(expected, own[0], own[1], other, options, path + key)
  })
}

function attributeDifferences(
  dataset: Dataset,
  t: Tag,
  element: Element,
  actual: JsonAttribute,
  options: MetadataCompareOptions,
  path: string,
): string[] {
  const { value } = element
  if (Array.isArray(value) && actual.vr === 'SQ') {
    const [items, others] = [value as readonly Dataset[], (actual.Value ?? []) as JsonDataset[]]
    if (items.length !== others.length) return [`${path} has ${others.length} items, not ${items.length}`]
    return items.flatMap((item, at) => itemDifferences(item, others[at]!, options, `${path}/${at}/`))
  }
  // Fragments are OB (PS3.5 A.4); some writers say OW.
  const sameVr = actual.vr === element.vr || !(value instanceof Uint8Array)
  if (!sameVr && !options.looseVrs) return [`${path} is ${actual.vr}, not ${element.vr}`]
  if (isBulk(t, { ...element, vr: actual.vr as Element['vr'] })) {
    const wanted = { vr: actual.vr, BulkDataURI: `${options.url}/bulkdata/${path}` }
    return same(wanted, actual, path)
  }
  if (!(value instanceof Uint8Array)) return [`${path} is no sequence`]
  // The same bytes, read as what the archive says they are.
  const alone = new Dataset(dataset.characterSet).put(t, { vr: actual.vr as Element['vr'], value })
  return same((JSON.parse(encodeJson(alone)) as JsonDataset)[formatTag(t)]!, actual, path)
}

function same(expected: JsonAttribute, actual: JsonAttribute, path: string): string[] {
  const [one, other] = [expected, actual].map((attribute) => JSON.stringify(padded(attribute)))
  return one === other ? [] : [`${path} is ${other!.slice(0, 200)}, not ${one!.slice(0, 200)}`]
}

/** Archives that write objects anew pad a value of odd length, as PS3.5 7.1.1 demands. */
function padded(attribute: JsonAttribute): JsonAttribute {
  if (attribute.InlineBinary === undefined) return attribute
  const bytes = Buffer.from(attribute.InlineBinary, 'base64')
  return { ...attribute, InlineBinary: bytes.toString('hex').padEnd((bytes.length + (bytes.length & 1)) * 2, '0') }
}

function isBulk(t: Tag, { vr, value }: Element): boolean {
  if (!BINARY.includes(vr)) return false
  if (!(value instanceof Uint8Array)) return true
  const isOverlay = t >= 0x60003000 && t <= 0x601e3000 && (t & 0xffff) === 0x3000
  return value.length > INLINE_BYTES || (value.length > 0 && (isOverlay || ALWAYS_BULK.includes(t)))
}

/** Where the Native DICOM Model (PS3.19 A.1) of an instance says something else than its JSON. */
export function xmlDifferences(xml: XmlElement, json: JsonDataset, path = ''): string[] {
  // JSON.parse puts keys that look like numbers first.
  const attributes = Object.entries(json).sort(([a], [b]) => (a < b ? -1 : 1))
  if (xml.children.length !== attributes.length) {
    return [`${path} has ${xml.children.length} attributes, not ${attributes.length}`]
  }
  return attributes.flatMap(([key, { vr, Value = [], InlineBinary, BulkDataURI }], at) => {
    const element = xml.children[at]!
    const place = path + key
    const { tag, privateCreator } = element.attributes
    // PS3.19 Table A.1.5-2: the creator stands for the block.
    const wanted = privateCreator === undefined ? key : `${key.slice(0, 4)}00${key.slice(6)}`
    if (tag !== wanted || element.attributes['vr'] !== vr) return [`${place} is ${JSON.stringify(element.attributes)}`]
    if (vr === 'SQ') {
      const items = element.children
      if (items.length !== Value.length) return [`${place} has ${items.length} items, not ${Value.length}`]
      return items.flatMap((item, index) => xmlDifferences(item, Value[index] as JsonDataset, `${place}/${index}/`))
    }
    const got = element.children.map(({ name, attributes: { number, uri }, text, children }) =>
      name === 'PersonName' ? [name, number, namesOf(children)] : [name, number ?? uri, text],
    )
    const expected =
      BulkDataURI !== undefined
        ? [['BulkData', BulkDataURI, '']]
        : InlineBinary !== undefined
          ? [['InlineBinary', undefined, InlineBinary]]
          : xmlValues(vr, Value)
    const [one, other] = [JSON.stringify(expected), JSON.stringify(got.map(numeric(vr)))]
    return one === other ? [] : [`${place} is ${other.slice(0, 200)}, not ${one.slice(0, 200)}`]
  })
}

const NUMBERS = ['DS', 'FD', 'FL', 'IS', 'SL', 'SS', 'SV', 'UL', 'US', 'UV']

/** An empty value among others has an element (PS3.19 Table A.1.5-2); an attribute of nothing else has none. */
function xmlValues(vr: string, values: readonly unknown[]): unknown[][] {
  const elements = values.map((value, index) => {
    const number = String(index + 1)
    if (vr === 'PN') return ['PersonName', number, groupsOf(value as Readonly<Record<string, string>> | null)]
    const text = value as string | number | null
    return numeric(vr)(['Value', number, text === null ? '' : String(text)])
  })
  return elements.every(([, , content]) => (content as unknown[] | string).length === 0) ? [] : elements
}

/** A group of empty components, which JSON keeps with its delimiters, has no element. */
function groupsOf(name: Readonly<Record<string, string>> | null): string[][] {
  return Object.entries(name ?? {})
    .map(([group, text]) => [group, text.replace(/\^+$/, '')])
    .filter(([, text]) => text !== '')
}

/** JSON has the number, XML the text of the file: 1.50 is 1.5. FL in JSON has the digits of the 64-bit number. */
function numeric(vr: string) {
  return ([name, number, text]: readonly unknown[]): unknown[] => {
    const n = typeof text === 'string' && text !== '' && NUMBERS.includes(vr) ? Number(text) : NaN
    return [name, number, Number.isNaN(n) ? text : vr === 'FL' ? Math.fround(n) : n]
  }
}

const COMPONENTS = ['FamilyName', 'GivenName', 'MiddleName', 'NamePrefix', 'NameSuffix']

/** The component groups, each joined again. */
function namesOf(groups: readonly XmlElement[]): [string, string][] {
  return groups.map(({ name, children }) => {
    const texts = COMPONENTS.map((component) => children.find((child) => child.name === component)?.text ?? '')
    return [name, texts.join('^').replace(/\^+$/, '')]
  })
}
