import { beforeAll, describe, expect, test } from 'vitest'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readiness } from '../../src/http/ops/readiness.ts'
import { startDcmqrscp } from '../support/dcmqrscp.ts'
import { gatewayTo } from '../support/gateway-to.ts'
import { startOrthanc } from '../support/orthanc.ts'
import { skipWithoutPeers } from '../support/peers.ts'
import { freePort } from '../support/ports.ts'
import { sliceFile } from '../support/slices.ts'
import { examined } from '../doctor/examination.ts'

const HOST = '127.0.0.1'

describe.skipIf(skipWithoutPeers())('the doctor', () => {
  let folder: string
  let files: string[]

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dimsegate-doctor-files-'))
    files = [1, 2].map((number) => join(folder, `${number}.dcm`))
    for (const [index, file] of files.entries()) await writeFile(file, sliceFile({ number: index + 1, size: 256 }))
    return () => rm(folder, { recursive: true, force: true })
  })

  test('dcmqrscp that knows us', async () => {
    const port = await freePort()
    await using peer = await startDcmqrscp({ files, peers: [{ aeTitle: 'DIMSEGATE', host: HOST, port }] })
    const result = await examined(peer, { aeTitle: peer.aeTitle }, { dimse: { port } })
    expect(result.at('problem')).toEqual([])
    expect(result.codes).toEqual(expect.arrayContaining(['ECHO_OK', 'CHARSET_TAKEN', 'GET_OK', 'MOVE_OK', 'LIMIT_OK']))
    expect(result.finding('ASSOCIATED').text).toContain('OFFIS_DCMTK')
    expect(result.finding('STORE_PARTLY_ACCEPTED').ask).toContain('JPEG Lossless SV1')
  })

  test('dcmqrscp that does not, and takes fewer associations than we want', async () => {
    const port = await freePort()
    await using peer = await startDcmqrscp({ files, maxAssociations: 2 })
    const result = await examined(peer, { aeTitle: peer.aeTitle, maxAssociations: 3 }, { dimse: { port } })
    expect(result.at('problem')).toEqual(['LIMIT_LOW'])
    expect(result.finding('MOVE_DESTINATION_UNKNOWN').ask).toBe(
      `Please add the AE title DIMSEGATE at host 127.0.0.1, port ${port}, as a C-MOVE destination.`,
    )
  })

  test('dcmqrscp that has another port of ours', async () => {
    const [port, other] = [await freePort(), await freePort()]
    await using peer = await startDcmqrscp({ files, peers: [{ aeTitle: 'DIMSEGATE', host: HOST, port: other }] })
    const result = await examined(peer, { aeTitle: peer.aeTitle, retrieve: 'move' }, { dimse: { port } })
    expect(result.at('problem')).toEqual(['MOVE_NOTHING_ARRIVED'])
  })

  test('dcmqrscp under another AE title', async () => {
    await using peer = await startDcmqrscp({ files })
    const result = await examined(peer, { aeTitle: 'OTHER' })
    expect(result.at('problem')).toEqual(['CALLED_AE_REJECTED'])
  })

  test('Orthanc that knows us', async () => {
    const port = await freePort()
    const peers = [{ aeTitle: 'DIMSEGATE', host: HOST, port }]
    await using peer = await startOrthanc({ files, peers, strangers: false })
    const result = await examined(peer, { aeTitle: peer.aeTitle }, { dimse: { port } })
    expect(result.at('problem')).toEqual([])
    expect(result.codes).toEqual(expect.arrayContaining(['ECHO_OK', 'CHARSET_TAKEN', 'GET_OK', 'MOVE_OK', 'LIMIT_OK']))
    expect(result.codes).not.toContain('FIND_ATTRIBUTES_MISSING')
  })

  test.each([
    ['dcmqrscp', startDcmqrscp],
    ['Orthanc', startOrthanc],
  ])('at /readyz?verbose of a service in front of %s, by C-MOVE too', async (_, start) => {
    const port = await freePort()
    await using peer = await start({ files, peers: [{ aeTitle: 'DIMSEGATE', host: HOST, port }] })
    const dimse = { host: HOST, port }
    await using gateway = await gatewayTo(peer, { aeTitle: peer.aeTitle, retrieve: 'move' }, { dimse })
    const response = await fetch(`http://${HOST}:${gateway.port}/readyz?verbose`)
    const { archives } = (await response.json()) as Readiness
    const { level, findings } = archives[0]!.examination!
    expect([response.status, level === 'problem']).toEqual([200, false])
    expect(findings.map(({ code }) => code)).toEqual(
      expect.arrayContaining(['ECHO_OK', 'FIND_OK', 'GET_OK', 'MOVE_OK']),
    )
    expect(gateway.archives[0]!.stats.leased).toBe(0)
  })

  test('Orthanc that lets strangers in, but does not know where to move to', async () => {
    await using peer = await startOrthanc({ files })
    const result = await examined(peer, { aeTitle: peer.aeTitle })
    expect(result.at('problem')).toEqual([])
    expect(result.finding('MOVE_NOTHING_ARRIVED').level).toBe('note')
  })

  test('Orthanc that does not know us', async () => {
    await using peer = await startOrthanc({ files, strangers: false })
    const result = await examined(peer, { aeTitle: peer.aeTitle })
    expect(result.codes).toContain('ECHO_OK')
    expect(result.finding('FIND_FAILED').ask).toBe(
      'Please allow the AE title DIMSEGATE at host 127.0.0.1 C-FIND (Study Root) on ORTHANC.',
    )
  })
})
