import { describe, expect, it } from 'vitest'
import { transferSyntax } from '../../../src/dicom/transfer-syntax.ts'
import { acceptOf } from '../../../src/dicomweb/negotiate/accept.ts'
import {
  negotiateBulkData,
  representPixelData,
  representValue,
} from '../../../src/dicomweb/negotiate/negotiate-bulk.ts'

const P = '1.2.840.10008.1.2'
const OCTETS = 'application/octet-stream'

/** Form and Content-Type of what a client gets of pixel data stored in a syntax, or 406. */
function pixels(accept: string | undefined, stored: string, { single = true, lossy = true, query = '' } = {}): string {
  const offers = negotiateBulkData(acceptOf(query === '' ? [] : [query], accept), { single })
  const given = representPixelData(offers, transferSyntax(P + stored), lossy)
  return given ? `${given.form} ${given.contentType.replace(P, '')}` : '406'
}

function value(accept: string | undefined, own?: string, single = true): string {
  const given = representValue(negotiateBulkData(acceptOf([], accept), { single }), own)
  return given ? `${given.form} ${given.contentType}` : '406'
}

const related = (type: string, rest = ''): string => `multipart/related; type="${type}"${rest}`

describe('native pixel data', () => {
  it.each([
    undefined,
    '*/*',
    '*',
    '*; q=.2',
    related(OCTETS),
    related('*/*'),
    related('*'),
    `multipart/related; type=${OCTETS}`,
    'multipart/related; type=*/*',
    'multipart/related',
    'multipart/*',
    related(OCTETS, '; transfer-syntax=*'),
    related(OCTETS, '; transfer-syntax="*"'),
    related(OCTETS, `; transfer-syntax=${P}.1`),
    related(OCTETS, `; transfer-syntax="${P}.1"`),
    related('*/*', '; transfer-syntax=*'),
    `image/jls, ${related('image/jp2')};q=0.9, ${related(OCTETS)};q=0.1`,
    `Multipart/Related;Type="Application/Octet-Stream";Transfer-Syntax=*`,
  ])('is a multipart of octets in Explicit VR Little Endian for %j, whatever it is stored in', (accept) => {
    for (const stored of ['', '.1', '.2', '.1.99']) {
      expect(pixels(accept, stored)).toBe(`multipart ${OCTETS}; transfer-syntax=.1`)
      expect(pixels(accept, stored, { single: false })).toBe(`multipart ${OCTETS}; transfer-syntax=.1`)
    }
  })

  it.each([OCTETS, `${OCTETS}; transfer-syntax=*`, `${OCTETS};transfer-syntax=${P}.1`, 'application/*'])(
    'is a body of its own for %s, where there is one',
    (accept) => {
      expect(pixels(accept, '')).toBe(`single ${OCTETS}; transfer-syntax=.1`)
      expect(pixels(accept, '', { single: false })).toBe('406')
    },
  )

  it.each([
    related('image/jls'),
    related('image/jpeg'),
    related('image/*'),
    'image/jpeg',
    'image/*',
    'text/html',
    'application/dicom',
    related('application/dicom'),
    related(OCTETS, `; transfer-syntax=${P}`),
    related(OCTETS, `; transfer-syntax=${P}.2`),
    related(OCTETS, `; transfer-syntax=${P}.4.90`),
    '*/*;q=0',
    `${related(OCTETS)};q=0`,
  ])('is not acceptable for %s (case 72)', (accept) => {
    expect(pixels(accept, '.1')).toBe('406')
    expect(pixels(accept, '')).toBe('406')
  })
})

