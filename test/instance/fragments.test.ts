import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Bytes } from '../../src/dicom/bytes.ts'
import type { DataSetSource } from '../../src/dicom/data-set-source.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN } from '../../src/dicom/transfer-syntax.ts'
import {
  CorruptFragmentsError,
  MAX_EMPTY_FRAGMENTS,
  MAX_FRAGMENTS,
  MAX_FRAME_FRAGMENTS,
} from '../../src/instance/frame-table.ts'
import { frameOf, layoutOf, wholePixelData } from '../../src/instance/frames.ts'
import { collect } from '../support/byte-stream.ts'
import { hex } from '../support/dicom-bytes.ts'
import { readable } from '../support/readable.ts'
import { encapsulatedImage, itemOffsets, sourceOf, words32 } from '../support/images.ts'

/** Eight bytes each: an item takes 16. */
const J1 = hex('ffd8 0101 0101 0101')
const M1 = hex('1111 1111 1111 1111')
const J2 = hex('ffd8 0202 0202 0202')
const M2 = hex('2222 2222 2222 2222')
const ALL = [J1, M1, J2, M2]
const LONG = 0x8000_0000

async function frame(image: Bytes, n: number): Promise<string> {
  const source = readable(sourceOf(image))
  const { length, bytes } = await frameOf(source, (await layoutOf(source))!, n)
  const all = await collect(bytes())
  expect(all.length).toBe(length)
  return all.toString('hex')
}

/** All frames; the code of an error in place of one. */
async function frames(image: Bytes, count: number): Promise<string[]> {
  const all: string[] = []
  for (let n = 1; n <= count; n++) {
    all.push(
      await frame(image, n).catch((error: unknown) => {
        if (error instanceof CorruptFragmentsError) return error.code
        throw error
      }),
    )
  }
  return all
}

const joined = (...pieces: Buffer[]): string => Buffer.concat(pieces).toString('hex')
const CORRUPT = 'CORRUPT_FRAGMENTS'

describe('frames are found', () => {
  it('case 64: by the Basic Offset Table, all fragments of a frame without their item headers', async () => {
    const image = encapsulatedImage({ frames: 2 }, [0, 0x20], [M1, M2, J1, J2])
    expect(await frames(image, 2)).toEqual([joined(M1, M2), joined(J1, J2)])
  })

  it('by their number, all of them, where the Basic Offset Table misses one', async () => {
    const lies = [0, 0x20, 999]
    expect(await frames(encapsulatedImage({ frames: 3 }, lies, [J1, J2, J1]), 3)).toEqual(
      [J1, J2, J1].map((one) => joined(one)),
    )
  })

  it('case 65: by their number, where each has one fragment', async () => {
    expect(await frames(encapsulatedImage({ frames: 3 }, [], [M1, J1, M2]), 3)).toEqual(
      [M1, J1, M2].map((one) => joined(one)),
    )
  })

  it('case 66: as all there is, where there is one', async () => {
    expect(await frames(encapsulatedImage({}, [], [J1, J2, M1, M2, J1]), 1)).toEqual([joined(J1, J2, M1, M2, J1)])
    expect(await frames(encapsulatedImage({}, [], []), 1)).toEqual([''])
  })

  it('case 67: by where bitstreams begin', async () => {
    expect(await frames(encapsulatedImage({ frames: 2 }, [], ALL), 2)).toEqual([joined(J1, M1), joined(J2, M2)])
  })

  it('case 68: by the Extended Offset Table, each of its true length', async () => {
    const [odd, whole] = [Buffer.alloc(11, 1), Buffer.alloc(12, 2)]
    const table = [
      { offset: 0, length: 11 },
      { offset: 20, length: 12 },
    ]
    expect(await frames(encapsulatedImage({ frames: 2 }, [], [odd, whole], table), 2)).toEqual([
      joined(odd),
      joined(whole),
    ])
  })

  it('by a table also in front of fragments that nobody can follow', async () => {
    const image = encapsulatedImage({ frames: 4 }, [0, 0x10, 0x20, 0x30], ALL)
    image.fill(0xee, image.indexOf(M2) - 8, image.indexOf(M2))
    expect(await frames(image, 4)).toEqual([joined(J1), joined(M1), CORRUPT, CORRUPT])
  })
})

