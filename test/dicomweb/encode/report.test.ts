import { describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import { reportHtml, reportText } from '../../../src/dicomweb/encode/report.ts'

const utf8 = (): Dataset => new Dataset().set(Attribute.SpecificCharacterSet, 'ISO_IR 192')

const code = (meaning: string | undefined, value = 'C1'): Dataset => {
  const item = utf8().set(Attribute.CodeValue, value)
  return meaning === undefined ? item : item.set(Attribute.CodeMeaning, meaning)
}

/** An item of content. */
function content(
  type: string,
  name: string | undefined,
  change?: (item: Dataset) => void,
  children?: Dataset[],
): Dataset {
  const item = utf8().set(Attribute.ValueType, type)
  if (name !== undefined) item.setItems(Attribute.ConceptNameCodeSequence, [code(name)])
  change?.(item)
  return children ? item.setItems(Attribute.ContentSequence, children) : item
}

const text = (name: string | undefined, value: string, children?: Dataset[]): Dataset =>
  content('TEXT', name, (item) => item.set(Attribute.TextValue, value), children)

function report(children: readonly Dataset[], change?: (dataset: Dataset) => void): Dataset {
  const dataset = content('CONTAINER', 'Chest report', change)
  return dataset.setItems(Attribute.ContentSequence, children)
}

/** The lines of the content of a report in plain text. */
function linesOf(...children: Dataset[]): string[] {
  const whole = reportText(report(children))
  const head = 'Chest report\n\n\n'
  expect(whole.startsWith(head)).toBe(true)
  expect(whole.endsWith('\n')).toBe(true)
  return whole.slice(head.length, -1).split('\n')
}

/** The tags of a page in their order, without attributes. */
const tagsOf = (html: string): string[] => [...html.matchAll(/<(\/?[a-z]\w*)/gi)].map(([, name]) => name!)

describe('a report as HTML', () => {
  it('is a page of its own with title and charset that loads nothing', () => {
    const html = reportHtml(report([text('Finding', 'Nothing')]))
    expect(html).toMatch(/^<!DOCTYPE html>\n<html lang="en">/)
    expect(html).toContain('<meta charset="utf-8">')
    expect(html).toContain('<title>Chest report</title>')
    expect(html).toContain('<h1>Chest report</h1>')
    expect(html).toContain('<dt>Finding</dt>\n<dd>Nothing</dd>')
    expect(html).not.toMatch(/\b(src|href|url)\b|<(link|img|iframe|script|object)/i)
  })

  // Without a sign that parts a person's name.
  const hostile = "<script>alert(1)</script>\"onload 'x'&<img src>"
  const harmless = '&lt;script&gt;alert(1)&lt;/script&gt;&quot;onload &#39;x&#39;&amp;&lt;img src&gt;'

  it.each<[string, Dataset]>([
    ['a text', report([text('Finding', hostile)])],
    ['a name', report([text(hostile, 'Nothing')])],
    ['a text below another', report([text('Finding', 'Nothing', [text('More', hostile)])])],
    [
      'a code',
      report([content('CODE', 'Finding', (item) => item.setItems(Attribute.ConceptCodeSequence, [code(hostile)]))]),
    ],
    ['a person', report([content('PNAME', 'Observer', (item) => item.set(Attribute.PersonName, hostile))])],
    ['the title', report([]).setItems(Attribute.ConceptNameCodeSequence, [code(hostile)])],
    ['the patient', report([]).set(Attribute.PatientName, hostile)],
    ['the patient’s ID', report([]).set(Attribute.PatientID, hostile)],
    ['the study', report([]).set(Attribute.StudyDescription, hostile)],
  ])('shows markup in %s as text', (_, dataset) => {
    const html = reportHtml(dataset)
    expect(html).toContain(harmless)
    expect(html).not.toContain('<script')
    expect(html).not.toContain('<img')
    expect(html).not.toContain('"onload')
  })

  it.each<[string, (item: Dataset) => void]>([
    // Values that are no text, as a peer may write them nevertheless.
    ['NUM', (item) => item.setItems(Attribute.MeasuredValueSequence, [raw(Attribute.NumericValue, 'DS', '<b>1</b>')])],
    ['DATE', (item) => raw(Attribute.Date, 'DA', '<b>1</b>', item)],
    ['TIME', (item) => raw(Attribute.Time, 'TM', '<b>1</b>', item)],
    ['DATETIME', (item) => raw(Attribute.DateTime, 'DT', '<b>1</b>', item)],
    ['UIDREF', (item) => raw(Attribute.UID, 'UI', '<b>1</b>', item)],
    ['SCOORD', (item) => raw(Attribute.GraphicType, 'CS', '<b>1</b>', item)],
  ])('shows markup in a value of %s as text', (type, change) => {
    const html = reportHtml(report([content(type, 'Value', change)]))
    expect(html).toContain('&lt;b&gt;1&lt;/b&gt;')
    expect(html).not.toContain('<b>')
  })

  it('has the same tags whatever its texts say', () => {
    const tags = (value: string): string[] =>
      tagsOf(reportHtml(report([text(value, value)]).set(Attribute.PatientID, value)))
    for (const value of [
      hostile,
      '</dd></dl></body>',
      '</title><h1>',
      '<!-- ',
      ']]>',
      '</style><script>',
      '&lt;b&gt;',
    ]) {
      expect(tags(value)).toEqual(tags('plain'))
    }
  })

  it('shows entities as they are written', () => {
    expect(reportHtml(report([text('A', '&lt;b&gt; &#60;')]))).toContain('<dd>&amp;lt;b&amp;gt; &amp;#60;</dd>')
  })

  it('has no control characters but those of lines', () => {
    const all = String.fromCharCode(...Array.from({ length: 32 }, (_, n) => n))
    const item = content('TEXT', 'A').put(Attribute.TextValue, { vr: 'UT', value: Buffer.from(`x${all}y`) })
    const html = reportHtml(report([item]))

    expect(html).not.toMatch(/[\x00-\x08\x0b\x0c\x0e-\x1f]/)
    expect(html).toContain('x\t\n\ry')
  })

  it('keeps letters of all scripts', () => {
    expect(reportHtml(report([text('所見', 'Ödem 🩻 Ελ')]))).toContain('<dt>所見</dt>\n<dd>Ödem 🩻 Ελ</dd>')
  })

  it('has what belongs to an item within it', () => {
    const html = reportHtml(report([text('A', '1', [text('B', '2')]), text('C', '3')]))
    const inner = '<dl>\n<dt>B</dt>\n<dd>2</dd>\n</dl>\n'
    expect(html).toContain(`<dl>\n<dt>A</dt>\n<dd>1\n${inner}</dd>\n<dt>C</dt>\n<dd>3</dd>\n</dl>\n</body>`)
  })

  it('has a title where the report has none', () => {
    expect(reportHtml(new Dataset())).toContain('<h1>Structured report</h1>')
    const unnamed = new Dataset().setItems(Attribute.ConceptNameCodeSequence, [code(undefined, '18748-4')])
    expect(reportHtml(unnamed)).toContain('<h1>18748-4</h1>')
  })
})

/** An element with text that its VR does not allow. */
function raw(tag: number, vr: 'DA' | 'TM' | 'DT' | 'UI' | 'CS' | 'DS', value: string, item = new Dataset()): Dataset {
  return item.put(tag, { vr, value: Buffer.from(value) })
}

describe('a report as plain text', () => {
  it('is title, facts and content', () => {
    const dataset = report([text('Finding', 'Nothing')], (root) => {
      root
        .set(Attribute.PatientName, 'Doe^Jane^^Dr')
        .set(Attribute.PatientID, 'P1')
        .set(Attribute.PatientBirthDate, '19700131')
        .set(Attribute.PatientSex, 'F')
        .set(Attribute.StudyDate, '20240229')
        .set(Attribute.StudyDescription, 'Chest')
        .set(Attribute.AccessionNumber, 'A1')
        .set(Attribute.CompletionFlag, 'COMPLETE')
        .set(Attribute.VerificationFlag, 'UNVERIFIED')
    })
    expect(reportText(dataset)).toBe(`Chest report

Patient: Doe Jane Dr
Patient ID: P1
Birth date: 1970-01-31
Sex: F
Study date: 2024-02-29
Study: Chest
Accession number: A1
Completion: COMPLETE
Verification: UNVERIFIED

Finding: Nothing
`)
  })

  it('shows markup as it is', () => {
    expect(linesOf(text('A', '<b>&amp;</b>'))).toEqual(['A: <b>&amp;</b>'])
  })

  it('is indented by depth, and lines of a text go on below it', () => {
    expect(linesOf(text('A', '1\r\n2\r3\n4', [text('B', '5\n6')]), text('C', '7'))).toEqual([
      ...['A: 1', '  2', '  3', '  4'],
      ...['  B: 5', '    6', 'C: 7'],
    ])
  })

  it('is there without names and values', () => {
    expect(
      linesOf(text(undefined, 'alone'), content('CONTAINER', 'Only a name'), content('CONTAINER', undefined)),
    ).toEqual([...['alone', 'Only a name', '']])
  })
})

describe('the value of an item', () => {
  const measured = (number: string, unit?: string) => (item: Dataset) => {
    const value = new Dataset().set(Attribute.NumericValue, number)
    if (unit !== undefined) value.setItems(Attribute.MeasurementUnitsCodeSequence, [code('a unit', unit)])
    item.setItems(Attribute.MeasuredValueSequence, [value])
  }
  const reference = (item: Dataset): void => {
    item.setItems(Attribute.ReferencedSOPSequence, [new Dataset().set(Attribute.ReferencedSOPInstanceUID, '1.2.3.4')])
  }

  it.each<[string, string, (item: Dataset) => void, string]>([
    ['a code, by its meaning', 'CODE', (one) => one.setItems(Attribute.ConceptCodeSequence, [code('Lung')]), 'Lung'],
    ['a code without meaning', 'CODE', (one) => one.setItems(Attribute.ConceptCodeSequence, [code(undefined)]), 'C1'],
    ['a number with its unit', 'NUM', measured('1.50', 'mm'), '1.50 mm'],
    ['a number without unit', 'NUM', measured('7'), '7'],
    ['a number of the unit 1', 'NUM', measured('7', '1'), '7'],
    ['a person', 'PNAME', (one) => one.set(Attribute.PersonName, 'Yamada^Tarou=山田^太郎'), 'Yamada Tarou'],
    ['a person with ideograms only', 'PNAME', (one) => one.set(Attribute.PersonName, '=山田^太郎'), '山田 太郎'],
    ['a date', 'DATE', (one) => one.set(Attribute.Date, '20240229'), '2024-02-29'],
    ['a time', 'TIME', (one) => one.set(Attribute.Time, '101500'), '101500'],
    ['a date with time', 'DATETIME', (one) => one.set(Attribute.DateTime, '20240229101500'), '20240229101500'],
    ['a UID', 'UIDREF', (one) => one.set(Attribute.UID, '1.2.3'), '1.2.3'],
    ['an image', 'IMAGE', reference, '1.2.3.4'],
    ['another instance', 'COMPOSITE', reference, '1.2.3.4'],
    ['a waveform', 'WAVEFORM', reference, '1.2.3.4'],
    ['a shape', 'SCOORD', (one) => one.set(Attribute.GraphicType, 'CIRCLE'), 'CIRCLE'],
    ['a shape in space', 'SCOORD3D', (one) => one.set(Attribute.GraphicType, 'POINT'), 'POINT'],
  ])('is shown: %s', (_, type, change, shown) => {
    expect(linesOf(content(type, 'It', change))).toEqual([`It: ${shown}`])
  })

  it.each(['TEXT', 'CODE', 'NUM', 'PNAME', 'DATE', 'TIME', 'DATETIME', 'UIDREF', 'IMAGE', 'SCOORD', 'TCOORD', 'NEW'])(
    'may be missing: %s',
    (type) => {
      expect(linesOf(content(type, 'It'))).toEqual(['It'])
    },
  )
})

describe('content deeper than any report has', () => {
  const nested = (depth: number): Dataset => {
    let item = text('Deepest', 'down here')
    for (let n = 1; n < depth; n++) item = text('Level', String(n), [item])
    return item
  }

  it('is shown up to a depth of 64', () => {
    expect(reportText(report([nested(64)]))).toContain('Deepest: down here')
    expect(reportHtml(report([nested(64)]))).toContain('<dt>Deepest</dt>')
  })

  it('is indented no further than eight levels, each of its lines', () => {
    const lines = reportText(report([nested(64)])).split('\n')
    expect(lines.find((line) => line.endsWith('Level: 1'))).toBe(`${' '.repeat(16)}Level: 1`)
    const [, deep] = reportText(report([nested(20), text('Wide', 'a\nb')])).split('Deepest')
    expect(deep).toContain('\nWide: a\n  b\n')
  })

  it('is left out below that, however deep it goes', () => {
    for (const depth of [65, 5000]) {
      expect(reportText(report([nested(depth)]))).not.toContain('Deepest')
      const html = reportHtml(report([nested(depth)]))
      expect(html).not.toContain('Deepest')
      expect(html.match(/<dl>/g)).toHaveLength(64)
      expect(html.match(/<\/dl>/g)).toHaveLength(64)
    }
  })
})
