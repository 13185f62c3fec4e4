import { CharacterSet } from '../../src/dicom/charset.ts'
import { decodeValues } from '../../src/dicom/value.ts'
import { BrokenPropertyError, same, tokens, type Target } from '../target.ts'

const terms = [
  ...['', 'ISO_IR 100', 'ISO_IR 101', 'ISO_IR 13', 'ISO_IR 192', 'GB18030', 'GBK', 'SHIFT_JIS', 'BIG5', 'ISO_IR 166'],
  ...['\\ISO 2022 IR 87', 'ISO 2022 IR 13\\ISO 2022 IR 87', '\\ISO 2022 IR 87\\ISO 2022 IR 159', '\\ISO 2022 IR 149'],
  ...[
    '\\ISO 2022 IR 58',
    'ISO 2022 IR 58',
    'ISO 2022 IR 100\\ISO 2022 IR 144',
    'ISO 2022 IR 127\\ISO 2022 IR 126',
    'X',
  ],
]
const values = [
  'Doe^Jane=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B',
  '\xc4\xe4\\\xf6',
  '\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce',
  'a\x1b-L\xd0\\b',
  '\xe5\x85',
]

/** Texts in all character sets (PS3.5 6.1): the terms stand in the first line of an input, the bytes behind it. */
export const charset: Target = {
  name: 'charset',
  errors: [],
  // Each is decoded ten times.
  maxLength: 8_192,
  dictionary: tokens(
    ...terms.flatMap((term) => term.split('\\')),
    ...[
      '\x1b(B',
      '\x1b(J',
      '\x1b)I',
      '\x1b(I',
      '\x1b$B',
      '\x1b$@',
      '\x1b$(D',
      '\x1b$)C',
      '\x1b$)A',
      '\x1b-A',
      '\x1b-L',
      '\x1b-G',
    ],
    ...[
      '\x1b',
      '\\',
      '^',
      '=',
      '\n',
      '\r',
      '\t',
      '\f',
      '\x81\x5c',
      '\x84\x31\xa4\x37',
      '\xf0\x9f\x98\x80',
      '\x8f\xb0\xa1',
      '\xef\xbb\xbf',
    ],
  ),
  async seeds() {
    return terms.flatMap((term) => values.map((value) => Buffer.from(`${term}\n${value}`, 'latin1')))
  },
  run(input) {
    const line = input.indexOf(0x0a)
    const names = input.toString('latin1', 0, Math.max(line, 0)).split('\\')
    const bytes = input.subarray(line + 1)
    const set = CharacterSet.of(names)
    holds(set, [set.decodeText(bytes)], 'text')
    holds(set, set.decodeList(bytes), 'list')
    holds(set, set.decodeList(bytes, true), 'name')
    for (const vr of ['LO', 'PN', 'UT', 'UC'] as const) {
      for (const value of decodeValues(vr, bytes, set)) {
        if (value !== undefined && (typeof value !== 'string' || !value.isWellFormed())) {
          throw new BrokenPropertyError(`A value of ${vr} is no text`)
        }
      }
    }
  },
}

/** What can be written is read again as it was. */
function holds(set: CharacterSet, texts: readonly string[], kind: 'text' | 'list' | 'name'): void {
  if (!texts.every((text) => text.isWellFormed())) throw new BrokenPropertyError('Half a surrogate pair was read')
  if (!texts.every((text) => set.canEncode(text))) return
  if (kind === 'text') {
    same('A text that is written and read again is another', texts[0]!, set.decodeText(set.encodeText(texts[0]!)))
    return
  }
  if (texts.some((text) => text.includes('\\'))) return
  const isName = kind === 'name'
  const again = set.decodeList(set.encodeList(texts, isName), isName)
  same(`A ${kind} that is written and read again is another`, JSON.stringify(texts), JSON.stringify(again))
}
