import { expect, it } from 'vitest'
import { Attribute } from '../../src/dicom/attributes.ts'
import { formatTag, type Tag } from '../../src/dicom/tag.ts'
import { requiredAttributes } from '../../src/pacs/search/attribute-levels.ts'
import type { Use } from './archive-under-test.ts'
import { groupBy, isCompressed, type Sample } from './corpus.ts'
import { all, first, get, inParallel, search, type JsonDataset } from './http.ts'

const STUDY_UID = '0020000D'
const SERIES_UID = '0020000E'
const INSTANCE_UID = '00080018'
const RETRIEVE_URL = '00081190'
const WIDTH = 4
const ABSENT = '1.2.3.4.5.6.7'

const required = {
  study: requiredAttributes.STUDY.map(formatTag),
  series: requiredAttributes.SERIES.map(formatTag),
  instance: requiredAttributes.IMAGE.map(formatTag),
}

/** Names as PS3.5 Annexes H to K and pydicom's files have them, with the file that holds each. */
const NAMES: readonly (readonly [file: string, key: string])[] = [
  ['made_utf8.dcm', '*山田*'],
  ['made_latin1.dcm', 'Sønder*'],
  ['made_greek.dcm', 'Παπαδόπουλος^*'],
  ['chrArab.dcm', 'قباني*'],
  ['chrFren.dcm', 'Buc^Jérôme'],
  ['chrGerm.dcm', 'Äneas^R*'],
  ['chrGreek.dcm', 'Διονυσιος'],
  ['chrH31.dcm', '*山田^太郎*'],
  ['chrH32.dcm', 'ﾔﾏﾀﾞ*'],
  ['chrI2.dcm', '*홍^길동'],
  ['chrJapMulti.dcm', 'やまだ*'],
  ['chrRuss.dcm', 'Люк*'],
  ['chrX1.dcm', '*王^小東*'],
]