describe('a Basic Offset Table that leads astray', () => {
  const good = [joined(J1, M1), joined(J2, M2)]

  it.each([
    ['into a fragment', [0, 0x24]],
    ['behind the end', [0, 0x1000]],
    ['as far as it can', [0, 0xfffffffe]],
    ['to the end of the fragments', [0, 0x40]],
    ['twice to the same place', [0, 0]],
    ['backwards', [0x20, 0]],
    ['not to the start at first', [0x10, 0x20]],
    ['and has too few entries', [0]],
    ['and has too many entries', [0, 0x10, 0x20]],
    ['and is cut within an entry', hex('00000000 2000')],
  ])('%s is passed over (case 69)', async (_, table) => {
    expect(await frames(encapsulatedImage({ frames: 2 }, table, ALL), 2)).toEqual(good)
  })

  it('leaves each frame to the number of fragments', async () => {
    const image = encapsulatedImage({ frames: 4 }, [0, 0x10, 0x24, 0x30], ALL)
    expect(await frames(image, 4)).toEqual(ALL.map((one) => joined(one)))
  })

  it('is an error where nothing else tells the frames', async () => {
    const image = encapsulatedImage({ frames: 2 }, [0, 0x24], [M1, M2, M1])
    expect(await frames(image, 2)).toEqual([CORRUPT, CORRUPT])
  })

  it('and is huge is not read into memory', async () => {
    const whole = sourceOf(encapsulatedImage({ frames: 2 }, Buffer.alloc(1_000_000), ALL), undefined, 65_536)
    let most = 0
    const source: DataSetSource = {
      syntax: whole.syntax,
      bytes(from = 0, to = Infinity) {
        // Open ends are for passing over.
        if (to < Infinity) most = Math.max(most, to - from)
        return whole.bytes(from, to)
      },
    }
    const data = readable(source)
    const found = await frameOf(data, (await layoutOf(data))!, 2)
    expect(found.length).toEqual(16)
    expect(most).toBeLessThan(100)
  })

  it.each([4, LONG, 0xfffffffe, 0xffffffff])('and claims %i bytes that are not there is an error', async (length) => {
    const image = Buffer.concat([
      encapsulatedImage({ frames: 1 }, [], []).subarray(0, -16),
      hex('feff00e0'),
      words32([length]),
    ])
    expect(await frames(image, 1)).toEqual([CORRUPT])
  })
})

describe('an Extended Offset Table that leads astray', () => {
  const entries = (...list: [number, number][]): { offset: number; length: number }[] =>
    list.map(([offset, length]) => ({ offset, length }))

  it.each([
    ['into a fragment', entries([0, 8], [0x14, 8])],
    ['behind the end', entries([0, 8], [0x1000, 8])],
    ['farther than numbers reach', entries([0, 8], [Number.MAX_SAFE_INTEGER, 8])],
    ['to another frame', entries([0, 8], [0, 8])],
    ['with lengths that are too long', entries([0, 9], [0x10, 10])],
    ['with lengths of nothing', entries([0, 0], [0x10, 0])],
    ['with lengths that cut off more than a pad', entries([0, 6], [0x10, 2])],
    ['and is too short', entries([0, 8])],
    ['and is too long', entries([0, 8], [0x10, 8], [0x20, 8])],
  ])('%s is passed over', async (_, table) => {
    expect(await frames(encapsulatedImage({ frames: 2 }, [], [J1, M2], table), 2)).toEqual([joined(J1), joined(M2)])
  })

  it('knows one fragment of a frame, where it has two', async () => {
    const image = encapsulatedImage({ frames: 2 }, [], ALL, entries([0, 8], [0x20, 8]))
    expect(await frames(image, 2)).toEqual([joined(J1, M1), joined(J2, M2)])
  })
})

