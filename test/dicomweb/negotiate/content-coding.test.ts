import { describe, expect, it } from 'vitest'
import { chooseCoding } from '../../../src/dicomweb/negotiate/content-coding.ts'

describe('the coding of text', () => {
  it.each([
    [undefined, undefined],
    ['', undefined],
    // Chrome by HTTPS, and by HTTP; Python requests; curl --compressed.
    ['gzip, deflate, br, zstd', 'zstd'],
    ['gzip, deflate', 'gzip'],
    ['gzip, deflate, br', 'br'],
    ['deflate, gzip, br, zstd', 'zstd'],
    ['*', 'zstd'],
    ['identity', undefined],
    ['deflate', undefined],
    ['x-gzip', 'gzip'],
    ['GZIP;Q=0.5', 'gzip'],
    ['br;q=0.5, gzip;q=0.8', 'gzip'],
    ['zstd;q=0, *', 'br'],
    ['*;q=0', undefined],
    ['gzip;q=0', undefined],
    ['gzip;q=0.3, identity;q=0.7', undefined],
    ['gzip;q=0.7, identity;q=0.3', 'gzip'],
    ['gzip;q=0.5, identity;q=0.5', 'gzip'],
    // Unreadable weights are none; more than 1 is 1.
    ['gzip;q=x', undefined],
    ['gzip;q=1.9, br', 'br'],
    [', ;, gzip ; q = 0.4 ,', 'gzip'],
  ])('for %j is %s', (header, coding) => {
    expect(chooseCoding(header)).toBe(coding)
  })

  it('is not looked for at the end of a list without end', () => {
    expect(chooseCoding(`${'x,'.repeat(40)}gzip`)).toBeUndefined()
  })
})
