import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Attribute } from '../../src/dicom/attributes.ts'
import type { Gateway } from '../../src/gateway.ts'
import { newApiKey } from '../../src/http/auth/api-keys.ts'
import { instanceFile } from '../support/dicom-files.ts'
import { startDcmqrscp } from '../support/dcmqrscp.ts'
import { gatewayTo } from '../support/gateway-to.ts'
import { startOrthanc } from '../support/orthanc.ts'
import { skipWithoutPeers, type RealPeer } from '../support/peers.ts'
import { related } from '../support/related.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

// Who may see one patient, before archives as they are.

const MINE = '1.2.826.0.1.111'
const OTHERS = '1.2.826.0.1.222'
const { key, hash } = newApiKey()
/** Some match this as a pattern, or in any case. */
const ID = 'P_1'

function file(study: string, patient: string, instance = 1): Buffer {
  return instanceFile({
    ...{ study, series: `${study}.1`, instance: `${study}.1.${instance}` },
    change: (dataset) => dataset.set(Attribute.PatientID, patient).set(Attribute.PatientName, `Name^${patient}`),
  })
}

describe.skipIf(skipWithoutPeers()).each([
  ['dcmqrscp', startDcmqrscp],
  ['Orthanc', startOrthanc],
] as const)('who is bound to a patient, before %s', (_, start) => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>
  let peer: RealPeer
  let gateway: Gateway

  beforeAll(async () => {
    folder = await temporaryFolder()
    const all = [file(MINE, ID), file(OTHERS, 'P-2'), file('1.2.826.0.1.333', 'p_1'), file('1.2.826.0.1.444', 'PX1')]
    const files = await Promise.all(
      all.map(async (content, n) => {
        const path = join(folder.path, `${n}.dcm`)
        await writeFile(path, content)
        return path
      }),
    )
    peer = await start({ files })
    const keys = [{ name: 'one', hash, scopes: ['search', 'retrieve', 'store'], patient: ID }]
    gateway = await gatewayTo(peer, { aeTitle: peer.aeTitle }, { auth: { keys } })
  })

  afterAll(async () => {
    await (gateway as Gateway | undefined)?.[Symbol.asyncDispose]()
    await (peer as RealPeer | undefined)?.[Symbol.asyncDispose]()
    await folder[Symbol.asyncDispose]()
  })

  const ask = (path: string, init: { method?: string; body?: Uint8Array<ArrayBuffer>; type?: string } = {}) =>
    fetch(gateway.url + path, {
      ...init,
      headers: { Authorization: `Bearer ${key}`, ...(init.type !== undefined && { 'Content-Type': init.type }) },
    })

  it.each(['/studies', '/studies?PatientID=*', '/series', '/instances', `/studies?StudyInstanceUID=${OTHERS},${MINE}`])(
    'finds what is his by %s',
    async (path) => {
      const rows = (await (await ask(path)).json()) as Record<string, { Value?: string[] }>[]
      expect(rows.map((row) => row['0020000D']?.Value?.[0])).toEqual([MINE])
    },
  )

  it('gets what is his, and nothing of others', async () => {
    for (const rest of ['', '/metadata', '/rendered', '/series']) {
      const [mine, others] = [await ask(`/studies/${MINE}${rest}`), await ask(`/studies/${OTHERS}${rest}`)]
      await mine.arrayBuffer()
      expect([rest, mine.status]).toEqual([rest, 200])
      expect([rest, others.status, await others.json()]).toMatchObject([rest, 404, { code: 'NO_SUCH_STUDY' }])
    }
  })

  it('gets nothing by a path that begins with a study of his', async () => {
    const path = `/studies/${MINE}/series/${OTHERS}.1/instances/${OTHERS}.1.1`
    for (const rest of ['', '/metadata', '/frames/1', '/rendered']) {
      const answer = await ask(path + rest)
      const body = Buffer.from(await answer.arrayBuffer())
      expect([rest, answer.status]).toEqual([rest, 404])
      expect(body.includes('P-2')).toBe(false)
    }
    expect((await ask(`/studies/${MINE}/series/${OTHERS}.1`)).status).toBe(404)
    const rows = await ask(`/studies/${MINE}/series/${OTHERS}.1/instances`)
    expect(await rows.json()).toEqual([])
  })

  it('stores for himself, and into no study of others', async () => {
    const send = async (content: Buffer): Promise<number> => {
      const { type, body } = related([content])
      return (await ask('/studies', { method: 'POST', body: new Uint8Array(body), type })).status
    }
    expect(await send(file(MINE, ID, 2))).toBe(200)
    expect(await send(file(OTHERS, ID, 2))).toBe(403)
    expect(await send(file(MINE, 'P-2', 3))).toBe(403)
  })
})
