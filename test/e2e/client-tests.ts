import dicomweb from 'dicomweb-client'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { splitPart10 } from '../support/part10.ts'
import { XmlHttpRequest } from '../support/xhr.ts'
import type { Use } from './archive-under-test.ts'
import { groupBy, isCompressed, type Sample } from './corpus.ts'
import { faultsOf, outcomeOf } from './expectations.ts'
import { first, type JsonDataset } from './http.ts'
import { copyOf } from './store-tests.ts'

/** What is used of the client: its own types demand options that its documentation and its code do not. */
interface Client {
  searchForStudies(options: { queryParams: object }): Promise<JsonDataset[]>
  searchForSeries(options: StudyOptions): Promise<JsonDataset[]>
  searchForInstances(options: SeriesOptions): Promise<JsonDataset[]>
  retrieveStudy(options: StudyOptions): Promise<ArrayBuffer[]>
  retrieveSeries(options: SeriesOptions): Promise<ArrayBuffer[]>
  retrieveInstance(options: InstanceOptions): Promise<ArrayBuffer>
  storeInstances(options: { datasets: readonly ArrayBuffer[] }): Promise<string>
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
  const client = (): Client => {
    const Constructor = dicomweb.api.DICOMwebClient as unknown as new (options: object) => Client
    return new Constructor({ url: use().gateway.url, verbose: false })
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

  it('fails where nothing is', async () => {
    await expect(client().retrieveStudy({ studyInstanceUID: '1.2.3.4.5.6.7' })).rejects.toMatchObject({ status: 404 })
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
}
