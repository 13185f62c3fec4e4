import { describe, expect, it } from 'vitest'
import type { StoreOutcome } from '../../../src/pacs/store.ts'
import { fateOf, reasonOf, type Fate } from '../../../src/routing/spool/fate.ts'
import { DamagedSpoolFileError, SpoolDiskError } from '../../../src/routing/spool/sealed-file.ts'
import { WebStoreError } from '../../../src/routing/web-store-error.ts'

const coded = (code: string): Error => Object.assign(new Error(code), { code })
const http = (status?: number): Error =>
  new WebStoreError('WEB_STORE_FAILED', 'so', status === undefined ? {} : { http: status })

const statuses: readonly (readonly [number, Fate])[] = [
  [0x0000, 'delivered'],
  [0xa700, 'full'],
  [0xa7ff, 'full'],
  [0x0213, 'full'],
  [0x0110, 'later'],
  [0x0111, 'over'],
  [0x0122, 'over'],
  [0x0124, 'over'],
  [0xa900, 'over'],
  [0xc000, 'over'],
  [0xc122, 'over'],
]

const errors: readonly (readonly [Error, Fate, string])[] = [
  [coded('CONNECT_FAILED'), 'rest', 'CONNECT_FAILED'],
  [coded('ASSOCIATION_REJECTED'), 'rest', 'ASSOCIATION_REJECTED'],
  [coded('PEER_TIMEOUT'), 'doubt', 'PEER_TIMEOUT'],
  [coded('ARCHIVE_DOWN'), 'rest', 'ARCHIVE_DOWN'],
  [coded('CONNECTION_LOST'), 'doubt', 'CONNECTION_LOST'],
  [coded('POOL_BUSY'), 'again', 'POOL_BUSY'],
  [new WebStoreError('WEB_STORE_BUSY', 'so'), 'again', 'WEB_STORE_BUSY'],
  [new WebStoreError('WEB_STORE_UNREACHABLE', 'so'), 'rest', 'WEB_STORE_UNREACHABLE'],
  [new WebStoreError('WEB_STORE_FORBIDDEN', 'so', { http: 401 }), 'full', 'WEB_STORE_FORBIDDEN'],
  [http(500), 'later', 'WEB_STORE_FAILED'],
  [http(), 'later', 'WEB_STORE_FAILED'],
  [http(502), 'full', 'WEB_STORE_FAILED'],
  [http(503), 'full', 'WEB_STORE_FAILED'],
  [http(404), 'full', 'WEB_STORE_FAILED'],
  [new SpoolDiskError(coded('EIO')), 'later', 'SPOOL_DISK'],
  [new DamagedSpoolFileError('so'), 'over', 'SPOOL_FILE_DAMAGED'],
  [coded('MALFORMED_DATA_SET'), 'over', 'MALFORMED_DATA_SET'],
  [coded('of a person^with a name'), 'doubt', 'UNKNOWN'],
  [new Error('without a code'), 'doubt', 'UNKNOWN'],
]

describe('what comes of a try', () => {
  it.each(statuses)('that ends with %i is %s', (status, fate) => {
    const outcome: StoreOutcome = status === 0 ? { kind: 'stored', status } : { kind: 'refused', status }
    expect(fateOf(outcome, false)).toBe(fate)
  })

  it.each(errors)('that fails with %s is %s', (error, fate, reason) => {
    const outcome: StoreOutcome = { kind: 'failed', error }
    expect([fateOf(outcome, false), reasonOf(outcome)]).toEqual([fate, reason])
  })

  it('is delivered where the destination has what was sent before', () => {
    expect(fateOf({ kind: 'refused', status: 0x0111 }, true)).toBe('delivered')
  })

  it('is over where its data set is none', () => {
    expect(fateOf({ kind: 'broken', error: new Error('so') }, false)).toBe('over')
  })
})
