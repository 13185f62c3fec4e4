import { describe, expect, it } from 'vitest'
import { startGatewayFor } from '../support/gateway.ts'
import { skipWithoutPeers } from '../support/peers.ts'
import { startOrthanc } from '../support/orthanc.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { startWlmscpfs, writeWorklist } from '../support/wlmscpfs.ts'

/** As dump2dcm reads it. */
function dumpOf(accession: string, station: string, date: string): string {
  return `
(0008,0005) CS [ISO_IR 100]
(0008,0050) SH [${accession}]
(0010,0010) PN [M\u00fcller^Jane]
(0010,0020) LO [P${accession}]
(0010,0030) DA [19700101]
(0010,0040) CS [F]
(0020,000d) UI [1.2.3.4]
(0032,1060) LO [CT Sch\u00e4del]
(0040,0100) SQ
(fffe,e000) -
(0008,0060) CS [CT]
(0040,0001) AE [${station}]
(0040,0002) DA [${date}]
(0040,0003) TM [093000]
(0040,0006) PN [House^Greg]
(0040,0007) LO [Head]
(0040,0009) SH [S1]
(fffe,e00d) -
(fffe,e0dd) -
(0040,1001) SH [R1]
(0040,1003) SH [LOW]
`
}

type Row = Record<string, { Value?: unknown[] }>

/** What both are asked, and what they answer. */
async function searched(root: string): Promise<{ of: (query: string) => Promise<unknown[]> }> {
  const url = `${root}/modality-scheduled-procedure-steps`
  const found = async (query: string): Promise<Row[]> => {
    const response = await fetch(url + query)
    expect(response.status).toBe(200)
    return (await response.json()) as Row[]
  }
  const all = await found('')
  expect(all.map((row) => row['00080050']!.Value).sort()).toEqual([['A1'], ['A2']])
  expect(all[0]!['00100010']!.Value).toEqual([{ Alphabetic: 'M\u00fcller^Jane' }])
  const of = async (query: string) => (await found(query)).map((row) => row['00080050']!.Value![0])
  expect(await of('?ScheduledProcedureStepSequence.ScheduledStationAETitle=CT2')).toEqual(['A2'])
  expect(await of('?ScheduledProcedureStepSequence.ScheduledProcedureStepStartDate=20261129-20261130')).toEqual(['A1'])
  return { of }
}

describe.skipIf(skipWithoutPeers())('the worklist of wlmscpfs', () => {
  it('is that of the archive that names it', async () => {
    await using ris = await startWlmscpfs([dumpOf('A1', 'CT1', '20261130'), dumpOf('A2', 'CT2', '20261201')])
    const { aeTitle, host, port } = ris
    // The archive itself need not be there. wlmscpfs compares bytes, whatever the character set of a key.
    await using gateway = await startGatewayFor([
      { aeTitle: 'PACS', host, port: 1, charset: { query: 'ISO_IR 100' }, worklist: { aeTitle, host, port } },
    ])
    const { of } = await searched(gateway.url)
    expect(await of(`?PatientName=${encodeURIComponent('M\u00fcller*')}&AccessionNumber=A1`)).toEqual(['A1'])
    expect(await of('?00400100.00080060=MR')).toEqual([])
  })
  it('is searched as that of the plugin of Orthanc is', async () => {
    await using folder = await temporaryFolder()
    await writeWorklist(folder.path, [dumpOf('A1', 'CT1', '20261130'), dumpOf('A2', 'CT2', '20261201')])
    await using orthanc = await startOrthanc({ worklist: folder.path })
    const { aeTitle, host, port } = orthanc
    await using gateway = await startGatewayFor([{ aeTitle, host, port }])
    await searched(gateway.url)
  })
})
