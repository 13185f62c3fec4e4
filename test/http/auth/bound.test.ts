import { afterEach, describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import { encodeDataset } from '../../../src/dicom/dataset-codec.ts'
import { part10Header } from '../../../src/dicom/part10.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN } from '../../../src/dicom/transfer-syntax.ts'
import { newApiKey } from '../../../src/http/auth/api-keys.ts'
import { CT, instanceDataset, instanceFile } from '../../support/dicom-files.ts'
import { startSetup, type Setup } from '../../support/gateway.ts'
import { related } from '../../support/related.ts'
import { AUDIENCE, TokenIssuer } from '../../support/token-issuer.ts'

// Two patients: who is bound to one sees nothing of the other, by whatever way.

const MINE = '1.2.11'
const OTHERS = '1.2.22'
const ID = 'P-1'

const opened: AsyncDisposable[] = []

afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one[Symbol.asyncDispose]()
})

function file(study: string, patient: string, change: (dataset: Dataset) => void = () => undefined): Buffer {
  return instanceFile({
    study,
    series: `${study}.1`,
    instance: `${study}.1.1`,
    change: (dataset) => {
      dataset.set(Attribute.PatientID, patient).set(Attribute.PatientName, `Name^${patient}`)
      change(dataset)
    },
  })
}

interface Bound {
  readonly setup: Setup
  readonly authorization: string
  /** Identifiers of the C-FINDs so far. */
  readonly asked: Dataset[]
  /** Instances that were retrieved. */
  readonly sent: string[]
}

interface BoundOptions {
  readonly claims?: Readonly<Record<string, unknown>>
  readonly relational?: boolean
  readonly pacs?: object
  readonly claimNames?: object
  /** What the archive says of how many there are of a patient. */
  readonly counts?: string
}

async function bound(options: BoundOptions = {}): Promise<Bound> {
  const { claims = { patient: ID }, relational = false, pacs, claimNames, counts } = options
  const issuer = await TokenIssuer.start()
  opened.push(issuer)
  const counted = (dataset: Dataset): void => {
    if (counts === undefined) return
    for (const keyword of ['Studies', 'Series', 'Instances'] as const) {
      dataset.set(Attribute[`NumberOfPatientRelated${keyword}`], counts)
    }
  }
  const names = { patient: 'patient', patientIssuer: 'patient_issuer', study: 'study', ...claimNames }
  const setup = await startSetup({
    archive: { relational },
    files: [file(MINE, ID, counted), file(OTHERS, 'P-2'), file('1.2.33', 'P-1*'), file('1.2.44', 'p-1')],
    others: { auth: { issuer: issuer.url, audience: AUDIENCE, claims: names } },
    ...(pacs && { pacs }),
  })
  opened.push(setup)
  const asked: Dataset[] = []
  const sent: string[] = []
  setup.archive.faults = {
    onFind: (identifier) => asked.push(identifier),
    getFails: (uid) => sent.push(uid) === 0,
  }
  return { setup, asked, sent, authorization: `Bearer ${await issuer.token({ claims })}` }
}

async function search({ setup, authorization }: Bound, path: string): Promise<string[]> {
  const response = await fetch(setup.url + path, { headers: { Authorization: authorization } })
  expect([path, response.status]).toEqual([path, 200])
  const rows = (await response.json()) as Record<string, { Value?: string[] }>[]
  return [...new Set(rows.map((row) => row['0020000D']!.Value![0]!))]
}

async function status({ setup, authorization }: Bound, path: string, accept = '*/*'): Promise<string> {
  const response = await fetch(setup.url + path, { headers: { Authorization: authorization, Accept: accept } })
  const text = await response.text()
  const { code = '' } = response.ok ? {} : (JSON.parse(text) as { code?: string })
  return `${response.status} ${code}`.trim()
}

