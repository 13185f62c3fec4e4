import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseConfig } from '../../../src/config/config.ts'
import { DemoArchive } from '../../../src/demo/demo-archive.ts'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import { startGateway, type Gateway } from '../../../src/gateway.ts'
import { CANCEL_GRACE_MS, TooManyMatchesError } from '../../../src/dimse/scu.ts'
import { MAX_DERIVED } from '../../../src/pacs/search/derive-counts.ts'
import { fits } from '../../../src/pacs/search/post-filter.ts'
import { KeyBelowLevelError, SearchTooBroadError } from '../../../src/pacs/search/errors.ts'
import { search, type Finder, type SearchRequest } from '../../../src/pacs/search/search.ts'
import type { Query } from '../../../src/pacs/search/query.ts'
import { eventually } from '../../support/eventually.ts'
import { archiveAt, openArchive } from '../../support/gateway-to.ts'
import { ScriptedArchive, findAnswer } from '../../support/scripted-archive.ts'
import { CT, findResponse } from '../../support/golden.ts'
import { sliceFile } from '../../support/slices.ts'
import { daikonFiles } from '../../support/testdata.ts'

const C_FIND_RQ = 0x0020
const MR = '1.2.840.10008.5.1.4.1.1.4'
const ROOT = '1.2.826.0.1.3680043.10.1561.91'

const strict = { fuzzy: false, loose: false }
const never = { signal: new AbortController().signal }

/** Two patients with two studies each, of two series (CT and MR) of three instances. */
function* files(): Generator<Buffer> {
  for (const patient of [1, 2]) {
    for (const study of [1, 2]) {
      for (const [series, modality] of ['CT', 'MR'].entries()) {
        for (const number of [1, 2, 3]) {
          const uid = `${ROOT}.${patient}.${study}`
          yield sliceFile({
            study: uid,
            series: `${uid}.${series + 1}`,
            sopClass: modality === 'CT' ? CT : MR,
            modality,
            patientId: `P-${patient}`,
            number,
          })
        }
      }
    }
  }
}

async function demo(relational: boolean): Promise<DemoArchive> {
  const archive = await DemoArchive.start({ relational, aeTitle: relational ? 'RELATIONAL' : 'HIERARCHICAL' })
  for (const file of files()) await archive.put(file)
  return archive
}

