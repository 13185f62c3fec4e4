import { hash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { Balancer } from '../support/balancer.ts'
import { startDcmqrscp } from '../support/dcmqrscp.ts'
import { seriesFiles } from '../support/dicom-files.ts'
import { readParts } from '../support/multipart.ts'
import { startOrthanc } from '../support/orthanc.ts'
import { splitPart10 } from '../support/part10.ts'
import { skipWithoutPeers, type PeerAddress, type RealPeer } from '../support/peers.ts'
import { freePort } from '../support/ports.ts'
import { startProcess } from '../support/process.ts'
import { Restartable } from '../support/restartable.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { skipWithoutValkey, startValkey } from '../support/valkey.ts'
import { inParallel } from './http.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const REPLICAS = 3
/** REPLICA_TEST=long has 2,000 instances in 20 studies. */
const isLong = process.env['REPLICA_TEST'] === 'long'
const [STUDIES, INSTANCES, LEAST_KILLS] = isLong ? [20, 100, 8] : [10, 6, 3]
const WIDTH = 8
const ACCEPT = { accept: 'multipart/related; type="application/dicom"; transfer-syntax=*' }

const studies = Array.from({ length: STUDIES }, (_, at) => `1.2.826.0.1.3680043.10.1561.18.${at + 1}`)
const filesOf = new Map(
  studies.map((study) => [study, seriesFiles(INSTANCES, { study, series: `${study}.1`, pixelBytes: 40_000 })]),
)
const digests = new Map([...filesOf].map(([study, files]) => [study, files.map(digestOf).sort()]))

/** Of the pixel data: archives may write other elements anew. */
function digestOf(file: Buffer): string {
  const { data, sopInstance } = splitPart10(file)
  return `${sopInstance} ${hash('sha256', data.subarray(-40_000))}`
}

type Start = (files: readonly string[], peers: readonly PeerAddress[]) => Promise<RealPeer>

describe.skipIf(skipWithoutPeers() || skipWithoutValkey())('three replicas behind a balancer, which are killed', () => {
  it.each<[string, Start]>([
    ['dcmqrscp', (files, peers) => startDcmqrscp({ files, peers })],
    ['Orthanc', (files, peers) => startOrthanc({ files, peers, threads: 16 })],
  ])('give all that %s has, whole, and nothing as whole that is not', { timeout: 180_000 }, async (_, start) => {
    await using folder = await temporaryFolder()
    const paths = await inParallel([...filesOf.values()].flat(), 8, async (file) => {
      const path = join(folder.path, `${splitPart10(file).sopInstance}.dcm`)
      await writeFile(path, file)
      return path
    })
    await using valkey = await startValkey()
    const [address, ...listeners] = await Promise.all(Array.from({ length: REPLICAS + 1 }, freePort))
    await using balancer = await Balancer.start(listeners, address)
    await using archive = await start(paths, [{ aeTitle: 'DIMSEGATE', host: '127.0.0.1', port: balancer.port }])
    expect(archive.refused).toEqual([])
    await using replicas = new AsyncDisposableStack()
    const urls: string[] = []
    const all: Restartable[] = []
    for (const port of listeners) {
      const [web, cluster] = [await freePort(), await freePort()]
      const config = join(folder.path, `${port}.json`)
      const host = '127.0.0.1'
      await writeFile(
        config,
        JSON.stringify({
          http: { host, port: web },
          dimse: { host, port, enabled: true },
          archives: [{ aeTitle: archive.aeTitle, host, port: archive.port, retrieve: 'move', maxAssociations: 8 }],
          cluster: { url: valkey.url, listen: `${host}:${cluster}`, secret: 'x'.repeat(32) },
          cache: { maxBytes: 0 },
        }),
      )
      urls.push(`http://${host}:${web}/dicomweb`)
      const run = () =>
        startProcess(process.execPath, { args: [MAIN, 'serve', '--config', config], ports: [port, web, cluster] })
      all.push(replicas.use(await Restartable.start(run)))
    }
    let isOver = false
    let kills = 0
    const killing = (async () => {
      for (; !isOver; kills++) {
        const one = all[kills % REPLICAS]!
        await delay(300 + Math.random() * 700)
        await one.kill()
        await one.restart()
      }
    })()
    const counts = { whole: 0, partial: 0, refused: 0, cut: 0 }
    /** What is wrong with an answer that seems whole; undefined where it does not. */
    const fetched = async (study: string): Promise<string | undefined> => {
      const url = urls[Math.floor(Math.random() * REPLICAS)]!
      try {
        const response = await fetch(`${url}/studies/${study}`, {
          headers: ACCEPT,
          signal: AbortSignal.timeout(60_000),
        })
        const body = Buffer.from(await response.arrayBuffer())
        if (response.status !== 200) {
          counts[response.status === 206 ? 'partial' : 'refused']++
          return undefined
        }
        counts.whole++
        const found = readParts(response.headers.get('content-type') ?? '', body).map((part) => digestOf(part.body))
        return found.sort().join('\n') === digests.get(study)!.join('\n') ? '' : `${study}: ${found.length} parts`
      } catch {
        counts.cut++
        return undefined
      }
    }
    try {
      for (let round = 0; round === 0 || kills < LEAST_KILLS; round++) {
        const faults = await inParallel(studies, WIDTH, async (study) => {
          for (;;) {
            const fault = await fetched(study)
            if (fault !== undefined) return fault
            await delay(100)
          }
        })
        expect(faults.filter((fault) => fault !== '')).toEqual([])
      }
    } finally {
      isOver = true
      await killing
    }
    // All of it can be had again when nobody is killed any more.
    expect(await inParallel(studies, WIDTH, fetched)).toEqual(studies.map(() => ''))
    expect(kills).toBeGreaterThanOrEqual(LEAST_KILLS)
    if (isLong) console.log({ kills, ...counts })
  })
})
