import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { DemoArchive } from '../../../src/demo/demo-archive.ts'
import { KEY } from '../../support/changed.ts'
import { instanceFile } from '../../support/dicom-files.ts'
import { eventually } from '../../support/eventually.ts'
import { freePort } from '../../support/ports.ts'
import { startProcess } from '../../support/process.ts'
import { Restartable } from '../../support/restartable.ts'
import { heldBy, sendFiles } from '../../support/routing.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

const MAIN = fileURLToPath(new URL('../../../src/main.ts', import.meta.url))
const COUNT = 48
/** Instances that are acknowledged before the next kill. */
const BETWEEN_KILLS = 12

describe('a service with a spool that is killed again and again', () => {
  it('has lost nothing that it acknowledged, and nothing of it is there twice', async () => {
    await using dir = await temporaryFolder()
    /** Takes some at once, and others not before it is asked again. */
    let isFull = false
    await using near = await DemoArchive.start({ aeTitle: 'NEAR' })
    const received: string[] = []
    await using far = await DemoArchive.start({
      aeTitle: 'FAR',
      faults: { storeStatus: (uid) => (isFull ? 0xa700 : (received.push(uid), undefined)) },
    })
    const [port, web] = [await freePort(), await freePort()]
    const config = join(dir.path, 'config.json')
    const node = { host: '127.0.0.1' }
    await writeFile(
      config,
      JSON.stringify({
        http: { port: web, ...node },
        dimse: { port, ...node },
        archives: [near, far].map((archive) => ({ aeTitle: archive.aeTitle, port: archive.port, ...node })),
        devices: [{ aeTitle: 'CT1' }],
        routes: [{ name: 'both', to: ['near', { name: 'far', delivery: 'best-effort' }] }],
        spool: { dir: dir.path, key: KEY },
      }),
    )
    await using service = await Restartable.start(() =>
      startProcess(process.execPath, { args: [MAIN, 'serve', '--config', config], ports: [port, web] }),
    )
    const files = Array.from({ length: COUNT }, (_, n) => instanceFile({ instance: `1.${n}`, pixelBytes: 200_000 }))
    const acknowledged: string[] = []
    for (let kills = 0; acknowledged.length < COUNT; kills++) {
      isFull = kills % 2 === 1
      const due = files.slice(acknowledged.length, acknowledged.length + BETWEEN_KILLS)
      expect(await sendFiles(port, due)).toEqual(due.map(() => 0))
      for (const _ of due) acknowledged.push(`1.${acknowledged.length}`)
      // One more is under way, and what waits is being sent.
      const cut = sendFiles(port, files.slice(acknowledged.length).concat(files)).catch(() => undefined)
      await service.kill()
      await cut
      await service.restart()
    }
    isFull = false
    await service.kill()
    await service.restart()
    await eventually(async () => {
      const left = (await readdir(dir.path, { recursive: true })).filter((name) => /\.(instance|dead)$/.test(name))
      expect(left).toEqual([])
    })
    for (const archive of [near, far]) {
      const held = await heldBy(archive)
      expect([...held.keys()].sort()).toEqual(expect.arrayContaining([...acknowledged].sort()))
    }
    // What was under way when it was killed was sent again, under its UID.
    expect(new Set(far.catalog.files.map(({ sopInstance }) => sopInstance)).size).toBe(far.catalog.files.length)
    expect(received.length).toBeGreaterThanOrEqual(COUNT)
  })
})
