import { describe, expect, it, vi } from 'vitest'
import { Attribute } from '../../src/dicom/attributes.ts'
import { dateAndTime } from '../../src/dicom/date-time.ts'
import { startDcmqrscp } from '../support/dcmqrscp.ts'
import { studyFiles } from '../support/federation.ts'
import { startGatewayFor } from '../support/gateway.ts'
import { startOrthanc } from '../support/orthanc.ts'
import { skipWithoutPeers, type RealPeer } from '../support/peers.ts'
import { related } from '../support/related.ts'
import { startWlmscpfs } from '../support/wlmscpfs.ts'

const peers: readonly (readonly [string, () => Promise<RealPeer>])[] = [
  ['dcmqrscp', () => startDcmqrscp()],
  ['Orthanc', () => startOrthanc()],
]

function study(uid: string, date: string, description: string, part: string): Buffer[] {
  return studyFiles(
    uid,
    { 1: [1, 2, 3] },
    {
      date,
      change: (dataset) =>
        dataset.set(Attribute.StudyDescription, description).set(Attribute.BodyPartExamined, part === '' ? [] : part),
    },
  )
}

/** A step of patient 123, as dump2dcm reads it. */
function dueStep(at: Date): string {
  const { date, time } = dateAndTime(at)
  return `
(0008,0005) CS [ISO_IR 100]
(0008,0050) SH [A1]
(0010,0010) PN [Sample^Case]
(0010,0020) LO [123]
(0020,000d) UI [1.2.840.9]
(0032,1060) LO [CT Sch\u00e4del nativ]
(0040,0100) SQ
(fffe,e000) -
(0008,0060) CS [CT]
(0040,0001) AE [CT1]
(0040,0002) DA [${date}]
(0040,0003) TM [${time}]
(0040,0007) LO [Kopf]
(0040,0009) SH [S1]
(fffe,e00d) -
(fffe,e0dd) -
(0040,1001) SH [R1]
(0040,1003) SH [LOW]
`
}

describe.skipIf(skipWithoutPeers())('priors at a real archive, with the worklist of wlmscpfs', () => {
  it.each(peers)('%s: are ranked, fetched for who is due, and opened without a further retrieval', async (_, start) => {
    await using peer = await start()
    await using ris = await startWlmscpfs([dueStep(new Date(Date.now() + 30 * 60_000))])
    const { aeTitle, host, port } = peer
    const worklist = { aeTitle: ris.aeTitle, host: ris.host, port: ris.port }
    const files = [
      ...study('1.3.1', '20250601', 'CCT', ''),
      ...study('1.3.2', '20230601', 'CT Head wo', ''),
      ...study('1.3.3', '20250701', 'Rö-Thorax 2 Eb.', 'CHEST'),
    ]
    // What is to be read by hand is stored by a gateway that fetches nothing.
    await using storing = await startGatewayFor([{ aeTitle, host, port }])
    const { type, body } = related(files)
    const init = { method: 'POST', headers: { 'Content-Type': type }, body: new Uint8Array(body) }
    expect((await fetch(`${storing.url}/studies`, init)).status).toBe(200)
    const ranked = (await (await fetch(`${storing.url}/studies/1.3.1/priors`)).json()) as Record<
      string,
      { Value: unknown[] }
    >[]
    expect(ranked.map((row) => row['0020000D']!.Value[0])).toEqual(['1.3.2'])
    const [best] = ranked
    expect(best!['00091003']!.Value).toEqual(['same region: head', 'CT for CT', '2 years before'])

    await using gateway = await startGatewayFor(
      [{ aeTitle, host, port, worklist }],
      {},
      {},
      { prefetch: { worklist: { every: '500ms', ahead: '1h' } } },
    )
    const metric = async (name: string): Promise<number> => {
      const { text } = await gateway.telemetry.metrics()
      return Number(
        text
          .split('\n')
          .find((line) => line.startsWith(`${name} `))
          ?.split(' ')
          .at(-1),
      )
    }
    await vi.waitFor(
      async () => expect(await metric('dimsegate_prefetch_studies_total{result="fetched"}')).toBe(2),
      15_000,
    )
    for (const uid of ['1.3.1', '1.3.2']) {
      const metadata = await fetch(`${gateway.url}/studies/${uid}/metadata`)
      expect([metadata.status, ((await metadata.json()) as unknown[]).length]).toEqual([200, 3])
    }
    expect(await metric('dimsegate_cache_requests_total{result="miss"}')).toBe(0)
    expect(await metric('dimsegate_prefetch_studies_total{result="used"}')).toBe(2)
    // What nobody is due for is not here.
    expect((await fetch(`${gateway.url}/studies/1.3.3/metadata`)).status).toBe(200)
    expect(await metric('dimsegate_cache_requests_total{result="miss"}')).toBe(1)
  })
})