describe('compressed pixel data', () => {
  it.each([
    ['image/jpeg', '.4.70'],
    ['image/dicom-rle', '.5'],
    ['image/jls', '.4.80'],
    ['image/jp2', '.4.90'],
    ['image/jpx', '.4.92'],
    ['image/jphc', '.4.201'],
    ['image/jxl', '.4.110'],
    ['video/mpeg', '.4.100'],
    ['video/mp4', '.4.102'],
  ])('cases 70, 71: %s without more means %s', (media, stored) => {
    const label = `${media}; transfer-syntax=${stored}`
    expect(pixels(related(media), stored)).toBe(`multipart ${label}`)
    expect(pixels(media, stored)).toBe(`single ${label}`)
    expect(pixels(media, stored, { single: false })).toBe('406')
  })

  it.each([
    ['image/jpeg', '.4.57'],
    ['image/jphc', '.4.202'],
    ['image/jpx', '.4.90'],
    ['image/jp2', '.4.80'],
    ['image/jls', '.4.70'],
  ])('%s without more does not mean %s', (media, stored) => {
    expect(pixels(related(media), stored)).toBe('406')
  })

  it.each([
    ['image/jpeg', '.4.57'],
    ['image/jphc', '.4.202'],
    ['image/jls', '.4.81'],
    ['video/H265', '.4.108'],
    ['video/mp4', '.4.106'],
  ])('%s is given in %s to who names the syntax, or takes any', (media, stored) => {
    for (const syntax of [P + stored, '*', `"${P}${stored}"`]) {
      const accept = related(media, `; transfer-syntax=${syntax}`)
      expect(pixels(accept, stored, { lossy: false })).toBe(`multipart ${media}; transfer-syntax=${stored}`)
    }
  })

  it.each([
    ['image/x-dicom-rle', '.5', 'image/dicom-rle'],
    ['image/dicom+rle', '.5', 'image/dicom-rle'],
    ['image/x-jls', '.4.80', 'image/jls'],
    ['image/jhc', '.4.201', 'image/jphc'],
    ['image/dicom+jpeg-ls', '.4.80', 'image/jls'],
    ['image/dicom+jpeg', '.4.70', 'image/jpeg'],
    ['image/dicom+jp2', '.4.90', 'image/jp2'],
    ['image/dicom+jpx', '.4.92', 'image/jpx'],
  ])('%s is an older name of %s', (alias, stored, media) => {
    for (const accept of [related(alias), `multipart/related; type=${alias}`]) {
      expect(pixels(accept, stored)).toBe(`multipart ${media}; transfer-syntax=${stored}`)
    }
    expect(pixels(alias, stored)).toBe(`single ${media}; transfer-syntax=${stored}`)
  })

  it('case 73: is octets for transfer-syntax=*, and says what they are', () => {
    const given = `${OCTETS}; transfer-syntax=.4.80`
    expect(pixels(related(OCTETS, '; transfer-syntax=*'), '.4.80')).toBe(`multipart ${given}`)
    expect(pixels(`${OCTETS}; transfer-syntax=*`, '.4.80')).toBe(`single ${given}`)
    expect(pixels(related(OCTETS, `; transfer-syntax=${P}.4.80`), '.4.80')).toBe(`multipart ${given}`)
  })

  it.each([undefined, '*/*', related('*/*'), related('*'), related('image/*'), 'multipart/related'])(
    'is what it is stored as for %j',
    (accept) => {
      expect(pixels(accept, '.4.90', { lossy: false })).toBe('multipart image/jp2; transfer-syntax=.4.90')
      expect(pixels(accept, '.4.50', { lossy: false })).toBe('multipart image/jpeg; transfer-syntax=.4.50')
    },
  )

  it('is not given as octets in another syntax: nothing here decodes', () => {
    expect(pixels(related(OCTETS), '.4.90')).toBe('406')
    expect(pixels(OCTETS, '.4.90')).toBe('406')
  })

  it('with loss is given as it is to who takes its type or octets in another syntax, if that is allowed', () => {
    expect(pixels(related('image/jpeg'), '.4.50', { lossy: false })).toBe('406')
    expect(pixels(related('image/jpeg'), '.4.50')).toBe('multipart image/jpeg; transfer-syntax=.4.50')
    expect(pixels('image/jp2', '.4.91')).toBe('single image/jp2; transfer-syntax=.4.91')
    expect(pixels(related(OCTETS), '.4.50', { lossy: false })).toBe('406')
    expect(pixels(related(OCTETS), '.4.50')).toBe(`multipart ${OCTETS}; transfer-syntax=.4.50`)
    for (const accept of [related('image/jp2'), related('image/png'), 'text/html']) {
      expect(pixels(accept, '.4.50')).toBe('406')
    }
  })

  it('is chosen by q among what can be given, and by the accept parameter before the header', () => {
    const octets = related(OCTETS, '; transfer-syntax=*')
    const jls = related('image/jls')
    expect(pixels(`${octets};q=0.5, ${jls}`, '.4.80')).toBe('multipart image/jls; transfer-syntax=.4.80')
    expect(pixels(`${octets}, ${jls};q=0.5`, '.4.80')).toBe(`multipart ${OCTETS}; transfer-syntax=.4.80`)
    expect(pixels(`${octets};q=0.5, ${jls}`, '.4.90')).toBe(`multipart ${OCTETS}; transfer-syntax=.4.90`)
    expect(pixels(octets, '.4.80', { query: jls })).toBe('multipart image/jls; transfer-syntax=.4.80')
    expect(pixels(octets, '.4.80', { query: 'image/png' })).toBe(`multipart ${OCTETS}; transfer-syntax=.4.80`)
  })

  it('is not given in a form that is refused by q=0', () => {
    expect(pixels('*/*, multipart/related;q=0', '.4.80')).toBe('single image/jls; transfer-syntax=.4.80')
    expect(pixels('*/*, multipart/*;q=0', '.4.80', { single: false })).toBe('406')
  })
})

