import { describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import type { Bytes } from '../../../src/dicom/bytes.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import { encodeDataset } from '../../../src/dicom/dataset-codec.ts'
import { part10Header } from '../../../src/dicom/part10.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN, transferSyntax } from '../../../src/dicom/transfer-syntax.ts'
import { encodeFrame } from '../../../src/imaging/codecs/encode-frame.ts'
import type { ImageDescription } from '../../../src/imaging/image-description.ts'
import { code, even, get, parts } from '../../support/conversion.ts'
import { deflate } from '../../support/deflated.ts'
import {
  CT,
  E,
  I,
  instanceDataset,
  instanceFile,
  S,
  seriesFiles,
  Syntax,
  type InstanceOptions,
} from '../../support/dicom-files.ts'
import { startSetup, type Setup, type SetupOptions } from '../../support/gateway.ts'
import { keeper } from '../../support/kept.ts'

const OCTETS = 'application/octet-stream'
const ELE = `${OCTETS}; transfer-syntax=${Syntax.explicit}`
const RELATED = `multipart/related; type="${OCTETS}"`
const STORED = `${RELATED}; transfer-syntax=*`
const PATH = `/studies/${S}/series/${E}/instances/${I}`
const JLS = Syntax.jpegLs
/** Of the images of instanceFile. */
const IMAGE: ImageDescription = {
  rows: 4,
  columns: 4,
  samplesPerPixel: 1,
  photometricInterpretation: 'MONOCHROME2',
  planarConfiguration: 0,
  bitsAllocated: 16,
  bitsStored: 16,
  highBit: 15,
  signed: false,
}
const H264 = '1.2.840.10008.1.2.4.102'

const kept = keeper()

async function started(...files: Bytes[]): Promise<Setup> {
  return startedWith({ files })
}

async function startedWith(options: SetupOptions): Promise<Setup> {
  return kept(await startSetup(options))
}

function file(options: InstanceOptions = {}): Buffer {
  if (options.syntax !== Syntax.deflated) return instanceFile(options)
  const data = encodeDataset(instanceDataset(options), EXPLICIT_VR_LITTLE_ENDIAN)
  return Buffer.concat([part10Header(CT, options.instance ?? I, transferSyntax(options.syntax)), deflate(data)])
}

/** Bytes that tell where they are, and what they are of. */
const blob = (length: number, seed: number): Buffer =>
  Buffer.from(Array.from({ length }, (_, at) => (at * 31 + seed * 7 + (at >> 8)) & 0xff))

type Binary = 'OB' | 'OW' | 'OF' | 'OD' | 'OL' | 'OV' | 'UN'

/** Bulk data by its path, in order: of every word size, of any size where it is always so, and in items. */
const BULK: ReadonlyMap<string, readonly [vr: Binary, value: Buffer]> = new Map<string, [Binary, Buffer]>([
  ['00081140/0/00291001', ['UN', blob(2000, 1)]],
  ['00081140/2/00081199/1/00291002', ['OB', blob(1026, 2)]],
  ['00081140/2/00291003', ['UN', blob(4000, 3)]],
  ['00280108/0/00281408', ['OW', blob(1500, 4)]],
  ['00281201', ['OW', blob(1028, 5)]],
  ['00420011', ['OB', blob(8, 6)]],
  ['00660016', ['OF', blob(1200, 7)]],
  ['00660022', ['OD', blob(1208, 8)]],
  ['00660040', ['OL', blob(1204, 9)]],
  ['54000100/0/54001010', ['OW', blob(6, 10)]],
  ['60003000', ['OW', blob(4, 11)]],
  ['601E3000', ['OW', blob(4, 12)]],
  ['7FE00010', ['OW', blob(2048, 13)]],
])
const PATHS = [...BULK.keys()]

/** Puts a value at a path, with the items and sequences around it. */
function putAt(dataset: Dataset, path: readonly string[], [vr, value]: readonly [Binary, Buffer]): void {
  const [first = '', number = '', ...rest] = path
  const tag = parseInt(first, 16)
  if (rest.length === 0) {
    dataset.put(tag, { vr, value })
    return
  }
  const items = [...dataset.items(tag)]
  while (items.length <= Number(number)) items.push(new Dataset())
  putAt(items[Number(number)]!, rest, [vr, value])
  dataset.setItems(tag, items)
}

function withBulk(dataset: Dataset): void {
  for (const [path, element] of BULK) putAt(dataset, path.split('/'), element)
  // What is small is inline.
  dataset.put(0x00281202, { vr: 'OW', value: blob(1024, 14) })
}

/** Every BulkDataURI in DICOM JSON. */
function bulkDataUris(model: unknown): string[] {
  if (typeof model !== 'object' || model === null) return []
  return Object.entries(model).flatMap(([key, value]) =>
    key === 'BulkDataURI' ? [String(value)] : bulkDataUris(value),
  )
}

describe('every BulkDataURI of the metadata', () => {
  it.each([Syntax.explicit, Syntax.implicit, Syntax.bigEndian, Syntax.deflated])(
    'gives the bytes of the file, in Little Endian: stored as %s (case 56)',
    async (syntax) => {
      const setup = await started(file({ syntax, change: withBulk }))
      const model: unknown = JSON.parse((await get(`${setup.url}${PATH}/metadata`)).body.toString())
      const uris = bulkDataUris(model)
      const root = `${setup.url}${PATH}/bulkdata/`
      // JSON.parse has keys that are numbers first.
      expect(uris.map((uri) => uri.replace(root, '')).sort()).toEqual([...PATHS].sort())
      for (const uri of uris) {
        const [, value] = BULK.get(uri.replace(root, ''))!
        // Item 5: all four are answered.
        for (const accept of [RELATED, 'multipart/related; type="*/*"', '*/*', undefined]) {
          const [part, ...others] = parts(await get(uri, accept))
          expect(others).toEqual([])
          expect(part!.body.equals(value), uri).toBe(true)
          expect(Object.fromEntries(part!.headers)).toEqual({
            'content-type': ELE,
            'content-length': String(value.length),
            'content-location': uri,
          })
        }
        const single = await get(uri, OCTETS)
        expect({ status: single.status, type: single.type }).toEqual({ status: 200, type: ELE })
        expect(single.body.equals(value), uri).toBe(true)
        expect(single.headers.get('content-location')).toBe(uri)
        const range = await get(uri, OCTETS, { range: 'bytes=1-3' })
        expect(range.status).toBe(206)
        expect(range.body).toEqual(value.subarray(1, 4))
        expect(range.headers.get('content-range')).toBe(`bytes 1-3/${value.length}`)
      }
      // One retrieval for the lot.
      expect(setup.archive.retrievals).toBe(1)
    },
  )

  it('is alike in XML, and can be written in lower case', async () => {
    const setup = await started(file({ change: withBulk }))
    const xml = (
      await get(`${setup.url}${PATH}/metadata`, 'multipart/related; type="application/dicom+xml"')
    ).body.toString()
    const uris = [...xml.matchAll(/<BulkData uri="([^"]+)"/g)].map(([, uri]) => uri!)
    expect(uris.map((uri) => uri.replace(`${setup.url}${PATH}/bulkdata/`, ''))).toEqual(PATHS)
    const lower = await get(`${setup.url}${PATH}/bulkdata/601e3000`, OCTETS)
    expect(lower.body).toEqual(BULK.get('601E3000')![1])
    expect(lower.headers.get('content-location')).toBe(`${setup.url}${PATH}/bulkdata/601E3000`)
  })

  it.each([
    '00291001',
    '00081140',
    '00081140/1/00291001',
    '00081140/0/00291002',
    '00081140/00/00291001',
    '7FE00008',
    '00081140/0',
    '00081140/x/00291001',
    '7FE0001',
    'PixelData',
    '7FE00010/0/7FE00010',
    '7FE00010%2F..',
    '00081140/9999999/00291001',
  ])('is of something: %s is a 404 (case 76)', async (path) => {
    const setup = await started(file({ change: withBulk }))
    const { status } = await get(`${setup.url}${PATH}/bulkdata/${path}`)
    expect(status).toBe(404)
  })

  it('is of its instance', async () => {
    const setup = await started(file())
    expect(code(await get(`${setup.url}/studies/${S}/series/${E}/instances/9.9/bulkdata/60003000`))).toBe(
      '404 NO_SUCH_INSTANCE',
    )
    expect(code(await get(`${setup.url}/studies/${S}/series/9.9/instances/${I}/bulkdata/7FE00010`))).toBe(
      '404 NO_SUCH_INSTANCE',
    )
  })

  it.each(['image/jpeg', 'application/dicom', `${OCTETS};q=0`, `${RELATED}; transfer-syntax=${Syntax.jpegXlLossless}`])(
    'is not given as %s',
    async (accept) => {
      const setup = await started(file({ change: withBulk }))
      for (const path of ['00281201', '7FE00010']) {
        expect(code(await get(`${setup.url}${PATH}/bulkdata/${path}`, accept))).toBe('406 NOT_ACCEPTABLE')
      }
    },
  )
})

describe('an encapsulated document', () => {
  const pdf = Buffer.from('%PDF-1.')
  const document = (length?: number): Buffer =>
    file({
      change: (dataset) => {
        dataset.delete(Attribute.PixelData)
        dataset
          .put(Attribute.EncapsulatedDocument, { vr: 'OB', value: Buffer.concat([pdf, Buffer.of(0)]) })
          .set(Attribute.MIMETypeOfEncapsulatedDocument, 'application/pdf')
        if (length !== undefined) dataset.set(Attribute.EncapsulatedDocumentLength, length)
      },
    })
  const uri = `${PATH}/bulkdata/00420011`

  it('is given in its own type and of its true length (case 75)', async () => {
    const setup = await started(document(7))
    const single = await get(setup.url + uri, 'application/pdf')
    expect(single).toMatchObject({ status: 200, type: 'application/pdf', body: pdf })
    expect(single.headers.get('content-length')).toBe('7')
    for (const accept of ['multipart/related; type="application/pdf"', '*/*']) {
      const answer = await get(setup.url + uri, accept)
      expect(answer.type).toMatch(/^multipart\/related; type="application\/pdf"; /)
      const [part] = parts(answer)
      expect(part!.body).toEqual(pdf)
      expect(part!.headers.get('content-type')).toBe('application/pdf')
    }
    const octets = await get(setup.url + uri, OCTETS)
    expect(octets).toMatchObject({ status: 200, type: ELE, body: pdf })
    expect((await get(setup.url + uri, 'text/xml')).status).toBe(406)
  })

  it('is nothing that could act in a browser, whatever it says it is', async () => {
    const page = (type: string): Buffer =>
      file({
        change(dataset) {
          dataset.delete(Attribute.PixelData)
          dataset
            .put(Attribute.EncapsulatedDocument, { vr: 'OB', value: Buffer.from('<script>alert(1)</script>\n') })
            .set(Attribute.MIMETypeOfEncapsulatedDocument, type)
        },
      })
    for (const type of ['text/html', 'image/svg+xml', 'text/xml']) {
      const setup = await started(page(type))
      const { status, headers } = await get(setup.url + uri, type)
      expect([status, headers.get('content-type')]).toEqual([200, type])
      expect(headers.get('content-security-policy')).toBe("default-src 'none'; sandbox")
      expect(headers.get('x-content-type-options')).toBe('nosniff')
    }
    // Browsers show no PDF in a sandbox.
    const setup = await started(document(7))
    const { headers } = await get(setup.url + uri, 'application/pdf')
    expect(headers.get('content-security-policy')).toContain("object-src 'self'")
    expect(headers.get('content-security-policy')).not.toContain('sandbox')
    expect(headers.get('x-content-type-options')).toBe('nosniff')
  })

  it('has its pad where nothing tells its length', async () => {
    const setup = await started(document())
    expect((await get(setup.url + uri, 'application/pdf')).body).toEqual(Buffer.concat([pdf, Buffer.of(0)]))
  })

  it('is not longer than it is', async () => {
    const setup = await started(document(1000))
    expect((await get(setup.url + uri, 'application/pdf')).body).toHaveLength(8)
  })

  it('is among all the bulk data of its study, in its own type', async () => {
    const setup = await started(document(7))
    for (const path of [`/studies/${S}`, PATH]) {
      const [part, ...others] = parts(await get(`${setup.url}${path}/bulkdata`))
      expect(others).toEqual([])
      expect(part!.headers.get('content-type')).toBe('application/pdf')
      expect(part!.body).toEqual(pdf)
    }
    expect(code(await get(`${setup.url}${PATH}/pixeldata`))).toBe('404 NO_PIXEL_DATA')
    expect(code(await get(`${setup.url}${PATH}/bulkdata/7FE00010`))).toBe('404 NO_PIXEL_DATA')
  })
})

describe('compressed pixel data', () => {
  const FRAMES = [blob(10, 1), blob(12, 2), blob(6, 3)]
  const compressed = (frames: number, syntax: string = JLS, fragments = FRAMES): Buffer =>
    file({
      syntax,
      fragments: [Buffer.alloc(0), ...fragments],
      change: (dataset) => dataset.set(Attribute.NumberOfFrames, String(frames)),
    })
  const uri = `${PATH}/bulkdata/7FE00010`

  it('comes one part a frame', async () => {
    const setup = await started(compressed(3))
    for (const path of [uri, `${PATH}/pixeldata`]) {
      const answer = await get(setup.url + path, 'multipart/related; type="image/jls"')
      expect(answer.type).toMatch(/^multipart\/related; type="image\/jls"; /)
      const got = parts(answer)
      expect(got.map(({ body }) => body)).toEqual(FRAMES)
      expect(got.map(({ headers }) => headers.get('content-location'))).toEqual(
        [1, 2, 3].map((n) => `${setup.url}${PATH}/frames/${n}`),
      )
      expect(new Set(got.map(({ headers }) => headers.get('content-type')))).toEqual(
        new Set([`image/jls; transfer-syntax=${JLS}`]),
      )
    }
    expect(parts(await get(setup.url + uri, STORED))[2]!.headers.get('content-type')).toBe(
      `${OCTETS}; transfer-syntax=${JLS}`,
    )
  })

  it('does not come in one body, unless it is one frame', async () => {
    const three = await started(compressed(3))
    expect(code(await get(three.url + uri, 'image/jls'))).toBe('406 NOT_ACCEPTABLE')
    const both = await get(three.url + uri, `image/jls, ${STORED};q=0.5`)
    expect(parts(both).map(({ body }) => body)).toEqual(FRAMES)
    const one = await started(compressed(1))
    const single = await get(one.url + uri, 'image/jls')
    expect(single).toMatchObject({
      status: 200,
      type: `image/jls; transfer-syntax=${JLS}`,
      body: Buffer.concat(FRAMES),
    })
    const [part] = parts(await get(one.url + uri, STORED))
    expect(part!.headers.get('content-location')).toBe(one.url + uri)
    expect(part!.body).toEqual(Buffer.concat(FRAMES))
  })

  it('that nothing here decodes is not given as if it were not compressed', async () => {
    const setup = await started(compressed(1, Syntax.jpegXlLossless))
    expect(code(await get(setup.url + uri, RELATED))).toBe('406 NOT_ACCEPTABLE')
    expect(code(await get(setup.url + uri, OCTETS))).toBe('406 NOT_ACCEPTABLE')
  })

  it('is given as one value, decoded, to who takes octets', async () => {
    const pixels = [blob(32, 1), blob(32, 2), blob(32, 3)]
    const bitstreams = await Promise.all(pixels.map((one) => encodeFrame(one, IMAGE, JLS)))
    const setup = await started(compressed(3, JLS, bitstreams.map(even)))
    for (const path of [uri, `${PATH}/pixeldata`]) {
      const [part, ...others] = parts(await get(setup.url + path, RELATED))
      expect(others).toEqual([])
      expect(part!.body).toEqual(Buffer.concat(pixels))
      expect(Object.fromEntries(part!.headers)).toEqual({
        'content-type': ELE,
        'content-length': '96',
        'content-location': setup.url + uri,
      })
      const single = await get(setup.url + path, OCTETS)
      expect(single).toMatchObject({ status: 200, type: ELE, body: Buffer.concat(pixels) })
    }
  })

  it('that is damaged is a 502 to who wants it decoded, and is given as it is to who takes that', async () => {
    const setup = await started(compressed(1))
    expect(code(await get(setup.url + uri, RELATED))).toBe('502 CORRUPT_CODESTREAM')
    expect(code(await get(setup.url + uri, OCTETS))).toBe('502 CORRUPT_CODESTREAM')
    expect(parts(await get(setup.url + uri, STORED))[0]!.body).toEqual(Buffer.concat(FRAMES))
  })

  it('of one frame has the length that its offset table tells', async () => {
    const u64 = (value: number): Buffer => {
      const bytes = Buffer.alloc(8)
      bytes.writeBigUInt64LE(BigInt(value))
      return bytes
    }
    const change = (dataset: Dataset): unknown =>
      dataset
        .put(Attribute.ExtendedOffsetTable, { vr: 'OV', value: u64(0) })
        .put(Attribute.ExtendedOffsetTableLengths, { vr: 'OV', value: u64(11) })
    const setup = await started(
      file({ syntax: JLS, fragments: [Buffer.alloc(0), blob(12, 1)], change: (one) => change(one) }),
    )
    for (const path of [uri, `${PATH}/frames/1`]) {
      expect((await get(setup.url + path, 'image/jls')).body).toEqual(blob(11, 1))
    }
  })

  it('of an icon comes as what it is, also in an image that is found otherwise', async () => {
    const icon = blob(500, 9)
    const change = (dataset: Dataset): unknown =>
      dataset.setItems(0x00880200, [
        new Dataset().put(Attribute.PixelData, { vr: 'OB', value: { fragments: [Buffer.alloc(0), icon] } }),
      ])
    const fragments = [Buffer.alloc(0), ...FRAMES]
    const setup = await started(file({ syntax: JLS, fragments, change: (one) => change(one) }))
    const model: unknown = JSON.parse((await get(`${setup.url}${PATH}/metadata`)).body.toString())
    const nested = `${setup.url}${PATH}/bulkdata/00880200/0/7FE00010`
    expect(bulkDataUris(model)).toEqual([nested, setup.url + uri])
    const [part] = parts(await get(nested, STORED))
    expect(part!.body).toEqual(icon)
    expect(part!.headers.get('content-type')).toBe(`${OCTETS}; transfer-syntax=${JLS}`)
    expect(code(await get(nested, RELATED))).toBe('406 NOT_ACCEPTABLE')
  })

  it('of a video is one stream (case 78)', async () => {
    const setup = await started(compressed(300, H264))
    for (const path of [uri, `${PATH}/pixeldata`]) {
      const single = await get(setup.url + path, 'video/mp4')
      expect(single).toMatchObject({
        status: 200,
        type: `video/mp4; transfer-syntax=${H264}`,
        body: Buffer.concat(FRAMES),
      })
      const range = await get(setup.url + path, 'video/mp4', { range: 'bytes=8-15' })
      expect(range).toMatchObject({ status: 206, body: Buffer.concat(FRAMES).subarray(8, 16) })
      const [part, ...others] = parts(await get(setup.url + path, 'multipart/related; type="video/*"'))
      expect(others).toEqual([])
      expect(part!.body).toEqual(Buffer.concat(FRAMES))
    }
  })
})

describe('pixel data', () => {
  it('that is native is one value, whatever its number of frames', async () => {
    const pixels = blob(96, 5)
    const change = (dataset: Dataset): unknown =>
      dataset.set(Attribute.NumberOfFrames, '3').put(Attribute.PixelData, { vr: 'OW', value: pixels })
    const setup = await started(file({ syntax: Syntax.bigEndian, change: (one) => change(one) }))
    const [part, ...others] = parts(await get(`${setup.url}${PATH}/pixeldata`))
    expect(others).toEqual([])
    expect(part!.body).toEqual(pixels)
    expect(part!.headers.get('content-location')).toBe(`${setup.url}${PATH}/bulkdata/7FE00010`)
  })

  it('in floating point is at its own tag, and at no other', async () => {
    const change = (dataset: Dataset): unknown => {
      dataset.delete(Attribute.PixelData)
      return dataset.put(Attribute.FloatPixelData, { vr: 'OF', value: blob(64, 6) })
    }
    const setup = await started(file({ change: (one) => change(one) }))
    for (const path of [`${PATH}/pixeldata`, `${PATH}/bulkdata/7FE00008`]) {
      const [part] = parts(await get(setup.url + path))
      expect(part!.body).toEqual(blob(64, 6))
      expect(part!.headers.get('content-location')).toBe(`${setup.url}${PATH}/bulkdata/7FE00008`)
    }
    expect((await get(`${setup.url}${PATH}/bulkdata/7FE00010`)).status).toBe(404)
  })

  it('of a study or series is a part for each instance, and in one body for none', async () => {
    const setup = await started(...seriesFiles(3), ...seriesFiles(1, { series: `${S}.5` }))
    const locations = async (path: string): Promise<string[]> =>
      parts(await get(setup.url + path))
        .map(({ headers }) => headers.get('content-location')!.replace(setup.url, ''))
        .sort()
    const wanted = [1, 2, 3].map((n) => `/studies/${S}/series/${E}/instances/${E}.${n}/bulkdata/7FE00010`)
    expect(await locations(`/studies/${S}/series/${E}/pixeldata`)).toEqual(wanted)
    const all = [...wanted, `/studies/${S}/series/${S}.5/instances/${S}.5.1/bulkdata/7FE00010`].sort()
    expect(await locations(`/studies/${S}/pixeldata`)).toEqual(all)
    for (const path of [`/studies/${S}/pixeldata`, `/studies/${S}/bulkdata`, `${PATH}/bulkdata`]) {
      expect(code(await get(setup.url + path, OCTETS))).toBe('406 NOT_ACCEPTABLE')
    }
    expect(code(await get(`${setup.url}/studies/9.9/pixeldata`))).toBe('404 NO_SUCH_INSTANCE')
  })
})

describe('all bulk data', () => {
  it.each([Syntax.explicit, Syntax.bigEndian, Syntax.deflated])(
    'of an instance is a part for each URI of its metadata, in their order: stored as %s',
    async (syntax) => {
      const setup = await started(file({ syntax, change: withBulk }))
      const got = parts(await get(`${setup.url}${PATH}/bulkdata`))
      expect(
        got.map(({ headers }) => headers.get('content-location')!.replace(`${setup.url}${PATH}/bulkdata/`, '')),
      ).toEqual(PATHS)
      PATHS.forEach((path, index) => expect(got[index]!.body.equals(BULK.get(path)![1]), path).toBe(true))
      expect(got.every(({ headers }) => headers.get('content-type') === ELE)).toBe(true)
    },
  )

  it('of an instance without any is a 404', async () => {
    const setup = await started(file({ change: (dataset) => dataset.delete(Attribute.PixelData) }))
    expect(code(await get(`${setup.url}${PATH}/bulkdata`))).toBe('404 NO_SUCH_BULK_DATA')
  })

  it('has no padding of the data set in it', async () => {
    const change = (dataset: Dataset): unknown => dataset.put(0xfffcfffc, { vr: 'OB', value: Buffer.alloc(2000) })
    const setup = await started(file({ change: (one) => change(one) }))
    expect(parts(await get(`${setup.url}${PATH}/bulkdata`))).toHaveLength(1)
  })

  it('has a part for each frame of what is compressed, and is a 206 where some cannot be decoded', async () => {
    const frames = [blob(10, 1), blob(12, 2)]
    const jxl = file({
      instance: `${E}.1`,
      syntax: Syntax.jpegXlLossless,
      fragments: [Buffer.alloc(0), ...frames],
      change: (dataset) => dataset.set(Attribute.NumberOfFrames, '2'),
    })
    const setup = await started(jxl, file({ instance: `${E}.2` }))
    const stored = parts(await get(`${setup.url}/studies/${S}/bulkdata`, STORED))
    expect(
      stored
        .map(({ headers }) =>
          headers.get('content-location')!.replace(`${setup.url}/studies/${S}/series/${E}/instances/`, ''),
        )
        .sort(),
    ).toEqual([`${E}.1/frames/1`, `${E}.1/frames/2`, `${E}.2/bulkdata/7FE00010`])
    const only = parts(await get(`${setup.url}/studies/${S}/pixeldata`, RELATED), 206)
    expect(only).toHaveLength(1)
    expect(only[0]!.headers.get('content-type')).toBe(ELE)
    expect(code(await get(`${setup.url}/studies/${S}/pixeldata`, 'multipart/related; type="image/png"'))).toBe(
      '406 NOT_ACCEPTABLE',
    )
  })

  it('is a 206 where some instances do not come', async () => {
    const setup = await startedWith({
      files: seriesFiles(3),
      archive: {
        faults: {
          acceptsSyntax: (uid) => !uid.includes('.1.2.4.') && uid !== '1.2.840.10008.1.2.5',
          getFails: (uid) => uid === `${E}.2`,
        },
      },
    })
    expect(parts(await get(`${setup.url}/studies/${S}/bulkdata`), 206)).toHaveLength(2)
  })
})
