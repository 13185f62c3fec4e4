import { readFile } from 'node:fs/promises'
import { inflateRawSync } from 'node:zlib'
import { basename } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Bytes } from '../../src/dicom/bytes.ts'
import { Attribute } from '../../src/dicom/attributes.ts'
import { DemoArchive } from '../../src/demo/demo-archive.ts'
import { Dataset } from '../../src/dicom/dataset.ts'
import { parseDataset } from '../../src/dicom/dataset-codec.ts'
import { isNative, transferSyntax } from '../../src/dicom/transfer-syntax.ts'
import { representation } from '../../src/dicom/vr.ts'
import { even, fragmentsOf } from '../support/conversion.ts'
import { encodeJson } from '../../src/dicomweb/encode/json.ts'
import type { Gateway } from '../../src/gateway.ts'
import { I, instanceDataset, S, SECONDARY_CAPTURE } from '../support/dicom-files.ts'
import { differences } from '../support/dataset-differences.ts'
import { startDcmqrscp } from '../support/dcmqrscp.ts'
import { startGatewayFor } from '../support/gateway.ts'
import { readParts } from '../support/multipart.ts'
import { startOrthanc } from '../support/orthanc.ts'
import { splitPart10 } from '../support/part10.ts'
import { skipWithoutPeers } from '../support/peers.ts'
import { post } from '../support/related.ts'
import { daikonFiles, testdataFiles } from '../support/testdata.ts'
import { storedFrames } from './stored-frames.ts'

// An instance as one archive gives it by metadata and bulk data, stored so at another, is the instance that it was.

type Model = Record<string, { Value?: unknown[]; BulkDataURI?: string }>

/** Every compression that has a media type of its own, and data sets of many kinds. */
const CHOSEN = [
  ...['explicit_big', 'implicit_little', 'rle', 'jpeg_2000', 'jpeg_lossless_sel1', 'jpeg_ls', 'jpeg_baseline_8bit'],
  ...['CT1_J2KI', 'CT1_JLSL', 'CT1_JLSN', 'MR1_JPLY', 'NM1_J2KR', 'NM1_RLE'],
  ...['chrArab', 'chrH31', 'chrI2', 'chrX1', 'emri_small_jpeg_2k_lossless', 'reportsi', 'rtplan', '693_J2KI'],
]
const FILES = [
  ...daikonFiles(),
  ...testdataFiles('wg04'),
  ...testdataFiles('charset'),
  ...testdataFiles('pydicom'),
].filter((path) => CHOSEN.includes(basename(path, '.dcm')))

function bulkUrisOf(model: Model): string[] {
  return Object.values(model).flatMap(({ BulkDataURI, Value }) => [
    ...(BulkDataURI === undefined ? [] : [BulkDataURI]),
    ...(Value ?? [])
      .filter((one) => typeof one === 'object' && one !== null)
      .flatMap((item) => bulkUrisOf(item as Model)),
  ])
}

/** The message that a client makes of what an archive gives by WADO-RS. */
async function described(instanceUrl: string): Promise<{ body: Bytes; headers: Record<string, string> }> {
  const metadata = await fetch(`${instanceUrl}/metadata`, { headers: { accept: 'application/dicom+json' } })
  expect(metadata.status).toBe(200)
  const [model] = (await metadata.json()) as [Model]
  const chunks: Bytes[] = [
    Buffer.from(`--b0\r\nContent-Type: application/dicom+json\r\n\r\n${JSON.stringify([model])}\r\n`),
  ]
  // The smaller ones first: what comes last goes on as it comes.
  for (const uri of bulkUrisOf(model).sort((a, b) => Number(a.endsWith('7FE00010')) - Number(b.endsWith('7FE00010')))) {
    const accept =
      'multipart/related; type="*/*"; transfer-syntax=*, multipart/related; type="application/octet-stream"'
    const response = await fetch(uri, { headers: { accept } })
    expect(response.status).toBe(200)
    for (const part of readParts(response.headers.get('content-type')!, Buffer.from(await response.arrayBuffer()))) {
      const head = `--b0\r\nContent-Type: ${part.headers.get('content-type')!}\r\nContent-Location: ${uri}\r\n\r\n`
      chunks.push(Buffer.from(head), part.body, Buffer.from('\r\n'))
    }
  }
  const headers = { 'Content-Type': 'multipart/related; type="application/dicom+json"; boundary=b0' }
  return { body: Buffer.concat([...chunks, Buffer.from('--b0--\r\n')]), headers }
}

interface Original {
  readonly file: Buffer
  readonly syntax: string
  readonly dataset: Dataset
  /** Below the root of an archive. */
  readonly path: string
}

async function original(path: string): Promise<Original> {
  const file = await readFile(path)
  const { syntax, data } = splitPart10(file)
  const dataset = parseDataset(
    transferSyntax(syntax).deflated ? inflateRawSync(data) : data,
    transferSyntax(syntax).deflated ? transferSyntax('1.2.840.10008.1.2.1') : transferSyntax(syntax),
  )
  const [study, series, instance] = [
    Attribute.StudyInstanceUID,
    Attribute.SeriesInstanceUID,
    Attribute.SOPInstanceUID,
  ].map((tag) => dataset.string(tag)!)
  return { file, syntax, dataset, path: `/studies/${study!}/series/${series!}/instances/${instance!}` }
}