describe('a value that is no pixel data', () => {
  const label = `${OCTETS}; transfer-syntax=${P}.1`

  it.each([
    [undefined, 'multipart'],
    ['*/*', 'multipart'],
    [related('*/*'), 'multipart'],
    [related(OCTETS), 'multipart'],
    [`multipart/related; type=${OCTETS}`, 'multipart'],
    [related(OCTETS, '; transfer-syntax=*'), 'multipart'],
    [OCTETS, 'single'],
    [`${OCTETS}; transfer-syntax=*`, 'single'],
    ['application/pdf, application/octet-stream', 'single'],
  ])('is octets for %j, %s', (accept, form) => {
    expect(value(accept)).toBe(`${form} ${label}`)
  })

  it.each(['application/pdf', related('application/pdf'), 'image/jpeg', 'application/dicom+json', '*/*;q=0'])(
    'is not acceptable for %s',
    (accept) => {
      expect(value(accept)).toBe('406')
    },
  )

  it('case 75: of a type of its own is given in that, where it is taken', () => {
    expect(value('application/pdf', 'application/pdf')).toBe('single application/pdf')
    expect(value(related('application/pdf'), 'application/pdf')).toBe('multipart application/pdf')
    expect(value('*/*', 'application/pdf')).toBe('multipart application/pdf')
    expect(value('application/*', 'application/pdf')).toBe('single application/pdf')
    expect(value(OCTETS, 'application/pdf')).toBe(`single ${label}`)
    expect(value('text/xml', 'application/pdf')).toBe('406')
  })

  it('is not given in a syntax that it is not in', () => {
    expect(value(related(OCTETS, `; transfer-syntax=${P}.4.90`))).toBe('406')
    expect(value(related(OCTETS, `; transfer-syntax=${P}`))).toBe('406')
  })

  it('is only a part where there may be several', () => {
    expect(value(OCTETS, undefined, false)).toBe('406')
    expect(value(`${OCTETS}, ${related(OCTETS)}`, undefined, false)).toBe(`multipart ${label}`)
  })
})
