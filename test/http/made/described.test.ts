import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import type { Bytes } from '../../../src/dicom/bytes.ts'
import type { Dataset } from '../../../src/dicom/dataset.ts'
import { parseDataset } from '../../../src/dicom/dataset-codec.ts'
import { transferSyntax } from '../../../src/dicom/transfer-syntax.ts'
import { encodeJson } from '../../../src/dicomweb/encode/json.ts'
import { encodeXml } from '../../../src/dicomweb/encode/xml.ts'
import { encodeFrame } from '../../../src/imaging/codecs/encode-frame.ts'
import type { ImageDescription } from '../../../src/imaging/image-description.ts'
import { fragmentsOf } from '../../support/conversion.ts'
import { differences } from '../../support/dataset-differences.ts'
import {
  E,
  I,
  instanceDataset,
  instanceFile,
  S,
  SECONDARY_CAPTURE,
  Syntax,
  type InstanceOptions,
} from '../../support/dicom-files.ts'
import { startSetup, type Setup } from '../../support/gateway.ts'
import { failOnLeaks } from '../../support/leaks.ts'
import { mp4File } from '../../support/mp4.ts'
import { splitPart10 } from '../../support/part10.ts'
import { post, type StoreAnswer } from '../../support/related.ts'

failOnLeaks()

const JSON_TYPE = 'application/dicom+json'
const XML_TYPE = 'application/dicom+xml'
const CANNOT_UNDERSTAND = 0xc000

interface Part {
  readonly type?: string
  readonly location?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body: Bytes | string
}

/** A message of metadata and bulk data. */
function message(parts: readonly Part[], root = JSON_TYPE): { body: Buffer; headers: Record<string, string> } {
  const chunks = parts.flatMap(({ type, location, headers = {}, body }) => {
    const lines = Object.entries({
      ...(type !== undefined && { 'Content-Type': type }),
      ...(location !== undefined && { 'Content-Location': location }),
      ...headers,
    }).map(([name, value]) => `${name}: ${value}\r\n`)
    return [Buffer.from(`--b0\r\n${lines.join('')}\r\n`), Buffer.from(body), Buffer.from('\r\n')]
  })
  const headers = { 'Content-Type': `multipart/related; type="${root}"; boundary=b0` }
  return { body: Buffer.concat([...chunks, Buffer.from('--b0--\r\n')]), headers }
}

function send(setup: Setup, parts: readonly Part[], root = JSON_TYPE, path = '/studies'): Promise<StoreAnswer> {
  const { body, headers } = message(parts, root)
  return post(setup.url + path, body, headers)
}

type Model = Record<string, { vr: string; Value?: unknown[]; BulkDataURI?: string; InlineBinary?: string }>

/** The description of an instance without its pixels, which stand at a URI. */
function model(options: InstanceOptions = {}, uri = 'pixels', change: (model: Model) => void = () => undefined): Model {
  const dataset = instanceDataset(options)
  dataset.delete(Attribute.PixelData)
  const made = JSON.parse(encodeJson(dataset)) as Model
  made['7FE00010'] = { vr: 'OW', BulkDataURI: uri }
  change(made)
  return made
}

const listOf = (...models: readonly Model[]): Part => ({ type: JSON_TYPE, body: JSON.stringify(models) })
const raw = (body: Bytes, location = 'pixels', more: Partial<Part> = {}): Part => ({
  type: 'application/octet-stream',
  location,
  body,
  ...more,
})

/** Without what says how an image is made of its samples. */
function withoutPixelModule(made: Model): void {
  for (const tag of [
    '00280002',
    '00280004',
    '00280006',
    '00280010',
    '00280011',
    '00280100',
    '00280101',
    '00280102',
    '00280103',
  ]) {
    Reflect.deleteProperty(made, tag)
  }
}

async function stored(setup: Setup, instance = I, series = E): Promise<{ dataset: Dataset; syntax: string }> {
  const path = `/studies/${S}/series/${series}/instances/${instance}`
  const response = await fetch(setup.url + path, { headers: { accept: 'application/dicom; transfer-syntax=*' } })
  expect(response.status).toBe(200)
  const { syntax, data } = splitPart10(Buffer.from(await response.arrayBuffer()))
  return { dataset: parseDataset(data, transferSyntax(syntax)), syntax }
}