describe('a search without relational queries', () => {
  let archives: DemoArchive[]
  let gateway: Gateway

  beforeAll(async () => {
    archives = [await demo(true), await demo(false)]
    for (const archive of archives) for (const file of daikonFiles()) await archive.load(file)
    gateway = await startGateway(
      parseConfig({
        http: { port: 0 },
        archives: archives.map(({ aeTitle, port }) => ({ aeTitle, host: '127.0.0.1', port })),
        log: { level: 'silent' },
      }),
    )
  })

  afterAll(async () => {
    await gateway[Symbol.asyncDispose]()
    for (const archive of archives) await archive[Symbol.asyncDispose]()
  })

  /** Results by UID, without what names the archive. */
  async function results(aeTitle: string, path: string): Promise<unknown> {
    const response = await fetch(`${gateway.url}/aets/${aeTitle}${path}`)
    const text = await response.text()
    if (response.status !== 200) return { status: response.status, code: (JSON.parse(text) as { code: string }).code }
    const list = JSON.parse(text.replaceAll(`/aets/${aeTitle}`, '')) as Record<string, { Value?: string[] }>[]
    const key = (one: (typeof list)[number]): string => {
      return ['0020000D', '0020000E', '00080018'].map((tag) => one[tag]?.Value?.[0] ?? '').join(' ')
    }
    return list.sort((a, b) => (key(a) < key(b) ? -1 : 1))
  }

  async function expectEqualResults(path: string): Promise<unknown> {
    const expected = await results('RELATIONAL', path)
    expect(await results('HIERARCHICAL', path)).toEqual(expected)
    return expected
  }

  test.each([
    ['/studies', 12],
    ['/studies?PatientID=P-1', 2],
    [`/studies/${ROOT}.1.1/series`, 2],
    [`/studies/${ROOT}.1.1/series?includefield=StudyDescription&includefield=PatientName`, 2],
    [`/studies/${ROOT}.1.1/series?PatientID=P-1&Modality=CT`, 1],
    [`/studies/${ROOT}.1.1/instances`, 6],
    [`/studies/${ROOT}.1.1/instances?Modality=MR`, 3],
    [`/studies/${ROOT}.1.1/series/${ROOT}.1.1.2/instances`, 3],
    [`/studies/${ROOT}.1.1/series/${ROOT}.1.1.2/instances?includefield=Modality`, 3],
    [`/studies/${ROOT}.1.1/series/${ROOT}.1.2.1/instances`, 0],
    ['/studies/9.9/series', 0],
    ['/series?PatientID=P-1', 4],
    ['/series?PatientID=P-*&Modality=CT', 4],
    ['/instances?PatientID=P-1', 12],
    [`/instances?StudyInstanceUID=${ROOT}.1.1,${ROOT}.2.1`, 12],
    ['/instances?PatientID=P-2&Modality=CT&InstanceNumber=2', 2],
    ['/instances?PatientID=P-2&SeriesDescription=Axial*&includefield=SeriesDescription', 12],
    ['/instances?PatientID=nobody', 0],
  ])('%s gives what a relational archive gives: %i results (case 45)', async (path, count) => {
    const expected = await expectEqualResults(path)
    if (path === '/studies') expect((expected as unknown[]).length).toBeGreaterThanOrEqual(4)
    else expect(expected).toHaveLength(count)
  })

  test('gives what a relational archive gives, whatever is asked for (case 45)', async () => {
    const keys = fc.record(
      {
        PatientID: fc.constantFrom('P-1', 'P-2', 'P-*', 'X'),
        StudyDate: fc.constantFrom('20240105', '-20240105', '20240106-'),
        AccessionNumber: fc.constantFrom('A-1', 'A-2'),
        Modality: fc.constantFrom('CT', 'MR', 'C*'),
        SeriesInstanceUID: fc.constantFrom(`${ROOT}.1.1.1`, `${ROOT}.1.1.1,${ROOT}.2.1.2`),
        InstanceNumber: fc.constantFrom('1', '2'),
        SOPClassUID: fc.constantFrom(CT, MR),
      },
      { requiredKeys: ['PatientID'] },
    )
    const levels = [
      '/studies',
      '/series',
      '/instances',
      `/studies/${ROOT}.1.1/series`,
      `/studies/${ROOT}.1.1/instances`,
    ]
    const include = fc.subarray(['PatientSex', 'StudyDescription', 'SeriesDescription', 'Rows', 'all'])
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...levels), keys, include, async (level, match, fields) => {
        const params = new URLSearchParams(match)
        for (const field of fields) params.append('includefield', field)
        await expectEqualResults(`${level}?${params.toString()}`)
      }),
      { numRuns: 60 },
    )
  })

  test('asks one IMAGE query with the study alone where relational queries were agreed on (case 46)', async () => {
    const asked: Query[] = []
    await collect({ level: 'IMAGE', study: '1.2', withParents: false, match: [], include: [] }, finderOf(asked, true))
    expect(asked).toHaveLength(1)
    const [query] = asked
    expect(query!.level).toBe('IMAGE')
    expect(query!.keys.filter(({ values }) => values.length > 0)).toEqual([
      { tag: Attribute.StudyInstanceUID, vr: 'UI', values: ['1.2'] },
    ])
  })

  test('needs one association however many searches there are at once', { timeout: 20_000 }, async () => {
    const address = { host: '127.0.0.1', port: archives[1]!.port }
    const config = { archives: [archiveAt(address, { aeTitle: 'HIERARCHICAL', maxAssociations: 1 })] }
    await using single = await startGateway(parseConfig({ http: { port: 0 }, log: { level: 'silent' }, ...config }))
    const lists = await Promise.all(
      Array.from({ length: 8 }, async () => {
        const response = await fetch(`${single.url}/instances?PatientID=P-1`)
        return (await response.json()) as unknown[]
      }),
    )
    expect(lists.map((list) => list.length)).toEqual([12, 12, 12, 12, 12, 12, 12, 12])
    expect(single.archives[0]!.stats).toMatchObject({ open: 1, leased: 0, idle: 1, waiting: 0 })
  })
})

