import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Gateway } from '../../src/gateway.ts'
import { E, S, seriesFiles } from '../support/dicom-files.ts'
import { gatewayTo } from '../support/gateway-to.ts'
import { keeper } from '../support/kept.ts'
import { startOrthanc, type OrthancOptions } from '../support/orthanc.ts'
import { skipWithoutPeers } from '../support/peers.ts'
import { freePort } from '../support/ports.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { readParts } from '../support/multipart.ts'
import { get, type Answer } from './http.ts'

// What Orthanc does in its own way where it is set up so.

const COUNT = 12
const DICOM = 'multipart/related; type="application/dicom"'
const JSON_TYPE = 'application/dicom+json'
const kept = keeper()

const countOf = ({ headers, body }: Answer): number => readParts(headers.get('content-type') ?? '', body).length

async function before(retrieve: 'get' | 'move', options: OrthancOptions): Promise<Gateway> {
  const folder = kept(await temporaryFolder())
  const files = await Promise.all(
    seriesFiles(COUNT).map(async (file, n) => {
      const path = join(folder.path, `${n}.dcm`)
      await writeFile(path, file)
      return path
    }),
  )
  const port = await freePort()
  const peers = [{ aeTitle: 'DIMSEGATE', host: '127.0.0.1', port }]
  const orthanc = kept(await startOrthanc({ files, peers, ...options }))
  const settings = { aeTitle: orthanc.aeTitle, retrieve }
  return kept(await gatewayTo(orthanc, settings, { dimse: { port, host: '127.0.0.1', enabled: retrieve === 'move' } }))
}

describe.skipIf(skipWithoutPeers())('Orthanc', () => {
  it.each(['get', 'move'] as const)(
    'that limits its lists gives a study whole by C-%s, and searches with a Warning',
    async (way) => {
      const { url } = await before(way, { limitFindInstances: 3 })
      const response = await get(`${url}/studies/${S}`, DICOM)
      expect(response.status).toBe(200)
      expect(countOf(response)).toBe(COUNT)
      const search = await get(`${url}/studies/${S}/series/${E}/instances`, JSON_TYPE)
      expect(search.status).toBe(200)
      expect((JSON.parse(search.body.toString()) as unknown[]).length).toBeLessThan(COUNT)
      expect(search.headers.get('warning')).toContain('There may be more results')
    },
  )

  it('that answers a C-MOVE before it delivers gives a study whole', async () => {
    const { url } = await before('move', { synchronousMove: false })
    for (const path of [`/studies/${S}`, `/studies/${S}/series/${E}`]) {
      const response = await get(url + path, DICOM)
      expect(response.status).toBe(200)
      expect(countOf(response)).toBe(COUNT)
    }
    const one = await get(`${url}/studies/${S}/series/${E}/instances/${E}.7`, DICOM)
    expect([one.status, countOf(one)]).toEqual([200, 1])
  })
})
