import { boundaryOf } from '../../../src/dicomweb/multipart/boundary.ts'
import { describe, expect, test } from 'vitest'
import { ContentTypeError, parseContentType } from '../../../src/dicomweb/negotiate/content-type.ts'
import { MultipartError } from '../../../src/dicomweb/multipart/error.ts'

const parametersOf = (header: string): Record<string, string> =>
  Object.fromEntries(parseContentType(header).parameters.entries())

describe('parseContentType', () => {
  test('gives type and parameter names in lower case, and values as they are', () => {
    const parsed = parseContentType('Multipart/RELATED; Type="application/dicom"; BOUNDARY=AaBb')
    expect(parsed.type).toBe('multipart/related')
    expect([...parsed.parameters]).toEqual([
      ['type', 'application/dicom'],
      ['boundary', 'AaBb'],
    ])
  })

  test('reads quoted strings with their escapes, separators inside them included', () => {
    expect(parametersOf('a/b; x="1;2,3\\"4\\\\5"; y=""')).toEqual({ x: '1;2,3"4\\5', y: '' })
  })

  test('reads unquoted values with slashes, colons and equals signs', () => {
    expect(parametersOf('a/b;type=application/dicom;boundary=a:b=/?')).toEqual({
      type: 'application/dicom',
      boundary: 'a:b=/?',
    })
  })

  test('skips empty parameters and blanks around the equals sign', () => {
    expect(parametersOf('a/b ; ; x = 1 ;')).toEqual({ x: '1' })
  })

  test.each([
    ['nothing at all', ''],
    ['no subtype', 'multipart; boundary=a'],
    ['two types', 'a/b, c/d'],
    ['a repeated parameter', 'a/b; boundary=1; Boundary=2'],
    ['an unclosed quote', 'a/b; boundary="1'],
    ['a quote within a value', 'a/b; boundary=1"2"'],
    ['text behind the quotes', 'a/b; boundary="1"2'],
    ['a parameter without a value', 'a/b; boundary'],
    ['a parameter without a name', 'a/b; =1'],
    ['a line end in a value', 'a/b; x=1\r\nInjected: 2'],
    ['a NUL in a quoted value', 'a/b; x="\0"'],
  ])('refuses %s', (_, header) => {
    expect(() => parseContentType(header)).toThrow(ContentTypeError)
    expect(() => parseContentType(header)).toThrow(expect.objectContaining({ code: 'CONTENT_TYPE_MALFORMED', header }))
  })
})

describe('boundaryOf', () => {
  const boundary = (parameter: string): string => boundaryOf(parseContentType(`multipart/related; ${parameter}`))
  const refused = expect.objectContaining({ name: 'MultipartError', code: 'MULTIPART_NO_BOUNDARY' }) as MultipartError

  test('case 18: takes a quoted boundary with a colon', () => {
    expect(boundary('boundary="a:b"')).toBe('a:b')
  })

  test('takes 1 to 70 characters, blanks within', () => {
    expect(boundary('boundary=x')).toBe('x')
    expect(boundary(`boundary=${'x'.repeat(70)}`)).toBe('x'.repeat(70))
    expect(boundary('boundary="a b"')).toBe('a b')
  })

  test.each([
    ['case 19: a missing boundary', 'type="application/dicom"'],
    ['an empty boundary', 'boundary='],
    ['71 characters', `boundary=${'x'.repeat(71)}`],
    ['a last blank', 'boundary="a "'],
    ['a tab', 'boundary="a\tb"'],
    ['characters beyond ASCII', 'boundary="a\u00e4b"'],
  ])('refuses %s', (_, parameter) => {
    expect(() => boundary(parameter)).toThrow(MultipartError)
    expect(() => boundary(parameter)).toThrow(refused)
  })
})
