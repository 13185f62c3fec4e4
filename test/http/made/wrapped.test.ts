import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import type { Bytes } from '../../../src/dicom/bytes.ts'
import type { Dataset } from '../../../src/dicom/dataset.ts'
import { parseDataset } from '../../../src/dicom/dataset-codec.ts'
import type { StoredFile } from '../../../src/demo/stored-file.ts'
import { tagOf } from '../../../src/dicom/dictionary.ts'
import { transferSyntax } from '../../../src/dicom/transfer-syntax.ts'
import { fragmentsOf } from '../../support/conversion.ts'
import { S, Syntax } from '../../support/dicom-files.ts'
import { startSetup, type Setup, type SetupOptions } from '../../support/gateway.ts'
import { failOnLeaks } from '../../support/leaks.ts'
import { mp4File } from '../../support/mp4.ts'
import { splitPart10 } from '../../support/part10.ts'
import { post, type StoreAnswer } from '../../support/related.ts'
import { scheduledStep } from '../../support/scheduled-steps.ts'

failOnLeaks()

const WHOSE = `PatientID=P1&PatientName=${encodeURIComponent('Müller^Änne')}`
const PDF = Buffer.from('%PDF-1.4\nnot much of a document\n%%EOF')

function send(setup: Setup, type: string, body: Bytes, query = WHOSE, path = '/studies'): Promise<StoreAnswer> {
  return post(`${setup.url}${path}?${query}`, body, { 'Content-Type': type })
}

/** The one instance that is there. */
async function stored(setup: Setup): Promise<{ dataset: Dataset; syntax: string }> {
  const [{ study, series, sopInstance }, ...more] = [...setup.archive.catalog.files] as [StoredFile]
  expect(more).toEqual([])
  const path = `/studies/${study}/series/${series}/instances/${sopInstance}`
  const response = await fetch(setup.url + path, { headers: { accept: 'application/dicom; transfer-syntax=*' } })
  const { syntax, data } = splitPart10(Buffer.from(await response.arrayBuffer()))
  return { dataset: parseDataset(data, transferSyntax(syntax)), syntax }
}

const read = (dataset: Dataset, ...keywords: readonly string[]): unknown[] =>
  keywords.map((keyword) => dataset.string(tagOf(keyword)!))

const picture = sharp(Buffer.from(Array.from({ length: 8 * 6 * 3 }, (_, n) => n)), {
  raw: { width: 8, height: 6, channels: 3 },
})

/** A binary STL of so many triangles. */
function stl(triangles: number): Buffer {
  const file = Buffer.alloc(84 + 50 * triangles)
  file.writeUInt32LE(triangles, 80)
  return file
}