function finderOf(
  asked: Query[],
  relational: boolean,
  answer: (query: Query) => Dataset[] = () => [],
  maxParents = 500,
): Finder {
  return {
    relational,
    maxParents,
    async *find(query) {
      asked.push(query)
      for (const match of answer(query)) yield match
    },
  }
}

async function collect(request: SearchRequest, finder: Finder): Promise<Dataset[]> {
  const results: Dataset[] = []
  for await (const result of search(request, finder, never)) results.push(result)
  return results
}

const patientKey = { tag: Attribute.PatientID, vr: 'LO', values: ['1'] } as const

function studies(count: number): Dataset[] {
  return Array.from({ length: count }, (_, index) => new Dataset().set(Attribute.StudyInstanceUID, `1.${index + 1}`))
}

describe('a hierarchical search', () => {
  const request: SearchRequest = { level: 'SERIES', withParents: true, match: [patientKey], include: [] }

  test('visits as many studies as it may, and refuses one more (case 47)', async () => {
    const asked: Query[] = []
    const answer = ({ level }: Query): Dataset[] => (level === 'STUDY' ? studies(3) : [])
    await collect(request, finderOf(asked, false, answer, 3))
    expect(asked.map(({ level }) => level)).toEqual(['STUDY', 'SERIES', 'SERIES', 'SERIES'])
    await expect(collect(request, finderOf([], false, answer, 2))).rejects.toBeInstanceOf(SearchTooBroadError)
  })

  test('counts studies and series together', async () => {
    const answer = ({ level }: Query): Dataset[] =>
      level === 'STUDY' ? studies(2) : [new Dataset().set(Attribute.SeriesInstanceUID, '2.1')]
    const instances = { ...request, level: 'IMAGE' } as const
    await expect(collect(instances, finderOf([], false, answer, 4))).resolves.toEqual([])
    await expect(collect(instances, finderOf([], false, answer, 3))).rejects.toBeInstanceOf(SearchTooBroadError)
  })

  test('gives what it found in as many as it may visit, and says that there may be more', async () => {
    const asked: Query[] = []
    let [capped, series] = [0, 0]
    const answer = ({ level }: Query): Dataset[] =>
      level === 'STUDY' ? studies(5) : [new Dataset().set(Attribute.SeriesInstanceUID, `2.${++series}`)]
    const finder = { ...finderOf(asked, false, answer, 3), capped: () => (capped += 1) }
    expect(await collect(request, finder)).toHaveLength(3)
    expect(capped).toBe(1)
    expect(await collect(request, { ...finderOf([], false, answer, 5), capped: () => (capped += 1) })).toHaveLength(5)
    expect(capped).toBe(1)
  })

  test('of everything walks study by study, as far as it is read, through those of the modality', async () => {
    const asked: Query[] = []
    const modality = { tag: Attribute.Modality, vr: 'CS', values: ['CT'] } as const
    const answer = ({ level }: Query): Dataset[] =>
      level === 'STUDY' ? studies(3) : [new Dataset().set(Attribute.SeriesInstanceUID, `2.${asked.length}`)]
    for await (const _ of search({ ...request, match: [modality] }, finderOf(asked, false, answer), never)) break
    expect(asked.map(({ level }) => level)).toEqual(['STUDY', 'SERIES'])
    expect(asked[0]!.keys).toContainEqual({ ...modality, tag: Attribute.ModalitiesInStudy })
    expect(asked[1]!.keys).toContainEqual(modality)
  })

  test('never holds an association while it waits for another', async () => {
    let open = 0
    const finder: Finder = {
      relational: false,
      maxParents: 500,
      async *find({ level }) {
        expect(++open).toBe(1)
        try {
          if (level === 'STUDY') yield* studies(3)
          else yield new Dataset().set(Attribute.SeriesInstanceUID, '2.1').set(Attribute.SOPInstanceUID, '3.1')
        } finally {
          open--
        }
      },
    }
    expect(await collect({ ...request, level: 'IMAGE' }, finder)).toHaveLength(1)
    expect(open).toBe(0)
  })

  test('ends the search at the archive when its consumer ends early', async () => {
    let open = 0
    const finder: Finder = {
      relational: false,
      maxParents: 500,
      async *find() {
        open++
        try {
          yield* studies(3)
        } finally {
          open--
        }
      },
    }
    for await (const _ of search({ ...request, level: 'STUDY' }, finder, never)) break
    expect(open).toBe(0)
  })
})