const pixels = Buffer.alloc(32, '0123456789abcdef')
const grey: ImageDescription = {
  ...{ rows: 16, columns: 16, samplesPerPixel: 1, photometricInterpretation: 'MONOCHROME2', planarConfiguration: 0 },
  ...{ bitsAllocated: 8, bitsStored: 8, highBit: 7, signed: false },
}
const ramp = (length: number, from = 0): Buffer => Buffer.from(Array.from({ length }, (_, n) => (n * 7 + from) & 0xff))
const coded = (syntax: string, image = grey, from = 0): Promise<Bytes> =>
  encodeFrame(ramp((image.rows * image.columns * image.samplesPerPixel * image.bitsAllocated) / 8, from), image, syntax)

describe('metadata and bulk data (PS3.18 10.5.1)', () => {
  it('is stored as the same object is as DICOM', async () => {
    await using setup = await startSetup()
    const answer = await send(setup, [listOf(model()), raw(pixels)])
    expect([answer.status, answer.stored]).toEqual([200, [[I, undefined]]])
    const { dataset, syntax } = await stored(setup)
    expect(syntax).toBe(Syntax.explicit)
    expect(differences(instanceDataset(), dataset)).toEqual([])
  })

  it('is taken in XML, a part for each instance', async () => {
    await using setup = await startSetup()
    const xml = (instance: string): string => {
      const dataset = instanceDataset({ instance })
      dataset.delete(Attribute.PixelData)
      const bulk = `<DicomAttribute tag="7FE00010" vr="OW"><BulkData uri="at/${instance}"/></DicomAttribute>`
      return encodeXml(dataset).replace('</NativeDicomModel>', `${bulk}</NativeDicomModel>`)
    }
    const parts = ['1.5', '1.6'].map((instance) => ({ type: XML_TYPE, body: xml(instance) }))
    const answer = await send(setup, [...parts, raw(pixels, 'at/1.5'), raw(pixels, 'at/1.6')], XML_TYPE)
    expect([answer.status, answer.stored.map(([uid]) => uid)]).toEqual([200, ['1.5', '1.6']])
    const { dataset } = await stored(setup, '1.6')
    expect(differences(instanceDataset({ instance: '1.6' }), dataset)).toEqual([])
  })

  it.each([
    ['in another order than the instances', ['b', 'a']],
    ['in their order', ['a', 'b']],
  ])('takes values %s', async (_, order) => {
    await using setup = await startSetup()
    const models = ['a', 'b'].map((name) => model({ instance: name === 'a' ? '1.5' : '1.6' }, name))
    const value = (name: string): Buffer => Buffer.alloc(32, name)
    const answer = await send(setup, [listOf(...models), ...order.map((name) => raw(value(name), name))])
    expect(answer.status).toBe(200)
    for (const [name, uid] of [
      ['a', '1.5'],
      ['b', '1.6'],
    ] as const) {
      expect((await stored(setup, uid)).dataset.get(Attribute.PixelData)?.value).toEqual(value(name))
    }
  })

  it('takes references that are relative, absolute, and by Content-ID', async () => {
    await using setup = await startSetup()
    const uris = [`${setup.url}/far`, 'near/by', 'cid:one@here'] as const
    const models = uris.map((uri, n) => model({ instance: `1.${n + 5}` }, uri))
    const answer = await send(setup, [
      listOf(...models),
      raw(pixels, '/dicomweb/far'),
      raw(pixels, `${setup.url}/near/by`),
      { type: 'application/octet-stream', headers: { 'Content-ID': '<one@here>' }, body: pixels },
    ])
    expect([answer.status, answer.stored.length]).toEqual([200, 3])
  })

  it('takes a value of any element, one of an item too, and one that two instances share', async () => {
    await using setup = await startSetup()
    const lut = Buffer.from('0011223344556677', 'hex')
    const models = ['1.5', '1.6'].map((instance) =>
      model({ instance }, `pixels/${instance}`, (made) => {
        made['00283010'] = { vr: 'SQ', Value: [{ '00283006': { vr: 'OW', BulkDataURI: 'lut' } }] }
        made['00091001'] = { vr: 'OB', BulkDataURI: 'private' }
        made['00090010'] = { vr: 'LO', Value: ['ME'] }
      }),
    )
    const parts = [
      raw(lut, 'lut'),
      raw(pixels, 'pixels/1.6'),
      raw(Buffer.of(1, 2, 3), 'private'),
      raw(pixels, 'pixels/1.5'),
    ]
    expect((await send(setup, [listOf(...models), ...parts])).stored.map(([uid]) => uid)).toEqual(['1.6', '1.5'])
    for (const uid of ['1.5', '1.6']) {
      const { dataset } = await stored(setup, uid)
      expect(dataset.items(0x00283010)[0]?.get(0x00283006)?.value).toEqual(lut)
      expect(dataset.get(0x00091001)?.value).toEqual(Buffer.of(1, 2, 3, 0))
    }
  })

  it('writes texts in the character set that the description names, as far as it has them', async () => {
    await using setup = await startSetup()
    const named = (instance: string, name: string): Model =>
      model({ instance }, 'x', (made) => {
        made['00080005'] = { vr: 'CS', Value: ['ISO_IR 100'] }
        made['00100010'] = { vr: 'PN', Value: [{ Alphabetic: name }] }
        made['7FE00010'] = { vr: 'OW', InlineBinary: pixels.toString('base64') }
      })
    expect((await send(setup, [listOf(named('1.5', 'Müller'), named('1.6', '山'))])).status).toBe(200)
    const [latin, other] = [(await stored(setup, '1.5')).dataset, (await stored(setup, '1.6')).dataset]
    expect([latin.string(0x00080005), Buffer.from(latin.get(0x00100010)!.value as Bytes)]).toEqual([
      'ISO_IR 100',
      Buffer.from('4dfc6c6c6572', 'hex'),
    ])
    expect([other.string(0x00080005), other.string(0x00100010)]).toEqual(['ISO_IR 192', '山'])
  })

  it.each([
    ['JPEG baseline', 'image/jpeg', Syntax.jpegBaseline, 'MONOCHROME2'],
    ['JPEG-LS', 'image/jls', '1.2.840.10008.1.2.4.80', 'MONOCHROME2'],
    ['JPEG 2000', 'image/jp2', '1.2.840.10008.1.2.4.90', 'MONOCHROME2'],
    ['HTJ2K', 'image/jphc', '1.2.840.10008.1.2.4.201', 'MONOCHROME2'],
  ])('fills in what a codestream of %s says of its pixels', async (_, type, syntax, photometric) => {
    await using setup = await startSetup()
    const frame = await coded(syntax)
    const answer = await send(setup, [listOf(model({}, 'pixels', withoutPixelModule)), raw(frame, 'pixels', { type })])
    expect(answer.status).toBe(200)
    const { dataset, syntax: found } = await stored(setup)
    expect(found).toBe(syntax)
    const numbers = ['00280002', '00280010', '00280011', '00280100', '00280101', '00280102', '00280103']
    expect(numbers.map((tag) => dataset.number(Number.parseInt(tag, 16)))).toEqual([1, 16, 16, 8, 8, 7, 0])
    expect(dataset.string(Attribute.PhotometricInterpretation)).toBe(photometric)
    expect(dataset.string(Attribute.LossyImageCompression)).toBe(type === 'image/jpeg' ? '01' : undefined)
    const [table, only, ...more] = fragmentsOf(dataset)
    expect([table!.length, more.length]).toEqual([0, 0])
    expect(Buffer.from(only!.subarray(0, frame.length))).toEqual(Buffer.from(frame))
  })

  it.each([
    ['each at the same location', () => 'pixels'],
    ['each at a location of its own', (n: number) => `pixels/frames/${n}`],
  ])('takes frames in parts, %s', async (_, location) => {
    await using setup = await startSetup()
    const frames = await Promise.all([1, 2, 3].map((from) => coded('1.2.840.10008.1.2.4.80', grey, from)))
    const described = model({}, 'pixels', (made) => {
      withoutPixelModule(made)
      made['00280008'] = { vr: 'IS', Value: [3] }
    })
    const parts = frames.map((frame, n) => raw(frame, location(n + 1), { type: 'image/jls' }))
    expect((await send(setup, [listOf(described), ...parts])).status).toBe(200)
    const fragments = fragmentsOf((await stored(setup)).dataset).slice(1)
    expect(fragments.map((one, n) => Buffer.from(one.subarray(0, frames[n]!.length)))).toEqual(
      frames.map((one) => Buffer.from(one)),
    )
  })

  it('takes RLE frames where the attributes are told', async () => {
    await using setup = await startSetup()
    const frame = await coded(Syntax.rle)
    const shape = (made: Model): void => {
      const values = {
        '00280002': 1,
        '00280010': 16,
        '00280011': 16,
        '00280100': 8,
        '00280101': 8,
        '00280102': 7,
        '00280103': 0,
      }
      for (const [tag, value] of Object.entries(values)) made[tag] = { vr: 'US', Value: [value] }
    }
    const type = 'image/dicom-rle'
    const answer = await send(setup, [
      listOf(model({ instance: '1.5' }, 'a', shape), model({ instance: '1.6' }, 'b', withoutPixelModule)),
      raw(frame, 'a', { type }),
      raw(frame, 'b', { type }),
    ])
    expect([answer.status, answer.stored, answer.failed]).toEqual([
      202,
      [['1.5', undefined]],
      [['1.6', CANNOT_UNDERSTAND]],
    ])
    expect((await stored(setup, '1.5')).syntax).toBe(Syntax.rle)
  })

  it('decodes what no transfer syntax is for: PNG, and progressive JPEG', async () => {
    await using setup = await startSetup()
    const picture = sharp(ramp(16 * 16 * 3), { raw: { width: 16, height: 16, channels: 3 } })
    const answer = await send(setup, [
      listOf(
        ...['1.5', '1.6'].map((instance) =>
          model({ instance, sopClass: SECONDARY_CAPTURE }, instance, withoutPixelModule),
        ),
      ),
      raw(await picture.clone().png().toBuffer(), '1.5', { type: 'image/png' }),
      raw(await picture.clone().jpeg({ progressive: true }).toBuffer(), '1.6', { type: 'image/jpeg' }),
    ])
    expect(answer.status).toBe(200)
    const [png, jpeg] = [await stored(setup, '1.5'), await stored(setup, '1.6')]
    expect([png.syntax, jpeg.syntax]).toEqual([Syntax.explicit, Syntax.explicit])
    expect(png.dataset.get(Attribute.PixelData)?.value).toEqual(ramp(16 * 16 * 3))
    expect([png.dataset, jpeg.dataset].map((one) => one.string(Attribute.LossyImageCompression))).toEqual([
      undefined,
      '01',
    ])
  })

  it.each<[string, (made: Model) => void, () => Promise<readonly Part[]> | readonly Part[]]>([
    ['a value that does not come', () => undefined, () => []],
    ['one at another location', () => undefined, () => [raw(pixels, 'elsewhere')]],
    ['raw pixels that are too few', () => undefined, () => [raw(pixels.subarray(2))]],
    ['raw pixels that are too many', () => undefined, () => [raw(Buffer.concat([pixels, pixels]))]],
    [
      'too few, by their Content-Length',
      () => undefined,
      () => [raw(pixels.subarray(2), 'pixels', { headers: { 'Content-Length': '30' } })],
    ],
    ['raw pixels of an unknown size', withoutPixelModule, () => [raw(pixels)]],
    ['no codestream', withoutPixelModule, () => [raw(pixels, 'pixels', { type: 'image/jpeg' })]],
    [
      'a codestream of another size',
      () => undefined,
      async () => [raw(await coded('1.2.840.10008.1.2.4.80'), 'pixels', { type: 'image/jls' })],
    ],
    [
      'a codestream of another syntax than is said',
      withoutPixelModule,
      async () => [
        raw(await coded(Syntax.jpegBaseline), 'pixels', { type: 'image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.70' }),
      ],
    ],
    [
      'more frames than are said',
      withoutPixelModule,
      async () => {
        const frame = await coded('1.2.840.10008.1.2.4.80')
        return [1, 2].map(() => raw(frame, 'pixels', { type: 'image/jls' }))
      },
    ],
    [
      'fewer frames than are said',
      (made) => {
        withoutPixelModule(made)
        made['00280008'] = { vr: 'IS', Value: [2] }
      },
      async () => [raw(await coded('1.2.840.10008.1.2.4.80'), 'pixels', { type: 'image/jls' })],
    ],
    [
      'frames that are not in their order',
      (made) => {
        withoutPixelModule(made)
        made['00280008'] = { vr: 'IS', Value: [2] }
      },
      async () => {
        const frame = await coded('1.2.840.10008.1.2.4.80')
        return [2, 1].map((n) => raw(frame, `pixels/frames/${n}`, { type: 'image/jls' }))
      },
    ],
    [
      'a frame that comes twice',
      (made) => {
        withoutPixelModule(made)
        made['00280008'] = { vr: 'IS', Value: [2] }
      },
      async () => {
        const frame = await coded('1.2.840.10008.1.2.4.80')
        return [1, 1].map((n) => raw(frame, `pixels/frames/${n}`, { type: 'image/jls' }))
      },
    ],
    [
      'a JPEG that is cut short',
      withoutPixelModule,
      async () => [raw((await coded(Syntax.jpegBaseline)).subarray(0, -20), 'pixels', { type: 'image/jpeg' })],
    ],
    [
      'a JPEG 2000 that is cut short',
      withoutPixelModule,
      async () => [raw((await coded('1.2.840.10008.1.2.4.90')).subarray(0, -20), 'pixels', { type: 'image/jp2' })],
    ],
    [
      'raw pixels of more than a value can have',
      (made) => {
        made['00280010'] = made['00280011'] = { vr: 'US', Value: [65_535] }
      },
      () => [raw(pixels)],
    ],
    [
      'RLE that is none',
      (made) => {
        for (const tag of ['00280002', '00280101']) made[tag] = { vr: 'US', Value: [tag === '00280002' ? 1 : 16] }
      },
      () => [raw(Buffer.from('junk'), 'pixels', { type: 'image/dicom-rle' })],
    ],
    [
      'a codestream of more bits than are stored',
      (made) => {
        withoutPixelModule(made)
        Object.assign(made, { '00280100': { vr: 'US', Value: [16] }, '00280101': { vr: 'US', Value: [16] } })
      },
      async () => [raw(await coded('1.2.840.10008.1.2.4.80'), 'pixels', { type: 'image/jls' })],
    ],
    [
      'a codestream of other colours',
      (made) => {
        withoutPixelModule(made)
        made['00280004'] = { vr: 'CS', Value: ['RGB'] }
      },
      async () => [raw(await coded('1.2.840.10008.1.2.4.80'), 'pixels', { type: 'image/jls' })],
    ],
    [
      'a JPEG of YCbCr that is said to be RGB',
      (made) => {
        withoutPixelModule(made)
        made['00280004'] = { vr: 'CS', Value: ['RGB'] }
      },
      async () => [
        raw(
          await sharp(ramp(768), { raw: { width: 16, height: 16, channels: 3 } })
            .jpeg()
            .toBuffer(),
          'pixels',
          { type: 'image/jpeg' },
        ),
      ],
    ],
    ['no frames', (made) => void (made['00280008'] = { vr: 'IS', Value: [0] }), () => [raw(pixels)]],
    [
      'values that are encoded for their way',
      () => undefined,
      () => [raw(pixels, 'pixels', { headers: { 'Content-Transfer-Encoding': 'base64' } })],
    ],
    [
      'values that are Big Endian',
      () => undefined,
      () => [raw(pixels, 'pixels', { type: 'application/octet-stream; transfer-syntax=1.2.840.10008.1.2.2' })],
    ],
    [
      'floats that are no floats',
      (made) => {
        Reflect.deleteProperty(made, '7FE00010')
        made['7FE00008'] = { vr: 'OF', BulkDataURI: 'pixels' }
      },
      async () => [raw(await coded('1.2.840.10008.1.2.4.80'), 'pixels', { type: 'image/jls' })],
    ],
    [
      'pixels of two kinds',
      (made) => void (made['7FE00008'] = { vr: 'OF', BulkDataURI: 'pixels' }),
      () => [raw(pixels)],
    ],
    [
      'inline pixels that are too few',
      (made) => void (made['7FE00010'] = { vr: 'OW', InlineBinary: 'AAAA' }),
      () => [],
    ],
    [
      'a picture in two parts',
      withoutPixelModule,
      async () => {
        const png = await sharp(ramp(768), { raw: { width: 16, height: 16, channels: 3 } })
          .png()
          .toBuffer()
        return [1, 2].map(() => raw(png, 'pixels', { type: 'image/png' }))
      },
    ],
    [
      'raw pixels in two parts, in front of another value',
      (made) => void (made['00091001'] = { vr: 'OB', BulkDataURI: 'last' }),
      () => [raw(pixels), raw(pixels), raw(Buffer.of(1, 2), 'last')],
    ],
    [
      'a video of another size',
      (made) => void (made['00280002'] = { vr: 'US', Value: [3] }),
      () => [raw(mp4File(), 'pixels', { type: 'video/mp4' })],
    ],
    ['a video that is none', withoutPixelModule, () => [raw(pixels, 'pixels', { type: 'video/mp4' })]],
    [
      'a video that is cut short',
      withoutPixelModule,
      () => [raw(mp4File().subarray(0, -9), 'pixels', { type: 'video/mp4' })],
    ],
    [
      'an icon that is compressed, at the place of the pixels',
      (made) => {
        withoutPixelModule(made)
        made['00880200'] = { vr: 'SQ', Value: [{ '7FE00010': { vr: 'OW', BulkDataURI: './pixels' } }] }
      },
      async () => [raw(await coded('1.2.840.10008.1.2.4.80'), 'pixels', { type: 'image/jls' })],
    ],
    [
      'a value that goes into it too often',
      (made) => {
        const item = { '00283006': { vr: 'OW', BulkDataURI: 'lut' } }
        made['00283010'] = { vr: 'SQ', Value: Array<object>(100).fill(item) }
      },
      () => [raw(Buffer.alloc(1024 * 1024), 'lut'), raw(pixels)],
    ],
    ['a type that is none of pixel data', () => undefined, () => [raw(pixels, 'pixels', { type: 'text/plain' })]],
  ])('lets an instance fail alone with %s', async (_, change, parts) => {
    await using setup = await startSetup()
    const good = model({ instance: '1.9' }, 'good')
    const bad = model({ instance: '1.5' }, 'pixels', change)
    const answer = await send(setup, [listOf(bad, good), ...(await parts()), raw(pixels, 'good')])
    expect([answer.status, answer.stored, answer.failed]).toEqual([
      202,
      [['1.9', undefined]],
      [['1.5', CANNOT_UNDERSTAND]],
    ])
    expect(setup.archive.catalog.files.map(({ sopInstance }) => sopInstance)).toEqual(['1.9'])
  })

  it('takes a description without bulk data alone, and a DICOM file among descriptions', async () => {
    await using setup = await startSetup()
    const inline = model({ instance: '1.5' }, 'none', (made) => {
      made['7FE00010'] = { vr: 'OW', InlineBinary: pixels.toString('base64') }
    })
    const alone = await post(`${setup.url}/studies`, Buffer.from(JSON.stringify(inline)), { 'Content-Type': JSON_TYPE })
    expect([alone.status, alone.stored]).toEqual([200, [['1.5', undefined]]])
    const among = await send(setup, [
      listOf(model()),
      { type: 'application/dicom', body: instanceFile({ instance: '1.6' }) },
      raw(pixels),
    ])
    expect([among.status, among.stored.map(([uid]) => uid)]).toEqual([200, ['1.6', I]])
  })

  it('lets a description fail alone that is none', async () => {
    await using setup = await startSetup()
    const bad = model({ instance: '1.5' }, 'x', (made) => void (made['00100010'] = { vr: 'PN', Value: [17] }))
    const answer = await send(setup, [
      listOf({ '00080018': { vr: 'UI', Value: ['1.4'] } }, bad, model({}, 'good')),
      raw(pixels, 'good'),
    ])
    expect([answer.stored, answer.failed, answer.others]).toEqual([
      [[I, undefined]],
      [['1.5', CANNOT_UNDERSTAND]],
      [CANNOT_UNDERSTAND],
    ])
  })

  it('fails what is of another study than the path', async () => {
    await using setup = await startSetup()
    const answer = await send(setup, [listOf(model()), raw(pixels)], JSON_TYPE, '/studies/9.9')
    expect([answer.status, answer.failed]).toEqual([409, [[I, 0xa901]]])
  })

  it.each([
    ['what is no JSON', '[{"00080018"', 'INVALID_MODEL'],
    ['what is no list of data sets', '[1]', 'INVALID_MODEL'],
    ['a list without any', '[]', 'NO_INSTANCES'],
  ])('refuses %s', async (_, body, code) => {
    await using setup = await startSetup()
    const answer = await send(setup, [{ type: JSON_TYPE, body }])
    expect([answer.status, answer.json.code]).toEqual([400, code])
  })

  it('takes no frame of another instance', async () => {
    await using setup = await startSetup()
    const frame = await coded('1.2.840.10008.1.2.4.80')
    const two = (made: Model): void => {
      withoutPixelModule(made)
      made['00280008'] = { vr: 'IS', Value: [2] }
    }
    const models = [model({ instance: '1.5' }, 'x', two), model({ instance: '1.6' }, 'x/frames/2', withoutPixelModule)]
    const parts = [1, 2].map((n) => raw(frame, `x/frames/${n}`, { type: 'image/jls' }))
    const answer = await send(setup, [listOf(...models), ...parts])
    expect(answer.failed.map(([uid]) => uid)).toContain('1.5')
    expect(setup.archive.catalog.files.map(({ sopInstance }) => sopInstance)).not.toContain('1.5')
  })

  it('makes a video of one that is described, by its header', async () => {
    await using setup = await startSetup()
    const described = model({ sopClass: '1.2.840.10008.5.1.4.1.1.77.1.4.1' }, 'pixels', withoutPixelModule)
    expect((await send(setup, [listOf(described), raw(mp4File(), 'pixels', { type: 'video/mp4' })])).status).toBe(200)
    const { dataset, syntax } = await stored(setup)
    expect([syntax, dataset.string(Attribute.NumberOfFrames), dataset.number(Attribute.Rows)]).toEqual([
      ...['1.2.840.10008.1.2.4.102', '50', 480],
    ])
  })

  it('names each instance once, though many frames of it come behind the one that failed', async () => {
    await using setup = await startSetup()
    const described = model({}, 'pixels', (made) => {
      withoutPixelModule(made)
      made['00280008'] = { vr: 'IS', Value: [9] }
    })
    const frame = await coded('1.2.840.10008.1.2.4.80')
    const parts = [1, 2, 3, 4, 5].map((n) =>
      raw(n === 2 ? Buffer.from('junk') : frame, 'pixels', { type: 'image/jls' }),
    )
    const answer = await send(setup, [
      listOf(described, model({ instance: '1.9' }, 'good')),
      ...parts,
      raw(pixels, 'good'),
    ])
    expect([answer.stored, answer.failed, answer.others]).toEqual([[['1.9', undefined]], [[I, CANNOT_UNDERSTAND]], []])
  })

  it('lists what was waiting where the message is cut short', async () => {
    await using setup = await startSetup()
    const models = ['a', 'b', 'c'].map((name, n) => model({ instance: `1.${n + 5}` }, name))
    const { body, headers } = message([listOf(...models), raw(pixels, 'a'), raw(pixels, 'b')])
    const answer = await post(`${setup.url}/studies`, body.subarray(0, -16), headers)
    expect([answer.status, answer.stored.map(([uid]) => uid)]).toEqual([202, ['1.5']])
    expect(answer.failed.map(([uid]) => uid)).toEqual(['1.6', '1.7'])
  })

  it('refuses a list of what is none without end', async () => {
    await using setup = await startSetup()
    const answer = await send(setup, [{ type: JSON_TYPE, body: `[${Array(5_000).fill('{}').join()}]` }])
    expect([answer.status, answer.others.length < 1_100]).toEqual([400, true])
  })

  it('takes thousands of values of one instance', async () => {
    await using setup = await startSetup()
    const count = 4_000
    const described = model({}, 'pixels', (made) => {
      for (let n = 0; n < count; n++) {
        made[`0009${(0x1000 + n).toString(16)}`] = { vr: 'OB', BulkDataURI: `value/${n}` }
      }
      made['00090010'] = { vr: 'LO', Value: ['ME'] }
    })
    const values = Array.from({ length: count }, (_, n) => raw(Buffer.of(n & 0xff, 1), `value/${n}`))
    const answer = await send(setup, [listOf(described), ...values, raw(pixels)])
    expect([answer.status, answer.stored]).toEqual([200, [[I, undefined]]])
  }, 30_000)

  it('refuses what would have to be held, and says how to send it', async () => {
    await using setup = await startSetup()
    const described = model({ pixelBytes: 0 }, 'pixels', (made) => {
      made['00091001'] = { vr: 'OB', BulkDataURI: 'last' }
    })
    const answer = await send(setup, [listOf(described), raw(Buffer.alloc(65 * 1024 * 1024))])
    expect([answer.status, answer.json.code]).toEqual([413, 'TOO_MUCH_HELD'])
  }, 20_000)

  it('holds nothing of pixels that come last', async () => {
    await using setup = await startSetup()
    const shape = (made: Model): void => {
      made['00280010'] = { vr: 'US', Value: [8192] }
      made['00280011'] = { vr: 'US', Value: [6144] }
    }
    const big = Buffer.alloc(8192 * 6144 * 2, 1)
    expect((await send(setup, [listOf(model({}, 'pixels', shape)), raw(big)])).status).toBe(200)
    expect(setup.archive.catalog.size).toBe(1)
  }, 20_000)
})
