import type { Dataset, Element } from '../../dicom/dataset.ts'
import { keywordOf } from '../../dicom/dictionary.ts'
import { elementOf, formatTag, groupOf, isPrivate, tag, type Tag } from '../../dicom/tag.ts'
import type { Value } from '../../dicom/value.ts'
import type { Vr } from '../../dicom/vr.ts'
import { contentOf, isOmitted, isSequence, itemPath, nameGroups, type EncodeOptions } from './encoded-model.ts'
import { textPieces, type GrowingText } from './text-pieces.ts'

const NAMESPACE = 'http://dicom.nema.org/PS3.19/models/NativeDICOM'

/** A data set as a Native DICOM Model document (PS3.19 A.1), to be sent in UTF-8 whatever its character set. */
export function encodeXml(dataset: Dataset, options: EncodeOptions = {}): string {
  return [...xmlPieces(dataset, options)].join('')
}

/** The same in pieces: a data set may have a million items. */
export function xmlPieces(dataset: Dataset, options: EncodeOptions = {}): Generator<string> {
  return textPieces(function* (text) {
    // PS3.19 Table A.1.5-1: xml:space shall be there. No space is written between elements.
    const root = `<NativeDicomModel xmlns="${NAMESPACE}" xml:space="preserve">`
    text.add(`<?xml version="1.0" encoding="UTF-8"?>\n${root}`)
    yield* attributes(text, dataset, options, '')
    text.add('</NativeDicomModel>')
  })
}

function* attributes(text: GrowingText, dataset: Dataset, options: EncodeOptions, path: string): Generator<undefined> {
  for (const [t, element] of dataset.entries()) {
    if (isOmitted(t, options)) continue
    const start = `<DicomAttribute ${identity(dataset, t, element.vr)}`
    const at = path + formatTag(t)
    if (isSequence(element.value) && element.value.length > 0) {
      text.add(`${start}>`)
      for (const [index, item] of element.value.entries()) {
        text.add(`<Item number="${index + 1}">`)
        yield* attributes(text, item, options, itemPath(at, index))
        text.add('</Item>')
        if (text.isFull) yield
      }
      text.add('</DicomAttribute>')
    } else {
      let isOpen = false
      for (const child of childrenOf(dataset, element, options, at)) {
        text.add(isOpen ? child : `${start}>${child}`)
        isOpen = true
        if (text.isFull) yield
      }
      text.add(isOpen ? '</DicomAttribute>' : `${start}/>`)
    }
    if (text.isFull) yield
  }
}

function identity(dataset: Dataset, t: Tag, vr: Vr): string {
  const creator = privateCreator(dataset, t)
  if (creator !== undefined) {
    // PS3.19 Table A.1.5-2: gggg00ee, as the creator says what the block would.
    return `tag="${formatTag((t & 0xffff00ff) >>> 0)}" vr="${vr}" privateCreator="${escapeAttribute(creator)}"`
  }
  const keyword = keywordOf(t)
  return `tag="${formatTag(t)}" vr="${vr}"${keyword === undefined ? '' : ` keyword="${keyword}"`}`
}

/** Of a private data element whose block is reserved in its own item (PS3.5 7.8.1); any other keeps its whole tag. */
function privateCreator(dataset: Dataset, t: Tag): string | undefined {
  const block = elementOf(t) >>> 8
  return isPrivate(t) && block >= 0x10 ? dataset.string(tag(groupOf(t), block)) : undefined
}

function* childrenOf(dataset: Dataset, element: Element, options: EncodeOptions, path: string): Generator<string> {
  const content = contentOf(dataset, element, options, path)
  switch (content.kind) {
    case 'none':
    case 'items':
      return
    case 'bulkData':
      yield `<BulkData uri="${escapeAttribute(content.uri)}"/>`
      return
    case 'binary':
      yield `<InlineBinary>${content.base64}</InlineBinary>`
      return
    case 'values': {
      const { vr } = element
      let empty: string | undefined = ''
      for (const [index, value] of content.values.entries()) {
        const child = valueElement(vr, value, index + 1)
        // Until one that is not empty comes.
        if (empty !== undefined && isEmpty(child)) empty += child
        else {
          yield (empty ?? '') + child
          empty = undefined
        }
      }
    }
  }
}

/** Of an attribute whose values are all empty nothing is written; an empty one among others is (PS3.19 Table A.1.5-2). */
function isEmpty(element: string): boolean {
  return element.includes('"></')
}

function valueElement(vr: Vr, value: Value, number: number): string {
  if (value === undefined) return vr === 'PN' ? personName('', number) : `<Value number="${number}"></Value>`
  if (vr === 'PN') return personName(String(value), number)
  const text = typeof value === 'number' ? numberText(vr, value) : escapeText(String(value))
  return `<Value number="${number}">${text}</Value>`
}

/** NaN, infinities and negative zero are written as in XML Schema Part 2, 3.2.5. */
function numberText(vr: Vr, n: number): string {
  if (n === Infinity) return 'INF'
  if (n === -Infinity) return '-INF'
  if (Object.is(n, -0)) return '-0'
  return vr === 'FL' && !Number.isNaN(n) ? singleText(n) : String(n)
}

/** The fewest digits that tell a 32-bit number from all others: 9 are enough. */
function singleText(n: number): string {
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(n.toPrecision(digits))
    if (Math.fround(short) === n) return String(short)
  }
  return String(Number(n.toPrecision(9)))
}

const COMPONENTS = ['FamilyName', 'GivenName', 'MiddleName', 'NamePrefix', 'NameSuffix']

/** Only the component groups and components that are not empty. */
function personName(name: string, number: number): string {
  const groups = nameGroups(name).map(([group, text]) => {
    const components = nameComponents(text)
    return components === '' ? '' : `<${group}>${components}</${group}>`
  })
  return `<PersonName number="${number}">${groups.join('')}</PersonName>`
}

/** PS3.5 6.2.1.1 has five components; further carets stay in the text of the last. */
function nameComponents(group: string): string {
  const parts = group.split('^')
  const filled = parts.findLastIndex((part) => part !== '') + 1
  const last = COMPONENTS.length - 1
  const texts = [...parts.slice(0, last), parts.slice(last, filled).join('^')]
  return COMPONENTS.map((name, index) => {
    const text = texts[index] ?? ''
    return text === '' ? '' : `<${name}>${escapeText(text)}</${name}>`
  }).join('')
}

const ENTITIES: Readonly<Record<string, string>> = {
  ...{ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&apos;' },
  // A reader would take it for a line feed (XML 1.0 2.11).
  '\r': '&#13;',
}

/** What has to be escaped, and what is no Char of XML 1.0 2.2: no reference can carry that either. */
const SPECIAL = /[&<>"'\r]|[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu

function escapeText(text: string): string {
  return text.replace(SPECIAL, (character) => ENTITIES[character] ?? '\ufffd')
}

/** In an attribute value tabs and line feeds would be read as spaces (XML 1.0 3.3.3). */
/** Text as the value of an attribute (XML 1.0 2.3), in quotes. */
export function escapeAttribute(text: string): string {
  return escapeText(text).replace(/[\t\n]/g, (character) => `&#${character.charCodeAt(0)};`)
}