describe('what archives return', () => {
  test('of another level, or twice, is left out', async () => {
    const answer = (): Dataset[] => [
      new Dataset().set(Attribute.StudyInstanceUID, '1.1'),
      new Dataset().set(Attribute.PatientID, 'x'),
      new Dataset().set(Attribute.StudyInstanceUID, '1.1'),
    ]
    const request: SearchRequest = { level: 'STUDY', withParents: false, match: [], include: [] }
    expect(await collect(request, finderOf([], true, answer))).toHaveLength(1)
  })

  test('of other modalities or UIDs than asked for is left out (case 49)', async () => {
    const answer = (): Dataset[] => [
      new Dataset().set(Attribute.StudyInstanceUID, '1.1').set(Attribute.ModalitiesInStudy, ['MR', 'CT']),
      new Dataset().set(Attribute.StudyInstanceUID, '1.2').set(Attribute.ModalitiesInStudy, ['MR']),
      new Dataset().set(Attribute.StudyInstanceUID, '1.3'),
    ]
    const match = [{ tag: Attribute.ModalitiesInStudy, vr: 'CS', values: ['CT'] }] as const
    const request: SearchRequest = { level: 'STUDY', withParents: false, match, include: [] }
    const found = await collect(request, finderOf([], true, answer))
    expect(found.map((one) => one.string(Attribute.StudyInstanceUID))).toEqual(['1.1', '1.3'])
  })

  test('is compared to a pattern of many asterisks in no time', () => {
    const study = new Dataset().set(Attribute.ModalitiesInStudy, ['A'.repeat(16)])
    const started = performance.now()
    for (const pattern of [`${'*'.repeat(15_000)}x`, `${'*A'.repeat(5_000)}x`]) {
      expect(fits(study, [{ tag: Attribute.ModalitiesInStudy, vr: 'CS', values: [pattern] }], strict)).toBe(false)
    }
    expect(performance.now() - started).toBeLessThan(1_000)
  })

  test('without the UIDs of the path is given them', async () => {
    const answer = (): Dataset[] => [new Dataset().set(Attribute.SOPInstanceUID, '3.1')]
    const request: SearchRequest = {
      level: 'IMAGE',
      study: '1.1',
      series: '2.1',
      withParents: false,
      match: [],
      include: [],
    }
    for (const relational of [true, false]) {
      const [found] = await collect(request, finderOf([], relational, answer))
      expect(found!.string(Attribute.StudyInstanceUID)).toBe('1.1')
      expect(found!.string(Attribute.SeriesInstanceUID)).toBe('2.1')
    }
  })

  test('is not asked for at a level below the one searched', async () => {
    const request: SearchRequest = {
      level: 'STUDY',
      withParents: false,
      match: [{ tag: Attribute.SOPClassUID, vr: 'UI', values: ['1.2'] }],
      include: [],
    }
    await expect(collect(request, finderOf([], true))).rejects.toBeInstanceOf(KeyBelowLevelError)
  })
})