describe('a Number of Frames that lies', () => {
  it.each([3, 5, 1_000_000, 2147483647])('%i of four fragments is an error, not a guess', async (count) => {
    expect(await frames(encapsulatedImage({ frames: count }, [], ALL), 1)).toEqual([CORRUPT])
    expect(await frames(encapsulatedImage({ frames: count }, [0, 0x20], ALL), 2)).toEqual([CORRUPT, CORRUPT])
  })

  it('is an error where what comes first begins no bitstream', async () => {
    expect(await frames(encapsulatedImage({ frames: 2 }, [], [M1, J1, J2]), 2)).toEqual([CORRUPT, CORRUPT])
  })
})

describe('fragments that are cut', () => {
  const tables: [string, Buffer][] = [
    ['a Basic Offset Table', encapsulatedImage({ frames: 2 }, [0, 0x20], ALL)],
    ['no table', encapsulatedImage({ frames: 2 }, [], ALL)],
    [
      'an Extended Offset Table',
      encapsulatedImage(
        { frames: 2 },
        [],
        [J1, J2],
        itemOffsets([J1, J2]).map((offset) => ({ offset, length: 8 })),
      ),
    ],
  ]

  it.each(tables)('at any byte are an error of the last frame, never part of it: with %s', async (table, image) => {
    const start = image.lastIndexOf(J1) - 8
    const whole = await frame(image, 2)
    for (let end = start; end < image.length - 4; end++) {
      // Only the delimiter is lacking, and the table says how long the frame is.
      const isWhole = table.startsWith('an Extended') && end >= image.length - 8
      expect(
        await frame(image.subarray(0, end), 2).catch((error: unknown) => (error as { code: string }).code),
        `${end}`,
      ).toBe(isWhole ? whole : CORRUPT)
    }
  })

  it.each(tables)('by a length beyond the end are an error of the last frame: with %s', async (_, image) => {
    for (const length of [0x10, LONG, 0xfffffffe, 0xffffffff]) {
      const broken = Buffer.from(image)
      broken.writeUInt32LE(length, broken.lastIndexOf(image.includes(M2) ? M2 : J2) - 4)
      expect(await frame(broken, 2).catch((error: unknown) => (error as { code: string }).code)).toBe(CORRUPT)
    }
  })

  it('are an error where the whole of them is wanted', async () => {
    const image = encapsulatedImage({}, [], ALL)
    const source = readable(sourceOf(image.subarray(0, -10)))
    const layout = (await layoutOf(source))!
    await expect(wholePixelData(source, layout)).rejects.toThrow(CorruptFragmentsError)
  })

  it('are none at all where not even a table is there', async () => {
    const image = Buffer.concat([encapsulatedImage({}, [], []).subarray(0, -16), hex('feffdde0 00000000')])
    expect(await frames(image, 1)).toEqual([CORRUPT])
  })

  it('whatever bytes they are made of, give a frame or an error, and never bytes from elsewhere', async () => {
    const byte = fc.constantFrom(0, 1, 0x10, 0x20, 0xe0, 0xfe, 0xff)
    const change = fc.tuple(fc.nat({ max: 200 }), byte)
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...tables.map(([, image]) => image)),
        fc.array(change, { minLength: 1, maxLength: 5 }),
        async (image, changes) => {
          const broken = Buffer.from(image)
          const start = image.indexOf(hex('feff00e0'), image.indexOf(hex('e07f1000 4f42')))
          for (const [at, value] of changes) broken[start + (at % (image.length - start))] = value
          for (const n of [1, 2]) {
            const got = await frame(broken, n).catch((error: unknown) => (error as { code: string }).code)
            expect(got === CORRUPT || broken.includes(Buffer.from(got.slice(0, 16), 'hex')), got).toBe(true)
          }
        },
      ),
      { numRuns: 200 },
    )
  })
})

