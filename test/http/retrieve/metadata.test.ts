import { readFile, writeFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import { encodeDataset } from '../../../src/dicom/dataset-codec.ts'
import { part10Header } from '../../../src/dicom/part10.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN, transferSyntax } from '../../../src/dicom/transfer-syntax.ts'
import { deflate } from '../../support/deflated.ts'
import { element, explicitLittle } from '../../support/dicom-bytes.ts'
import { CT, E, I, instanceDataset, instanceFile, S, seriesFiles, Syntax } from '../../support/dicom-files.ts'
import { startSetup, type Setup, type SetupOptions } from '../../support/gateway.ts'
import { keeper } from '../../support/kept.ts'
import { readParts } from '../../support/multipart.ts'
import { RawClient } from '../../support/raw-http.ts'

const JSON_TYPE = 'application/dicom+json'
const XML = 'multipart/related; type="application/dicom+xml"'
const STUDY = `/studies/${S}`
const SERIES = `${STUDY}/series/${E}`
const INSTANCE = `${SERIES}/instances/${I}`

type Model = Record<string, { vr: string; Value?: unknown[]; BulkDataURI?: string; InlineBinary?: string }>

const kept = keeper()

async function started(options: SetupOptions): Promise<Setup> {
  const setup = await startSetup(options)
  kept(setup)
  return setup
}

interface Got {
  readonly status: number
  readonly type: string
  readonly body: Buffer
}

async function get(url: string, accept?: string): Promise<Got> {
  const response = await fetch(url, accept === undefined ? {} : { headers: { accept } })
  const body = Buffer.from(await response.arrayBuffer())
  return { status: response.status, type: response.headers.get('content-type') ?? '', body }
}

async function models(url: string, status = 200): Promise<Model[]> {
  const got = await get(url)
  expect(got.status, got.body.toString()).toBe(status)
  expect(got.type).toBe(JSON_TYPE)
  return JSON.parse(got.body.toString()) as Model[]
}

/** Every compressed syntax refused: one association serves all of a study. */
const nativeOnly = {
  acceptsSyntax: (uid: string): boolean => !uid.startsWith('1.2.840.10008.1.2.4') && uid !== '1.2.840.10008.1.2.5',
}
const uids = (list: Model[]): unknown[] => list.map((one) => one['00080018']!.Value![0]).sort()

describe('metadata', () => {
  it('of one instance is an array of one (case 54), with its pixel data by a URI (case 56)', async () => {
    const setup = await started({ files: [instanceFile()] })
    for (const path of [INSTANCE, SERIES, STUDY]) {
      const list = await models(`${setup.url}${path}/metadata`)
      expect(list).toHaveLength(1)
      expect(list[0]!['7FE00010']).toEqual({ vr: 'OW', BulkDataURI: `${setup.url}${INSTANCE}/bulkdata/7FE00010` })
      expect(list[0]!['00083002']).toEqual({ vr: 'UI', Value: [Syntax.explicit] })
      expect(list[0]!['00280010']).toEqual({ vr: 'US', Value: [4] })
      expect(list[0]!['00080090']).toEqual({ vr: 'PN' })
    }
  })

  it('has the whole of a study or series, and nothing else', async () => {
    const other = `${S}.5`
    const files = [...seriesFiles(3), ...seriesFiles(2, { series: other })]
    const setup = await started({
      files: [...files, instanceFile({ study: '1.2.9', series: '1.2.9.1', instance: '1.2.9.1.1' })],
    })
    const first = [1, 2, 3].map((n) => `${E}.${n}`)
    expect(uids(await models(`${setup.url}${SERIES}/metadata`))).toEqual(first)
    expect(uids(await models(`${setup.url}${STUDY}/metadata`))).toEqual([...first, `${other}.1`, `${other}.2`].sort())
    for (const path of [
      '/studies/9.9',
      `${STUDY}/series/9.9`,
      `${SERIES}/instances/9.9`,
      `/studies/1.2.9/series/${E}`,
    ]) {
      expect((await get(`${setup.url}${path}/metadata`)).status, path).toBe(404)
    }
  })

  it('has keys of upper-case digits, ascending, and none of what is no attribute of the instance (case 55)', async () => {
    const e = explicitLittle
    const dataset = instanceDataset({ change: (one) => one.delete(Attribute.PixelData) })
    const data = Buffer.concat([
      element(e, 0x00080000, 'UL', Buffer.of(0x40, 0, 0, 0)),
      element(e, 0x00080001, 'UL', Buffer.of(0x40, 0, 0, 0)),
      encodeDataset(dataset, EXPLICIT_VR_LITTLE_ENDIAN),
      element(e, 0x0029000a, 'LO', 'no'),
      element(e, 0xfffcfffc, 'OB', Buffer.alloc(2000)),
    ])
    const setup = await started({ files: [Buffer.concat([part10Header(CT, I, EXPLICIT_VR_LITTLE_ENDIAN), data])] })
    const [model] = await models(`${setup.url}${INSTANCE}/metadata`)
    const keys = Object.keys(model!)
    const wanted = [...[...dataset.entries()].map(([t]) => t), 0x00083002, 0x0029000a].sort((a, b) => a - b)
    expect(keys).toEqual(wanted.map((t) => t.toString(16).toUpperCase().padStart(8, '0')))
  })

  it('keeps what others lose: UTF-8, empty items, tiny numbers, a backslash in a text (item 14)', async () => {
    const change = (dataset: Dataset): void => {
      dataset
        .set(Attribute.PatientName, 'Łukasz^Ж=山田')
        .setItems(0x00081140, [new Dataset(), new Dataset().set(Attribute.Modality, 'CT'), new Dataset()])
        .setItems(0x00082112, [])
        .set(0x00189087, [5e-324, 0.1, -0], 'FD')
        .put(0x0018605a, { vr: 'FL', value: Buffer.from('01000000', 'hex') })
        .set(0x0040a160, 'a\\b\\\\c', 'UT')
    }
    const setup = await started({ files: [instanceFile({ change })] })
    const { body } = await get(`${setup.url}${INSTANCE}/metadata`)
    const [model] = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body)) as [Model]
    expect(model['00100010']).toEqual({ vr: 'PN', Value: [{ Alphabetic: 'Łukasz^Ж', Ideographic: '山田' }] })
    expect(model['00081140']).toEqual({ vr: 'SQ', Value: [{}, { '00080060': { vr: 'CS', Value: ['CT'] } }, {}] })
    expect(model['00082112']).toEqual({ vr: 'SQ' })
    expect(model['00189087']!.Value).toEqual([5e-324, 0.1, 0])
    expect(model['0018605A']!.Value).toEqual([1.401298464324817e-45])
    expect(model['0040A160']).toEqual({ vr: 'UT', Value: ['a\\b\\\\c'] })
  })

  it('is the same of every native syntax, but for the syntax it names', async () => {
    const blob = Buffer.from('0102030405060708', 'hex')
    const change = (dataset: Dataset): unknown =>
      dataset.put(0x00281201, { vr: 'OW', value: blob }).put(0x60003000, { vr: 'OW', value: blob })
    const data = encodeDataset(instanceDataset({ change }), EXPLICIT_VR_LITTLE_ENDIAN)
    const deflated = Buffer.concat([part10Header(CT, I, transferSyntax(Syntax.deflated)), deflate(data)])
    const found: Model[] = []
    for (const syntax of [Syntax.explicit, Syntax.implicit, Syntax.bigEndian, Syntax.deflated]) {
      const file = syntax === Syntax.deflated ? deflated : instanceFile({ syntax, change })
      const setup = await started({ files: [file] })
      const [model] = await models(`${setup.url}${INSTANCE}/metadata`)
      found.push(JSON.parse(JSON.stringify(model).replaceAll(setup.url, '')) as Model)
      delete found.at(-1)!['00083002']
    }
    expect(found[0]!['00281201']!.InlineBinary).toBe(blob.toString('base64'))
    expect(found[0]!['60003000']!.BulkDataURI).toBe(`${INSTANCE}/bulkdata/60003000`)
    for (const other of found.slice(1)) expect(other).toEqual(found[0])
  })

  it('of a compressed image needs no decoder, and says how it is stored', async () => {
    const fragments = [Buffer.alloc(0), Buffer.alloc(5000)]
    const setup = await started({ files: [instanceFile({ syntax: Syntax.jpegLossless, fragments })] })
    const [model] = await models(`${setup.url}${INSTANCE}/metadata`)
    expect(model!['7FE00010']).toEqual({ vr: 'OB', BulkDataURI: `${setup.url}${INSTANCE}/bulkdata/7FE00010` })
    expect(model!['00083002']!.Value).toEqual([Syntax.jpegLossless])
  })
})

