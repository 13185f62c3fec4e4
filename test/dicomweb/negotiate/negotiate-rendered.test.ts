import { describe, expect, it } from 'vitest'
import { acceptOf } from '../../../src/dicomweb/negotiate/accept.ts'
import {
  IMAGE_TYPES,
  negotiateRendered,
  type RenderedType,
} from '../../../src/dicomweb/negotiate/negotiate-rendered.ts'

const animated = ['image/gif', 'image/jpeg', 'image/png'] as const
const report = ['text/html', 'text/plain'] as const
const forms = ['single', 'multipart'] as const

/** The offers as `form type`, best first. */
function offers(
  header: string | undefined,
  media: readonly RenderedType[] = IMAGE_TYPES,
  allowed: readonly ('single' | 'multipart')[] = forms,
  query: string[] = [],
): string[] {
  const found = negotiateRendered(acceptOf(query, header), { media, forms: allowed })
  return found.map((offer) => `${offer.form} ${offer.media}`)
}

describe('what something is rendered as', () => {
  it.each([undefined, '*/*', '*', ''])('is the default of it for who takes anything: %j', (header) => {
    expect(offers(header)[0]).toBe('single image/jpeg')
    expect(offers(header, animated)[0]).toBe('single image/gif')
    expect(offers(header, report)[0]).toBe('single text/html')
    expect(offers(header, ['application/pdf'])[0]).toBe('single application/pdf')
    expect(offers(header, ['video/mp4'])[0]).toBe('single video/mp4')
  })

  it('is the default of its category for who takes that', () => {
    expect(offers('image/*', animated)).toEqual(['single image/gif'])
    expect(offers('text/*', report)).toEqual(['single text/html'])
    expect(offers('video/*', ['video/mp4'])).toEqual(['single video/mp4'])
    expect(offers('text/*')).toEqual([])
    expect(offers('image/*', report)).toEqual([])
  })

  it('is what is named, in the order of the weights', () => {
    expect(offers('image/png')).toEqual(['single image/png'])
    expect(offers('IMAGE/PNG')).toEqual(['single image/png'])
    expect(offers('image/png;q=0.5, image/gif;q=0.9, image/jpeg;q=0.1')).toEqual([
      'single image/gif',
      'single image/png',
      'single image/jpeg',
    ])
    expect(offers('*/*, image/png;q=0.1')).toEqual(['single image/png', 'single image/jpeg'])
    expect(offers('text/plain, image/jpeg', report)).toEqual(['single text/plain'])
  })

  it.each(['image/webp', 'image/jp2', 'application/dicom', 'text/html', 'application/json', 'video/mp4'])(
    'is nothing where an image is asked for as %s',
    (header) => {
      expect(offers(header)).toEqual([])
    },
  )

  it('is another type where one is refused', () => {
    expect(offers('image/jpeg;q=0, */*')).toEqual(['single image/png'])
    expect(offers('image/jpeg;q=0, image/*')).toEqual(['single image/png'])
    expect(offers('image/*;q=0, */*', IMAGE_TYPES, ['single'])).toEqual([])
    expect(offers('image/*;q=0, */*')).toEqual(['multipart image/jpeg'])
    expect(offers('*/*;q=0')).toEqual([])
    expect(offers('image/*;q=0, image/png')).toEqual(['single image/png'])
  })

  it('is in parts for who asks for parts', () => {
    expect(offers('multipart/related; type="image/png"')).toEqual(['multipart image/png'])
    expect(offers('multipart/related; type=image/png')).toEqual(['multipart image/png'])
    expect(offers('multipart/related; type="image/*"', animated)).toEqual(['multipart image/gif'])
    expect(offers('multipart/related; type="*/*"', report)).toEqual(['multipart text/html'])
    expect(offers('multipart/related', report)).toEqual(['multipart text/html'])
    expect(offers('multipart/*')).toEqual(['multipart image/jpeg'])
    expect(offers('multipart/related; type="application/dicom"')).toEqual([])
  })

  it('is not in a form that there is not', () => {
    expect(offers('image/jpeg', IMAGE_TYPES, ['multipart'])).toEqual([])
    expect(offers('image/*', IMAGE_TYPES, ['multipart'])).toEqual([])
    expect(offers('*/*', IMAGE_TYPES, ['multipart'])).toEqual(['multipart image/jpeg'])
    expect(offers('multipart/related; type="image/jpeg"', IMAGE_TYPES, ['single'])).toEqual([])
    expect(offers('multipart/*', IMAGE_TYPES, ['single'])).toEqual([])
    expect(offers('multipart/related', IMAGE_TYPES, ['single'])).toEqual([])
    expect(offers('*/*', IMAGE_TYPES, ['single'])).toEqual(['single image/jpeg'])
  })

  it('is not refused in one form by a refusal of the other', () => {
    expect(offers('multipart/related; type="image/jpeg";q=0, image/jpeg')).toEqual(['single image/jpeg'])
    expect(offers('image/jpeg;q=0, multipart/related; type="image/jpeg"')).toEqual(['multipart image/jpeg'])
  })

  it.each([
    'image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50',
    'image/*; transfer-syntax=*',
    '*/*; transfer-syntax=1.2.840.10008.1.2.1',
    'multipart/related; type="image/jpeg"; transfer-syntax=1.2.840.10008.1.2.4.50',
    'multipart/related; transfer-syntax=*',
    'multipart/*; transfer-syntax=*',
  ])('is nothing that has a transfer syntax: %s', (header) => {
    expect(offers(header)).toEqual([])
  })

  it('is what the query parameter says before what the header says', () => {
    expect(offers('image/jpeg', IMAGE_TYPES, forms, ['image/png'])).toEqual(['single image/png', 'single image/jpeg'])
    expect(offers('image/png', IMAGE_TYPES, forms, ['image/webp'])).toEqual(['single image/png'])
    expect(offers('*/*', IMAGE_TYPES, forms, ['image/jpeg;q=0'])).toEqual(['single image/png'])
  })

  it('is nothing where nothing can be made of it', () => {
    expect(offers('*/*', [])).toEqual([])
    expect(offers('image/jpeg', [])).toEqual([])
  })

  it('is found by its name in any case', () => {
    expect(offers('video/h265', ['video/H265'])).toEqual(['single video/H265'])
    expect(offers('video/H265;q=0, */*', ['video/H265'], ['single'])).toEqual([])
  })
})