describe.each([true, false])('a search of who is bound to a patient (relational queries: %s)', (relational) => {
  it.each([
    ['/studies', [MINE]],
    ['/studies?PatientID=P-1', [MINE]],
    ['/studies?PatientID=*', [MINE]],
    ['/studies?PatientID=P-2', []],
    ['/studies?PatientID=P-*', []],
    [`/studies?StudyInstanceUID=${OTHERS}`, []],
    [`/studies?StudyInstanceUID=${OTHERS},${MINE}`, [MINE]],
    ['/studies?PatientName=Name*&limit=10', [MINE]],
    ['/series', [MINE]],
    ['/instances', [MINE]],
    [`/instances?StudyInstanceUID=${OTHERS}`, []],
    [`/studies/${MINE}/series`, [MINE]],
    [`/studies/${MINE}/instances`, [MINE]],
  ])('%s finds %j', async (path, studies) => {
    expect(await search(await bound({ relational }), path)).toEqual(studies)
  })

  it('sends the PatientID with each query for studies', async () => {
    const one = await bound({ relational })
    await search(one, '/studies')
    expect(one.asked.map((identifier) => identifier.string(Attribute.PatientID))).toEqual([ID])
  })

  it.each([
    `/studies/${OTHERS}/series`,
    `/studies/${OTHERS}/instances`,
    `/studies/${OTHERS}/series/${OTHERS}.1/instances`,
  ])('of %s is 404, as of what is not there', async (path) => {
    const one = await bound({ relational })
    expect(await status(one, path)).toBe('404 NO_SUCH_STUDY')
    expect(await status(one, path.replaceAll(OTHERS, '9.9'))).toBe('404 NO_SUCH_STUDY')
  })
})

describe('an archive that does not match by PatientID', () => {
  it('lets who is bound see no more', async () => {
    const one = await bound({ relational: true, pacs: { quirks: { looseMatching: true } } })
    one.setup.archive.faults = {
      onFind: (identifier) => identifier.delete(Attribute.PatientID),
    }
    for (const path of ['/studies', '/series', '/instances']) expect(await search(one, path)).toEqual([])
  })
})

describe('an archive that passes over the study in a search below it', () => {
  it('lets who is bound see no metadata of another, where they come by searches', async () => {
    const one = await bound({ relational: true, pacs: { metadata: 'find' } })
    one.setup.archive.faults = { onFind: (identifier) => forgetsStudy(identifier) }
    expect(await status(one, `/studies/${MINE}/series/${MINE}.1/metadata`)).toBe('200')
    for (const path of [`/series/${OTHERS}.1`, `/${I1}`]) {
      expect(await status(one, `/studies/${MINE}${path}/metadata`)).toBe('404 NO_SUCH_INSTANCE')
    }
  })
})

function forgetsStudy(identifier: Dataset): void {
  if (identifier.string(Attribute.QueryRetrieveLevel) === 'IMAGE') identifier.set(Attribute.StudyInstanceUID)
}

const I1 = `series/${OTHERS}.1/instances/${OTHERS}.1.1`

describe('a retrieval of who is bound', () => {
  it.each([
    '',
    '/metadata',
    '/rendered',
    '/thumbnail',
    '/bulkdata',
    '/pixeldata',
    `/series/${OTHERS}.1`,
    `/${I1}`,
    `/${I1}/metadata`,
    `/${I1}/frames/1`,
    `/${I1}/rendered`,
    `/${I1}/bulkdata/7FE00010`,
  ])('of another patient is 404, and asks for nothing: /studies/…%s', async (rest) => {
    const one = await bound()
    expect(await status(one, `/studies/${OTHERS}${rest}`)).toBe('404 NO_SUCH_STUDY')
    expect(one.sent).toEqual([])
  })

  it('is given, and asks once whose it is', async () => {
    const one = await bound()
    for (let n = 0; n < 3; n++) {
      expect(await status(one, `/studies/${MINE}`)).toBe('200')
      expect(await status(one, `/studies/${MINE}/series/${MINE}.1/instances/${MINE}.1.1/frames/1`)).toBe('200')
    }
    expect(one.sent).toEqual([`${MINE}.1.1`])
    expect(one.asked.filter((identifier) => identifier.has(Attribute.PatientID))).toHaveLength(1)
  })

  it('names a study of his and an instance of another, and gets nothing', async () => {
    const one = await bound()
    for (const rest of ['', '/metadata', '/frames/1']) {
      expect(await status(one, `/studies/${MINE}/${I1}${rest}`)).toMatch(/^404/)
    }
  })

  it('by WADO-URI is no way around', async () => {
    const one = await bound()
    const of = (study: string): string =>
      `/wado?requestType=WADO&studyUID=${study}&seriesUID=${study}.1&objectUID=${study}.1.1&contentType=application/dicom`
    expect(await status(one, of(MINE))).toBe('200')
    expect(await status(one, of(OTHERS))).toBe('404 NO_SUCH_STUDY')
  })

  it('is no way to metrics and what the doctor finds', async () => {
    const one = await bound({ claims: { patient: ID, scope: 'dicom.admin' } })
    const origin = new URL(one.setup.url).origin
    const answer = await fetch(`${origin}/metrics`, { headers: { Authorization: one.authorization } })
    expect(answer.status).toBe(403)
  })
})

