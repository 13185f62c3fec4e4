import { afterEach, beforeAll, afterAll, beforeEach, describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import type { Dataset } from '../../../src/dicom/dataset.ts'
import { formatTag } from '../../../src/dicom/tag.ts'
import { instanceFile, MR, S, E } from '../../support/dicom-files.ts'
import { startSetup, type Setup, type SetupOptions } from '../../support/gateway.ts'

type Result = Record<string, { vr: string; Value?: unknown[] }>

interface Answer {
  readonly status: number
  readonly type: string | null
  readonly warning: string | null
  readonly text: string
  /** Of a list. */
  readonly results: Result[]
}

async function search(setup: Setup, path: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(setup.url + path, init)
  const text = await response.text()
  return {
    status: response.status,
    type: response.headers.get('content-type'),
    warning: response.headers.get('warning'),
    text,
    results: text.startsWith('[') ? (JSON.parse(text) as Result[]) : [],
  }
}

const values = (results: readonly Result[], tag: string): unknown[] => results.map((result) => result[tag]?.Value?.[0])

/** An identifier as text: tag → the value field as Latin-1, padding and all; sequences as items. */
function written(identifier: Dataset): Record<string, unknown> {
  return Object.fromEntries(
    [...identifier.entries()].map(([t, { value }]) => [
      formatTag(t),
      value instanceof Uint8Array
        ? Buffer.from(value).toString('latin1')
        : (value as readonly Dataset[]).map((item) => written(item)),
    ]),
  )
}

/** Identifiers of the C-FINDs so far. */
function watched(setup: Setup, faults: Setup['archive']['faults'] = {}): Dataset[] {
  const identifiers: Dataset[] = []
  setup.archive.faults = { ...faults, onFind: (identifier) => identifiers.push(identifier) }
  return identifiers
}

/** Five studies of one patient on five days, of two instances; the third has an MR series too. */
function fiveStudies(): Buffer[] {
  const files: Buffer[] = []
  for (const day of [1, 2, 3, 4, 5]) {
    const change = (dataset: Dataset): void => {
      dataset
        .set(Attribute.StudyDate, `2024010${day}`)
        .set(Attribute.PatientName, day === 5 ? 'Müller^Änne' : 'Sample^Case')
      dataset.set(Attribute.StudyDescription, `Day ${day}`).set(Attribute.AccessionNumber, `A${day}`)
    }
    const study = `1.2.${day}`
    files.push(instanceFile({ study, series: `${study}.1`, instance: `${study}.1.1`, change }))
    files.push(instanceFile({ study, series: `${study}.1`, instance: `${study}.1.2`, change }))
    if (day === 3)
      files.push(instanceFile({ study, series: `${study}.2`, instance: `${study}.2.1`, sopClass: MR, change }))
  }
  return files
}

const setups: Setup[] = []

async function started(options: SetupOptions = {}): Promise<Setup> {
  const setup = await startSetup({ files: fiveStudies(), ...options })
  setups.push(setup)
  return setup
}

afterEach(async () => {
  for (const setup of setups.splice(0)) await setup[Symbol.asyncDispose]()
})

describe('the C-FIND of a search', () => {
  let setup: Setup
  let identifiers: Dataset[]

  beforeAll(async () => {
    setup = await startSetup({ files: fiveStudies(), archive: { relational: true } })
  })

  beforeEach(() => {
    identifiers = watched(setup)
  })

  afterAll(async () => {
    await setup[Symbol.asyncDispose]()
  })

  /** The identifier of the one C-FIND that a search makes. */
  async function only(path: string): Promise<Record<string, unknown>> {
    const answer = await search(setup, path)
    expect(answer.text).toMatch(/^\[/)
    expect(identifiers).toHaveLength(1)
    return written(identifiers[0]!)
  }

  it('for studies has the key, the level, and each attribute of Table 10.6.3-3 without value (cases 22, 23)', async () => {
    const identifier = await only('/studies?PatientID=123')
    expect(identifier).toEqual({
      '00080020': '',
      '00080030': '',
      '00080050': '',
      '00080052': 'STUDY ',
      '00080056': '',
      '00080061': '',
      '00080090': '',
      '00080201': '',
      '00100010': '',
      '00100020': '123 ',
      '00100030': '',
      '00100040': '',
      '0020000D': '',
      '00200010': '',
      '00201206': '',
      '00201208': '',
    })
    identifiers.length = 0
    expect(await only('/studies?00100020=123')).toEqual(identifier)
  })

  it('for series of a study has its UID and the attributes of Table 10.6.3-4', async () => {
    expect(await only('/studies/1.2.3/series')).toEqual({
      '00080052': 'SERIES',
      '00080060': '',
      '00080201': '',
      '0008103E': '',
      '0020000D': '1.2.3\0',
      '0020000E': '',
      '00200011': '',
      '00201209': '',
      '00400244': '',
      '00400245': '',
      '00400275': [{ '00400009': '', '00401001': '' }],
    })
  })

  it('for instances of a series has both UIDs and the attributes of Table 10.6.3-5', async () => {
    expect(await only('/studies/1.2.3/series/1.2.3.1/instances')).toEqual({
      '00080016': '',
      '00080018': '',
      '00080052': 'IMAGE ',
      '00080056': '',
      '00080201': '',
      '0020000D': '1.2.3\0',
      '0020000E': '1.2.3.1\0',
      '00200013': '',
      '00280008': '',
      '00280010': '',
      '00280011': '',
      '00280100': '',
    })
  })

  it('for instances of a study is one relational query with the study alone (case 46)', async () => {
    const identifier = await only('/studies/1.2.3/instances')
    expect(identifier).toMatchObject({ '00080052': 'IMAGE ', '0020000D': '1.2.3\0', '0020000E': '', '00080060': '' })
  })

  it.each([
    ['StudyInstanceUID=1.2.1,1.2.3', '0020000D', '1.2.1\\1.2.3\0'],
    ['StudyInstanceUID=1.2.1%5C1.2.3', '0020000D', '1.2.1\\1.2.3\0'],
    ['PatientName=DOE,JOHN', '00100010', 'DOE,JOHN'],
    ['PatientName=DOE*', '00100010', 'DOE*'],
    ['StudyDate=20240101-20240131', '00080020', '20240101-20240131 '],
    ['StudyDate=-20240131', '00080020', '-20240131 '],
    ['StudyDate=20240101-', '00080020', '20240101- '],
    ['PatientName=', '00100010', ''],
  ])('takes %s as it is, of even length (cases 25 to 28)', async (query, tag, value) => {
    expect((await only(`/studies?${query}`))[tag]).toBe(value)
  })

  it('has all keys of a sequence in one item, with the keys to return (case 30)', async () => {
    const identifier = await only(`/studies/${S}/series?RequestAttributesSequence.ScheduledProcedureStepID=7`)
    expect(identifier['00400275']).toEqual([{ '00400009': '7 ', '00401001': '' }])
  })

  it('has what includefield asks for without value (case 31)', async () => {
    const identifier = await only('/studies?includefield=StudyDescription&includefield=00081032,PatientSize')
    expect(identifier).toMatchObject({ '00081030': '', '00081032': [], '00101020': '' })
  })

  it('has the optional attributes of the level for includefield=all (case 32)', async () => {
    const tags = (
      '00080062 00081030 00081032 00081060 00081080 00100021 00100032 00101010 00101020 00101030 00102160 00102180 ' +
      '001021B0 00104000 00201070 00201200 00201202 00201204'
    ).split(' ')
    expect(Object.keys(await only('/studies?includefield=all'))).toEqual(expect.arrayContaining(tags))
  })

  it('has nothing of a lower level that includefield asks for (case 33)', async () => {
    expect(await only('/studies?includefield=SeriesDescription')).not.toHaveProperty('0008103E')
  })

  it('says the level and the character set itself, and never asks for the Retrieve URL, which is ours to make', async () => {
    const identifier = await only('/studies?includefield=RetrieveURL,QueryRetrieveLevel,SpecificCharacterSet')
    expect(identifier).toMatchObject({ '00080052': 'STUDY ' })
    expect(identifier).not.toHaveProperty('00080005')
    expect(identifier).not.toHaveProperty('00081190')
  })

  it('is in UTF-8, and says so, where a key is not ASCII (case 51)', async () => {
    const { results } = await search(setup, `/studies?PatientName=${encodeURIComponent('müller*')}`)
    const identifier = written(identifiers[0]!)
    expect(identifier['00080005']).toBe('ISO_IR 192')
    expect(Buffer.from(identifier['00100010'] as string, 'latin1').toString('utf8')).toBe('müller*')
    expect(values(results, '0020000D')).toEqual(['1.2.5'])
    expect(results[0]!['00100010']).toEqual({ vr: 'PN', Value: [{ Alphabetic: 'Müller^Änne' }] })
  })

  it.each([
    ['/studies?PatientID=1&PatientID=2', 'case 24'],
    ['/studies?PatientID=1&00100020=2', 'case 24'],
    ['/studies?StudyDate=2024-01-01', 'case 29'],
    ['/studies?StudyDate=2024*', 'case 52'],
    ['/studies?limit=-1', 'case 39'],
    ['/studies?limit=x', 'case 39'],
    ['/studies?offset=1.5', 'case 39'],
    ['/studies?fuzzymatching=maybe', '8.3.4.2'],
    ['/studies?StudyInstanceUID=1.2.*', '10.6.3.1'],
    ['/studies?Modality=CT', 'a key of a lower level'],
    ['/studies/1.2..3x/series', 'case 59'],
    ['/studies/1.2/series/a%3F/instances', 'case 59'],
    ['/studies?PatientName=a%00b', 'control characters'],
    ['/studies?QueryRetrieveLevel=IMAGE', 'not a key'],
  ])('is not made for %s, which is answered by 400 (%s)', async (path) => {
    const { status, type, text } = await search(setup, path)
    expect({ status, type }).toEqual({ status: 400, type: 'application/problem+json' })
    expect(JSON.parse(text)).toMatchObject({ status: 400 })
    expect(identifiers).toEqual([])
  })

  it('asks for "" where the archive agreed to empty value matching (case 48)', async () => {
    const able = await started({ archive: { emptyValue: true } })
    const asked = watched(able)
    const { warning } = await search(able, '/studies?emptyvaluematching=true&AccessionNumber=%22%22')
    expect(warning).toBeNull()
    expect(written(asked[0]!)['00080050']).toBe('""')
  })

  it('matches a lone asterisk of any text with everything', async () => {
    expect((await only('/studies?PatientName=*'))['00100010']).toBe('')
  })
})

describe('the results of a search', () => {
  it('have each attribute that is required, with or without value, and the Retrieve URL (cases 43, 44)', async () => {
    const setup = await started()
    const { status, type, results } = await search(setup, '/studies?StudyDate=20240103')
    expect({ status, type }).toEqual({ status: 200, type: 'application/dicom+json' })
    expect(results).toEqual([
      {
        '00080005': { vr: 'CS', Value: ['ISO_IR 192'] },
        '00080020': { vr: 'DA', Value: ['20240103'] },
        '00080030': { vr: 'TM', Value: ['101500'] },
        '00080050': { vr: 'SH', Value: ['A3'] },
        '00080061': { vr: 'CS', Value: ['CT', 'MR'] },
        '00080090': { vr: 'PN' },
        '00081190': { vr: 'UR', Value: [`${setup.url}/studies/1.2.3`] },
        '00100010': { vr: 'PN', Value: [{ Alphabetic: 'Sample^Case' }] },
        '00100020': { vr: 'LO', Value: ['123'] },
        '00100030': { vr: 'DA', Value: ['19700101'] },
        '00100040': { vr: 'CS' },
        '0020000D': { vr: 'UI', Value: ['1.2.3'] },
        '00200010': { vr: 'SH', Value: ['S1'] },
        '00201206': { vr: 'IS', Value: [2] },
        '00201208': { vr: 'IS', Value: [3] },
      },
    ])
  })

  it('are links that lead to what was found, at every level', async () => {
    const setup = await started({ archive: { relational: true } })
    for (const path of ['/studies', '/studies/1.2.3/series', '/instances?StudyInstanceUID=1.2.3']) {
      const { results } = await search(setup, path)
      expect(results.length).toBeGreaterThan(0)
      for (const url of values(results, '00081190')) {
        const response = await fetch(String(url))
        expect(response.status).toBe(200)
        await response.arrayBuffer()
      }
    }
  })

  it('stay below the archive that the path names', async () => {
    const setup = await started()
    const { results } = await search(setup, '/aets/DEMO/studies?StudyDate=20240103')
    expect(values(results, '00081190')).toEqual([`${setup.url}/aets/DEMO/studies/1.2.3`])
  })

  it('have the attributes of upper levels that are asked for (case 34)', async () => {
    for (const relational of [true, false]) {
      const setup = await started({ archive: { relational } })
      const { results } = await search(setup, '/studies/1.2.5/series?includefield=PatientName,StudyDescription')
      expect(results).toHaveLength(1)
      expect(results[0]).toMatchObject({
        '00100010': { vr: 'PN', Value: [{ Alphabetic: 'Müller^Änne' }] },
        '00081030': { vr: 'LO', Value: ['Day 5'] },
        '00080060': { vr: 'CS', Value: ['CT'] },
      })
    }
  })

  it('have what was matched and what was included, if without value', async () => {
    const setup = await started()
    const { results } = await search(setup, '/studies?StudyDescription=Day*&includefield=PatientComments&limit=1')
    expect(results[0]).toMatchObject({ '00081030': { vr: 'LO', Value: ['Day 1'] }, '00104000': { vr: 'LT' } })
  })

  it('have nothing of a lower level that is included (case 33)', async () => {
    const setup = await started()
    const { results } = await search(setup, '/studies?includefield=SeriesDescription,Rows')
    for (const result of results) {
      expect(result).not.toHaveProperty('0008103E')
      expect(result).not.toHaveProperty('00280010')
    }
  })

  it('have what the archive returned for includefield=all (case 32)', async () => {
    const setup = await started()
    const { results } = await search(setup, '/studies?includefield=all&StudyDate=20240101')
    expect(results[0]).toMatchObject({ '00081030': { Value: ['Day 1'] } })
  })

  it('have no level, no group 0000 or 0002, and their keys in ascending order', async () => {
    const setup = await started({ archive: { relational: true } })
    const { text } = await search(setup, '/instances?includefield=QueryRetrieveLevel')
    for (const object of text.slice(1, -1).split(/(?<=\}),(?=\{"0008)/)) {
      const keys = [...object.matchAll(/"([0-9A-F]{8})":/g)].map(([, key]) => key!)
      expect(keys).toEqual([...keys].sort())
      expect(keys).not.toContain('00080052')
      expect(keys.filter((key) => key < '0008')).toEqual([])
    }
  })

  it('are an empty list for a study that is not there: 200, or 204 where it is configured (cases 37, 42)', async () => {
    const setup = await started()
    for (const path of [
      '/studies/9.9/series',
      '/studies/9.9/instances',
      '/studies/9.9/series/9/instances',
      '/studies?PatientID=X',
    ]) {
      expect(await search(setup, path)).toMatchObject({ status: 200, type: 'application/dicom+json', text: '[]' })
    }
    const other = await started({ search: { emptyStatus: 204 } })
    expect(await search(other, '/studies/9.9/series')).toMatchObject({ status: 204, type: null, text: '' })
    expect(await search(other, '/studies?offset=5')).toMatchObject({ status: 204, type: null, text: '' })
    expect(await search(other, '/studies?limit=0')).toMatchObject({ status: 204, type: null, text: '' })
    expect((await search(other, '/studies')).results).toHaveLength(5)
  })

  it('are given as application/json to who asks for that (case 14), as DICOM JSON, or as XML', async () => {
    const setup = await started()
    const accept = (type: string): Promise<Answer> => search(setup, '/studies', { headers: { accept: type } })
    expect(await accept('application/json')).toMatchObject({ status: 200, type: 'application/json' })
    expect(await accept('application/dicom+json; charset=utf-8')).toMatchObject({ type: 'application/dicom+json' })
    expect(await accept('*/*')).toMatchObject({ status: 200, type: 'application/dicom+json' })
    const xml = await fetch(`${setup.url}/studies`, { headers: { accept: 'application/dicom+json;q=0, */*' } })
    expect(xml.headers.get('content-type')).toMatch(/^multipart\/related; type="application\/dicom\+xml"; boundary=/)
    expect((await xml.text()).match(/<NativeDicomModel/g)).toHaveLength(5)
    expect(await accept('image/jpeg')).toMatchObject({ status: 406, type: 'application/problem+json' })
    expect(
      await search(setup, '/studies?accept=application%2Fdicom%2Bjson', { headers: { accept: 'text/html' } }),
    ).toMatchObject({
      status: 200,
      type: 'application/dicom+json',
    })
  })

  it('do not depend on a parameter that nobody knows (case 50)', async () => {
    const setup = await started()
    const { results, warning } = await search(setup, '/studies?Foo=1&limt=2&LIMIT=1')
    expect(results).toHaveLength(5)
    expect(warning).toMatch(/^299 .*: Parameters that are not known have been passed over: Foo, limt, LIMIT\. /)
  })

  it('are told by no more than their names, where they are names', async () => {
    const setup = await started()
    const { warning } = await search(
      setup,
      '/studies?' + ['Doe%5EJane', 'a,b', 'x'.repeat(65), 'patientID'].map((n) => `${n}=1`).join('&'),
    )
    expect(warning).toMatch(/passed over: patientID, and others\. /)
    const many = await search(setup, '/studies?a=1&b=1&c=1&d=1&e=1&f=1')
    expect(many.warning).toMatch(/passed over: a, b, c, d, e, and others\. /)
  })
})

describe('a page of results', () => {
  it('is cut by offset and limit, and a Warning counts what is left (case 36)', async () => {
    const setup = await started()
    const all = values((await search(setup, '/studies')).results, '0020000D')
    expect(all).toHaveLength(5)
    const page = await search(setup, '/studies?limit=2&offset=1')
    expect(values(page.results, '0020000D')).toEqual(all.slice(1, 3))
    expect(page.warning).toBe(`299 ${setup.url}: There are 2 additional results that can be requested`)
    expect(await search(setup, '/studies?limit=2&offset=3')).toMatchObject({ status: 200, warning: null })
    expect(await search(setup, '/studies?limit=4294967296')).toMatchObject({ status: 200, warning: null })
  })

  it('is empty behind the last result, and for limit=0 (cases 37, 38)', async () => {
    const setup = await started()
    expect(await search(setup, '/studies?offset=5')).toMatchObject({ status: 200, text: '[]', warning: null })
    expect(await search(setup, '/studies?offset=500&limit=3')).toMatchObject({ status: 200, text: '[]' })
    const asked = watched(setup)
    expect(await search(setup, '/studies?limit=0')).toMatchObject({ status: 200, text: '[]' })
    expect(asked).toEqual([])
  })

  it('is no larger than the service allows (case 40)', async () => {
    const setup = await started({ search: { maxResults: 2 } })
    for (const path of ['/studies?limit=4', '/studies']) {
      const { status, results, warning } = await search(setup, path)
      expect(status).toBe(200)
      expect(results).toHaveLength(2)
      expect(warning).toBe(`299 ${setup.url}: There are 3 additional results that can be requested`)
    }
  })

  it('tells a lower bound where it does not count to the end', async () => {
    const setup = await started({ search: { countWindow: 2 } })
    const { warning } = await search(setup, '/studies?limit=1')
    expect(warning).toBe(`299 ${setup.url}: There are 2 additional results that can be requested`)
  })

  it('is the same page each time', async () => {
    const setup = await started()
    const pages = await Promise.all(
      Array.from({ length: 4 }, async () => (await search(setup, '/studies?limit=2&offset=2')).text),
    )
    expect(new Set(pages).size).toBe(1)
  })
})

describe('Warning', () => {
  const literal = 'The fuzzymatching parameter is not supported. Only literal matching has been performed.'
  const empty = 'The emptyvaluematching parameter is not supported. Empty Value Matching has not been performed.'
  const multiple =
    'The multiplevaluematching parameter is not supported. Multiple Value Matching has not been performed.'

  it.each([
    ['fuzzymatching', literal, { fuzzy: true }],
    ['emptyvaluematching', empty, { emptyValue: true }],
    ['multiplevaluematching', multiple, { multipleValue: true }],
  ])('says that %s was not done where the archive did not agree to it (cases 35, 48)', async (name, text, able) => {
    const setup = await started()
    const asked = await search(setup, `/studies?${name}=true`)
    expect(asked).toMatchObject({ status: 200, warning: `299 ${setup.url}: ${text}` })
    expect(asked.results).toHaveLength(5)
    expect(await search(setup, `/studies?${name}=false`)).toMatchObject({ warning: null })
    expect(await search(await started({ archive: able }), `/studies?${name}=true`)).toMatchObject({ warning: null })
  })

  it('is a header for each of several', async () => {
    const setup = await started()
    const path = '/studies?fuzzymatching=true&emptyvaluematching=true&multiplevaluematching=true&limit=1'
    const { RawClient } = await import('../../support/raw-http.ts')
    await using client = await RawClient.connect(setup.port)
    await client.request('GET', `/dicomweb${path}`, { Connection: 'close' })
    await client.closed()
    const base = 'http://gateway.localhost:8042/dicomweb'
    expect([...client.text.matchAll(/^warning: (.*)\r$/gim)].map(([, text]) => text)).toEqual([
      `299 ${base}: ${literal}`,
      `299 ${base}: ${empty}`,
      `299 ${base}: ${multiple}`,
      `299 ${base}: There are 4 additional results that can be requested`,
    ])
  })
})

describe('an archive without relational queries', () => {
  const paths = [
    '/instances?PatientID=123',
    '/instances?StudyDate=20240103&Modality=MR',
    '/series?PatientID=123&Modality=CT',
    '/series?StudyInstanceUID=1.2.1,1.2.3&includefield=StudyDescription,SeriesDescription',
    '/studies/1.2.3/instances',
    '/studies/1.2.3/instances?SeriesInstanceUID=1.2.3.2&includefield=PatientName',
    '/studies/1.2.3/series?PatientID=123',
    '/studies/1.2.3/series?PatientID=other',
    '/instances?PatientID=nobody',
  ]

  it('gives what one with them gives (case 45)', async () => {
    const [one, other] = [
      await started({ archive: { relational: true } }),
      await started({ archive: { relational: false } }),
    ]
    for (const path of paths) {
      const [expected, found] = [await search(one, path), await search(other, path)]
      expect(found.status, path).toBe(200)
      const sorted = (answer: Answer, url: string): Result[] =>
        (JSON.parse(answer.text.replaceAll(url, '')) as Result[]).sort((a, b) =>
          JSON.stringify(a['00081190']) < JSON.stringify(b['00081190']) ? -1 : 1,
        )
      expect(sorted(found, other.url), path).toEqual(sorted(expected, one.url))
    }
  })

  it('is asked level by level, with unique keys alone of the levels above (case 45, PS3.4 C.4.1.3.1.1)', async () => {
    const setup = await started()
    const asked = watched(setup)
    await search(setup, '/instances?PatientID=123&StudyDate=20240103&Modality=MR&InstanceNumber=1')
    const levels = asked.map((identifier) => identifier.string(Attribute.QueryRetrieveLevel))
    expect(levels).toEqual(['STUDY', 'SERIES', 'IMAGE'])
    const [study, series, image] = asked.map(written)
    expect(study).toMatchObject({ '00100020': '123 ', '00080020': '20240103' })
    expect(series).toMatchObject({ '0020000D': '1.2.3\0', '00080060': 'MR' })
    expect(image).toMatchObject({ '0020000D': '1.2.3\0', '0020000E': '1.2.3.2\0', '00200013': '1 ' })
    for (const below of [series, image]) expect(below).not.toHaveProperty('00100020')
    expect(image).not.toHaveProperty('00080060')
  })

  it('is not asked for the children of too many (case 47)', async () => {
    const setup = await started({ search: { maxParents: 3 } })
    const some = await search(setup, '/series?PatientID=123')
    expect([some.status, some.warning]).toEqual([200, expect.stringContaining('There may be more results')])
    const { status, type, text } = await search(setup, '/series?PatientID=123&SeriesNumber=4711')
    expect({ status, type }).toEqual({ status: 413, type: 'application/problem+json' })
    expect(JSON.parse(text)).toMatchObject({ code: 'SEARCH_TOO_BROAD' })
    expect((await search(setup, '/series?StudyDate=20240101-20240103')).results).toHaveLength(4)
  })

  it('is searched whole study by study, as far as the page goes', async () => {
    const setup = await started()
    const other = await started({ archive: { relational: true } })
    for (const path of ['/series', '/instances', '/instances?Modality=CT', '/series?Modality=MR,CT']) {
      const [walked, whole] = [await search(setup, path), await search(other, path)]
      expect(walked.results.length, path).toBeGreaterThan(0)
      expect(values(walked.results, '0020000E').sort()).toEqual(values(whole.results, '0020000E').sort())
    }
    const asked = watched(setup)
    expect((await search(setup, '/series?limit=1')).results).toHaveLength(1)
    expect(asked.length).toBeLessThan(values((await search(setup, '/studies')).results, '0020000D').length)
  })
})

describe('an archive that leaves counts out', () => {
  it('is asked for the series of each study found, and the results are those of one that counts', async () => {
    const setup = await started()
    const expected = await search(setup, '/studies')
    const asked = watched(setup, { withoutCounts: true })
    const derived = await search(setup, '/studies')
    const withoutUnknown = (results: Result[]): Result[] =>
      results.map((result) => ({ ...result, '00201208': { vr: 'IS' } }))
    // The demo without counts does not count the instances of a series either.
    expect(derived.results).toEqual(withoutUnknown(expected.results))
    expect(asked.map((identifier) => identifier.string(Attribute.QueryRetrieveLevel))).toEqual([
      'STUDY',
      ...Array<string>(5).fill('SERIES'),
    ])
    expect(values(derived.results, '00201206')).toEqual([1, 1, 2, 1, 1])
  })

  it('is left alone where deriving is off', async () => {
    const setup = await started({ search: { deriveCounts: 'never' } })
    const asked = watched(setup, { withoutCounts: true })
    const { results } = await search(setup, '/studies')
    expect(asked).toHaveLength(1)
    expect(results[0]).toMatchObject({ '00080061': { vr: 'CS' }, '00201206': { vr: 'IS' }, '00201208': { vr: 'IS' } })
  })
})

it('knows the UIDs of the conformance cases as a study of its own', async () => {
  const setup = await started({ files: [instanceFile()] })
  const { results } = await search(setup, `/studies/${S}/series/${E}/instances`)
  expect(values(results, '0020000E')).toEqual([E])
})