describe('what metadata is given as', () => {
  it.each([
    [undefined, JSON_TYPE],
    ['*/*', JSON_TYPE],
    [JSON_TYPE, JSON_TYPE],
    ['application/dicom+json; charset=utf-8', JSON_TYPE],
    ['application/json', 'application/json'],
    ['text/html, application/json;q=0.5', 'application/json'],
  ])('for %j is %s', async (accept, type) => {
    const setup = await started({ files: [instanceFile()] })
    const got = await get(`${setup.url}${INSTANCE}/metadata`, accept)
    expect({ status: got.status, type: got.type }).toEqual({ status: 200, type })
    expect(JSON.parse(got.body.toString())).toHaveLength(1)
  })

  it.each(['image/jpeg', 'multipart/related; type="application/dicom"', 'text/html', '*/*;q=0'])(
    'is nothing for %s: 406, and nothing is retrieved (case 11)',
    async (accept) => {
      const setup = await started({ files: [instanceFile()] })
      const got = await get(`${setup.url}${INSTANCE}/metadata`, accept)
      expect(got.status).toBe(406)
      expect(JSON.parse(got.body.toString())).toMatchObject({ code: 'NOT_ACCEPTABLE' })
      expect(setup.archive.retrievals).toBe(0)
    },
  )

  it('goes by the accept parameter before the header (case 12)', async () => {
    const setup = await started({ files: [instanceFile()] })
    for (const value of ['application/dicom%2Bjson', 'application/dicom+json']) {
      const got = await get(`${setup.url}${INSTANCE}/metadata?accept=${value}`, 'text/html')
      expect({ status: got.status, type: got.type }).toEqual({ status: 200, type: JSON_TYPE })
    }
  })

  it('is XML where JSON is refused (case 13) or XML asked for, a part for each instance', async () => {
    const setup = await started({ files: [...seriesFiles(2), instanceFile({ instance: `${E}.3` })] })
    for (const accept of ['application/dicom+json;q=0, */*', XML, 'multipart/related; type=application/dicom+xml']) {
      const got = await get(`${setup.url}${STUDY}/metadata`, accept)
      expect(got.status).toBe(200)
      expect(got.type).toMatch(/^multipart\/related; type="application\/dicom\+xml"; boundary=[0-9a-f]{32}$/)
      const parts = readParts(got.type, got.body)
      expect(parts).toHaveLength(3)
      for (const { headers, body } of parts) {
        expect(headers.get('content-type')).toBe('application/dicom+xml')
        const text = body.toString()
        expect(text).toMatch(/^<\?xml [^>]*\?>\s*<NativeDicomModel/)
        const instance = /tag="00080018"[^>]*><Value number="1">([0-9.]+)</.exec(text)![1]!
        expect(text).toContain(`<BulkData uri="${setup.url}${SERIES}/instances/${instance}/bulkdata/7FE00010"/>`)
      }
    }
  })
})