describe('attributes of the levels above', () => {
  const request: SearchRequest = {
    level: 'SERIES',
    withParents: true,
    match: [patientKey],
    include: [Attribute.StudyDescription],
  }
  const name = '山田^太郎'

  /** A study and its series, each as the archive writes it. */
  async function merged(study: Dataset, series: Dataset): Promise<Dataset> {
    const answer = ({ level }: Query): Dataset[] => [level === 'STUDY' ? study : series]
    const [result] = await collect(request, finderOf([], false, answer))
    return result!
  }

  const study = (charset: string | undefined, patient: string): Dataset => {
    const dataset = new Dataset()
    if (charset !== undefined) dataset.set(Attribute.SpecificCharacterSet, charset.split('|'))
    return dataset
      .set(Attribute.StudyInstanceUID, '1.1')
      .set(Attribute.PatientName, patient)
      .set(Attribute.StudyDescription, 'Head')
  }
  const series = (charset: string | undefined, description: string): Dataset => {
    const dataset = new Dataset()
    if (charset !== undefined) dataset.set(Attribute.SpecificCharacterSet, charset.split('|'))
    return dataset.set(Attribute.SeriesInstanceUID, '2.1').set(Attribute.SeriesDescription, description)
  }

  test.each([
    ['ISO_IR 192', name, 'ISO_IR 192', 'Schädel'],
    ['ISO_IR 192', name, 'ISO_IR 100', 'Schädel'],
    ['ISO_IR 192', name, undefined, 'Skull'],
    ['|ISO 2022 IR 87', name, 'ISO_IR 192', '頭部'],
    ['|ISO 2022 IR 87', name, '|ISO 2022 IR 87', '頭部'],
    ['ISO_IR 100', 'Müller^Jörg', 'ISO_IR 192', '頭部'],
    ['ISO_IR 100', 'Müller^Jörg', undefined, 'Skull'],
    ['ISO_IR 100', 'Müller^Jörg', 'ISO_IR 126', 'Κεφαλή'],
    [undefined, 'Miller', 'ISO_IR 100', 'Schädel'],
    ['GB18030', '王^小东', 'ISO_IR 144', 'Череп'],
  ])('written in %s (%s) join a series in %s (%s)', async (upper, patient, lower, description) => {
    const result = await merged(study(upper, patient), series(lower, description))
    expect(result.string(Attribute.PatientName)).toBe(patient)
    expect(result.string(Attribute.SeriesDescription)).toBe(description)
    expect(result.string(Attribute.StudyDescription)).toBe('Head')
    expect(result.string(Attribute.StudyInstanceUID)).toBe('1.1')
  })

  test('keep the text of their sequences', async () => {
    const upper = study('ISO_IR 192', name)
    upper.setItems(0x00081032, [new Dataset(upper.characterSet).set(0x00080104, '頭部', 'LO')])
    const result = await merged(upper, series('ISO_IR 100', 'Schädel'))
    expect(result.items(0x00081032)[0]!.string(0x00080104)).toBe('頭部')
    expect(result.string(Attribute.SeriesDescription)).toBe('Schädel')
  })

  test('do not replace what the lower level says itself', async () => {
    const lower = series(undefined, 'Skull').set(Attribute.PatientName, 'Other').set(Attribute.StudyDescription, '')
    const result = await merged(study(undefined, 'Miller'), lower)
    expect(result.string(Attribute.PatientName)).toBe('Other')
    expect(result.string(Attribute.StudyDescription)).toBe('Head')
  })
})