describe('fragments without end', () => {
  /** Empty items for ever behind some bytes. */
  function endless(head: Bytes): DataSetSource & { readonly given: number } {
    const items = Buffer.concat(Array.from({ length: 8192 }, () => hex('feff00e0 00000000')))
    let given = 0
    return {
      syntax: EXPLICIT_VR_LITTLE_ENDIAN,
      get given() {
        return given
      },
      async *bytes(from = 0, to = Infinity) {
        if (from < head.length) yield head.subarray(from, to)
        for (let at = Math.max(from, head.length); at < to; at += items.length - ((at - head.length) % 8)) {
          given += items.length
          yield items.subarray((at - head.length) % 8, to - at + ((at - head.length) % 8))
        }
      },
    }
  }

  it.each([
    ['no table', encapsulatedImage({ frames: 2 }, [], [J1, J2])],
    ['one frame', encapsulatedImage({}, [], [J1])],
    ['a Basic Offset Table', encapsulatedImage({ frames: 2 }, [0, 0x10], [J1, J2])],
    ['an offset far away', encapsulatedImage({ frames: 2 }, [0, 0xfffffff0], [J1, J2])],
  ])('are given up, behind a million: with %s', { timeout: 20_000 }, async (_, image) => {
    const source = endless(image.subarray(0, -8))
    const data = readable(source)
    const layout = (await layoutOf(data))!
    const before = source.given
    await expect(frameOf(data, layout, layout.frames)).rejects.toThrow(CorruptFragmentsError)
    expect(source.given - before).toBeLessThan(3 * 8 * MAX_FRAGMENTS)
  })

  it('are read no farther than somebody takes them', async () => {
    const head = encapsulatedImage({ frames: 3 }, [0, 0x10, 0x18], [J1]).subarray(0, -8)
    const source = endless(head)
    const data = readable(source)
    const layout = (await layoutOf(data))!
    const lengths = [1, 2].map(async (n) => (await frameOf(data, layout, n)).length)
    expect(await Promise.all(lengths)).toEqual([8, 0])
    expect(source.given).toBeLessThan(1_000_000)
  })
})

describe('fragments', () => {
  const lookUp = async (image: Bytes): Promise<unknown> => {
    const data = readable(sourceOf(image, EXPLICIT_VR_LITTLE_ENDIAN, 100_000))
    const layout = (await layoutOf(data))!
    return (await frameOf(data, layout, layout.frames)).length
  }
  const empty = (count: number): Buffer[] => Array.from({ length: count }, () => Buffer.alloc(0))

  it('without bytes are a few besides one for each frame: more are no image', async () => {
    const image = (frames: number, count: number): Buffer =>
      encapsulatedImage({ frames }, [], [...Array.from({ length: frames }, () => J1), ...empty(count)])
    for (const frames of [1, 500]) {
      expect(await lookUp(image(frames, frames + MAX_EMPTY_FRAGMENTS))).toBe(8)
      await expect(lookUp(image(frames, frames + MAX_EMPTY_FRAGMENTS + 1))).rejects.toThrow('without bytes')
    }
  })

  it('of one frame are so many', async () => {
    const image = (count: number): Buffer =>
      encapsulatedImage(
        {},
        [],
        Array.from({ length: count }, () => Buffer.of(1, 2)),
      )
    expect(await lookUp(image(MAX_FRAME_FRAGMENTS))).toBe(2 * MAX_FRAME_FRAGMENTS)
    await expect(lookUp(image(MAX_FRAME_FRAGMENTS + 1))).rejects.toThrow(CorruptFragmentsError)
  })
})

describe('frames without a table', () => {
  it('are looked up one by one without going through all of the fragments each time', async () => {
    const count = 2000
    const fragments = Array.from({ length: count }, () => J1)
    const whole = sourceOf(encapsulatedImage({ frames: count }, [], fragments), undefined, 65_536)
    let read = 0
    const source: DataSetSource = {
      syntax: whole.syntax,
      async *bytes(from, to) {
        for await (const chunk of whole.bytes(from, to)) {
          read += chunk.length
          yield chunk
        }
      },
    }
    const data = readable(source)
    const layout = (await layoutOf(data))!
    for (let n = 1; n <= count; n++) expect((await frameOf(data, layout, n)).length).toBe(8)
    // The items are 32,000 bytes: 64 MB if each frame had them read.
    expect(read).toBeLessThan(200_000)
  })
})
