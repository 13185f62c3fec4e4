import { Attribute } from '../../src/dicom/attributes.ts'
import { Dataset } from '../../src/dicom/dataset.ts'
import { matchesWildcard } from '../../src/dicom/wildcard.ts'
import { fits } from '../../src/pacs/search/post-filter.ts'
import type { Key } from '../../src/pacs/search/query.ts'
import { BrokenPropertyError, tokens, type Target } from '../target.ts'

/** Longer ones are not held against the table, whose size is the product of both. */
const COMPARED = 64
const keys = [
  [Attribute.PatientName, 'PN'],
  [Attribute.PatientID, 'LO'],
  [Attribute.StudyDate, 'DA'],
  [Attribute.StudyTime, 'TM'],
  [0x0008002a, 'DT'],
  [Attribute.SeriesNumber, 'IS'],
  [Attribute.StudyInstanceUID, 'UI'],
  [Attribute.ModalitiesInStudy, 'CS'],
] as const

/** A pattern and a text (PS3.4 C.2.2.2.4), with a line end between them. */
export const wildcard: Target = {
  name: 'wildcard',
  errors: [],
  dictionary: tokens('*', '?', '**', '*?', 'a', 'ab', '\n', '^', '=', '20240101-', '-20240131', '101500.5', '+0100'),
  async seeds() {
    return tokens(
      'D?e*\nDoe^Jane',
      '*a*b*c*\nxaybzc',
      '20240101-20240131\n20240115',
      '*\n',
      '\n',
      '10-11\n101500',
      '3\n 3 ',
    )
  },
  run(input) {
    const [pattern = '', text = ''] = input.toString('latin1').split('\n')
    const long = pattern.length > COMPARED || text.length > COMPARED
    if (!long && matchesWildcard(pattern, text) !== matchesByTable(pattern, text)) {
      throw new BrokenPropertyError(`The table says otherwise: ${JSON.stringify(pattern)} ${JSON.stringify(text)}`)
    }
    for (const [tag, vr] of keys) {
      const value = Buffer.from(text, 'latin1')
      const key: Key = { tag, vr, values: [pattern] }
      fits(new Dataset().put(tag, { vr, value }), [key], { fuzzy: false, loose: false })
    }
  },
}

/** For each beginning of the text whether each beginning of the pattern fits it. */
function matchesByTable(pattern: string, text: string): boolean {
  let row = [true]
  for (let p = 1; p <= pattern.length; p++) row[p] = row[p - 1]! && pattern[p - 1] === '*'
  for (const char of text) {
    const next = [false]
    for (let p = 1; p <= pattern.length; p++) {
      const one = pattern[p - 1]
      next[p] = one === '*' ? next[p - 1]! || row[p]! : row[p - 1]! && (one === '?' || one === char)
    }
    row = next
  }
  return row[pattern.length]!
}
