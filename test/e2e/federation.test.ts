import { describe, expect, it } from 'vitest'
import { DemoArchive } from '../../src/demo/demo-archive.ts'
import { startDcmqrscp } from '../support/dcmqrscp.ts'
import { studyFiles } from '../support/federation.ts'
import { startGatewayFor } from '../support/gateway.ts'
import { startOrthanc } from '../support/orthanc.ts'
import { skipWithoutPeers } from '../support/peers.ts'
import { freePort } from '../support/ports.ts'
import { related } from '../support/related.ts'

type Row = Record<string, { Value?: unknown[] }>

/** What an archive holds, by its name. */
const holdings = {
  dcmqrscp: [
    ...studyFiles('1.2.1', { 1: [1, 2, 3] }, { patient: '7', name: 'General^Seven' }),
    ...studyFiles('1.2.5', { 1: [1, 2], 2: [1] }, { patient: '7', name: 'General^Seven' }),
    ...studyFiles('1.2.6', { 1: [1, 2, 3] }, { patient: '6', name: 'Six' }),
  ],
  first: [
    ...studyFiles('1.2.2', { 1: [1] }, { patient: 'F-7', name: 'General^Seven' }),
    ...studyFiles('1.2.5', { 1: [2, 3, 4, 5] }, { patient: 'F-7', name: 'General^Seven' }),
  ],
  second: [
    ...studyFiles('1.2.3', { 1: [1, 2] }, { patient: '7', name: 'City^Seven' }),
    ...studyFiles('1.2.6', { 1: [1] }, { patient: '6', name: 'Another^Six' }),
  ],
}

describe.skipIf(skipWithoutPeers())('dcmqrscp, two Orthancs, and archives that are dead, slow or late, as one', () => {
  it('never mix patients, nor lose what one of them holds', async () => {
    await using dcmqrscp = await startDcmqrscp()
    await using first = await startOrthanc({ aeTitle: 'FIRST' })
    await using second = await startOrthanc({ aeTitle: 'SECOND' })
    await using slow = await DemoArchive.start({ aeTitle: 'SLOW', faults: { findDelay: 300 } })
    await using late = await DemoArchive.start({ aeTitle: 'LATE', faults: { findDelay: 60_000 } })
    for (const file of studyFiles('1.2.4', { 1: [1] }, { patient: '7', name: 'General^Seven' })) await slow.put(file)
    for (const file of studyFiles('1.2.9', { 1: [1] }, { patient: '7', name: 'General^Seven' })) await late.put(file)
    const at = ({ port }: { readonly port: number }, aeTitle: string, patients: object = {}): object => {
      return { aeTitle, host: '127.0.0.1', port, patients: { issuer: 'GENERAL', ...patients } }
    }
    await using gateway = await startGatewayFor(
      [
        at(dcmqrscp, dcmqrscp.aeTitle),
        at(first, 'FIRST', { stripPrefix: 'F-' }),
        at(second, 'SECOND', { issuer: 'CITY' }),
        at(slow, 'SLOW'),
        at({ port: await freePort() }, 'DEAD'),
        at(late, 'LATE'),
      ],
      {},
      { maxBytes: 0 },
      { federation: { timeout: '2s' } },
    )
    const all = `${gateway.url}/all`
    for (const [name, files] of Object.entries(holdings)) {
      const { type, body } = related(files)
      const init = { method: 'POST', headers: { 'Content-Type': type }, body: new Uint8Array(body) }
      const stored = await fetch(`${gateway.url}/aets/${name.toUpperCase()}/studies`, init)
      expect(stored.status).toBe(200)
    }
    const search = async (query: string): Promise<Response & { rows: Row[] }> => {
      const response = await fetch(all + query)
      return Object.assign(response, { rows: (await response.json()) as Row[] })
    }
    const uids = (rows: readonly Row[]): unknown[] => rows.map((row) => row['0020000D']!.Value![0]).sort()

    const everybody = await search('/studies')
    expect(uids(everybody.rows)).toEqual(['1.2.1', '1.2.2', '1.2.3', '1.2.4', '1.2.5', '1.2.6', '1.2.6'])
    const warning = everybody.headers.get('warning') ?? ''
    expect([warning.includes('archive dead has'), warning.includes('archive late has')]).toEqual([true, true])
    expect(warning).not.toContain('slow')
    // The name is of whom the ID and its issuer are, in every row.
    for (const row of everybody.rows) {
      const [id, issuer, name] = ['00100020', '00100021', '00100010'].map((tag) => row[tag]!.Value![0])
      const names: Record<string, string> = {
        'GENERAL 7': 'General^Seven',
        'CITY 7': 'City^Seven',
        'GENERAL 6': 'Six',
        'CITY 6': 'Another^Six',
      }
      expect(name).toEqual({ Alphabetic: names[`${String(issuer)} ${String(id)}`] })
    }
    expect((await fetch(`${all}/studies?strict=true`)).status).toBe(502)

    const his = await search('/studies?PatientID=7&IssuerOfPatientID=GENERAL')
    expect(uids(his.rows)).toEqual(['1.2.1', '1.2.2', '1.2.4', '1.2.5'])
    const ofBoth = his.rows.find((row) => row['0020000D']!.Value![0] === '1.2.5')!
    expect([ofBoth['00201208']!.Value, ofBoth['00080054']!.Value]).toEqual([[4], ['FIRST', 'DCMQRSCP']])
    expect(uids((await search('/studies?PatientID=7&IssuerOfPatientID=CITY')).rows)).toEqual(['1.2.3'])

    // Pages, together, are what there is.
    const pages: unknown[] = []
    for (let offset = 0; offset < 8; offset += 2)
      pages.push(...uids((await search(`/studies?limit=2&offset=${offset}`)).rows))
    expect(pages.sort()).toEqual(uids(everybody.rows))

    // What two have of a study is whole together.
    const metadata = await search('/studies/1.2.5/metadata')
    expect(metadata.status).toBe(200)
    expect(metadata.rows.map((row) => row['00080018']!.Value![0]).sort()).toEqual([
      '1.2.5.1.1',
      '1.2.5.1.2',
      '1.2.5.1.3',
      '1.2.5.1.4',
      '1.2.5.1.5',
      '1.2.5.2.1',
    ])
    expect((await fetch(`${all}/studies/1.2.6/metadata`)).status).toBe(409)

    // One of them goes away: the rest is given, and that it is not all is told.
    await dcmqrscp[Symbol.asyncDispose]()
    const rest = await search('/studies/1.2.5/series/1.2.5.1/metadata')
    expect([rest.status, rest.rows.length]).toEqual([206, 4])
  })
})
