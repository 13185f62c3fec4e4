import dicomweb from 'dicomweb-client'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { splitPart10 } from '../support/part10.ts'
import { XmlHttpRequest } from '../support/xhr.ts'
import type { Use } from './archive-under-test.ts'
import { groupBy, isCompressed, readSample, type Sample } from './corpus.ts'
import { EXPLICIT_LE, faultsOf, outcomeOf } from './expectations.ts'
import { first, type JsonDataset } from './http.ts'
import { metadataDifferences, storedBulk } from './metadata-differences.ts'
import { copyOf } from './store-tests.ts'
import { mediaOf, storedFrames } from './stored-frames.ts'

/** What is used of the client: its own types demand options that its documentation and its code do not. */
interface Client {
  searchForStudies(options: { queryParams: object }): Promise<JsonDataset[]>
  searchForSeries(options: StudyOptions): Promise<JsonDataset[]>
  searchForInstances(options: SeriesOptions): Promise<JsonDataset[]>
  retrieveStudyMetadata(options: StudyOptions): Promise<JsonDataset[]>
  retrieveSeriesMetadata(options: SeriesOptions): Promise<JsonDataset[]>
  retrieveInstanceMetadata(options: InstanceOptions): Promise<JsonDataset[]>
  retrieveInstanceFrames(options: FrameOptions): Promise<ArrayBuffer[]>
  retrieveBulkData(options: BulkDataOptions): Promise<ArrayBuffer[]>
  retrieveStudy(options: StudyOptions): Promise<ArrayBuffer[]>
  retrieveSeries(options: SeriesOptions): Promise<ArrayBuffer[]>
  retrieveInstance(options: InstanceOptions): Promise<ArrayBuffer>
  retrieveInstanceRendered(options: InstanceOptions): Promise<ArrayBuffer>
  retrieveInstanceThumbnail(options: InstanceOptions): Promise<ArrayBuffer>
  retrieveInstanceFramesRendered(options: FrameOptions): Promise<ArrayBuffer>
  retrieveInstanceFramesThumbnail(options: FrameOptions): Promise<ArrayBuffer>
  storeInstances(options: { datasets: readonly ArrayBuffer[]; studyInstanceUID?: string }): Promise<string>
}

interface MediaType {
  readonly mediaType: string
  readonly transferSyntaxUID?: string
}

interface FrameOptions extends InstanceOptions {
  readonly frameNumbers: readonly number[]
  readonly mediaTypes?: readonly MediaType[]
}

interface BulkDataOptions {
  readonly BulkDataURI: string
  readonly mediaTypes?: readonly MediaType[]
  readonly byteRange?: readonly number[]
  /** Sent only where bulk data is asked for as a single part. */
  readonly headers?: Readonly<Record<string, string>>
}

interface StudyOptions {
  readonly studyInstanceUID: string
}

interface SeriesOptions extends StudyOptions {
  readonly seriesInstanceUID: string
}

interface InstanceOptions extends SeriesOptions {
  readonly sopInstanceUID: string
}