describe('counts of a study', () => {
  const keysOf = (uid: string): Dataset => new Dataset().set(Attribute.StudyInstanceUID, uid)

  async function derived(
    deriveCounts: string,
    find: (identifier: Dataset) => Dataset[],
    settings: object = {},
  ): Promise<{ results: Record<string, { Value?: unknown[] }>[]; queries: string[] }> {
    await using archive = await ScriptedArchive.start({ find: findAnswer(find) })
    await using gateway = await startGateway(
      parseConfig({
        http: { port: 0 },
        archives: [archiveAt(archive.address, { search: { deriveCounts }, maxAssociations: 1, ...settings })],
        log: { level: 'silent' },
      }),
    )
    const response = await fetch(`${gateway.url}/studies`)
    const results = (await response.json()) as Record<string, { Value?: unknown[] }>[]
    const queries = archive
      .received(C_FIND_RQ)
      .map(({ identifier }) => identifier.string(Attribute.QueryRetrieveLevel)!)
    return { results, queries }
  }

  const twoSeries = (): Dataset[] => [
    keysOf('1.1')
      .set(Attribute.SeriesInstanceUID, '2.1')
      .set(Attribute.Modality, 'MR')
      .set(Attribute.NumberOfSeriesRelatedInstances, '3'),
    keysOf('1.1')
      .set(Attribute.SeriesInstanceUID, '2.2')
      .set(Attribute.Modality, 'CT')
      .set(Attribute.NumberOfSeriesRelatedInstances, '4'),
  ]
  const isStudy = (identifier: Dataset): boolean => identifier.string(Attribute.QueryRetrieveLevel) === 'STUDY'
  const complete = (uid: string): Dataset =>
    keysOf(uid)
      .set(Attribute.ModalitiesInStudy, ['US'])
      .set(Attribute.NumberOfStudyRelatedSeries, '1')
      .set(Attribute.NumberOfStudyRelatedInstances, '1')

  test('are taken from its series where the archive leaves them out, over the one association there is', async () => {
    const { results, queries } = await derived('auto', (keys) =>
      isStudy(keys) ? [keysOf('1.1'), keysOf('1.2')] : twoSeries(),
    )
    expect(queries).toEqual(['STUDY', 'SERIES', 'SERIES'])
    for (const result of results) {
      expect(result).toMatchObject({
        '00080061': { Value: ['CT', 'MR'] },
        '00201206': { Value: [2] },
        '00201208': { Value: [7] },
      })
    }
  })

  test('are left as they are where the archive knows them', async () => {
    const { results, queries } = await derived('auto', (keys) => (isStudy(keys) ? [complete('1.1')] : twoSeries()))
    expect(queries).toEqual(['STUDY'])
    expect(results[0]).toMatchObject({ '00080061': { Value: ['US'] }, '00201208': { Value: [1] } })
  })

  test('are asked for in any case where the configuration says so', async () => {
    const { results, queries } = await derived('always', (keys) => (isStudy(keys) ? [complete('1.1')] : twoSeries()))
    expect(queries).toEqual(['STUDY', 'SERIES'])
    expect(results[0]).toMatchObject({ '00080061': { Value: ['CT', 'MR'] }, '00201206': { Value: [2] } })
  })

  test('stay empty where the configuration says so', async () => {
    const { results, queries } = await derived('never', (keys) => (isStudy(keys) ? [keysOf('1.1')] : twoSeries()))
    expect(queries).toEqual(['STUDY'])
    expect(results[0]!['00201206']).toEqual({ vr: 'IS' })
  })

  test('of instances stay empty when a series does not tell its own', async () => {
    const series = (): Dataset[] => [
      ...twoSeries(),
      keysOf('1.1').set(Attribute.SeriesInstanceUID, '2.3').set(Attribute.Modality, 'CT'),
    ]
    const { results } = await derived('auto', (keys) => (isStudy(keys) ? [keysOf('1.1')] : series()))
    expect(results[0]).toMatchObject({ '00201206': { Value: [3] }, '00201208': { vr: 'IS' } })
    expect(results[0]!['00201208']!.Value).toBeUndefined()
  })

  test.each([MAX_DERIVED, MAX_DERIVED + 2])(
    'of %i studies are taken from the series of the first 200',
    async (count) => {
      const { results, queries } = await derived('auto', (keys) => (isStudy(keys) ? studies(count) : twoSeries()))
      expect(queries).toEqual(['STUDY', ...Array.from({ length: 200 }, () => 'SERIES')])
      expect(results.map((result) => result['0020000D']?.Value?.[0])).toEqual(
        studies(count).map((study) => study.string(Attribute.StudyInstanceUID)),
      )
      for (const [index, result] of results.entries()) {
        expect(result['00201206']?.Value, String(index)).toEqual(index < 200 ? [2] : undefined)
      }
    },
  )
})

