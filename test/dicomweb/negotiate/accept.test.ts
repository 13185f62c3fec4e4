import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AcceptError, acceptOf, parseAccept, type MediaRange } from '../../../src/dicomweb/negotiate/accept.ts'

const shortForm = ({ type, subtype, parameters, q, index }: MediaRange): unknown[] => [
  index,
  `${type}/${subtype}`,
  Object.fromEntries(parameters),
  q,
]
const parsed = (header: string | undefined): unknown[] => parseAccept(header).map(shortForm)

describe('parseAccept', () => {
  test.each([
    ['a missing header', undefined],
    ['an empty one', ''],
    ['one of separators only', ' , ,'],
  ])('takes %s for any type', (_, header) => {
    expect(parsed(header)).toEqual([[0, '*/*', {}, 1]])
  })

  test('case 4: reads quoted and unquoted values alike', () => {
    const quoted = parsed('multipart/related; type="application/dicom"; transfer-syntax="*"')
    expect(quoted).toEqual([[0, 'multipart/related', { type: 'application/dicom', 'transfer-syntax': '*' }, 1]])
    expect(parsed('multipart/related;type=application/dicom;transfer-syntax=*')).toEqual(quoted)
  })

  test('lowers the case of types and parameter names only', () => {
    expect(parsed('Multipart/Related; TYPE="Application/DICOM"; Q=0.5')).toEqual([
      [0, 'multipart/related', { type: 'Application/DICOM' }, 0.5],
    ])
  })

  test('splits at commas outside quotes only, and keeps the order', () => {
    expect(parsed('a/b; x="1,2;\\"3", c/d ,, e/*;q=.5')).toEqual([
      [0, 'a/b', { x: '1,2;"3' }, 1],
      [1, 'c/d', {}, 1],
      [2, 'e/*', {}, 0.5],
    ])
  })

  test.each([
    ['1.5', 1],
    ['1000', 1],
    ['-1', 0],
    ['0', 0],
    ['0.000', 0],
    ['1.', 1],
    ['.25', 0.25],
    ['"0.5"', 0.5],
    ['', 1],
    ['high', 1],
    ['0x0', 1],
  ])('reads q=%s as %d', (q, expected) => {
    expect(parseAccept(`a/b;q=${q}`)[0]!.q).toBe(expected)
  })

  test('a long q takes no long time', () => {
    const started = performance.now()
    expect(parseAccept(`a/b;q=${'1'.repeat(60_000)}x`)[0]!.q).toBe(1)
    expect(performance.now() - started).toBeLessThan(1000)
  })

  test('passes over an empty boundary, and boundary=**', () => {
    expect(parseAccept('multipart/related; type="application/dicom"; boundary=')[0]!.subtype).toBe('related')
    expect(parseAccept('multipart/related; boundary=**; type="application/dicom"')[0]!.subtype).toBe('related')
  })

  test('reads a lone asterisk as any type', () => {
    expect(parsed('text/html, *; q=.2')).toEqual([
      [0, 'text/html', {}, 1],
      [1, '*/*', {}, 0.2],
    ])
  })

  test.each([
    ['two transfer syntaxes', 'application/dicom; transfer-syntax=1.2; transfer-syntax=1.3'],
    ['two types', 'multipart/related; type=a/b; Type=a/c'],
    ['an unclosed quote', 'multipart/related; type="application/dicom, */*'],
    ['no slash', 'json'],
    ['blanks in a type', 'application/dicom json'],
    ['a parameter without a value', 'a/b; flag'],
    ['101 ranges', Array(101).fill('a/b').join()],
  ])('refuses %s', (_, header) => {
    expect(() => parseAccept(header)).toThrow(AcceptError)
    expect(() => parseAccept(header)).toThrow(expect.objectContaining({ code: 'ACCEPT_MALFORMED' }))
  })

  test('takes 100 ranges', () => {
    expect(parseAccept(Array(100).fill('a/b').join())).toHaveLength(100)
  })

  test('answers any text with ranges or an AcceptError', () => {
    const bits = fc.constantFrom('a/b', '*', '/', ';', ',', '"', '\\', '=', 'q=', 'type=', ' ', '0', '\r\n', 'é')
    fc.assert(
      fc.property(fc.array(bits, { maxLength: 30 }), (pieces) => {
        try {
          for (const { q } of parseAccept(pieces.join(''))) expect(q >= 0 && q <= 1).toBe(true)
        } catch (error) {
          if (!(error instanceof AcceptError)) throw error
        }
      }),
    )
  })
})

describe('acceptOf', () => {
  test('keeps the query parameter and the header apart', () => {
    const accept = acceptOf(['image/jpeg,image/png;q=0.5', 'text/html'], 'application/json')
    expect(accept.query.map(shortForm)).toEqual([
      [0, 'image/jpeg', {}, 1],
      [1, 'image/png', {}, 0.5],
      [2, 'text/html', {}, 1],
    ])
    expect(accept.header.map(shortForm)).toEqual([[0, 'application/json', {}, 1]])
  })

  test('has no query ranges without the parameter, and any type without the header', () => {
    for (const query of [[], [''], ['', ' ']]) {
      const accept = acceptOf(query, undefined)
      expect(accept.query).toEqual([])
      expect(accept.header.map(shortForm)).toEqual([[0, '*/*', {}, 1]])
    }
  })

  test('understands a plus that the URL decoded to a blank', () => {
    const accept = acceptOf(
      ['application/dicom json;q=0.9, multipart/related; type="application/dicom xml"'],
      undefined,
    )
    expect(accept.query.map(shortForm)).toEqual([
      [0, 'application/dicom+json', {}, 0.9],
      [1, 'multipart/related', { type: 'application/dicom+xml' }, 1],
    ])
  })

  test('leaves the blank a fault in the header', () => {
    expect(() => acceptOf([], 'application/dicom json')).toThrow(AcceptError)
  })
})
