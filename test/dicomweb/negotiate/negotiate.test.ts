import { describe, expect, test } from 'vitest'
import { acceptOf } from '../../../src/dicomweb/negotiate/accept.ts'
import { negotiateInstances, negotiateModel } from '../../../src/dicomweb/negotiate/negotiate.ts'

const ELE = '1.2.840.10008.1.2.1'
const IVLE = '1.2.840.10008.1.2'
const EBE = '1.2.840.10008.1.2.2'
const J2K = '1.2.840.10008.1.2.4.90'
const JLS = '1.2.840.10008.1.2.4.80'
const DICOM = 'multipart/related; type="application/dicom"'

const many = (header: string | undefined, ...query: string[]): string[] => offers(false, header, query)
const one = (header: string | undefined, ...query: string[]): string[] => offers(true, header, query)
const offers = (single: boolean, header: string | undefined, query: string[]): string[] =>
  negotiateInstances(acceptOf(query, header), { single }).map(({ form, syntax }) => `${form} ${syntax}`)

describe('negotiateInstances', () => {
  test('case 1: no transfer syntax means Explicit VR Little Endian', () => {
    expect(negotiateInstances(acceptOf([], DICOM), { single: false })).toEqual([{ form: 'multipart', syntax: ELE }])
  })

  test('case 3: no Accept header means the default', () => {
    expect(many(undefined)).toEqual([`multipart ${ELE}`])
    expect(one(undefined)).toEqual([`multipart ${ELE}`])
  })

  test('case 4: the type may stand unquoted, in any case', () => {
    expect(many('multipart/related; type=application/dicom')).toEqual([`multipart ${ELE}`])
    expect(many('Multipart/Related;Type=Application/DICOM')).toEqual([`multipart ${ELE}`])
  })

  test.each(['transfer-syntax=*', 'transfer-syntax="*"', 'Transfer-Syntax=*'])(
    'cases 5, 6: %s means as stored',
    (any) => {
      expect(many(`${DICOM}; ${any}`)).toEqual(['multipart *'])
    },
  )

  test('case 7: Implicit VR Little Endian and Explicit VR Big Endian are never offered', () => {
    expect(many(`${DICOM}; transfer-syntax=${IVLE}`)).toEqual([])
    expect(many(`${DICOM}; transfer-syntax=${EBE}`)).toEqual([])
    expect(one(`application/dicom; transfer-syntax=${IVLE}`)).toEqual([])
    expect(many(`${DICOM}; transfer-syntax=${IVLE}, ${DICOM}; transfer-syntax=${J2K};q=0.1`)).toEqual([
      `multipart ${J2K}`,
    ])
  })

  test('case 8: offers go by q, so that the next can be tried when the first cannot be produced', () => {
    expect(many(`${DICOM}; transfer-syntax=${J2K};q=0.5, ${DICOM}; transfer-syntax=${ELE};q=1`)).toEqual([
      `multipart ${ELE}`,
      `multipart ${J2K}`,
    ])
  })

  test('case 9: application/dicom is a single part, on an instance', () => {
    expect(one('application/dicom')).toEqual([`single ${ELE}`])
    expect(one('application/dicom; transfer-syntax=*')).toEqual(['single *'])
  })

  test('case 10: application/dicom alone is not acceptable where there may be several instances', () => {
    expect(many('application/dicom')).toEqual([])
    expect(many(`application/dicom, ${DICOM};q=0.1`)).toEqual([`multipart ${ELE}`])
  })

  test.each([
    '*/*',
    '*',
    'multipart/related',
    'multipart/related; type="*/*"',
    'multipart/related; type=*/*',
    'multipart/related; type=""',
    'multipart/*',
    'application/*',
  ])('%s gets the default, multipart in Explicit VR Little Endian', (range) => {
    expect(many(range)).toEqual([`multipart ${ELE}`])
    expect(one(range)).toEqual([`multipart ${ELE}`])
  })

  test('a wildcard may name a transfer syntax too', () => {
    expect(many('multipart/related; type="*/*"; transfer-syntax=*')).toEqual(['multipart *'])
    expect(many(`*/*; transfer-syntax=${IVLE}`)).toEqual([])
  })

  test.each([
    ['legacy bulk data', 'multipart/related; type="application/octet-stream"'],
    ['frames as images', 'multipart/related; type="image/jpeg"; transfer-syntax=*'],
    ['any image', 'multipart/related; type="image/*"'],
    ['metadata', 'application/dicom+json'],
    ['a transfer syntax that is no UID', `${DICOM}; transfer-syntax=jpeg`],
    ['two transfer syntaxes in one value', `${DICOM}; transfer-syntax="${ELE},${J2K}"`],
  ])('%s is no offer', (_, header) => {
    expect(many(header)).toEqual([])
    expect(one(header)).toEqual([])
  })

  test('equal q: the more specific range first, then order of appearance', () => {
    const listed = [
      `${DICOM}; transfer-syntax=*`,
      `${DICOM}; transfer-syntax=${JLS}`,
      `${DICOM}; transfer-syntax=${J2K}`,
    ]
    expect(many(listed.join())).toEqual([`multipart ${JLS}`, `multipart ${J2K}`, 'multipart *'])
    expect(one(`application/dicom, ${DICOM}`)).toEqual([`single ${ELE}`, `multipart ${ELE}`])
    expect(one(`${DICOM}, application/dicom`)).toEqual([`multipart ${ELE}`, `single ${ELE}`])
  })

  test('what is named comes before what a wildcard stands for, whatever the q', () => {
    expect(many(`*/*, ${DICOM}; transfer-syntax=${J2K};q=0.2`)).toEqual([`multipart ${J2K}`, `multipart ${ELE}`])
  })

  test('an offer appears once', () => {
    expect(many(`${DICOM}, ${DICOM}; transfer-syntax=${ELE}, */*, multipart/related`)).toEqual([`multipart ${ELE}`])
  })

  test('the query parameter goes before the header, whatever the q', () => {
    expect(many(DICOM, `${DICOM}; transfer-syntax=${J2K};q=0.1`)).toEqual([`multipart ${J2K}`, `multipart ${ELE}`])
    expect(many('*/*', 'image/jpeg')).toEqual([`multipart ${ELE}`])
    expect(many('text/html', 'image/jpeg')).toEqual([])
  })

  describe('q=0', () => {
    test('takes out what it names', () => {
      expect(many(`${DICOM};q=0`)).toEqual([])
      expect(many(`${DICOM}; transfer-syntax=${ELE};q=0, */*`)).toEqual([])
      expect(many(`${DICOM}; transfer-syntax=${J2K};q=0, ${DICOM}; transfer-syntax=${J2K}, ${DICOM}`)).toEqual([
        `multipart ${ELE}`,
      ])
      expect(one('application/dicom;q=0, application/dicom')).toEqual([])
    })

    test('gives way to a more specific range', () => {
      expect(many(`*/*;q=0, ${DICOM}`)).toEqual([`multipart ${ELE}`])
      expect(many(`multipart/related;q=0, ${DICOM}`)).toEqual([`multipart ${ELE}`])
      expect(many(`${DICOM};q=0, ${DICOM}; transfer-syntax=${J2K}`)).toEqual([`multipart ${J2K}`])
    })

    test('of a wildcard takes out the default of a less specific one', () => {
      expect(many('multipart/*;q=0, */*')).toEqual([])
      expect(many('application/dicom;q=0, */*')).toEqual([`multipart ${ELE}`])
      expect(many('image/*;q=0, */*')).toEqual([`multipart ${ELE}`])
    })

    test('of multipart leaves the single part to a wildcard, on an instance', () => {
      expect(one('multipart/related;q=0, */*')).toEqual([`single ${ELE}`])
    })

    test('in the query parameter holds for the header', () => {
      expect(many('*/*', `${DICOM};q=0`)).toEqual([])
    })
  })
})

