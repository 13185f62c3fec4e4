import { describe, expect, it } from 'vitest'
import { newApiKey } from '../../../src/http/auth/api-keys.ts'
import type { Dataset } from '../../../src/dicom/dataset.ts'
import { DemoArchive } from '../../../src/demo/demo-archive.ts'
import type { Faults } from '../../../src/demo/faults.ts'
import { startSetup, type Setup, type SetupOptions } from '../../support/gateway.ts'
import { failOnLeaks } from '../../support/leaks.ts'
import { readParts } from '../../support/multipart.ts'
import { freePort } from '../../support/ports.ts'
import { scheduledStep } from '../../support/scheduled-steps.ts'

failOnLeaks()

const STEPS = [
  scheduledStep({ accession: 'A1' }),
  scheduledStep({ accession: 'A2', station: 'MR1', modality: 'MR' }),
  scheduledStep({ accession: 'A3', date: '20261201', patient: 'Smith^John' }),
]

type Row = Record<string, { vr: string; Value?: unknown[] }>

const start = (faults: Faults = {}, options: SetupOptions = {}): Promise<Setup> =>
  startSetup({ ...options, archive: { worklist: STEPS, faults, ...options.archive } })

const search = (setup: Setup, query = '', headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${setup.url}/modality-scheduled-procedure-steps${query}`, { headers })

async function accessions(response: Response): Promise<unknown[]> {
  expect(response.status).toBe(200)
  return ((await response.json()) as Row[]).map((row) => row['00080050']!.Value![0])
}

describe('the worklist (PS3.18 14)', () => {
  it('is searched by one C-FIND, and its texts are read in their character set', async () => {
    const asked: Dataset[] = []
    await using setup = await start({ onFind: (identifier) => void asked.push(identifier) })
    const response = await search(setup)
    const rows = (await response.clone().json()) as Row[]
    expect(await accessions(response)).toEqual(['A1', 'A2', 'A3'])
    expect(rows[0]!['00100010']!.Value).toEqual([{ Alphabetic: 'Müller^Änne' }])
    const [step] = rows[0]!['00400100']!.Value as Row[]
    expect(step!['00400007']!.Value).toEqual(['Schädel'])
    expect(asked).toHaveLength(1)
    // The model has no levels.
    expect(asked[0]!.has(0x00080052)).toBe(false)
  })

  it.each([
    ['a station', '?ScheduledProcedureStepSequence.ScheduledStationAETitle=CT1', ['A1', 'A3']],
    ['tags', '?00400100.00400001=MR1', ['A2']],
    ['a range of dates', '?ScheduledProcedureStepSequence.ScheduledProcedureStepStartDate=20261201-', ['A3']],
    ['both', '?00400100.00400001=CT1&00400100.00400002=-20261130', ['A1']],
    ['an accession number', '?AccessionNumber=A2', ['A2']],
    ['a name beyond ASCII', `?PatientName=${encodeURIComponent('Müller*')}`, ['A1', 'A2']],
    ['nothing that is there', '?AccessionNumber=A9', []],
    ['a page', '?limit=1&offset=1', ['A2']],
  ])('is matched by %s', async (_, query, expected) => {
    await using setup = await start()
    expect(await accessions(await search(setup, query))).toEqual(expected)
  })

  it('is given as JSON in the one part of multipart/related to who asks for that alone', async () => {
    await using setup = await start()
    const response = await search(setup, '', { Accept: 'multipart/related; type="application/dicom+json"' })
    const type = response.headers.get('content-type')!
    expect(type).toMatch(/^multipart\/related; type="application\/dicom\+json"; boundary=/)
    const [part, ...more] = readParts(type, Buffer.from(await response.arrayBuffer()))
    expect(more).toEqual([])
    expect(part!.headers.get('content-type')).toBe('application/dicom+json')
    expect(JSON.parse(part!.body.toString())).toHaveLength(3)
  })

  it.each([
    ['application/dicom+json, multipart/related; type="application/dicom+json"; q=0.5', 'application/dicom+json'],
    ['multipart/related; type="application/dicom+xml"', 'multipart/related; type="application/dicom+xml"'],
    ['multipart/related', 'multipart/related; type="application/dicom+xml"'],
  ])('answers %s by %s', async (accept, type) => {
    await using setup = await start()
    const response = await search(setup, '', { Accept: accept })
    expect(response.headers.get('content-type')).toMatch(new RegExp(`^${type.replace(/[.+]/g, '\\$&')}`))
  })

  it('says that it does not know all that a worklist may have', async () => {
    await using setup = await start()
    expect((await search(setup, '?includefield=all')).headers.get('warning')).toContain(
      'includefield=all is passed over',
    )
  })

  it('asks for what modalities need, and for what is named besides', async () => {
    const asked: Dataset[] = []
    await using setup = await start({ onFind: (identifier) => void asked.push(identifier) })
    const rows = (await (await search(setup, '?includefield=00102180,00400100.00400026,PixelData')).json()) as Row[]
    expect(Object.keys(rows[0]!)).toEqual(expect.arrayContaining(['00102180', '0020000D', '00401001', '00321064']))
    expect(asked[0]!.has(0x7fe00010)).toBe(false)
    const [step] = asked[0]!.items(0x00400100)
    expect([...step!.entries()].map(([t]) => t)).toEqual(
      expect.arrayContaining([
        0x00400026, 0x00080060, 0x00400001, 0x00400002, 0x00400003, 0x00400006, 0x00400008, 0x00400009,
      ]),
    )
  })

  it('says how much there is behind a page, and what it does not do', async () => {
    await using setup = await start()
    const response = await search(setup, '?limit=1&fuzzymatching=true')
    expect(response.headers.get('warning')).toMatch(/fuzzymatching parameter is not supported.*There are 2 additional/)
  })

  it('matches names by meaning where that is agreed to', async () => {
    await using setup = await start({}, { archive: { fuzzy: true } })
    const response = await search(setup, '?fuzzymatching=true&PatientName=Smith')
    expect([response.status, response.headers.get('warning')]).toEqual([200, null])
  })

  it('is not asked of a system that was down three times, while the archive is', async () => {
    const worklist = { aeTitle: 'RIS', host: '127.0.0.1', port: await freePort() }
    await using setup = await start({}, { pacs: { worklist } })
    const codes: unknown[] = []
    for (let n = 0; n < 4; n++) codes.push(((await (await search(setup)).json()) as { code: unknown }).code)
    expect(codes).toEqual([...Array<string>(3).fill('CONNECT_FAILED'), 'ARCHIVE_DOWN'])
    expect((await fetch(`${setup.url}/studies`)).status).toBe(200)
    const metrics = await (await fetch(`${setup.origin}/metrics`)).text()
    expect(metrics).toMatch(/dimsegate_archive_breaker\{archive="[^"]*\/worklist"\} [12]/)
    expect(metrics).toMatch(/dimsegate_pool_associations\{archive="[^"]*\/worklist",state="idle"\} 0/)
  })

  it('is given in XML', async () => {
    await using setup = await start()
    const response = await search(setup, '?AccessionNumber=A1', { Accept: 'application/dicom+xml' })
    expect(response.headers.get('content-type')).toContain('type="application/dicom+xml"')
    expect(await response.text()).toContain('<FamilyName>Müller</FamilyName>')
  })

  it('is that of another system where one is named, which is not told who we are at the archive', async () => {
    await using ris = await DemoArchive.start({ aeTitle: 'RIS', worklist: [STEPS[1]!] })
    const identity = { type: 'username', username: 'gateway' }
    await using setup = await start(
      {},
      { pacs: { identity, worklist: { aeTitle: 'RIS', host: '127.0.0.1', port: ris.port } } },
    )
    expect(await accessions(await search(setup))).toEqual(['A2'])
  })

  it.each([
    ['there is none', { acceptsClass: (uid: string) => uid !== '1.2.840.10008.5.1.4.31' }, '', 501],
    ['it is not for us', { findStatus: 0x0124 }, '', 403],
    ['it is out of resources', { findStatus: 0xa700 }, '', 503],
    ['a value is malformed', {}, '?00400100.00400002=today', 400],
    ['an attribute goes into what is no sequence', {}, '?PatientID.PatientName=x', 400],
  ])('says so where %s', async (_, faults, query, status) => {
    await using setup = await start(faults)
    const response = await search(setup, query)
    expect([response.status, response.headers.get('content-type')]).toEqual([status, 'application/problem+json'])
  })

  it('is not for who may see one patient only', async () => {
    const key = newApiKey()
    const auth = { keys: [{ name: 'bound', hash: key.hash, scopes: ['search'], patient: 'PA1' }] }
    await using setup = await start({}, { others: { auth } })
    const response = await search(setup, '', { Authorization: `Bearer ${key.key}` })
    expect(response.status).toBe(403)
  })
})