describe('a token', () => {
  it('may be for one study', async () => {
    const one = await bound({ claims: { study: MINE } })
    expect(await search(one, '/studies')).toEqual([MINE])
    expect(await search(one, '/instances')).toEqual([MINE])
    expect(await status(one, `/studies/${MINE}`)).toBe('200')
    expect(await status(one, `/studies/${OTHERS}`)).toBe('404 NO_SUCH_STUDY')
  })

  it("for one study tells nothing of the patient's others", async () => {
    const counts = ['00201200', '00201202', '00201204']
    const told = async (claims: object): Promise<string[]> => {
      const { setup, authorization } = await bound({ claims: { ...claims }, counts: '7' })
      const url = `${setup.url}/studies?includefield=${counts.join(',')}`
      const rows = (await (await fetch(url, { headers: { Authorization: authorization } })).json()) as Record<
        string,
        { Value?: unknown }
      >[]
      return counts.filter((tag) => rows.some((row) => row[tag]?.Value))
    }
    expect(await told({ patient: ID })).toEqual(counts)
    expect(await told({ study: MINE })).toEqual([])
  })

  it('for a patient and a study is for what is of both', async () => {
    const one = await bound({ claims: { patient: 'P-2', study: MINE } })
    expect(await search(one, '/studies')).toEqual([])
    expect(await status(one, `/studies/${MINE}`)).toBe('404 NO_SUCH_STUDY')
  })

  it('of an issuer of patients is not for the same id of another', async () => {
    const issued = (study: string, by: string): Buffer =>
      file(study, ID, (dataset) => dataset.set(Attribute.IssuerOfPatientID, by))
    const one = await bound({ claims: { patient: ID, patient_issuer: 'HOSPITAL_A' } })
    for (const f of [issued('1.2.55', 'HOSPITAL_A'), issued('1.2.66', 'HOSPITAL_B')]) await one.setup.archive.put(f)
    expect(await search(one, '/studies')).toEqual(['1.2.55'])
    expect(await status(one, '/studies/1.2.55')).toBe('200')
    expect(await status(one, '/studies/1.2.66')).toBe('404 NO_SUCH_STUDY')
  })

  it.each([
    {},
    { patient: '' },
    { patient: ['P-1', 'P-2'] },
    { patient: null },
    { patient: 'P-1\\P-2' },
    { study: '../x' },
  ])('with %j is refused: it is for nobody', async (claims) => {
    expect(await status(await bound({ claims }), '/studies')).toBe('401 TOKEN_REFUSED')
  })

  it('that names nobody is for all where the configuration says so', async () => {
    const one = await bound({ claims: {}, claimNames: { bindingRequired: false } })
    expect(await search(one, '/studies')).toHaveLength(4)
  })
})