describe('negotiateModel', () => {
  const json = (header: string | undefined, ...query: string[]): string | undefined =>
    negotiateModel(acceptOf(query, header))

  test.each([undefined, '', '*/*', '*', 'application/*', 'text/html,application/xml;q=0.9,*/*;q=0.8'])(
    'Accept: %s gets the default, application/dicom+json',
    (header) => {
      expect(json(header)).toBe('application/dicom+json')
    },
  )

  test.each([
    'application/dicom+xml',
    'multipart/related; type="application/dicom+xml"',
    'multipart/related; type=application/dicom+xml',
    'multipart/related',
    'multipart/*',
  ])('Accept: %s gets XML', (header) => {
    expect(json(header)).toBe('application/dicom+xml')
  })

  test.each(['image/jpeg', DICOM, 'text/*'])('case 11: Accept: %s is not acceptable', (header) => {
    expect(json(header)).toBeUndefined()
  })

  test('case 12: the query parameter decides, with the plus encoded or not', () => {
    expect(json('text/html', 'application/dicom+json')).toBe('application/dicom+json')
    expect(json('text/html', 'application/dicom json')).toBe('application/dicom+json')
    expect(json('application/dicom+json', 'application/json;q=0.1')).toBe('application/json')
  })

  test('the header decides when the query parameter names nothing there is', () => {
    expect(json('application/json', 'image/jpeg')).toBe('application/json')
    expect(json('text/html', 'image/jpeg')).toBeUndefined()
  })

  test('case 13: where JSON is refused by q=0 a wildcard gets XML, if that is not refused too', () => {
    expect(json('application/dicom+json;q=0, */*')).toBe('application/dicom+xml')
    expect(json('application/dicom+json;q=0, application/dicom+xml;q=0, */*')).toBeUndefined()
    expect(json('application/*;q=0, */*')).toBeUndefined()
    expect(json('*/*', 'application/dicom+json;q=0')).toBe('application/dicom+xml')
  })

  test('q=0 gives way to what is named', () => {
    expect(json('application/dicom+json;q=0, application/json')).toBe('application/json')
    expect(json('application/json;q=0, */*')).toBe('application/dicom+json')
    expect(json('*/*;q=0, application/dicom+json')).toBe('application/dicom+json')
    expect(json('application/dicom+json;q=0, application/dicom+json')).toBeUndefined()
  })

  test('case 14: application/json is answered as application/json', () => {
    expect(json('application/json')).toBe('application/json')
    expect(json('application/json, text/plain, */*')).toBe('application/json')
  })

  test('the higher q wins, then the first', () => {
    expect(json('application/dicom+json, application/json')).toBe('application/dicom+json')
    expect(json('application/json, application/dicom+json')).toBe('application/json')
    expect(json('application/json;q=0.5, application/dicom+json;q=0.9')).toBe('application/dicom+json')
  })

  test('a charset is tolerated', () => {
    expect(json('application/dicom+json; charset=utf-8')).toBe('application/dicom+json')
  })
})
