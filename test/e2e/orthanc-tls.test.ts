import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readParts } from '../support/multipart.ts'
import { certificateFor } from '../support/certificate.ts'
import { gatewayTo } from '../support/gateway-to.ts'
import { startOrthanc } from '../support/orthanc.ts'
import { skipWithoutPeers, type RealPeer } from '../support/peers.ts'
import { freePort } from '../support/ports.ts'
import { sliceFile, STUDY } from '../support/slices.ts'
import { examined } from '../doctor/examination.ts'
import { get } from './http.ts'

const HOST = '127.0.0.1'
const COUNT = 5

const [gateway, pacs] = [certificateFor('gateway.test'), certificateFor('pacs.test')]

describe.skipIf(skipWithoutPeers() || !gateway || !pacs)('Orthanc that speaks TLS only', () => {
  let folder: string
  let port: number
  let orthanc: RealPeer
  const files = Array.from({ length: COUNT }, (_, n) => sliceFile({ number: n + 1, size: 40_000 }))
  /** Of archives[] and of dimse: each shows its certificate to the other. */
  const ours = () => ({ ca: pacs!.files.cert, servername: 'pacs.test', ...gateway!.files })
  const listener = () => ({ host: HOST, port, tls: { ca: pacs!.files.cert, ...gateway!.files } })

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dimsegate-tls-files-'))
    const paths = files.map((_, n) => join(folder, `${n}.dcm`))
    await Promise.all(files.map((file, n) => writeFile(paths[n]!, file)))
    port = await freePort()
    const tls = { ...pacs!.files, trusted: gateway!.files.cert }
    orthanc = await startOrthanc({ files: paths, peers: [{ aeTitle: 'DIMSEGATE', host: HOST, port }], tls })
  })

  afterAll(async () => {
    await orthanc[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
    for (const one of [gateway, pacs]) one?.[Symbol.dispose]()
  })

  test('gives a study by C-MOVE, and by C-GET', async () => {
    for (const retrieve of ['move', 'get']) {
      const settings = { aeTitle: orthanc.aeTitle, retrieve, tls: ours() }
      await using service = await gatewayTo(orthanc, settings, { dimse: listener() })
      const accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
      const answer = await get(`${service.url}/studies/${STUDY}`, accept)
      expect(answer.status).toBe(200)
      const parts = readParts(answer.headers.get('Content-Type')!, answer.body)
      expect(parts.map(({ body }) => pixels(body)).sort()).toEqual(files.map(pixels).sort())
    }
  })

  test('passes the doctor, who says what to ask for when it knows another port', async () => {
    const settings = { aeTitle: orthanc.aeTitle, tls: ours() }
    const well = await examined(orthanc, settings, { dimse: listener() })
    expect(well.at('problem')).toEqual([])
    expect(well.codes).toEqual(expect.arrayContaining(['TLS_CONNECTED', 'GET_OK', 'MOVE_OK']))
    expect(well.finding('MOVE_OK').text).toContain('with TLS')
    const other = await examined(orthanc, settings, { dimse: { ...listener(), port: await freePort() } })
    expect(other.finding('MOVE_NOTHING_ARRIVED').ask).toContain(', with TLS')
  })

  test('is told what is wrong with TLS of the listener by the doctor', async () => {
    const settings = { aeTitle: orthanc.aeTitle, retrieve: 'move', tls: ours() }
    const other = certificateFor('other.test')!
    for (const [tls, code, word] of [
      [null, 'MOVE_NOT_DICOM', 'dimse.tls'],
      [{ ...listener().tls, ca: other.files.cert }, 'MOVE_TLS_FAILED', 'dimse.tls.ca'],
      [{ ...listener().tls, ...other.files }, 'MOVE_TLS_FAILED', 'dimse.tls.cert'],
    ] as const) {
      const result = await examined(orthanc, settings, { dimse: { ...listener(), tls } })
      expect(result.at('problem')).toEqual([code])
      expect(result.finding(code).text).toContain(word)
    }
    other[Symbol.dispose]()
  })

  test('is told by the doctor that it may not know our certificate', async () => {
    const { key: _, cert: __, ...nameless } = ours()
    const result = await examined(orthanc, { aeTitle: orthanc.aeTitle, tls: nameless }, { dimse: listener() })
    expect(result.at('problem')).toHaveLength(1)
    expect(result.report.findings.at(-1)?.text).toMatch(/ALERT.*archives\[\]\.tls\.cert/)
  })

  test('does not reach a listener without TLS, or one that does not know it: 502 and no instance', async () => {
    const settings = { aeTitle: orthanc.aeTitle, retrieve: 'move', tls: ours() }
    for (const tls of [null, { ...listener().tls, ca: gateway!.files.cert }]) {
      await using service = await gatewayTo(orthanc, settings, { dimse: { ...listener(), tls } })
      const answer = await get(`${service.url}/studies/${STUDY}`)
      expect(answer.status).toBe(502)
      expect(answer.headers.get('Content-Type')).toContain('application/problem+json')
    }
  })
})

/** Of the end of a file, where its pixels are: Orthanc writes the rest anew. */
function pixels(file: Uint8Array): string {
  return createHash('sha256').update(file.subarray(-40_000)).digest('hex')
}