/** npm's dicomweb-client, which OHIF uses, as it is. */
export function clientTests(use: Use): void {
  const client = (options: object = {}): Client => {
    const Constructor = dicomweb.api.DICOMwebClient as unknown as new (options: object) => Client
    return new Constructor({ url: use().gateway.url, verbose: false, ...options })
  }
  const faults = (sample: Sample, file: ArrayBuffer): string[] => {
    const { capabilities } = use().archive
    return faultsOf(sample, Buffer.from(file), outcomeOf(sample, 'default', capabilities), capabilities)
  }
  /** The largest study of native objects. */
  const brain = (): Sample[] =>
    [...groupBy(use().samples, ({ study }) => study).values()]
      .filter((study) => study.every(({ syntax }) => !isCompressed(syntax)))
      .sort((a, b) => b.length - a.length)[0]!

  beforeAll(() => {
    vi.stubGlobal('XMLHttpRequest', XmlHttpRequest)
  })
  afterAll(() => {
    vi.unstubAllGlobals()
  })

  it('searches for studies, series and instances', async () => {
    const [one] = brain()
    const { study: studyInstanceUID, series: seriesInstanceUID } = one!
    const queryParams = { StudyInstanceUID: studyInstanceUID, includefield: 'StudyDescription' }
    const studies = await client().searchForStudies({ queryParams })
    expect(studies.map((study) => first(study, '0020000D'))).toEqual([studyInstanceUID])
    const series = await client().searchForSeries({ studyInstanceUID })
    expect(series.map((found) => first(found, '0020000E'))).toEqual([seriesInstanceUID])
    const instances = await client().searchForInstances({ studyInstanceUID, seriesInstanceUID })
    expect(instances.map((found) => first(found, '00080018')!).sort()).toEqual(
      brain()
        .map(({ instance }) => instance)
        .sort(),
    )
    expect(await client().searchForStudies({ queryParams: { PatientID: 'NOBODY' } })).toEqual([])
  })

  it('retrieves an instance, a series and a study', async () => {
    const samples = brain()
    const [one] = samples as [Sample]
    const of = (file: ArrayBuffer): Sample => {
      const { sopInstance } = splitPart10(Buffer.from(file))
      return samples.find(({ instance }) => instance === sopInstance)!
    }
    const { study: studyInstanceUID, series: seriesInstanceUID, instance: sopInstanceUID } = one
    const file = await client().retrieveInstance({ studyInstanceUID, seriesInstanceUID, sopInstanceUID })
    expect(faults(one, file)).toEqual([])
    const series = await client().retrieveSeries({ studyInstanceUID, seriesInstanceUID })
    expect(series).toHaveLength(samples.length)
    expect(series.flatMap((found) => faults(of(found), found))).toEqual([])
    const study = await client().retrieveStudy({ studyInstanceUID })
    expect(study).toHaveLength(samples.length)
    expect(study.flatMap((found) => faults(of(found), found))).toEqual([])
  })

  it('retrieves the metadata of a study, a series and an instance', async () => {
    const samples = brain()
    const metadataFaults = (found: readonly JsonDataset[]): string[] =>
      found.flatMap((metadata) => {
        const sample = samples.find(({ instance }) => instance === first(metadata, '00080018'))!
        const { study, series, instance } = sample
        const url = `${use().gateway.url}/studies/${study}/series/${series}/instances/${instance}`
        return metadataDifferences(sample, metadata, { url, looseVrs: !use().archive.capabilities.verbatim })
      })
    const study = await client().retrieveStudyMetadata(uidsOf(samples[0]!))
    expect(study).toHaveLength(samples.length)
    expect(metadataFaults(study)).toEqual([])
    const series = await client().retrieveSeriesMetadata(uidsOf(samples[0]!))
    expect(series).toHaveLength(samples.length)
    expect(metadataFaults(series)).toEqual([])
    for (const sample of samples) {
      const alone = await client().retrieveInstanceMetadata(uidsOf(sample))
      expect(alone.map((one) => first(one, '00080018'))).toEqual([sample.instance])
      expect(metadataFaults(alone)).toEqual([])
    }
  })

  it('retrieves frames, those of compressed images in their own syntax', async () => {
    const { capabilities } = use().archive
    const given = use().samples.filter((one) => outcomeOf(one, 'stored', capabilities).kind === 'given')
    const images = given.filter((sample) => storedFrames(sample) !== undefined)
    for (const [sample] of groupBy(images, ({ syntax }) => syntax).values()) {
      const frames = storedFrames(sample!)!
      const options = { ...uidsOf(sample!), frameNumbers: frames.map((_, at) => at + 1) }
      // It has the media type of RLE under the name of earlier editions.
      const mediaType = mediaOf(sample!).replace('image/dicom-rle', 'image/x-dicom-rle')
      const own = { mediaType, transferSyntaxUID: sample!.syntax }
      const lists: (readonly MediaType[] | undefined)[] = isCompressed(sample!.syntax)
        ? [
            [own],
            [{ mediaType: 'image/*', transferSyntaxUID: '*' }],
            [{ mediaType: 'application/octet-stream', transferSyntaxUID: EXPLICIT_LE }, own],
            [{ mediaType: 'application/octet-stream', transferSyntaxUID: '*' }],
          ]
        : [undefined, [{ mediaType: 'application/octet-stream', transferSyntaxUID: EXPLICIT_LE }]]
      for (const mediaTypes of lists) {
        const found = await client().retrieveInstanceFrames({ ...options, ...(mediaTypes && { mediaTypes }) })
        const said = `${sample!.name} as ${JSON.stringify(mediaTypes)}`
        expect([said, found.length]).toEqual([said, frames.length])
        expect([said, found.findIndex((frame, at) => !frames[at]!.equals(Buffer.from(frame)))]).toEqual([said, -1])
      }
      const [mediaTypes] = lists
      const beyond = { ...options, frameNumbers: [frames.length + 1], ...(mediaTypes && { mediaTypes }) }
      await expect(client().retrieveInstanceFrames(beyond)).rejects.toMatchObject({ status: 404 })
    }
  })

  it('retrieves bulk data, and a range of it', async () => {
    const [waveform] = use().samples.filter(({ name }) => name === 'made_waveform.dcm')
    const [metadata] = await client().retrieveInstanceMetadata(uidsOf(waveform!))
    const [group] = metadata!['54000100']!.Value as JsonDataset[]
    const { BulkDataURI } = group!['54001010'] as { BulkDataURI: string }
    const [value] = storedBulk(waveform!.dataset)
    const bytes = value!.bytes!
    const buffers = (found: readonly ArrayBuffer[]): Buffer[] => found.map((one) => Buffer.from(one))
    expect(buffers(await client().retrieveBulkData({ BulkDataURI }))).toEqual([bytes])
    const mediaTypes = [{ mediaType: 'application/octet-stream' }]
    expect(buffers(await client().retrieveBulkData({ BulkDataURI, mediaTypes }))).toEqual([bytes])
    // A range is of a single part only, by the client's documentation too: a multipart answer is whole.
    expect(buffers(await client().retrieveBulkData({ BulkDataURI, byteRange: [0, 99] }))).toEqual([bytes])
    const single = client({ singlepart: 'bulkdata' })
    const headers = { Accept: 'application/octet-stream' }
    expect(buffers(await single.retrieveBulkData({ BulkDataURI, headers }))).toEqual([bytes])
    for (const [range, from, to] of [
      ['bytes=100-199', 100, 200],
      ['bytes=9990-', 9990, 10_000],
      ['bytes=-7', 9993, 10_000],
    ] as const) {
      const found = await single.retrieveBulkData({ BulkDataURI, headers: { ...headers, Range: range } })
      expect(buffers(found)).toEqual([bytes.subarray(from, to)])
    }
    const [document] = use().samples.filter(({ name }) => name === 'made_document.dcm')
    const [about] = await client().retrieveInstanceMetadata(uidsOf(document!))
    const uri = (about!['00420011'] as { BulkDataURI: string }).BulkDataURI
    const pdf = await client().retrieveBulkData({ BulkDataURI: uri, mediaTypes: [{ mediaType: 'application/pdf' }] })
    expect(Buffer.from(pdf[0]!).toString()).toMatch(/^%PDF-1\.4/)
  })

  it('fails where nothing is', async () => {
    const studyInstanceUID = '1.2.3.4.5.6.7'
    await expect(client().retrieveStudy({ studyInstanceUID })).rejects.toMatchObject({ status: 404 })
    await expect(client().retrieveStudyMetadata({ studyInstanceUID })).rejects.toMatchObject({ status: 404 })
  })

  it('is given rendered images and thumbnails', async () => {
    const options = { ...uidsOf(brain()[0]!), frameNumbers: [1], mediaTypes: [{ mediaType: 'image/jpeg' }] }
    // The client tells of one of these calls on the console.
    vi.spyOn(console, 'debug').mockReturnValue()
    const pictures = [
      await client().retrieveInstanceRendered(options),
      await client().retrieveInstanceThumbnail(options),
      await client().retrieveInstanceFramesRendered(options),
      await client().retrieveInstanceFramesThumbnail(options),
    ]
    // SOI: they are JPEG.
    const starts = pictures.flat().map((one: ArrayBuffer) => new Uint8Array(one).subarray(0, 2).join())
    expect(starts).toEqual(pictures.map(() => '255,216'))
  })

  it('stores instances', async () => {
    const samples = brain().slice(0, 2).map(copyOf)
    const datasets = samples.map(({ file }) => new Uint8Array(file).buffer)
    const answer = await client().storeInstances({ datasets })
    const { '00081199': referenced } = JSON.parse(answer) as JsonDataset
    const stored = (referenced?.Value ?? []) as JsonDataset[]
    expect(stored.map((item) => first(item, '00081155'))).toEqual(samples.map(({ instance }) => instance))
    for (const sample of samples) {
      const { study: studyInstanceUID, series: seriesInstanceUID, instance: sopInstanceUID } = sample
      const file = await client().retrieveInstance({ studyInstanceUID, seriesInstanceUID, sopInstanceUID })
      expect(faults(sample, file)).toEqual([])
    }
  })
  it('stores into a study, and then reads its metadata with the new instance', async () => {
    const [one, other] = brain().slice(0, 2)
    const [copy] = [copyOf(one!)]
    // The same study and series as the copy.
    const sibling = siblingOf(copy, other!)
    const store = async (sample: Sample): Promise<void> => {
      const datasets = [new Uint8Array(sample.file).buffer]
      await client().storeInstances({ datasets, studyInstanceUID: copy.study })
    }
    const instances = async (): Promise<(string | undefined)[]> =>
      (await client().retrieveSeriesMetadata(uidsOf(copy))).map((found) => first(found, '00080018')).sort()
    await store(copy)
    expect(await instances()).toEqual([copy.instance])
    await store(sibling)
    expect(await instances()).toEqual([copy.instance, sibling.instance].sort())
    await expect(store(copyOf(one!))).rejects.toMatchObject({ status: 409 })
  })
}

function uidsOf({ study, series, instance }: Sample): InstanceOptions {
  return { studyInstanceUID: study, seriesInstanceUID: series, sopInstanceUID: instance }
}

/** Another instance, moved into the study and series of the first, whose UIDs are of the same length. */
function siblingOf({ study, series }: Sample, sample: Sample): Sample {
  const copy = copyOf(sample)
  const file = copy.file.toString('latin1').replaceAll(copy.series, series).replaceAll(copy.study, study)
  return readSample(sample.name, Buffer.from(file, 'latin1'))
}
