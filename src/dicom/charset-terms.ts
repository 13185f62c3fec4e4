/**
 * Specific Character Set (0008,0005) as written in files, mapped to the defined terms of PS3.3 C.12.1.1.2.
 * Values that are no defined term but leave no doubt (`ISO_IR_100`, `UTF8`, `ISO_IR 149`) are mapped too.
 */
export function normaliseTerms(values: readonly string[]): NormalisedTerms {
  const several = values.length > 1 && values.slice(1).some((value) => value.trim() !== '')
  const terms: string[] = []
  const unknown: string[] = []
  for (const [index, value] of values.entries()) {
    const written = value.trim()
    const term = written === '' ? '' : definedTerm(written, several)
    if (term === undefined) unknown.push(written)
    // PS3.3 C.12.1.1.2: only value 1 may be empty. A first value nobody knows leaves its place behind.
    if (index === 0 ? several || term : term) terms.push(term ?? '')
  }
  return { terms: withoutImpossible([...new Set(terms)]), unknown: [...new Set(unknown)] }
}

export interface NormalisedTerms {
  readonly terms: readonly string[]
  readonly unknown: readonly string[]
}

/** The number in ISO's International Register that a term carries: 100 for `ISO_IR 100` and `ISO 2022 IR 100`. */
export function registration(term: string): number | undefined {
  const digits = /^ISO(?:_| 2022 )IR (\d+)$/.exec(term)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/** Terms without code extensions: they stand alone and no escape sequence leads to them (PS3.3 C.12.1.1.2). */
const ALONE = new Set(['ISO_IR 192', 'GB18030', 'GBK', 'SHIFT_JIS', 'BIG5'])

const SINGLE_BYTE = new Set([6, 13, 100, 101, 109, 110, 126, 127, 138, 144, 148, 166, 203])
const MULTI_BYTE = new Set([58, 87, 149, 159])

/** ISO 8859 part → registration of its right half. */
const ISO_8859 = new Map([
  [1, 100],
  [2, 101],
  [3, 109],
  [4, 110],
  [5, 144],
  [6, 127],
  [7, 126],
  [8, 138],
  [9, 148],
  [11, 166],
  [15, 203],
])

/** Keys without spaces, `_` and `-`. SHIFT_JIS and BIG5 are in no edition of the standard, but in files. */
const NAMES = new Map([
  ['ASCII', 'ISO_IR 6'],
  ['USASCII', 'ISO_IR 6'],
  ['LATIN1', 'ISO_IR 100'],
  ['UTF8', 'ISO_IR 192'],
  ['GB18030', 'GB18030'],
  ['ISO2022GB18030', 'GB18030'],
  ['GBK', 'GBK'],
  ['ISO2022GBK', 'GBK'],
  ['GB2312', 'ISO 2022 IR 58'],
  ['EUCKR', 'ISO 2022 IR 149'],
  ['SHIFTJIS', 'SHIFT_JIS'],
  ['SJIS', 'SHIFT_JIS'],
  ['BIG5', 'BIG5'],
])

/** `several`: in a multi-valued attribute the ISO 2022 form is meant, even where it is not written. */
function definedTerm(written: string, several: boolean): string | undefined {
  const name = written.toUpperCase().replaceAll(/[ _-]/g, '')
  const numbered = /^ISO(2022)?(?:IR)?(\d{1,3})$/.exec(name)
  if (numbered) return byNumber(Number(numbered[2]), several || numbered[1] !== undefined)
  const part = /^ISO8859(\d{1,2})$/.exec(name)?.[1]
  if (part !== undefined) return byNumber(ISO_8859.get(Number(part)), several)
  const named = NAMES.get(name)
  return named === undefined || ALONE.has(named) ? named : byNumber(registration(named), several)
}

function byNumber(number: number | undefined, extended: boolean): string | undefined {
  if (number === undefined) return undefined
  if (number === 192) return 'ISO_IR 192'
  if (MULTI_BYTE.has(number)) return `ISO 2022 IR ${number}`
  if (!SINGLE_BYTE.has(number)) return undefined
  return extended ? `ISO 2022 IR ${number}` : `ISO_IR ${number}`
}

/** A term that must stand alone beside others: it counts as value 1 or after an ASCII value 1, else not at all. */
function withoutImpossible(terms: string[]): string[] {
  const alone = terms.find((term) => ALONE.has(term))
  if (alone === undefined) return terms
  const first = terms[0]
  if (first === alone || first === '' || first === 'ISO 2022 IR 6') return [alone]
  return terms.filter((term) => !ALONE.has(term))
}
