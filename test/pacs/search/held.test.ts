import { describe, expect, test } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import { ResultsTooLargeError } from '../../../src/pacs/search/errors.ts'
import { Held, MAX_HELD_BYTES, OVERHEAD_BYTES, weightOf } from '../../../src/pacs/search/held.ts'
import type { Query } from '../../../src/pacs/search/query.ts'
import { search, type Finder, type SearchRequest } from '../../../src/pacs/search/search.ts'

const TEXT = 0x0040a160
const MIB = 1024 * 1024
const never = { signal: new AbortController().signal }

/** Of so many bytes in memory. */
function rowOf(bytes: number): Dataset {
  return new Dataset().put(TEXT, { vr: 'UT', value: new Uint8Array(bytes - 2 * OVERHEAD_BYTES) })
}

describe('what is held of a search', () => {
  test('is at most so much', () => {
    const held = new Held()
    for (let mib = 0; mib < MAX_HELD_BYTES / MIB; mib++) held.row(rowOf(MIB))
    expect(() => held.text('')).toThrow(ResultsTooLargeError)
    const texts = new Held()
    texts.text('1'.repeat(MAX_HELD_BYTES - OVERHEAD_BYTES))
    expect(() => texts.text('')).toThrow(ResultsTooLargeError)
  })

  test('counts items, and elements without a value', () => {
    const items = [new Dataset(), rowOf(1000)]
    expect(weightOf(new Dataset().setItems(0x00081140, items))).toBe(2 * OVERHEAD_BYTES + OVERHEAD_BYTES + 1000)
    expect(weightOf(new Dataset().setEmpty(TEXT))).toBe(2 * OVERHEAD_BYTES)
  })
})

/** How many matches of an archive are taken until a search ends, and how it does. */
async function endOf(
  request: SearchRequest,
  relational: boolean,
  row: (n: number) => Dataset,
): Promise<[number, unknown]> {
  let taken = 0
  const finder: Finder = {
    relational,
    maxParents: 1_000,
    async *find({ level }: Query) {
      if (level !== 'STUDY' && !relational) return
      for (let n = 0; n < 1_000; n++) {
        taken++
        yield await Promise.resolve(row(n))
      }
    },
  }
  try {
    for await (const _ of search(request, finder, never)) continue
    return [taken, undefined]
  } catch (error) {
    return [taken, error]
  }
}

describe('a search', () => {
  const request: SearchRequest = { level: 'SERIES', withParents: true, match: [], include: [] }

  test('ends with an error where its parents are too large, and reads no further', async () => {
    const [taken, error] = await endOf(request, false, (n) => rowOf(MIB).set(Attribute.StudyInstanceUID, `1.2.${n}`))
    expect(error).toBeInstanceOf(ResultsTooLargeError)
    expect(taken).toBe(MAX_HELD_BYTES / MIB)
  })

  test('ends well where all of them together are not', async () => {
    const row = (n: number): Dataset => rowOf(10_000).set(Attribute.StudyInstanceUID, `1.2.${n}`)
    expect(await endOf(request, false, row)).toEqual([1_000, undefined])
  })

  test('ends with an error where UIDs are too large', async () => {
    const uid = '1'.repeat(MIB)
    const [taken, error] = await endOf(request, true, (n) =>
      new Dataset().set(Attribute.SeriesInstanceUID, `${uid}${n}`, 'LO'),
    )
    expect(error).toBeInstanceOf(ResultsTooLargeError)
    expect(taken).toBe(MAX_HELD_BYTES / MIB)
  })
})