describe('a store of who is bound', () => {
  const held = ({ setup }: Bound, study: string): number =>
    setup.archive.catalog.select(new Dataset().set(Attribute.StudyInstanceUID, study)).length

  async function stored(one: Bound, files: readonly Buffer[]): Promise<[number, string[]]> {
    const { type, body } = related(files)
    const headers = { 'Content-Type': type, Authorization: one.authorization }
    const response = await fetch(`${one.setup.url}/studies`, { method: 'POST', body: new Uint8Array(body), headers })
    const told = (await response.json()) as Record<string, { Value?: Record<string, { Value: unknown[] }>[] }>
    const reasons = (told['00081198']?.Value ?? []).map((item) => Number(item['00081197']!.Value[0]).toString(16))
    return [response.status, reasons]
  }

  it('is taken for his patient, and refused for another', async () => {
    const one = await bound()
    expect(await stored(one, [file('1.2.77', ID), file('1.2.88', 'P-2')])).toEqual([202, ['124']])
    expect(held(one, '1.2.77')).toBe(1)
    expect(held(one, '1.2.88')).toBe(0)
    expect(await stored(one, [file('1.2.88', 'P-2')])).toEqual([403, ['124']])
  })

  it('is refused into a study of another, whatever the instance says', async () => {
    const one = await bound()
    expect(await stored(one, [file(OTHERS, ID)])).toEqual([403, ['124']])
    expect(await stored(one, [file(OTHERS, '')])).toEqual([403, ['124']])
  })

  it.each([
    ['behind a NUL', `${OTHERS}\0.9`],
    ['as one of two values', `1.2.79\\${OTHERS}`],
    ['by a wildcard', '1.2.*'],
    ['behind a line feed', `\n${OTHERS}`],
  ])('is refused where its study is that of another %s', async (_, study) => {
    const one = await bound()
    const value = Buffer.from(study.length % 2 === 0 ? study : `${study} `)
    const odd = file('1.2.77', ID, (dataset) => dataset.put(Attribute.StudyInstanceUID, { vr: 'UI', value }))
    expect(await stored(one, [odd])).toEqual([403, ['124']])
  })

  it.each([
    ['1.2.81', [ID, 'P-2']],
    ['1.2.82', ['', ID]],
    ['1.2.83', [`${ID}\u00a0`]],
  ])('is refused into %s, where the patient has the ids %j', async (study, ids) => {
    const one = await bound()
    const odd = file(study, '', (dataset) => {
      dataset.set(Attribute.SpecificCharacterSet, 'ISO_IR 100').delete(Attribute.PatientID)
      dataset.set(Attribute.PatientID, ids)
    })
    expect(await stored(one, [odd])).toEqual([403, ['124']])
    await one.setup.archive.put(odd)
    expect(await search(one, '/studies')).toEqual([MINE])
    expect(await status(one, `/studies/${study}`)).toBe('404 NO_SUCH_STUDY')
  })

  it('of an instance that names two patients is not a store', async () => {
    const one = await bound()
    const twice = (second: Dataset): Buffer => {
      const first = instanceDataset({ study: '1.2.99', series: '1.2.99.1', instance: '1.2.99.1.1' })
      first.set(Attribute.PatientID, ID).delete(Attribute.PixelData)
      const header = part10Header(CT, '1.2.99.1.1', EXPLICIT_VR_LITTLE_ENDIAN)
      return Buffer.concat([
        header,
        encodeDataset(first, EXPLICIT_VR_LITTLE_ENDIAN),
        encodeDataset(second, EXPLICIT_VR_LITTLE_ENDIAN),
      ])
    }
    const other = instanceDataset().set(Attribute.PatientID, 'P-2')
    expect((await stored(one, [twice(other)]))[0]).toBe(409)
    expect(held(one, '1.2.99')).toBe(0)
  })

  it('waits for no association while it holds one', async () => {
    const one = await bound({ pacs: { maxAssociations: 1, timeouts: { queue: '2s' } } })
    const studies = Array.from({ length: 4 }, (_, at) => file(`1.2.10${at}`, ID))
    expect(await stored(one, studies)).toEqual([200, []])
  })
})

describe('a key', () => {
  it('may be for one patient', async () => {
    const { key, hash } = newApiKey()
    const auth = { keys: [{ name: 'kiosk', hash, scopes: ['search', 'retrieve'], patient: ID }] }
    const setup = await startSetup({ files: [file(MINE, ID), file(OTHERS, 'P-2')], others: { auth } })
    opened.push(setup)
    const one = { setup, authorization: `Bearer ${key}`, asked: [], sent: [] }
    expect(await search(one, '/studies')).toEqual([MINE])
    expect(await status(one, `/studies/${OTHERS}`)).toBe('404 NO_SUCH_STUDY')
    expect(await status({ ...one, authorization: `Bearer ${newApiKey().key}` }, '/studies')).toBe('401 TOKEN_REFUSED')
  })
})
