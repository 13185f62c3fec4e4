import { afterEach, describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { newApiKey } from '../../../src/http/auth/api-keys.ts'
import { fileOf, startFederation, studyFiles, type PatientOptions } from '../../support/federation.ts'
import { startSetup, type Setup } from '../../support/gateway.ts'

type Row = Record<string, { Value?: unknown[] }>

const opened: AsyncDisposable[] = []

afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one[Symbol.asyncDispose]()
})

/** A study of so many instances, by its description and Body Part Examined. */
function study(
  uid: string,
  date: string,
  description: string,
  options: PatientOptions & { part?: string } = {},
): Buffer[] {
  const { part, change, ...others } = options
  return studyFiles(
    uid,
    { 1: [1, 2, 3] },
    {
      ...others,
      date,
      change: (dataset) => {
        dataset.set(Attribute.StudyDescription, description)
        if (part !== undefined) dataset.set(Attribute.BodyPartExamined, part)
        change?.(dataset)
      },
    },
  )
}

const ofOne = [
  ...study('1.1', '20240601', 'CT Thorax'),
  ...study('1.2', '20230601', 'CT Chest w contrast'),
  ...study('1.3', '20240501', 'Knie re'),
  ...study('1.4', '20200601', 'Routine', { part: 'CHEST' }),
  ...study('1.5', '20240701', 'CT Thorax'),
  ...study('1.6', '20230601', 'CT Thorax', { patient: '124' }),
]

async function started(options: Parameters<typeof startSetup>[0] = {}): Promise<Setup> {
  const setup = await startSetup({ files: ofOne, ...options })
  opened.push(setup)
  return setup
}

async function priors(
  url: string,
  init: RequestInit = {},
): Promise<{ status: number; warning: string | null; rows: Row[] }> {
  const response = await fetch(url, init)
  const text = await response.text()
  return {
    status: response.status,
    warning: response.headers.get('warning'),
    rows: text.startsWith('[') ? (JSON.parse(text) as Row[]) : [],
  }
}

const uids = (rows: readonly Row[]): unknown[] => rows.map((row) => row['0020000D']!.Value![0])

describe('priors of a study', () => {
  it('are earlier studies of the patient, the best first, each with a score and its reasons', async () => {
    const { url } = await started()
    const { status, rows } = await priors(`${url}/studies/1.1/priors`)
    expect(status).toBe(200)
    expect(uids(rows)).toEqual(['1.2', '1.4', '1.3'])
    expect(rows[0]!['00090010']!.Value).toEqual(['DIMSEGATE'])
    expect(rows[0]!['00091002']!.Value![0]).toBeGreaterThan(90)
    expect(rows[0]!['00091003']!.Value).toEqual(['same region: chest', 'CT for CT', '12 months before'])
    expect(rows[2]!['00091002']!.Value).toEqual([0])
    expect(rows[0]!['00081190']!.Value).toEqual([`${url}/studies/1.2`])
    // The same each time.
    expect((await priors(`${url}/studies/1.1/priors`)).rows).toEqual(rows)
  })

  it('are as many as are asked for, and told how many more there are', async () => {
    const { url } = await started()
    const { rows, warning } = await priors(`${url}/studies/1.5/priors?limit=1`)
    expect(uids(rows)).toEqual(['1.1'])
    expect(warning).toContain('There are 3 additional results')
    expect((await priors(`${url}/studies/1.5/priors?limit=0`)).rows).toEqual([])
    expect((await priors(`${url}/studies/1.5/priors?limit=many`)).status).toBe(400)
  })

  it('are none of a patient without an ID, and 404 of a study that is not there', async () => {
    const { url } = await started({ files: [...ofOne, ...study('1.7', '20240801', 'CT', { patient: '' })] })
    expect(await priors(`${url}/studies/1.7/priors`)).toMatchObject({ status: 200, rows: [] })
    expect((await priors(`${url}/studies/9.9/priors`)).status).toBe(404)
  })

  it('cost the archive two searches, and one for each study whose series are looked at, once', async () => {
    const { archive, url } = await started()
    const levels: unknown[] = []
    archive.faults = { onFind: (identifier) => levels.push(identifier.string(Attribute.QueryRetrieveLevel)) }
    await priors(`${url}/studies/1.1/priors`)
    expect(levels.sort()).toEqual(['SERIES', 'SERIES', 'SERIES', 'SERIES', 'STUDY', 'STUDY'])
    levels.length = 0
    await priors(`${url}/studies/1.1/priors`)
    expect(levels).toEqual(['STUDY', 'STUDY'])
  })

  it('fail where the archive does', async () => {
    const { archive, url } = await started()
    archive.faults = { findStatus: 0xc001 }
    expect((await priors(`${url}/studies/1.1/priors`)).status).toBe(502)
  })

  it('are not shown to who may see one study', async () => {
    const { key, hash } = newApiKey()
    const keys = [{ name: 'bound', hash, scopes: ['search'], study: '1.1' }]
    const { url } = await started({ others: { auth: { keys } } })
    const headers = { Authorization: `Bearer ${key}` }
    expect(await priors(`${url}/studies/1.1/priors`, { headers })).toMatchObject({ status: 200, rows: [] })
    expect((await priors(`${url}/studies/1.2/priors`, { headers })).status).toBe(404)
  })

  it('are of all archives of a federation, by all that a patient is called, and not of another with his ID', async () => {
    const setup = await startFederation({
      near: { files: study('1.1', '20240601', 'CT Thorax', { patient: '7' }) },
      far: {
        files: [
          ...study('1.2', '20230601', 'CT chest', { patient: 'F-7' }),
          fileOf({ study: '1.1', series: '1.1.1', instance: '1.1.1.1', patient: 'F-7' }),
        ],
        config: { patients: { stripPrefix: 'F-' } },
      },
      other: {
        files: study('1.3', '20230601', 'CT chest', { patient: '7' }),
        config: { patients: { issuer: 'CITY' } },
      },
    })
    opened.push(setup)
    const { rows } = await priors(`${setup.all}/studies/1.1/priors`)
    expect(uids(rows)).toEqual(['1.2'])
    expect(rows[0]!['00080054']!.Value).toEqual(['FAR'])
    await setup.archives.other[Symbol.asyncDispose]()
    const { rows: left, warning } = await priors(`${setup.all}/studies/1.1/priors`)
    expect(uids(left)).toEqual(['1.2'])
    expect(warning).toContain('archive other has failed')
    expect((await priors(`${setup.all}/studies/1.1/priors?strict=true`)).status).toBe(502)
  })
})