/** QIDO-RS (PS3.18 10.6). */
export function searchTests(use: Use): void {
  const url = (path: string): string => use().gateway.url + path
  const results = async (path: string): Promise<readonly JsonDataset[]> => (await search(url(path))).results
  const uids = async (path: string, key: string): Promise<string[]> =>
    sorted((await results(path)).map((one) => first(one, key) ?? ''))
  const studies = (): Map<string, Sample[]> => groupBy(use().samples, ({ study }) => study)

  /**
   * Searches studies by a key. Where the instances of a study differ in an attribute archives answer either: what all
   * instances match must be found, what none matches must not.
   */
  const expectStudies = async (query: string, matches: (sample: Sample) => boolean): Promise<void> => {
    const found = await uids(`/studies?${query}`, STUDY_UID)
    const groups = [...studies()]
    const must = groups.filter(([, samples]) => samples.every(matches)).map(([study]) => study)
    const may = groups.filter(([, samples]) => samples.some(matches)).map(([study]) => study)
    expect(must, query).not.toEqual([])
    expect({ query, missed: must.filter((study) => !found.includes(study)) }).toEqual({ query, missed: [] })
    expect({ query, wrong: found.filter((study) => !may.includes(study)) }).toEqual({ query, wrong: [] })
  }

  it('lists every study once, with its required attributes, modalities and numbers', async () => {
    const found = await results('/studies')
    expect(sorted(found.map((one) => first(one, STUDY_UID)!))).toEqual(sorted([...studies().keys()]))
    for (const one of found) {
      expectShape(one, required.study)
      const samples = studies().get(first(one, STUDY_UID)!)!
      expect(first(one, RETRIEVE_URL)).toBe(url(`/studies/${samples[0]!.study}`))
      const modalities = new Set(samples.map(({ dataset }) => dataset.string(Attribute.Modality)))
      expect(sorted(all(one, '00080061')), samples[0]!.name).toEqual(
        sorted([...modalities].filter((m) => m !== undefined)),
      )
      expect(first(one, '00201206'), samples[0]!.name).toBe(String(groupBy(samples, ({ series }) => series).size))
      if (use().archive.capabilities.countsInstances) {
        expect(first(one, '00201208'), samples[0]!.name).toBe(String(samples.length))
      }
    }
  })

  it('lists the series of each study', async () => {
    await inParallel([...studies()], WIDTH, async ([study, samples]) => {
      const found = await results(`/studies/${study}/series`)
      const series = groupBy(samples, (sample) => sample.series)
      expect(sorted(found.map((one) => first(one, SERIES_UID)!))).toEqual(sorted([...series.keys()]))
      for (const one of found) {
        expectShape(one, [...required.series, STUDY_UID])
        const uid = first(one, SERIES_UID)!
        expect(first(one, RETRIEVE_URL)).toBe(url(`/studies/${study}/series/${uid}`))
        expect(first(one, '00080060')).toBe(series.get(uid)![0]!.dataset.string(Attribute.Modality))
      }
    })
  })

  it('lists the instances of each series, and of each study with attributes of the series', async () => {
    await inParallel([...studies()], WIDTH, async ([study, samples]) => {
      for (const [series, members] of groupBy(samples, (sample) => sample.series)) {
        const found = await results(`/studies/${study}/series/${series}/instances`)
        expect(sorted(found.map((one) => first(one, INSTANCE_UID)!))).toEqual(
          sorted(members.map((one) => one.instance)),
        )
        for (const one of found) {
          expectShape(one, [...required.instance, STUDY_UID, SERIES_UID])
          expect(first(one, RETRIEVE_URL)).toBe(
            url(`/studies/${study}/series/${series}/instances/${first(one, INSTANCE_UID)!}`),
          )
        }
      }
      const found = await results(`/studies/${study}/instances`)
      expect(sorted(found.map((one) => first(one, INSTANCE_UID)!))).toEqual(sorted(samples.map((one) => one.instance)))
      for (const one of found) {
        expectShape(one, [...required.instance, ...required.series, STUDY_UID])
        const sample = samples.find(({ instance }) => instance === first(one, INSTANCE_UID))!
        expect(first(one, SERIES_UID)).toBe(sample.series)
      }
    })
  })

  it('searches all series and all instances, or those of a patient', async () => {
    const { samples } = use()
    const narrowed = '?PatientID=123565'
    const brain = samples.filter(({ dataset }) => dataset.string(Attribute.PatientID) === '123565')
    const seriesOf = (some: readonly Sample[]): string[] => sorted([...groupBy(some, ({ series }) => series).keys()])
    expect(await uids(`/series${narrowed}`, SERIES_UID)).toEqual(seriesOf(brain))
    expect(await uids(`/instances${narrowed}`, INSTANCE_UID)).toEqual(sorted(brain.map(({ instance }) => instance)))
    for (const one of await results(`/series${narrowed}`)) expectShape(one, [...required.study, ...required.series])
    for (const one of await results(`/instances${narrowed}`)) {
      expectShape(one, [...required.study, ...required.series, ...required.instance])
      expect(first(one, '00100020')).toBe('123565')
    }
    // Study by study where the archive cannot be asked for all at once.
    expect(await uids('/series', SERIES_UID)).toEqual(seriesOf(samples))
    expect(await uids('/instances', INSTANCE_UID)).toEqual(sorted(samples.map(({ instance }) => instance)))
    const modalities = await results('/series?Modality=MR')
    expect(modalities.map((one) => first(one, '00080060')).every((modality) => modality === 'MR')).toBe(true)
    expect(modalities.length).toBeGreaterThan(0)
  })

  it('links every result to what it stands for', async () => {
    const { samples } = use()
    const one = samples.find(({ syntax }) => !isCompressed(syntax))!
    const paths = [
      `/studies?StudyInstanceUID=${one.study}`,
      `/studies/${one.study}/series?SeriesInstanceUID=${one.series}`,
      `/studies/${one.study}/series/${one.series}/instances?SOPInstanceUID=${one.instance}`,
    ]
    for (const path of paths) {
      const [result] = await results(path)
      const { status } = await get(
        first(result!, RETRIEVE_URL)!,
        'multipart/related; type="application/dicom"; transfer-syntax=*',
      )
      expect([path, status]).toEqual([path, 200])
    }
  })

  it('matches keys by keyword and by tag', async () => {
    const has = (t: Tag, value: string) => (sample: Sample) => sample.dataset.string(t) === value
    for (const key of ['PatientID', '00100020'])
      await expectStudies(`${key}=MADE-1`, has(Attribute.PatientID, 'MADE-1'))
    for (const key of ['AccessionNumber', '00080050']) {
      await expectStudies(`${key}=ACC-2`, has(Attribute.AccessionNumber, 'ACC-2'))
    }
    for (const key of ['StudyID', '00200010']) await expectStudies(`${key}=8811`, has(Attribute.StudyID, '8811'))
    for (const key of ['PatientName', '00100010']) {
      await expectStudies(`${key}=Rubo%20DEMO`, has(Attribute.PatientName, 'Rubo DEMO'))
    }
    expect(await uids('/studies?PatientID=NOBODY', STUDY_UID)).toEqual([])
  })

  it('matches lists of UIDs, by comma and by backslash, at every level', async () => {
    const [[first], [second]] = [...studies().values()] as [Sample[], Sample[]]
    const largest = [...studies().values()].sort((a, b) => b.length - a.length)[0]!
    const [one, other] = largest as [Sample, Sample]
    for (const separator of [',', '%2C', '%5C']) {
      const studyList = [first!.study, second!.study, ABSENT].join(separator)
      expect(await uids(`/studies?StudyInstanceUID=${studyList}`, STUDY_UID)).toEqual(
        sorted([first!.study, second!.study]),
      )
      const instanceList = [one.instance, other.instance, ABSENT].join(separator)
      const path = `/studies/${one.study}/series/${one.series}/instances?SOPInstanceUID=${instanceList}`
      expect(await uids(path, INSTANCE_UID)).toEqual(sorted([one.instance, other.instance]))
      const seriesList = [one.series, ABSENT].join(separator)
      expect(await uids(`/studies/${one.study}/series?SeriesInstanceUID=${seriesList}`, SERIES_UID)).toEqual([
        one.series,
      ])
    }
  })

  it('matches wildcards', async () => {
    const like = (t: Tag, pattern: RegExp) => (sample: Sample) => pattern.test(sample.dataset.string(t) ?? '')
    await expectStudies('PatientID=MADE-*', like(Attribute.PatientID, /^MADE-/))
    await expectStudies('PatientID=MADE-%3F', like(Attribute.PatientID, /^MADE-.$/))
    await expectStudies('PatientID=*23565', like(Attribute.PatientID, /23565$/))
    await expectStudies('PatientName=Rubo*', like(Attribute.PatientName, /^Rubo/))
    await expectStudies('PatientName=*DEMO', like(Attribute.PatientName, /DEMO$/))
    expect(await uids('/studies?PatientID=*', STUDY_UID)).toEqual(sorted([...studies().keys()]))
  })

  it('matches ranges of dates and times', async () => {
    const { rangesMatchEmpty } = use().archive.capabilities
    const between = (t: Tag, from: string, to: string) => (sample: Sample) => {
      const value = (sample.dataset.string(t) ?? '').replace(/[.:]/g, '')
      if (value === '') return rangesMatchEmpty && from === ''
      return value >= from && value.slice(0, to.length) <= to
    }
    const date = Attribute.StudyDate
    await expectStudies('StudyDate=20190302-20190303', between(date, '20190302', '20190303'))
    await expectStudies('StudyDate=20190101-', between(date, '20190101', '9999'))
    await expectStudies('StudyDate=-20010316', between(date, '', '20010316'))
    await expectStudies('StudyDate=20190301', between(date, '20190301', '20190301'))
    await expectStudies(
      'StudyTime=020000-030000&StudyDate=20190301-20190303',
      (sample) =>
        between(date, '20190301', '20190303')(sample) && between(Attribute.StudyTime, '020000', '030000')(sample),
    )
  })

  it('matches modalities in a study, whether the archive knows that key or passes over it', async () => {
    const withModality = (...wanted: string[]): string[] => {
      const found = [...studies()].filter(([, samples]) =>
        samples.some(({ dataset }) => wanted.includes(dataset.string(Attribute.Modality) ?? '')),
      )
      return sorted(found.map(([study]) => study))
    }
    expect(await uids('/studies?ModalitiesInStudy=MR', STUDY_UID)).toEqual(withModality('MR'))
    expect(await uids('/studies?ModalitiesInStudy=XA%5CMR', STUDY_UID)).toEqual(withModality('XA', 'MR'))
    const page = await search(url('/studies?00080061=MR&limit=2&offset=1'))
    const left = withModality('MR').length - 3
    expect(page.results).toHaveLength(2)
    expect(page.warnings).toEqual(left === 0 ? [] : [expect.stringContaining(`There are ${left} additional results`)])
    expect(await uids('/studies?ModalitiesInStudy=BDUS', STUDY_UID)).toEqual([])
  })

  it('finds names beyond ASCII by keys beyond ASCII, and gives them in UTF-8', async () => {
    const { samples, archive } = use()
    const known = NAMES.flatMap(([file, key]) => {
      const sample = samples.find(({ name }) => name === file)
      return sample ? [{ file, key, sample, hard: archive.capabilities.hardNames[file] }] : []
    })
    const faults = await inParallel(known, WIDTH, async ({ file, key, sample, hard }) => {
      const query =
        hard === 'not compared' ? `StudyInstanceUID=${sample.study}` : `PatientName=${encodeURIComponent(key)}`
      const found = await results(`/studies?${query}`)
      const match = found.find((one) => first(one, STUDY_UID) === sample.study)
      if (!match) return [`${file} was not found by ${query}`]
      const groups = sample.dataset
        .string(Attribute.PatientName)!
        .split('=')
        .filter((group) => group !== '')
      const name = Object.values((match['00100010']!.Value as [Record<string, string>])[0])
      const same = name.join('=') === groups.join('=')
      return same === (hard !== 'spoilt') ? [] : [`${file} has the name ${name.join('=')}, not ${groups.join('=')}`]
    })
    expect(faults.flat()).toEqual([])
  })

  it('matches keys inside a sequence, and gives the sequence', async () => {
    const { samples, archive } = use()
    const made = samples.find(({ name }) => name === 'made_latin1.dcm')!
    const query = (value: string): string =>
      `/studies/${made.study}/series?RequestAttributesSequence.RequestedProcedureID=${value}`
    const found = await results(query('R-18'))
    expect(found.map((one) => first(one, SERIES_UID))).toEqual([made.series])
    if (archive.capabilities.sequences === 'ignored') return
    const [item] = found[0]!['00400275']!.Value as [JsonDataset]
    expect(first(item, '00401001')).toBe('R-18')
    expect(first(item, '00400009')).toBe('S-2')
    if (archive.capabilities.sequences === 'returned') return
    expect(await results(query('R-999'))).toEqual([])
    expect(await results(query('R-999').replace('RequestAttributesSequence', '00400275'))).toEqual([])
  })

  it('returns the attributes asked for, in a list, repeated, and all', async () => {
    const { samples } = use()
    const { study } = samples.find(({ name }) => name === 'made_latin1.dcm')!
    const path = `/studies?StudyInstanceUID=${study}&includefield=`
    const asked = ['00081030', '00101010', '00081032']
    for (const list of [
      'StudyDescription,00101010,00081032',
      '00081030&includefield=PatientAge&includefield=00081032',
    ]) {
      const [result] = await results(path + list)
      expectShape(result!, [...required.study, ...asked])
    }
    const [everything] = await results(`${path}all`)
    expectShape(everything!, [...required.study, '00081030', '00101010', '00104000'])
    // An attribute of a lower level is not one of the study (case 33).
    const [without] = await results(`${path}SeriesDescription`)
    expect(Object.keys(without!)).not.toContain('0008103E')
    const [series] = await results(`/studies/${study}/series?includefield=PatientName`)
    expect(first(series!, '00100010')).toBe('Søndergård^Åse')
  })

  it('covers all results by pages, without overlap, and counts what is left', async () => {
    const total = studies().size
    const limit = 7
    const seen: string[] = []
    for (let offset = 0; offset < total; offset += limit) {
      const { results: page, warnings } = await search(url(`/studies?limit=${limit}&offset=${offset}`))
      const left = Math.max(0, total - offset - limit)
      expect(page).toHaveLength(Math.min(limit, total - offset))
      expect(warnings).toEqual(
        left === 0 ? [] : [`299 ${url('')}: There are ${left} additional results that can be requested`],
      )
      seen.push(...page.map((one) => first(one, STUDY_UID)!))
    }
    expect(sorted(seen)).toEqual(sorted([...studies().keys()]))
    for (const query of [`offset=${total}`, `limit=10&offset=${total + 100}`, 'limit=0']) {
      expect(await search(url(`/studies?${query}`))).toEqual({ status: 200, results: [], warnings: [] })
    }
  })

  it('says which matching the archive did not agree to', async () => {
    const { warnings } = await search(url('/studies?PatientID=MADE-1&fuzzymatching=true'))
    expect(warnings).toEqual([
      `299 ${url('')}: The fuzzymatching parameter is not supported. Only literal matching has been performed.`,
    ])
    expect((await search(url('/studies?PatientID=MADE-1&fuzzymatching=false'))).warnings).toEqual([])
  })

  it('finds nothing below what is not there', async () => {
    for (const path of [
      `/studies/${ABSENT}/series`,
      `/studies/${ABSENT}/series/${ABSENT}/instances`,
      `/studies/${ABSENT}/instances`,
    ]) {
      expect(await results(path)).toEqual([])
    }
  })
}

/** Every attribute that must be there, and none of the archive's or the file's own business (PS3.18 10.6.3.3). */
function expectShape(result: JsonDataset, keys: readonly string[]): void {
  const present = Object.keys(result)
  expect(keys.filter((key) => !present.includes(key))).toEqual([])
  expect(present.filter((key) => key === '00080052' || key.startsWith('0000') || key.startsWith('0002'))).toEqual([])
  expect(present).toEqual(sorted(present))
  expect(present).toContain(RETRIEVE_URL)
  for (const { Value: values } of Object.values(result)) expect(values).not.toEqual([])
}

function sorted(list: readonly string[]): string[] {
  return [...list].sort()
}