describe('metadata of what does not come whole', () => {
  it('is a 206 of the instances that came', async () => {
    const setup = await started({
      files: seriesFiles(5),
      archive: { faults: { ...nativeOnly, getFails: (uid) => uid === `${E}.2` || uid === `${E}.4` } },
    })
    expect(uids(await models(`${setup.url}${STUDY}/metadata`, 206))).toEqual([1, 3, 5].map((n) => `${E}.${n}`))
    const xml = await get(`${setup.url}${STUDY}/metadata`, XML)
    expect(xml.status).toBe(206)
    expect(readParts(xml.type, xml.body)).toHaveLength(3)
  })

  it('is a 503 where none came (case 58)', async () => {
    const setup = await started({ files: seriesFiles(2), archive: { faults: { ...nativeOnly, getFails: () => true } } })
    expect((await get(`${setup.url}${STUDY}/metadata`)).status).toBe(503)
  })

  it('is a 502 where what the archive sends is no data set', async () => {
    const setup = await started({ files: [instanceFile()] })
    // The demo archive takes nothing that it cannot read: the bytes are changed behind its back.
    const study = new Dataset().set(Attribute.QueryRetrieveLevel, 'STUDY').set(Attribute.StudyInstanceUID, S)
    const [stored] = setup.archive.catalog.select(study)
    const bytes = await readFile(stored!.path)
    bytes.write('\xfe\xff\x00\xe0', bytes.indexOf('Sample^Case') + 'Sample^Case '.length, 'latin1')
    await writeFile(stored!.path, bytes)
    const got = await get(`${setup.url}${INSTANCE}/metadata`)
    expect(got.status).toBe(502)
    expect(JSON.parse(got.body.toString())).toMatchObject({
      status: 502,
      code: expect.not.stringMatching('INTERNAL') as unknown,
    })
  })
})

describe('metadata and the pixels', () => {
  const BIG = 3_000_000

  it('does not wait for the pixels of an instance: its header is enough', async () => {
    const setup = await started({
      files: [instanceFile({ pixelBytes: BIG })],
      archive: { faults: { stallAfterBytes: 200_000 } },
      timeouts: { response: '1h' },
    })
    // The archive stands still for ever behind the header and some pixels.
    const [model] = await models(`${setup.url}${INSTANCE}/metadata`)
    expect(model!['7FE00010']!.BulkDataURI).toBe(`${setup.url}${INSTANCE}/bulkdata/7FE00010`)
    const xml = await get(`${setup.url}${INSTANCE}/metadata`, XML)
    expect(readParts(xml.type, xml.body)).toHaveLength(1)
  })

  it('streams: an instance is given while the next one is still coming', async () => {
    const setup = await started({
      files: seriesFiles(3, { pixelBytes: BIG }),
      archive: { faults: { ...nativeOnly, stallAfterBytes: 200_000 } },
      timeouts: { response: '30s' },
    })
    const client = await RawClient.connect(setup.port)
    kept(client)
    await client.request('GET', `/dicomweb${STUDY}/metadata`, { Connection: 'close' })
    await client.until(({ text }) => text.includes('7FE00010'))
    expect(client.text).not.toContain('\r\n]')
    expect(client.isWhole).toBe(false)
  })

  it('that are not there in the end is cut, not ended: more instances might have followed', async () => {
    const setup = await started({
      files: [instanceFile({ pixelBytes: BIG })],
      archive: { faults: { stallAfterBytes: 200_000 } },
      timeouts: { response: '2s' },
    })
    const client = await RawClient.connect(setup.port)
    kept(client)
    await client.request('GET', `/dicomweb${STUDY}/metadata`, { Connection: 'close' })
    await client.closed()
    expect(client.isWhole).toBe(false)
  })
})
