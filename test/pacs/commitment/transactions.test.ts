import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { TransactionsInMemory, type Transaction } from '../../../src/pacs/commitment/transactions.ts'
import { CT } from '../../support/dicom-files.ts'

const transaction = (uid: string, more: Partial<Transaction> = {}): Transaction => ({
  archive: 'main',
  uid,
  owner: '',
  client: '',
  references: [{ sopClass: CT, sopInstance: '1.1' }],
  ...more,
})
const RESULT = { committed: [{ sopClass: CT, sopInstance: '1.1' }], failed: [] }

describe('a transaction', () => {
  it('is pending until it is settled', async () => {
    const all = new TransactionsInMemory({ keep: 60_000 })
    expect(await all.begin(transaction('1'))).toBe(true)
    expect(await all.state('main', '1')).toMatchObject({ kind: 'pending' })
    await all.settle('main', '1', RESULT)
    expect(await all.state('main', '1')).toMatchObject({ kind: 'done', result: RESULT })
  })

  it('has a UID of its own, at its archive', async () => {
    const all = new TransactionsInMemory({ keep: 60_000 })
    await all.begin(transaction('1'))
    expect(await all.begin(transaction('1'))).toBe(false)
    expect(await all.begin(transaction('1', { archive: 'other' }))).toBe(true)
    expect(await all.state('main', '2')).toEqual({ kind: 'unknown' })
    await all.settle('main', '2', RESULT)
    expect(await all.state('main', '2')).toEqual({ kind: 'unknown' })
  })

  it('that is withdrawn leaves its UID to others', async () => {
    const all = new TransactionsInMemory({ keep: 60_000 })
    await all.begin(transaction('1'))
    await all.withdraw('main', '1')
    expect(await all.state('main', '1')).toEqual({ kind: 'unknown' })
    expect(await all.begin(transaction('1'))).toBe(true)
  })

  it('is gone when its time is over, and its UID with it', async () => {
    const all = new TransactionsInMemory({ keep: 20 })
    await all.begin(transaction('1'))
    await delay(40)
    expect(await all.state('main', '1')).toEqual({ kind: 'gone', owner: '' })
    expect(await all.begin(transaction('1'))).toBe(false)
  })

  it('is not begun beside as many as there may be, and is when the time of one is over', async () => {
    const all = new TransactionsInMemory({ keep: 200, most: 2 })
    await all.begin(transaction('1'))
    await all.begin(transaction('2'))
    await expect(all.begin(transaction('3'))).rejects.toMatchObject({ code: 'TOO_MANY_TRANSACTIONS' })
    expect(await all.state('main', '1')).toMatchObject({ kind: 'pending' })
    await delay(250)
    expect(await all.begin(transaction('3'))).toBe(true)
  })

  it('is not begun beside as many without a result as one client may have, which others may', async () => {
    const all = new TransactionsInMemory({ keep: 60_000, ofClient: 2 })
    for (const uid of ['1', '2']) await all.begin(transaction(uid))
    await expect(all.begin(transaction('3'))).rejects.toMatchObject({ code: 'TOO_MANY_TRANSACTIONS' })
    expect(await all.begin(transaction('4', { client: 'another' }))).toBe(true)
    await all.settle('main', '1', RESULT)
    await all.settle('main', '1', RESULT)
    expect(await all.begin(transaction('3'))).toBe(true)
    await expect(all.begin(transaction('5'))).rejects.toMatchObject({ code: 'TOO_MANY_TRANSACTIONS' })
    await all.withdraw('main', '3')
    expect(await all.begin(transaction('5'))).toBe(true)
  })

  it('makes room when it has a result, the oldest first, and is gone then', async () => {
    const all = new TransactionsInMemory({ keep: 60_000, most: 2 })
    for (const uid of ['1', '2']) {
      await all.begin(transaction(uid, { owner: 'me' }))
      await all.settle('main', uid, RESULT)
    }
    expect(await all.begin(transaction('3'))).toBe(true)
    expect(await all.state('main', '1')).toEqual({ kind: 'gone', owner: 'me' })
    expect(await all.state('main', '2')).toMatchObject({ kind: 'done' })
  })

  it('is not begun with more instances than all together may name', async () => {
    const all = new TransactionsInMemory({ keep: 60_000, references: 2 })
    await all.begin(transaction('1'))
    await all.begin(transaction('2'))
    await expect(all.begin(transaction('3'))).rejects.toMatchObject({ code: 'TOO_MANY_TRANSACTIONS' })
    await all.withdraw('main', '1')
    expect(await all.begin(transaction('3'))).toBe(true)
  })
})
