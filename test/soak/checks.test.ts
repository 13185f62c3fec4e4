import { beforeAll, describe, expect, test } from 'vitest'
import { SyntaxUid, transferSyntax } from '../../src/dicom/transfer-syntax.ts'
import { part10Header } from '../../src/dicom/part10.ts'
import {
  frameFaults,
  instanceFaults,
  metadataFaults,
  References,
  searchFaults,
  storeOutcome,
  type Answer,
} from '../../soak/checks.ts'
import { makeInstance, SORTS, type MadeInstance, type Sort } from '../../soak/instances.ts'
import { Stock } from '../../soak/stock.ts'
import { related } from '../support/related.ts'
import { splitPart10 } from '../support/part10.ts'

// What the soak finds right or wrong: a soak that overlooks something would be clean for ever.

const STUDY = '1.2.3'
const SCOPE = { study: STUDY }
const made = new Map<Sort, MadeInstance>()

beforeAll(async () => {
  for (const [at, sort] of (Object.keys(SORTS) as Sort[]).entries()) {
    const uids = { study: STUDY, series: `${STUDY}.${at}`, instance: `${STUDY}.${at}.1`, patient: 'P' }
    made.set(sort, await makeInstance(uids, { sort, rows: 16, columns: 16, frames: sort === 'loop' ? 2 : 1 }, at))
  }
})

function stockOf(...sorts: readonly Sort[]): Stock {
  const stock = new Stock()
  for (const sort of sorts) {
    const { instance } = made.get(sort)!
    stock.sent(instance)
    stock.stored(instance.instance)
  }
  return stock
}

function answer(files: readonly Buffer[], status = 200): Answer {
  const { type, body } = related(files)
  return { kind: 'answered', status, headers: { 'content-type': type }, body }
}

function json(value: unknown, headers: Record<string, string> = {}): Answer {
  return { kind: 'answered', status: 200, headers, body: Buffer.from(JSON.stringify(value)) }
}

const file = (sort: Sort): Buffer => made.get(sort)!.file
const now = (): number => performance.now() + 1

describe('instances', () => {
  test.each(Object.keys(SORTS) as Sort[])('%s as it is stored is right', (sort) => {
    const expected = { stock: stockOf(sort), scope: SCOPE, since: now() }
    expect(instanceFaults(answer([file(sort)]), expected, 'stored')).toEqual([])
  })

  test.each(['ct', 'mr'] as const)('a byte of %s that differs is wrong', (sort) => {
    const changed = Buffer.from(file(sort))
    changed[changed.length - 20]! ^= 1
    const expected = { stock: stockOf(sort), scope: SCOPE, since: now() }
    expect(instanceFaults(answer([changed]), expected, 'stored')).toHaveLength(1)
  })

  test('one that is cut short is wrong', () => {
    const expected = { stock: stockOf('ct'), scope: SCOPE, since: now() }
    expect(instanceFaults(answer([file('ct').subarray(0, -2)]), expected, 'stored')).toHaveLength(1)
  })

  test('a decoded one is known by its pixels', () => {
    const { instance } = made.get('mr')!
    const explicit = transferSyntax(SyntaxUid.explicitVrLittleEndian)
    const pixels = splitPart10(file('ct')).data.subarray(-512)
    const decoded = Buffer.concat([part10Header(instance.sopClass, instance.instance, explicit), pixels])
    const expected = { stock: stockOf('mr'), scope: SCOPE, since: now() }
    expect(instanceFaults(answer([decoded]), expected, 'uncompressed')).toEqual([
      expect.stringContaining('pixels not its own'),
    ])
    expect(instanceFaults(answer([decoded]), expected, 'stored')).toEqual([expect.stringContaining('is in 1.2.840')])
  })

  test('what is known to be stored must be there behind a 200, not behind a 206', () => {
    const expected = { stock: stockOf('ct', 'cr'), scope: SCOPE, since: now() }
    expect(instanceFaults(answer([file('ct')]), expected, 'stored')).toEqual([expect.stringContaining('is missing')])
    expect(instanceFaults(answer([file('ct')], 206), expected, 'stored')).toEqual([])
  })

  test('what was stored since may be there or not', () => {
    const since = performance.now()
    const stock = stockOf('ct', 'cr')
    expect(instanceFaults(answer([file('ct')]), { stock, scope: SCOPE, since }, 'stored')).toEqual([])
    expect(instanceFaults(answer([file('ct'), file('cr')]), { stock, scope: SCOPE, since }, 'stored')).toEqual([])
  })

  test('what was not asked for, is not ours or comes twice is wrong', () => {
    const stock = stockOf('ct', 'cr')
    const { series } = made.get('ct')!.instance
    const expected = { stock, scope: { study: STUDY, series }, since: now() }
    expect(instanceFaults(answer([file('ct'), file('cr')]), expected, 'stored')).toHaveLength(1)
    expect(instanceFaults(answer([file('ct'), file('ct')]), expected, 'stored')).toHaveLength(1)
    expect(instanceFaults(answer([file('ct'), file('mr')]), expected, 'stored')).not.toEqual([])
  })
})