describe('a picture, a document, a model, a video as one body', () => {
  it('JPEG is a Secondary Capture of the patient that the query names, its codestream as it came', async () => {
    await using setup = await startSetup()
    const jpeg = await picture.clone().jpeg().toBuffer()
    const answer = await send(setup, 'image/jpeg', jpeg)
    expect([answer.status, answer.stored.length]).toEqual([200, 1])
    const { dataset, syntax } = await stored(setup)
    expect(syntax).toBe(Syntax.jpegBaseline)
    expect(
      read(dataset, 'SOPClassUID', 'PatientID', 'PatientName', 'Modality', 'ConversionType', 'Rows', 'Columns'),
    ).toEqual([...['1.2.840.10008.5.1.4.1.1.7', 'P1', 'Müller^Änne', 'OT', 'WSD', '6', '8']])
    expect(read(dataset, 'PhotometricInterpretation', 'LossyImageCompression', 'LossyImageCompressionMethod')).toEqual([
      ...['YBR_FULL_422', '01', 'ISO_10918_1'],
    ])
    expect(fragmentsOf(dataset)[1]!.subarray(0, jpeg.length)).toEqual(jpeg)
    for (const type2 of ['AccessionNumber', 'PatientBirthDate', 'StudyID'])
      expect(dataset.has(tagOf(type2)!)).toBe(true)
  })

  it('JPEG that is to be turned when it is shown is turned, and not compressed', async () => {
    await using setup = await startSetup()
    expect(
      (
        await send(
          setup,
          'image/jpeg',
          await picture
            .clone()
            .withExif({ IFD0: { Orientation: '6' } })
            .withMetadata({ orientation: 6 })
            .jpeg()
            .toBuffer(),
        )
      ).status,
    ).toBe(200)
    const { dataset, syntax } = await stored(setup)
    expect([syntax, ...read(dataset, 'Rows', 'Columns', 'LossyImageCompression')]).toEqual([
      Syntax.explicit,
      '8',
      '6',
      '01',
    ])
  })

  it.each([
    ['of 8 bits, in colour', picture.clone().png(), 8, 3],
    ['of 8 bits, grey', picture.clone().toColourspace('b-w').png(), 8, 1],
    ['with a palette', picture.clone().png({ palette: true }), 8, 3],
    ['with transparency', picture.clone().ensureAlpha(0.5).png(), 8, 3],
  ])('PNG %s is decoded', async (_, png, bits, samples) => {
    await using setup = await startSetup()
    expect((await send(setup, 'image/png', await png.toBuffer())).status).toBe(200)
    const { dataset, syntax } = await stored(setup)
    expect([syntax, ...read(dataset, 'BitsAllocated', 'SamplesPerPixel', 'Rows', 'Columns')]).toEqual([
      ...[Syntax.explicit, String(bits), String(samples), '6', '8'],
    ])
    expect((dataset.get(Attribute.PixelData)!.value as Bytes).length).toBe(8 * 6 * samples)
  })

  it('PNG of 16 bits keeps them', async () => {
    await using setup = await startSetup()
    const values = Uint16Array.from({ length: 48 }, (_, n) => n * 1_301)
    const png = sharp(values, { raw: { width: 8, height: 6, channels: 1 } })
      .toColourspace('grey16')
      .png()
    expect((await send(setup, 'image/png', await png.toBuffer())).status).toBe(200)
    const { dataset } = await stored(setup)
    expect(read(dataset, 'BitsAllocated', 'BitsStored', 'HighBit', 'PhotometricInterpretation')).toEqual([
      '16',
      '16',
      '15',
      'MONOCHROME2',
    ])
    expect(dataset.get(Attribute.PixelData)!.value).toEqual(Buffer.from(values.buffer))
  })

  it.each([
    ['with its length', {}],
    ['in chunks', { chunked: true }],
  ])('PDF is an Encapsulated PDF, sent %s', async (_, { chunked = false }: { chunked?: boolean }) => {
    await using setup = await startSetup()
    const body = chunked ? new Blob([PDF]).stream() : PDF
    const init = { method: 'POST', body, headers: { 'Content-Type': 'application/pdf' }, duplex: 'half' }
    const response = await fetch(`${setup.url}/studies?${WHOSE}&DocumentTitle=Letter`, init as RequestInit)
    expect(response.status).toBe(200)
    const { dataset } = await stored(setup)
    expect(
      read(
        dataset,
        'SOPClassUID',
        'MIMETypeOfEncapsulatedDocument',
        'DocumentTitle',
        'EncapsulatedDocumentLength',
        'Modality',
      ),
    ).toEqual([...['1.2.840.10008.5.1.4.1.1.104.1', 'application/pdf', 'Letter', String(PDF.length), 'DOC']])
    expect((dataset.get(Attribute.EncapsulatedDocument)!.value as Bytes).subarray(0, PDF.length)).toEqual(PDF)
  })

  it('STL is an Encapsulated STL', async () => {
    await using setup = await startSetup()
    expect((await send(setup, 'model/stl', stl(2))).status).toBe(200)
    const { dataset } = await stored(setup)
    expect(read(dataset, 'SOPClassUID', 'MIMETypeOfEncapsulatedDocument', 'Modality')).toEqual([
      '1.2.840.10008.5.1.4.1.1.104.3',
      'model/stl',
      'M3D',
    ])
  })

  it.each([
    ['its header first', { headerLast: false }],
    ['its header last', { headerLast: true }],
  ])('MP4 is a video, %s, its file as it came', async (_, options) => {
    await using setup = await startSetup()
    const file = mp4File(options)
    expect((await send(setup, 'video/mp4', file)).status).toBe(200)
    const { dataset, syntax } = await stored(setup)
    expect(syntax).toBe('1.2.840.10008.1.2.4.102')
    expect(
      read(dataset, 'SOPClassUID', 'Rows', 'Columns', 'NumberOfFrames', 'CineRate', 'PhotometricInterpretation'),
    ).toEqual([...['1.2.840.10008.5.1.4.1.1.77.1.4.1', '480', '640', '50', '25', 'YBR_PARTIAL_420']])
    expect(fragmentsOf(dataset)[1]!.subarray(0, file.length)).toEqual(file)
  })

  it('takes the study of the path, and UIDs of the query', async () => {
    await using setup = await startSetup()
    const query = `${WHOSE}&SeriesInstanceUID=1.2.3.4&SOPInstanceUID=1.2.3.4.5`
    expect((await send(setup, 'application/pdf', PDF, query, `/studies/${S}`)).stored).toEqual([
      ['1.2.3.4.5', undefined],
    ])
    expect(setup.archive.catalog.files).toMatchObject([{ study: S, series: '1.2.3.4' }])
  })

  const WORKLIST: SetupOptions = {
    archive: {
      worklist: [
        scheduledStep({ accession: 'A1' }),
        scheduledStep({ accession: 'A1', station: 'CT2' }),
        scheduledStep({ accession: 'B2' }),
        scheduledStep({ accession: 'B2' }).set(Attribute.PatientID, 'OTHER'),
      ],
    },
  }

  it('takes patient and study from the one order that accession names, by one C-FIND', async () => {
    await using setup = await startSetup(WORKLIST)
    let finds = 0
    setup.archive.faults = { onFind: () => (finds += 1) }
    expect((await send(setup, 'application/pdf', PDF, 'accession=A1&SeriesDescription=Letter')).status).toBe(200)
    expect(finds).toBe(1)
    const { dataset } = await stored(setup)
    expect(
      read(
        dataset,
        'PatientName',
        'PatientID',
        'PatientBirthDate',
        'AccessionNumber',
        'StudyInstanceUID',
        'StudyDescription',
      ),
    ).toEqual([...['Müller^Änne', 'PA1', '19700101', 'A1', '1.2.3.1', 'CT Schädel']])
    expect(dataset.items(Attribute.RequestAttributesSequence)[0]?.string(Attribute.RequestedProcedureID)).toBe('RA1')
  })

  it.each([
    ['nobody', '', 400, 'NO_PATIENT'],
    ['an order that is not there', 'accession=C3', 404, 'NO_SUCH_ORDER'],
    ['an order of two patients', 'accession=B2', 409, 'SEVERAL_ORDERS'],
    ['a wildcard', 'accession=*', 400, 'INVALID_PARAMETER'],
    ['two orders', 'accession=A1&accession=B2', 400, 'INVALID_PARAMETER'],
    ['another patient than the order', 'accession=A1&PatientID=P1', 409, 'CONTRADICTORY'],
    ['an attribute that is misspelt', `${WHOSE}&PatientSecks=F`, 400, 'INVALID_PARAMETER'],
    ['a UID that is none', `${WHOSE}&StudyInstanceUID=1..2`, 400, 'INVALID_PARAMETER'],
    ['two values', `${WHOSE}&StudyID=a%5Cb`, 400, 'INVALID_PARAMETER'],
    ['a date that is none', `${WHOSE}&StudyDate=yesterday`, 400, 'INVALID_PARAMETER'],
  ])('refuses what is of %s', async (_, query, status, code) => {
    await using setup = await startSetup(WORKLIST)
    const answer = await send(setup, 'application/pdf', PDF, query)
    expect([answer.status, answer.json.code]).toEqual([status, code])
    expect(setup.archive.catalog.size).toBe(0)
  })

  it.each([
    ['a PDF', 'application/pdf', Buffer.from('<html>')],
    ['a PNG', 'image/png', Buffer.from('<html>')],
    ['a PNG that is cut short', 'image/png', 'cut'],
    ['a JPEG', 'image/jpeg', Buffer.from('<html>')],
    ['an STL that is cut short', 'model/stl', stl(2).subarray(0, 150)],
    ['an MP4', 'video/mp4', Buffer.from('<html> and some more of it')],
    ['an MP4 that is cut short', 'video/mp4', mp4File({ headerLast: true }).subarray(0, 200)],
    ['an MP4 whose frames are cut short', 'video/mp4', mp4File().subarray(0, -9)],
    ['a JPEG that is cut short', 'image/jpeg', 'cut jpeg'],
    ['an MP4 of a higher level', 'video/mp4', mp4File({ level: 51 })],
    ['an MP4 that is to be turned', 'video/mp4', mp4File({ isTurned: true })],
  ] as const)('refuses what is not %s', async (_, type, body) => {
    await using setup = await startSetup()
    const file = await (type === 'image/jpeg' ? picture.clone().jpeg() : picture.clone().png()).toBuffer()
    const sent = typeof body === 'string' ? file.subarray(0, -30) : body
    const answer = await send(setup, type, sent)
    expect([answer.status, answer.json.code]).toEqual([400, 'UNUSABLE_MEDIA'])
    expect(setup.archive.catalog.size).toBe(0)
  })

  it('names what it takes to who sends something else', async () => {
    await using setup = await startSetup()
    const response = await fetch(`${setup.url}/studies?${WHOSE}`, {
      method: 'POST',
      body: 'x',
      headers: { 'Content-Type': 'text/plain' },
    })
    expect([response.status, response.headers.get('accept')]).toEqual([415, expect.stringContaining('application/pdf')])
  })
})