describe('an archive that never ends its answer', () => {
  const BATCH = 500

  /** Answers every C-FIND by batches of Pending responses until the connection ends; reads nothing more. */
  async function startEndless(
    answer: (index: number) => Dataset | undefined,
    changing = false,
  ): Promise<ScriptedArchive> {
    return ScriptedArchive.start({
      find: async (association, { contextId, messageId }) => {
        const { peer } = association
        const batch = (from: number): Buffer =>
          Buffer.concat(
            Array.from({ length: BATCH }, (_, at) => {
              const match = answer(from + at)
              const data = match && association.encode(contextId, match)
              return findResponse({ contextId, messageId, status: 0xff00, ...(data && { data }) })
            }),
          )
        if (!changing) return peer.flood(batch(0))
        let gone = false
        const over = new Promise<void>((resolve) => {
          for (const event of ['end', 'close']) peer.socket.once(event, () => resolve())
        }).then(() => (gone = true))
        for (let from = 0; !gone; from += BATCH) {
          await Promise.race([peer.send(batch(from)), over])
          await new Promise(setImmediate)
        }
      },
    })
  }

  async function count(results: AsyncIterable<unknown>): Promise<number> {
    let found = 0
    for await (const _ of results) found++
    return found
  }

  test.each([
    ['repeats itself, so that no result comes of it,', new Dataset().set(Attribute.PatientID, 'x')],
    ['has no identifier in it', undefined],
  ])('but %s is given up', { timeout: 60_000 }, async (_what, match) => {
    await using archive = await startEndless(() => match)
    await using one = await openArchive(archive.address)
    const options = await one.queryOptions(false, never)
    const results = one.search({ level: 'STUDY', withParents: false, match: [], include: [] }, options, never)
    await expect(count(results)).rejects.toBeInstanceOf(TooManyMatchesError)
    expect(one.stats).toMatchObject({ leased: 0, waiting: 0 })
  })

  test('is cancelled behind the page and the window in which results are counted, then aborted in its grace time', async () => {
    const study = (index: number): Dataset => new Dataset().set(Attribute.StudyInstanceUID, `1.${index + 1}`)
    await using archive = await startEndless(study, true)
    const settings = { search: { deriveCounts: 'never', countWindow: 50 } }
    await using gateway = await startGateway(
      parseConfig({ http: { port: 0 }, archives: [archiveAt(archive.address, settings)], log: { level: 'silent' } }),
    )
    const started = performance.now()
    const response = await fetch(`${gateway.url}/studies?limit=10`)
    expect(await response.json()).toHaveLength(10)
    expect(performance.now() - started).toBeLessThan(CANCEL_GRACE_MS + 2_000)
    await eventually(() => expect(gateway.archives[0]!.stats).toMatchObject({ leased: 0, waiting: 0 }))
    const { peer } = archive.associations[0]!
    await peer.closed()
    // C-CANCEL-RQ of the C-FIND, then A-ABORT.
    const cancel = peer.received.indexOf(Buffer.from('0000000102000000ff0f', 'hex'))
    expect(cancel).toBeGreaterThan(0)
    expect(peer.received.at(-10)).toBe(7)
  })
})
