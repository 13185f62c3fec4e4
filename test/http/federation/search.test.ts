import { describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import { fileOf, startFederation, studyFiles } from '../../support/federation.ts'

type Result = Record<string, { vr: string; Value?: unknown[] }>

interface Answer {
  readonly status: number
  readonly warning: string | null
  readonly results: Result[]
}

const Tag = {
  retrieveAet: '00080054',
  availability: '00080056',
  retrieveUrl: '00081190',
  patient: '00100020',
  issuer: '00100021',
  study: '0020000D',
  series: '0020000E',
  instance: '00080018',
  instances: '00201208',
  seriesInstances: '00201209',
  modalities: '00080061',
}

async function search(url: string): Promise<Answer> {
  const response = await fetch(url)
  const text = await response.text()
  const results = text.startsWith('[') ? (JSON.parse(text) as Result[]) : []
  return { status: response.status, warning: response.headers.get('warning'), results }
}

const values = (results: readonly Result[], tag: string): unknown[] => results.map((result) => result[tag]?.Value?.[0])

describe('a search of several archives as one', () => {
  it('gives what each of them holds, with who holds it and where it can be retrieved', async () => {
    await using setup = await startFederation({
      near: { files: studyFiles('1.1', { 1: [1, 2] }) },
      far: { files: studyFiles('1.2', { 1: [1] }) },
    })
    const { status, warning, results } = await search(`${setup.all}/studies`)
    expect({ status, warning }).toEqual({ status: 200, warning: null })
    expect(values(results, Tag.study)).toEqual(['1.1', '1.2'])
    expect(values(results, Tag.retrieveAet)).toEqual(['NEAR', 'FAR'])
    expect(values(results, Tag.issuer)).toEqual(['GENERAL', 'GENERAL'])
    for (const url of values(results, Tag.retrieveUrl)) {
      const response = await fetch(String(url), { headers: { accept: 'multipart/related; type="application/dicom"' } })
      expect(response.status).toBe(200)
      await response.arrayBuffer()
    }
  })

  it('gives a study of several archives once: counts of the fullest copy, who has it, and the nearest availability', async () => {
    await using setup = await startFederation({
      near: { files: studyFiles('1.1', { 1: [1, 2] }), archive: { faults: { availability: 'ONLINE' } } },
      far: { files: studyFiles('1.1', { 1: [1, 2], 2: [1, 2, 3] }), archive: { faults: { availability: 'NEARLINE' } } },
    })
    const { results } = await search(`${setup.all}/studies`)
    expect(results).toHaveLength(1)
    expect(values(results, Tag.instances)).toEqual([5])
    expect(results[0]![Tag.retrieveAet]!.Value).toEqual(['FAR', 'NEAR'])
    expect(values(results, Tag.availability)).toEqual(['ONLINE'])
    expect(values(results, Tag.retrieveUrl)).toEqual([`${setup.all}/studies/1.1`])
  })

  it('finds counts and modalities where archives leave them out', async () => {
    await using setup = await startFederation({
      near: { files: studyFiles('1.1', { 1: [1] }), archive: { faults: { withoutCounts: true } } },
      far: { files: studyFiles('1.2', { 1: [1], 2: [1] }), archive: { faults: { withoutCounts: true } } },
    })
    const { results } = await search(`${setup.all}/studies`)
    expect(values(results, '00201206')).toEqual([1, 2])
    expect(values(results, Tag.modalities)).toEqual(['CT', 'CT'])
  })

  it('tells two people apart who have the same ID at two issuers', async () => {
    await using setup = await startFederation({
      near: { files: studyFiles('1.1', { 1: [1] }, { patient: '7' }) },
      far: { files: studyFiles('1.2', { 1: [1] }, { patient: '7' }), config: { patients: { issuer: 'CITY' } } },
    })
    const both = await search(`${setup.all}/studies?PatientID=7`)
    expect(values(both.results, Tag.issuer)).toEqual(['GENERAL', 'CITY'])
    const one = await search(`${setup.all}/studies?PatientID=7&IssuerOfPatientID=CITY`)
    expect(values(one.results, Tag.study)).toEqual(['1.2'])
    const all = await search(`${setup.all}/studies?IssuerOfPatientID=GENERAL`)
    expect(values(all.results, Tag.study)).toEqual(['1.1'])
    const none = await search(`${setup.all}/studies?PatientID=7&IssuerOfPatientID=ELSEWHERE`)
    expect(none.results).toEqual([])
  })

  it('knows an ID without what an archive puts in front of it', async () => {
    await using setup = await startFederation({
      near: { files: studyFiles('1.1', { 1: [1] }, { patient: '7' }) },
      far: {
        files: [
          ...studyFiles('1.1', { 1: [1, 2] }, { patient: 'F-7' }),
          ...studyFiles('1.2', { 1: [1] }, { patient: 'F-7' }),
          ...studyFiles('1.3', { 1: [1] }, { patient: '7' }),
        ],
        config: { patients: { stripPrefix: 'F-' } },
      },
    })
    const { results } = await search(`${setup.all}/studies?PatientID=7&IssuerOfPatientID=GENERAL`)
    expect(values(results, Tag.study)).toEqual(['1.1', '1.2'])
    expect(values(results, Tag.patient)).toEqual(['7', '7'])
    // What lacks it is of an issuer that nobody knows.
    const all = await search(`${setup.all}/studies?PatientID=7`)
    expect(values(all.results, Tag.study).sort()).toEqual(['1.1', '1.2', '1.3'])
    expect(all.results.find((one) => one[Tag.study]!.Value![0] === '1.3')![Tag.issuer]!.Value).toBeUndefined()
    expect((await search(`${setup.all}/studies?PatientID=F-*`)).results).toEqual([])
    expect((await search(`${setup.all}/studies?PatientID=F-7&IssuerOfPatientID=GENERAL`)).results).toEqual([])
    // At its own root it is as it is.
    expect(values((await search(`${setup.of('far')}/studies?StudyInstanceUID=1.2`)).results, Tag.patient)).toEqual([
      'F-7',
    ])
  })

  it('gives two rows, each with a URL of its own, where two patients have one Study Instance UID', async () => {
    await using setup = await startFederation({
      near: { files: studyFiles('1.1', { 1: [1] }, { patient: '7' }) },
      far: { files: studyFiles('1.1', { 1: [1] }, { patient: '8' }) },
    })
    const { results } = await search(`${setup.all}/studies`)
    expect(values(results, Tag.patient)).toEqual(['7', '8'])
    expect(values(results, Tag.retrieveUrl)).toEqual([
      `${setup.of('near')}/studies/1.1`,
      `${setup.of('far')}/studies/1.1`,
    ])
    const response = await fetch(`${setup.all}/studies/1.1/metadata`)
    expect(response.status).toBe(409)
    const problem = (await response.json()) as { code: string; detail: string }
    expect(problem.code).toBe('STUDY_OF_SEVERAL_PATIENTS')
    expect(problem.detail).toContain('/aets/NEAR')
  })

  it.each([1, 2, 3, 5])('gives every study once over pages of %i, whatever archive is slow', async (limit) => {
    const studies = (from: number, to: number): Buffer[] =>
      Array.from({ length: to - from }, (_, n) =>
        fileOf({ study: `1.${from + n}`, series: `1.${from + n}.1`, instance: `1.${from + n}.1.1` }),
      )
    await using setup = await startFederation({
      near: { files: studies(100, 109), config: { search: { countWindow: 0 } } as object },
      far: { files: [...studies(104, 112), ...studies(101, 103)], config: { search: { countWindow: 0 } } as object },
      slow: {
        files: studies(110, 114),
        archive: { faults: { findDelay: 5 } },
        config: { search: { countWindow: 0 } } as object,
      },
    })
    const seen: unknown[] = []
    for (let offset = 0; ; offset += limit) {
      const { results } = await search(`${setup.all}/studies?limit=${limit}&offset=${offset}`)
      seen.push(...values(results, Tag.study))
      if (results.length < limit) break
    }
    expect(seen).toHaveLength(14)
    expect([...seen].sort()).toEqual(Array.from({ length: 14 }, (_, n) => `1.${100 + n}`))
    expect(seen).toEqual(values((await search(`${setup.all}/studies`)).results, Tag.study))
  })

  it('tells of the fuller copy of an archive that had more than was read', async () => {
    const studies = Array.from({ length: 9 }, (_, n) => studyFiles(`1.${n}`, { 1: [1] })).flat()
    await using setup = await startFederation({
      near: { files: [...studies], config: { search: { countWindow: 0 } } as object },
      far: {
        files: [
          ...studyFiles('9.1', { 1: [1] }),
          ...studyFiles('9.2', { 1: [1] }),
          ...studyFiles('1.0', { 1: [1, 2, 3] }),
        ],
        config: { search: { countWindow: 0 } } as object,
      },
    })
    const { results } = await search(`${setup.all}/studies?limit=1`)
    expect(values(results, Tag.study)).toEqual(['1.0'])
    expect(values(results, Tag.instances)).toEqual([3])
  })

  it('names an archive that has failed, or is late, and gives what the others have; not with strict=true', async () => {
    await using setup = await startFederation(
      {
        near: { files: studyFiles('1.1', { 1: [1] }) },
        dead: { files: studyFiles('1.2', { 1: [1] }), archive: { faults: { findStatus: 0xa700 } } },
        late: { files: studyFiles('1.3', { 1: [1] }), archive: { faults: { findDelay: 3000 } } },
      },
      { federation: { timeout: '400ms' } },
    )
    const { status, warning, results } = await search(`${setup.all}/studies`)
    expect(status).toBe(200)
    expect(values(results, Tag.study)).toEqual(['1.1'])
    expect(warning).toContain('The archive dead has failed')
    expect(warning).toContain('The archive late has failed')
    const strict = await fetch(`${setup.all}/studies?strict=true`)
    expect(strict.status).toBe(502)
    expect(await strict.json()).toMatchObject({ code: 'FEDERATION_INCOMPLETE' })
    expect((await fetch(`${setup.all}/studies?strict=perhaps`)).status).toBe(400)
  })

  it('fails where all archives do', async () => {
    await using setup = await startFederation({
      near: { files: [], archive: { faults: { findStatus: 0xc001 } } },
      far: { files: [], archive: { faults: { findStatus: 0xc001 } } },
    })
    expect((await search(`${setup.all}/studies?PatientID=1`)).status).toBe(502)
  })

  it('lists the series and instances of a study of all its copies, each once', async () => {
    await using setup = await startFederation({
      near: { files: studyFiles('1.1', { 1: [1, 2], 2: [1] }) },
      far: { files: studyFiles('1.1', { 1: [1, 2, 3], 3: [1] }) },
      other: { files: studyFiles('1.2', { 1: [1] }) },
    })
    const series = await search(`${setup.all}/studies/1.1/series`)
    const counts = series.results.map((row) => [row[Tag.series]!.Value![0], row[Tag.seriesInstances]!.Value![0]])
    expect(Object.fromEntries(counts)).toEqual({ '1.1.1': 3, '1.1.2': 1, '1.1.3': 1 })
    const instances = await search(`${setup.all}/studies/1.1/instances`)
    expect(new Set(values(instances.results, Tag.instance)).size).toBe(5)
    expect(instances.results).toHaveLength(5)
    expect((await search(`${setup.all}/series`)).results).toHaveLength(4)
    expect((await search(`${setup.all}/studies/9.9/series`)).results).toEqual([])
  })
})

describe('studies that are probably of a patient', () => {
  const named = { name: 'Doe^Jane', patient: '7' }
  const members = {
    near: { files: studyFiles('1.1', { 1: [1] }, named) },
    far: {
      files: [
        ...studyFiles('1.2', { 1: [1] }, { name: 'DOE^JANE^', patient: '12' }),
        ...studyFiles('1.3', { 1: [1] }, { name: 'Doe^Janet', patient: '13' }),
        ...studyFiles(
          '1.4',
          { 1: [1] },
          { name: 'Doe^Jane', patient: '14', change: (one) => one.set(Attribute.PatientBirthDate, '19700102') },
        ),
      ],
      config: { patients: { issuer: 'CITY' } },
    },
  }
  const query = 'PatientID=7&IssuerOfPatientID=GENERAL'

  it('are given behind his own to who asks for them, and say what they are', async () => {
    await using setup = await startFederation(members)
    expect(values((await search(`${setup.all}/studies?${query}`)).results, Tag.study)).toEqual(['1.1'])
    const { results } = await search(`${setup.all}/studies?${query}&probable=true`)
    expect(values(results, Tag.study)).toEqual(['1.1', '1.2'])
    expect(results.map((row) => [row['00090010']?.Value, row['00091001']?.Value])).toEqual([
      [undefined, undefined],
      [['DIMSEGATE'], ['PROBABLE']],
    ])
    expect(values(results, Tag.issuer)).toEqual(['GENERAL', 'CITY'])
  })

  it('are not given where nobody is named by ID and issuer, nor above the limit', async () => {
    await using setup = await startFederation(members)
    expect((await search(`${setup.all}/studies?PatientID=7&probable=true`)).results).toHaveLength(1)
    expect((await search(`${setup.all}/studies?${query}&probable=true&limit=1`)).results).toHaveLength(1)
    expect((await search(`${setup.all}/studies?${query}&probable=perhaps`)).status).toBe(400)
  })
})

describe('whose results are', () => {
  it('does not depend on what an archive puts in front of IDs: one that begins so may be of another', async () => {
    await using setup = await startFederation({
      near: { files: studyFiles('1.1', { 1: [1] }, { patient: 'F-7' }) },
      far: {
        files: [
          ...studyFiles('1.2', { 1: [1] }, { patient: 'F-7' }),
          ...studyFiles('1.3', { 1: [1] }, { patient: 'F-F-7' }),
        ],
        config: { patients: { stripPrefix: 'F-' } },
      },
    })
    const { results } = await search(`${setup.all}/studies?PatientID=F-7&IssuerOfPatientID=GENERAL`)
    expect(values(results, Tag.study)).toEqual(['1.1', '1.3'])
    const all = await search(`${setup.all}/studies?PatientID=F*&IssuerOfPatientID=GENERAL`)
    expect(values(all.results, Tag.study)).toEqual(['1.1', '1.3'])
  })

  it('is one patient where a third archive knows both IDs, in whatever order they are asked', async () => {
    const otherId = (id: string, issuer: string) => (dataset: Dataset) =>
      dataset.setItems(Attribute.OtherPatientIDsSequence, [
        new Dataset().set(Attribute.PatientID, id).set(Attribute.IssuerOfPatientID, issuer),
      ])
    const a = { files: studyFiles('1.1', { 1: [1] }, { patient: '7' }) }
    const b = {
      files: studyFiles('1.1', { 1: [1, 2] }, { patient: '8', change: otherId('7', 'GENERAL') }),
      config: { patients: { issuer: 'CITY', otherIds: true } },
    }
    const c = { files: studyFiles('1.1', { 1: [1, 2, 3] }, { patient: '8' }), config: { patients: { issuer: 'CITY' } } }
    for (const members of [
      { a, b, c },
      { c, a, b },
    ]) {
      await using setup = await startFederation(members)
      const { results } = await search(`${setup.all}/studies`)
      expect(values(results, Tag.instances)).toEqual([3])
      expect(results[0]!['00101002']).toBeUndefined()
      expect((await fetch(`${setup.all}/studies/1.1/metadata`)).status).toBe(200)
    }
  })

  it('marks series and instances of a study of two patients too', async () => {
    await using setup = await startFederation({
      near: { files: studyFiles('1.1', { 1: [1] }, { patient: '7' }) },
      far: { files: studyFiles('1.1', { 2: [1] }, { patient: '8' }) },
    })
    const { results } = await search(`${setup.all}/series`)
    expect(values(results, Tag.retrieveUrl).map((url) => String(url).split('/aets/')[1]?.split('/')[0])).toEqual([
      'NEAR',
      'FAR',
    ])
  })

  it('names an archive that ended its answer early, and is none that wants all to answer', async () => {
    await using setup = await startFederation({
      süd: {
        files: [...studyFiles('1.1', { 1: [1] }), ...studyFiles('1.2', { 1: [1] })],
        archive: { aeTitle: 'SUED' },
        config: { search: { maxParents: 1, relational: 'off' } } as object,
      },
      far: { files: studyFiles('1.3', { 1: [1] }) },
    })
    const { status, warning, results } = await search(`${setup.all}/series`)
    expect([status, results.length]).toEqual([200, 2])
    expect(warning).toContain('The archive sued has failed, is late, or has not told all')
    expect((await search(`${setup.all}/series?strict=true`)).status).toBe(502)
  })

  it('is not given for a fault of the request by an archive that is down', async () => {
    await using setup = await startFederation({ near: { files: [] }, far: { files: [] } })
    await setup.archives.near[Symbol.asyncDispose]()
    expect((await search(`${setup.all}/studies?Modality=CT`)).status).toBe(400)
  })

  it('finds series of a study by an issuer that its rows do not tell', async () => {
    await using setup = await startFederation({ near: { files: studyFiles('1.1', { 1: [1] }) }, far: { files: [] } })
    expect((await search(`${setup.all}/studies/1.1/series?IssuerOfPatientID=GENERAL`)).results).toHaveLength(1)
    expect((await search(`${setup.all}/studies/1.1/instances?IssuerOfPatientID=CITY`)).results).toHaveLength(0)
  })
})
