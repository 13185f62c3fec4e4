// As much of an XML 1.0 reader as the Native DICOM Model needs, and strict: tests ask it whether a document is well-formed.

export interface XmlElement {
  readonly name: string
  readonly attributes: Readonly<Record<string, string>>
  readonly children: readonly XmlElement[]
  /** Its own character data, references resolved. */
  readonly text: string
}

/**
 * The root of a document without comments, CDATA sections and DTD.
 * @throws Error where the document is not well-formed
 */
export function parseXml(document: string): XmlElement {
  const bad = NO_CHARACTER.exec(document)
  if (bad) throw new Error(`no XML character at ${bad.index}: ${bad[0].codePointAt(0)!.toString(16)}`)
  const source = document.replace(/\r\n?/g, '\n')
  const declaration = /^<\?xml version="1\.0"( encoding="[\w-]+")?\?>\s*/.exec(source)
  if (!declaration) throw new Error('no XML declaration')

  const top: Open = { name: '', attributes: {}, children: [], text: '' }
  const open = [top]
  let at = declaration[0].length
  while (at < source.length) {
    const here = open.at(-1)!
    if (source[at] !== '<') {
      const end = source.indexOf('<', at)
      const text = source.slice(at, end < 0 ? undefined : end)
      if (here === top && text.trim() !== '') throw new Error('text outside the root')
      here.text += resolved(text)
      at += text.length
      continue
    }
    TAG.lastIndex = at
    const tag = TAG.exec(source)
    if (!tag) throw new Error(`no tag at ${at}: ${source.slice(at, at + 40)}`)
    at = TAG.lastIndex
    const [, closed, opened, list, empty] = tag
    if (closed !== undefined) {
      if (here.name !== closed || here === top) throw new Error(`${here.name} is ended as ${closed}`)
      open.pop()
    } else {
      if (here === top && top.children.length > 0) throw new Error('a second root')
      const element: Open = { name: opened!, attributes: attributesOf(list!), children: [], text: '' }
      here.children.push(element)
      if (empty === '') open.push(element)
    }
  }
  if (open.length > 1) throw new Error(`${open.at(-1)!.name} is not ended`)
  if (top.children.length === 0) throw new Error('no root')
  return top.children[0]!
}

interface Open extends XmlElement {
  readonly children: XmlElement[]
  text: string
}

/** XML 1.0 2.2 */
const NO_CHARACTER = /[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u
const TAG = /<(?:\/([A-Za-z]\w*)\s*|([A-Za-z]\w*)((?:\s+[\w:]+="[^"<]*")*)\s*(\/?))>/y

function attributesOf(list: string): Record<string, string> {
  const attributes: Record<string, string> = {}
  for (const [, name, value] of list.matchAll(/([\w:]+)="([^"]*)"/g)) {
    if (Object.hasOwn(attributes, name!)) throw new Error(`${name} is there twice`)
    // XML 1.0 3.3.3
    attributes[name!] = resolved(value!.replace(/[\t\n]/g, ' '))
  }
  return attributes
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

function resolved(text: string): string {
  if (text.includes(']]>')) throw new Error(']]> outside a CDATA section')
  return text.replace(/&([^;&]*;?)/g, (_, reference: string) => {
    const [, decimal, hex] = /^#(?:(\d+)|x([\da-fA-F]+));$/.exec(reference) ?? []
    const code = decimal === undefined ? parseInt(hex ?? '', 16) : Number(decimal)
    const character = Number.isNaN(code) ? ENTITIES[reference.slice(0, -1)] : String.fromCodePoint(code)
    if (!reference.endsWith(';') || character === undefined || NO_CHARACTER.test(character))
      throw new Error(`no reference: &${reference.slice(0, 20)}`)
    return character
  })
}
