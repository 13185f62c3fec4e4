import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { CharacterSet, DEFAULT_REPERTOIRE } from '../../../src/dicom/charset.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import { encodeJson } from '../../../src/dicomweb/encode/json.ts'
import { MAX_REPEATED_ATTRIBUTES, MAX_REPEATED_BYTES, Repeats } from '../../../src/dicomweb/encode/repeats.ts'
import { datasetOf, randomEncapsulated } from '../../support/random-dataset.ts'

const NAME = 0x00100010
const ITEMS = 0x00081140
const latin1 = CharacterSet.of(['ISO_IR 100'])
const bytes = (text: string): Buffer => Buffer.from(text, 'latin1')

describe('attributes that are the same in the next data set', () => {
  it('are not written again', () => {
    const repeats = new Repeats()
    const write = vi.fn(() => 'text')
    for (const value of ['A^B', 'A^B', 'A^C', 'A^C', 'A^B']) {
      expect(repeats.text(NAME, 'PN', bytes(value), DEFAULT_REPERTOIRE, write)).toBe('text')
    }
    expect(write).toHaveBeenCalledTimes(3)
  })

  it.each([
    ['another value of the same length', NAME, 'PN', 'A^C', DEFAULT_REPERTOIRE],
    ['a longer value that begins alike', NAME, 'PN', 'A^B ', DEFAULT_REPERTOIRE],
    ['another VR', NAME, 'LO', 'A^B', DEFAULT_REPERTOIRE],
    ['another character set', NAME, 'PN', 'A^B', latin1],
    ['another tag', 0x00081048, 'PN', 'A^B', DEFAULT_REPERTOIRE],
  ] as const)('are written for %s', (_, t, vr, value, characterSet) => {
    const repeats = new Repeats()
    repeats.text(NAME, 'PN', bytes('A^B'), DEFAULT_REPERTOIRE, () => 'first')
    expect(repeats.text(t, vr, bytes(value), characterSet, () => 'second')).toBe('second')
  })

  it('are remembered though their bytes are overwritten behind them', () => {
    const repeats = new Repeats()
    const value = bytes('A^B')
    repeats.text(NAME, 'PN', value, DEFAULT_REPERTOIRE, () => 'first')
    value.write('X')
    expect(repeats.text(NAME, 'PN', bytes('A^B'), DEFAULT_REPERTOIRE, () => 'second')).toBe('first')
    expect(repeats.text(NAME, 'PN', value, DEFAULT_REPERTOIRE, () => 'second')).toBe('second')
  })

  it('give the same JSON as without a memory, whatever comes in whatever order', () => {
    fc.assert(
      fc.property(
        fc.array(randomEncapsulated, { minLength: 1, maxLength: 4 }),
        fc.infiniteStream(fc.nat()),
        (lists, order) => {
          const repeats = new Repeats()
          const datasets = lists.map((list) => datasetOf(list))
          for (const dataset of [
            ...datasets,
            ...datasets,
            ...order.take(8).map((n) => datasets[n % datasets.length]!),
          ]) {
            expect(encodeJson(dataset, {}, repeats)).toBe(encodeJson(dataset))
          }
        },
      ),
    )
  })

  it('give the URI of each, where values were passed over', () => {
    const repeats = new Repeats()
    const dataset = new Dataset().put(0x00420011, { vr: 'OB', value: new Uint8Array(0), omitted: true })
    const at = (uri: string): string => encodeJson(dataset, { bulkDataUri: () => uri }, repeats)
    expect([at('a'), at('b')]).toEqual([
      '{"00420011":{"vr":"OB","BulkDataURI":"a"}}',
      '{"00420011":{"vr":"OB","BulkDataURI":"b"}}',
    ])
  })
})

describe('what is remembered', () => {
  it('is no value that is longer than MAX_REPEATED_BYTES', () => {
    const repeats = new Repeats()
    const write = vi.fn(() => 'text')
    for (const length of [MAX_REPEATED_BYTES, MAX_REPEATED_BYTES + 1]) {
      for (let n = 0; n < 2; n++) repeats.text(NAME, 'UT', Buffer.alloc(length, 0x41), DEFAULT_REPERTOIRE, write)
    }
    expect(write).toHaveBeenCalledTimes(3)
  })

  it('is no more than MAX_REPEATED_ATTRIBUTES, those of sequences among them', () => {
    const repeats = new Repeats()
    const write = vi.fn(() => 'text')
    const items = repeats.within(ITEMS)!
    for (let t = 0; t < MAX_REPEATED_ATTRIBUTES; t++) items.text(t, 'LO', bytes('A'), DEFAULT_REPERTOIRE, write)
    expect(repeats.within(NAME)).toBeUndefined()
    expect(repeats.within(ITEMS)).toBe(items)
    write.mockClear()
    const last = MAX_REPEATED_ATTRIBUTES - 1
    for (const t of [0, last - 1, last]) items.text(t, 'LO', bytes('A'), DEFAULT_REPERTOIRE, write)
    expect(write).toHaveBeenCalledTimes(1)
    // What is remembered is replaced all the same.
    for (let n = 0; n < 2; n++) items.text(0, 'LO', bytes('B'), DEFAULT_REPERTOIRE, write)
    expect(write).toHaveBeenCalledTimes(2)
  })
})