/** Numbers as JSON has them, texts as Unicode: how they were written is not told by JSON. */
function plain(dataset: Dataset): Dataset {
  const made = new Dataset().set(Attribute.SpecificCharacterSet, 'ISO_IR 192')
  for (const [tag, { vr, value }] of dataset.entries()) {
    if (tag === Attribute.SpecificCharacterSet) continue
    if (Array.isArray(value)) made.setItems(tag, (value as readonly Dataset[]).map(plain))
    else if (vr === 'DS' || vr === 'IS')
      made.set(
        tag,
        dataset.values(tag).map((one) => one && String(Number(one))),
        'LO',
      )
    else if (vr === 'PN')
      made.set(
        tag,
        dataset.strings(tag).map((name) => name.replace(/=+$/, '')),
        vr,
      )
    else if (representation(vr).charset || vr === 'CS')
      made.set(
        tag,
        dataset.values(tag).map((one) => one && String(one).trim()),
        vr,
      )
    else made.put(tag, { vr, value })
  }
  return made
}

describe('what one archive gives by metadata and bulk data', () => {
  const running: AsyncDisposable[] = []
  let gateway: Gateway
  let from: DemoArchive

  beforeAll(async () => {
    from = await DemoArchive.start({ aeTitle: 'FROM' })
    const to = await DemoArchive.start({ aeTitle: 'TO' })
    const archives = [from, to].map(({ aeTitle, port }) => ({ aeTitle, host: '127.0.0.1', port }))
    gateway = await startGatewayFor(archives)
    running.push(gateway, from, to)
  })

  afterAll(async () => {
    for (const one of running) await one[Symbol.asyncDispose]()
  })

  it.each(FILES.map((path) => [basename(path), path] as const))(
    'is stored at another as it was: %s',
    async (_, path) => {
      const { file, syntax, dataset, path: at } = await original(path)
      await from.put(file)
      const { body, headers } = await described(`${gateway.url}/aets/FROM${at}`)
      const answer = await post(`${gateway.url}/aets/TO/studies`, body, headers)
      expect([answer.status, answer.stored.length], JSON.stringify(answer.json)).toEqual([200, 1])
      const accept = 'application/dicom; transfer-syntax=*'
      const got = await fetch(`${gateway.url}/aets/TO${at}`, { headers: { accept } })
      const again = splitPart10(Buffer.from(await got.arrayBuffer()))
      const stored = parseDataset(again.data, transferSyntax(again.syntax))
      const isEncapsulated = !isNative(transferSyntax(syntax)) && dataset.has(Attribute.PixelData)
      expect(again.syntax).toBe(isEncapsulated ? syntax : '1.2.840.10008.1.2.1')
      if (isEncapsulated) {
        const frames = storedFrames({ dataset, name: path })!
        expect(fragmentsOf(stored).slice(1)).toEqual(frames.map((frame) => even(frame)))
        for (const one of [dataset, stored]) one.delete(Attribute.PixelData)
      }
      expect(differences(plain(dataset), plain(stored), { anyVr: true })).toEqual([])
    },
  )
})

describe.skipIf(skipWithoutPeers())('real archives', () => {
  it.each([
    ['Orthanc', () => startOrthanc()],
    ['dcmqrscp', () => startDcmqrscp({ files: [] })],
  ])('%s takes what is stored by metadata and bulk data, and what is wrapped', async (_, start) => {
    await using peer = await start()
    const { aeTitle, host, port } = peer
    // dcmqrscp takes no JPEG.
    await using gateway = await startGatewayFor([{ aeTitle, host, port, store: { decompress: 'always' } }])
    const dataset = instanceDataset({ sopClass: SECONDARY_CAPTURE })
    dataset.delete(Attribute.PixelData)
    const model = { ...(JSON.parse(encodeJson(dataset)) as Model), '7FE00010': { vr: 'OW', BulkDataURI: 'pixels' } }
    const parts = [
      `Content-Type: application/dicom+json\r\n\r\n${JSON.stringify([model])}`,
      `Content-Type: application/octet-stream\r\nContent-Location: pixels\r\n\r\n${'0123456789abcdef'.repeat(2)}`,
    ]
    const message = Buffer.from(`--b0\r\n${parts.join('\r\n--b0\r\n')}\r\n--b0--\r\n`)
    const type = 'multipart/related; type="application/dicom+json"; boundary=b0'
    const described = await post(`${gateway.url}/studies`, message, { 'Content-Type': type })
    expect([described.status, described.stored]).toEqual([200, [[I, undefined]]])
    const query = `PatientID=P1&StudyInstanceUID=${S}`
    const jpeg = await sharp({ create: { width: 16, height: 16, channels: 3, background: '#123' } })
      .jpeg()
      .toBuffer()
    const pdf = Buffer.from('%PDF-1.4\n%%EOF')
    for (const [body, media] of [
      [pdf, 'application/pdf'],
      [jpeg, 'image/jpeg'],
    ] as const) {
      const answer = await post(`${gateway.url}/studies?${query}`, body, { 'Content-Type': media })
      expect([answer.status, answer.stored.length], JSON.stringify(answer.json)).toEqual([200, 1])
    }
    const found = await fetch(`${gateway.url}/studies/${S}/instances`, {
      headers: { accept: 'application/dicom+json' },
    })
    expect(await found.json()).toHaveLength(3)
  })
})
