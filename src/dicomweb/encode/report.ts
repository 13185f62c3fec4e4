import { Attribute } from '../../dicom/attributes.ts'
import type { Dataset } from '../../dicom/dataset.ts'

/** One item of a report's content (PS3.3 C.17.3): its concept name, its value, its child items. */
interface ContentItem {
  readonly name: string | undefined
  readonly value: string | undefined
  readonly children: readonly ContentItem[]
}

/** A structured report as people read it. */
interface Report {
  readonly title: string
  readonly facts: readonly (readonly [name: string, value: string])[]
  readonly content: readonly ContentItem[]
}

/** Items in items: deeper ones are left out, which no report has. */
const MAX_DEPTH = 64
/** Deeper items are indented like these: each line of a text begins with it. */
const MAX_INDENT = '  '.repeat(8)

/** A structured report as an HTML document that needs nothing else (PS3.18 8.7.4). */
export function reportHtml(dataset: Dataset): string {
  const { title, facts, content } = readReport(dataset)
  const rows = facts.map(([name, value]) => `<tr><th>${escaped(name)}</th><td>${escaped(value)}</td></tr>`).join('\n')
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>${escaped(title)}</title>
<style>
body { font-family: sans-serif; line-height: 1.4; margin: 2em auto; max-width: 50em; padding: 0 1em; }
th { font-weight: normal; padding-right: 1.5em; text-align: left; color: #555; }
dl { margin: 0.3em 0 0.3em 1.2em; } dt { font-weight: bold; } dd { margin: 0 0 0.4em 1.2em; white-space: pre-line; }
</style>
</head>
<body>
<h1>${escaped(title)}</h1>
<table>
${rows}
</table>
${htmlOf(content)}</body>
</html>
`
}

function htmlOf(items: readonly ContentItem[]): string {
  if (items.length === 0) return ''
  const entries = items.map(({ name, value, children }) => {
    const term = name === undefined ? '' : `<dt>${escaped(name)}</dt>\n`
    const text = value === undefined ? '' : escaped(value)
    return `${term}<dd>${text}${children.length > 0 ? `\n${htmlOf(children)}` : ''}</dd>\n`
  })
  return `<dl>\n${entries.join('')}</dl>\n`
}

function escaped(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  }
  return text.replace(/[&<>"']/g, (one) => entities[one]!).replace(/[\x00-\x08\x0b\x0c\x0e-\x1f]/g, '')
}

/** A structured report as plain text. */
export function reportText(dataset: Dataset): string {
  const { title, facts, content } = readReport(dataset)
  const head = facts.map(([name, value]) => `${name}: ${value}\n`).join('')
  return `${title}\n\n${head}\n${textOf(content, '')}`
}

function textOf(items: readonly ContentItem[], indent: string): string {
  return items
    .map(({ name, value, children }) => {
      const line = [name, value].filter((one) => one !== undefined).join(': ')
      const further = indent.length < MAX_INDENT.length ? `${indent}  ` : indent
      return `${indent}${line.replace(/\r\n?|\n/g, `\n${further}`)}\n${textOf(children, further)}`
    })
    .join('')
}

function readReport(dataset: Dataset): Report {
  const fact = (name: string, tag: number, form = (text: string) => text): [string, string][] => {
    const value = dataset.string(tag)
    return value === undefined ? [] : [[name, form(value)]]
  }
  return {
    title: meaningOf(dataset.items(Attribute.ConceptNameCodeSequence)[0]) ?? 'Structured report',
    facts: [
      ...fact('Patient', Attribute.PatientName, nameText),
      ...fact('Patient ID', Attribute.PatientID),
      ...fact('Birth date', Attribute.PatientBirthDate, dateText),
      ...fact('Sex', Attribute.PatientSex),
      ...fact('Study date', Attribute.StudyDate, dateText),
      ...fact('Study', Attribute.StudyDescription),
      ...fact('Accession number', Attribute.AccessionNumber),
      ...fact('Completion', Attribute.CompletionFlag),
      ...fact('Verification', Attribute.VerificationFlag),
    ],
    content: itemsOf(dataset, 0),
  }
}

function itemsOf(parent: Dataset, depth: number): ContentItem[] {
  if (depth >= MAX_DEPTH) return []
  return parent.items(Attribute.ContentSequence).map((item) => ({
    name: meaningOf(item.items(Attribute.ConceptNameCodeSequence)[0]),
    value: valueOf(item),
    children: itemsOf(item, depth + 1),
  }))
}

/** By Value Type (PS3.3 Table C.17.3-1). */
function valueOf(item: Dataset): string | undefined {
  switch (item.string(Attribute.ValueType)) {
    case 'TEXT':
      return item.string(Attribute.TextValue)
    case 'CODE':
      return meaningOf(item.items(Attribute.ConceptCodeSequence)[0])
    case 'NUM': {
      const measured = item.items(Attribute.MeasuredValueSequence)[0]
      const number = measured?.string(Attribute.NumericValue)
      const unit = measured?.items(Attribute.MeasurementUnitsCodeSequence)[0]
      const symbol = unit?.string(Attribute.CodeValue)
      return number === undefined ? undefined : `${number}${symbol === undefined || symbol === '1' ? '' : ` ${symbol}`}`
    }
    case 'PNAME': {
      const name = item.string(Attribute.PersonName)
      return name === undefined ? undefined : nameText(name)
    }
    case 'DATE': {
      const date = item.string(Attribute.Date)
      return date === undefined ? undefined : dateText(date)
    }
    case 'TIME':
      return item.string(Attribute.Time)
    case 'DATETIME':
      return item.string(Attribute.DateTime)
    case 'UIDREF':
      return item.string(Attribute.UID)
    case 'IMAGE':
    case 'COMPOSITE':
    case 'WAVEFORM': {
      const reference = item.items(Attribute.ReferencedSOPSequence)[0]
      return reference?.string(Attribute.ReferencedSOPInstanceUID)
    }
    case 'SCOORD':
    case 'SCOORD3D':
      return item.string(Attribute.GraphicType)
    default:
      return undefined
  }
}

function meaningOf(code: Dataset | undefined): string | undefined {
  return code?.string(Attribute.CodeMeaning) ?? code?.string(Attribute.CodeValue)
}

/** `Doe^Jane^^Dr` as `Doe Jane Dr`; of the forms of a name the first there is. */
export function nameText(name: string): string {
  const group = name.split('=').find((one) => one !== '') ?? ''
  return group.split('^').filter(Boolean).join(' ')
}

/** `20240131` as `2024-01-31`. */
export function dateText(date: string): string {
  return date.replace(/^(\d{4})(\d{2})(\d{2})$/, '$1-$2-$3')
}