test('metadata tells the values of the instance', () => {
  const { instance } = made.get('ct')!
  const object = Object.fromEntries(Object.entries(instance.values).map(([tag, value]) => [tag, { Value: [value] }]))
  const expected = { stock: stockOf('ct'), scope: SCOPE, since: now() }
  expect(metadataFaults(json([object]), expected)).toEqual([])
  expect(metadataFaults(json([{ ...object, '00280010': { Value: [17] } }]), expected)).toHaveLength(1)
  expect(metadataFaults(json([]), expected)).toHaveLength(1)
})

test('a search finds what is there, and counts it', () => {
  const stock = stockOf('ct', 'cr')
  const found = (count: number): unknown => [{ '0020000D': { Value: [STUDY] }, '00201208': { Value: [count] } }]
  const expected = { stock, scope: {}, since: now() }
  expect(searchFaults(json(found(2)), expected, 'study')).toEqual([])
  expect(searchFaults(json(found(1)), expected, 'study')).toHaveLength(1)
  expect(searchFaults(json([]), expected, 'study')).toHaveLength(1)
  expect(searchFaults(json([], { warning: '299 there is more' }), expected, 'study')).toEqual([])
})

test('a frame is known by its bytes, and which it is', () => {
  const { instance } = made.get('loop')!
  const { data } = splitPart10(file('loop'))
  const [first, second] = [data.subarray(-512, -256), data.subarray(-256)]
  const parts = (...bytes: readonly Buffer[]): Answer => answer(bytes)
  expect(frameFaults(parts(first, second), instance, [1, 2], 'uncompressed')).toEqual([])
  expect(frameFaults(parts(second), instance, [1], 'uncompressed')).toHaveLength(1)
  expect(frameFaults(parts(first), instance, [1, 2], 'uncompressed')).toHaveLength(1)
})

test('a store tells of each instance once, under the status that fits', () => {
  const instances = [made.get('ct')!.instance, made.get('cr')!.instance]
  const item = (at: number): object => ({
    '00081155': { Value: [instances[at]!.instance] },
    '00081197': { Value: [272] },
  })
  const told = (stored: readonly object[], failed: readonly object[], status: number): Answer => ({
    ...json({ '00081199': { Value: stored }, '00081198': { Value: failed } }),
    status,
  })
  expect(storeOutcome(told([item(0), item(1)], [], 200), instances)).toMatchObject({
    stored: instances.map(({ instance }) => instance),
    faults: [],
  })
  expect(storeOutcome(told([item(0)], [item(1)], 202), instances)).toMatchObject({
    failed: [[instances[1]!.instance, 272]],
    faults: [],
  })
  expect(storeOutcome(told([item(0)], [item(1)], 200), instances).faults).toHaveLength(1)
  expect(storeOutcome(told([item(0)], [], 200), instances).faults).toHaveLength(1)
})

test('a picture is the same each time', () => {
  const references = new References()
  expect(references.faults('a', json(1))).toEqual([])
  expect(references.faults('a', json(1))).toEqual([])
  expect(references.faults('a', json(2))).toHaveLength(1)
})
