import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { DemoArchive } from '../../src/demo/demo-archive.ts'
import { startDelayed } from '../support/delayed.ts'
import { seriesFiles, S } from '../support/dicom-files.ts'
import { gatewayTo, type ArchiveAddress } from '../support/gateway-to.ts'
import { keeper } from '../support/kept.ts'
import { failOnLeaks } from '../support/leaks.ts'
import { readParts } from '../support/multipart.ts'
import { startOrthanc } from '../support/orthanc.ts'
import { findProgram } from '../support/peers.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { get } from './http.ts'

// A study of small instances from an archive that is far away: it comes over several associations, and is the same.

failOnLeaks()
const kept = keeper()

const SERIES = ['1.2.3.41', '1.2.3.42', '1.2.3.43', '1.2.3.44']
const COUNT = 12
const ONE_WAY_MS = 5
const FILES = 'multipart/related; type="application/dicom"; transfer-syntax=*'
const files = SERIES.flatMap((series) => seriesFiles(COUNT, { series, pixelBytes: 2_000 }))
const HABIT = 'Small instances come faster over several associations: the series of a study are fetched at once'

/** The parts of the study, in an order of their own. */
async function study(url: string): Promise<string[]> {
  const { status, headers, body } = await get(`${url}/studies/${S}`, FILES)
  expect(status).toBe(200)
  return readParts(headers.get('content-type')!, body)
    .map((part) => part.body.toString('base64'))
    .toSorted()
}

async function comesFaster({ port }: ArchiveAddress, aeTitle: string): Promise<void> {
  const delayed = kept(await startDelayed(port, ONE_WAY_MS))
  const gateway = kept(
    await gatewayTo({ host: '127.0.0.1', port: delayed.port }, { aeTitle }, { cache: { maxBytes: 0 } }),
  )
  const whole = await study(gateway.url)
  expect(whole).toHaveLength(files.length)
  expect(gateway.archives[0]!.habits).toEqual([])
  expect(await study(gateway.url)).toEqual(whole)
  expect(gateway.archives[0]!.habits).toContain(HABIT)
  expect(await study(gateway.url)).toEqual(whole)
}

describe('a study of several series of small instances', { timeout: 60_000 }, () => {
  it('comes from the demo archive over several associations, each series once', async () => {
    const archive = kept(await DemoArchive.start())
    for (const file of files) await archive.put(file)
    await comesFaster({ host: '127.0.0.1', port: archive.port }, archive.aeTitle)
    expect(archive.retrievals).toBe(1 + 2 * SERIES.length)
  })

  it.skipIf(findProgram('Orthanc') === undefined)('comes from Orthanc over several associations', async () => {
    const { path: folder } = kept(await temporaryFolder())
    const paths = files.map((_, n) => join(folder, `${n}.dcm`))
    await Promise.all(files.map((file, n) => writeFile(paths[n]!, file)))
    const orthanc = kept(await startOrthanc({ files: paths, threads: 8 }))
    await comesFaster({ host: '127.0.0.1', port: orthanc.port }, orthanc.aeTitle)
  })
})
