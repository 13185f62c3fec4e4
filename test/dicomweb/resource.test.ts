import { describe, expect, it } from 'vitest'
import { resourceUrl } from '../../src/dicomweb/resource.ts'

describe('the URL of a resource (PS3.18 10.1)', () => {
  const base = 'https://pacs.example/dicomweb/aets/MAIN'

  it.each([
    [{ study: '1.2' }, '/studies/1.2'],
    [{ study: '1.2', series: '1.2.3' }, '/studies/1.2/series/1.2.3'],
    [{ study: '1.2', series: '1.2.3', instance: '1.2.3.4' }, '/studies/1.2/series/1.2.3/instances/1.2.3.4'],
    [{ study: '1.2', series: undefined, instance: undefined }, '/studies/1.2'],
  ])('of %j ends in %s', (resource, path) => {
    expect(resourceUrl(base, resource)).toBe(base + path)
  })
})
