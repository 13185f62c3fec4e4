import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import { DemoArchive } from '../../../src/demo/demo-archive.ts'
import { eventually } from '../../support/eventually.ts'
import { startFederation, studyFiles } from '../../support/federation.ts'
import { startGatewayFor } from '../../support/gateway.ts'
import { ScriptedArchive } from '../../support/scripted-archive.ts'
import { related } from '../../support/related.ts'

const DICOM = { accept: 'multipart/related; type="application/dicom"; transfer-syntax=*' }

interface Given {
  readonly status: number
  readonly warning: string | null
  /** SOP Instance UIDs, in order; undefined where the body was cut. */
  readonly instances: readonly string[] | undefined
}

/** What metadata of a study, series or instance give. */
async function metadata(url: string): Promise<Given> {
  const response = await fetch(`${url}/metadata`)
  const warning = response.headers.get('warning')
  const text = await response.text().catch(() => undefined)
  if (text === undefined) return { status: response.status, warning, instances: undefined }
  const all = text.startsWith('[') ? (JSON.parse(text) as Record<string, { Value: [string] }>[]) : []
  return { status: response.status, warning, instances: all.map((one) => one['00080018']!.Value[0]) }
}

const sorted = ({ instances }: Given): string[] => [...(instances ?? [])].sort()
const uids = (study: string, series: Readonly<Record<string, readonly number[]>>): string[] =>
  Object.entries(series).flatMap(([name, numbers]) => numbers.map((number) => `${study}.${name}.${number}`))

describe('a retrieve from several archives as one', () => {
  it('reads the fuller copy, by one retrieval of one archive', async () => {
    await using setup = await startFederation({
      near: { files: studyFiles('1.1', { 1: [1, 2] }) },
      far: { files: studyFiles('1.1', { 1: [1, 2, 3] }) },
    })
    const given = await metadata(`${setup.all}/studies/1.1`)
    expect(given).toMatchObject({ status: 200, warning: null })
    expect(sorted(given)).toEqual(uids('1.1', { 1: [1, 2, 3] }))
    expect([setup.archives.near.retrievals, setup.archives.far.retrievals]).toEqual([0, 1])
    // Nothing more for what is asked for next, at whatever root.
    const response = await fetch(`${setup.all}/studies/1.1/series/1.1.1/instances/1.1.1.3/frames/1`)
    expect(response.status).toBe(200)
    await response.arrayBuffer()
    expect(sorted(await metadata(`${setup.of('far')}/studies/1.1/series/1.1.1`))).toHaveLength(3)
    expect([setup.archives.near.retrievals, setup.archives.far.retrievals]).toEqual([0, 1])
  })

  it('reads the nearer copy of two that are as full', async () => {
    await using setup = await startFederation({
      tape: { files: studyFiles('1.1', { 1: [1, 2] }), archive: { faults: { availability: 'NEARLINE' } } },
      disk: { files: studyFiles('1.1', { 1: [1, 2] }), archive: { faults: { availability: 'ONLINE' } } },
    })
    expect((await metadata(`${setup.all}/studies/1.1`)).status).toBe(200)
    expect([setup.archives.tape.retrievals, setup.archives.disk.retrievals]).toEqual([0, 1])
  })

  it('gives what copies have together, each instance once: series of another as such, single ones alone', async () => {
    await using setup = await startFederation({
      near: { files: studyFiles('1.1', { 1: [1, 2, 3], 2: [1] }) },
      far: { files: studyFiles('1.1', { 1: [3, 4], 3: [1, 2] }) },
    })
    const given = await metadata(`${setup.all}/studies/1.1`)
    expect(given).toMatchObject({ status: 200, warning: null })
    expect(given.instances).toHaveLength(7)
    expect(sorted(given)).toEqual(uids('1.1', { 1: [1, 2, 3, 4], 2: [1], 3: [1, 2] }))
    expect([setup.archives.near.retrievals, setup.archives.far.retrievals]).toEqual([1, 2])
    const series = await metadata(`${setup.all}/studies/1.1/series/1.1.3`)
    expect(sorted(series)).toEqual(uids('1.1', { 3: [1, 2] }))
    const file = await fetch(`${setup.all}/studies/1.1/series/1.1.1/instances/1.1.1.4`, { headers: DICOM })
    expect(file.status).toBe(200)
    expect(Buffer.from(await file.arrayBuffer()).includes('1.1.1.4')).toBe(true)
  })

  it('reads another copy where the best cannot be read', async () => {
    await using setup = await startFederation({
      near: { files: studyFiles('1.1', { 1: [1, 2, 3] }), archive: { faults: { abortAfter: 0 } } },
      far: { files: studyFiles('1.1', { 1: [1, 2, 3] }) },
    })
    const given = await metadata(`${setup.all}/studies/1.1`)
    expect(given.status).toBe(200)
    expect(sorted(given)).toEqual(uids('1.1', { 1: [1, 2, 3] }))
    expect(setup.archives.far.retrievals).toBe(1)
    const frame = await fetch(`${setup.all}/studies/1.1/series/1.1.1/instances/1.1.1.2/frames/1`)
    expect(frame.status).toBe(200)
    await frame.arrayBuffer()
  })

  it('takes from another copy what an archive cannot send', async () => {
    const fails = (uid: string): boolean => uid.endsWith('.2')
    await using setup = await startFederation({
      near: { files: studyFiles('1.1', { 1: [1, 2, 3] }), archive: { faults: { getFails: fails } } },
      far: { files: studyFiles('1.1', { 1: [1, 2] }) },
    })
    const given = await metadata(`${setup.all}/studies/1.1`)
    expect(given).toMatchObject({ status: 200, warning: null })
    expect(sorted(given)).toEqual(uids('1.1', { 1: [1, 2, 3] }))
  })

  it('says that it is not whole where no copy has what is missing', async () => {
    const fails = (uid: string): boolean => uid.endsWith('.2')
    await using setup = await startFederation({
      near: { files: studyFiles('1.1', { 1: [1, 2, 3] }), archive: { faults: { getFails: fails } } },
      far: { files: studyFiles('1.1', { 1: [1] }) },
    })
    const given = await metadata(`${setup.all}/studies/1.1`)
    expect(given.status).toBe(206)
    expect(sorted(given)).toEqual(uids('1.1', { 1: [1, 3] }))
  })

  it('goes on with another copy where an archive dies in the middle', async () => {
    await using setup = await startFederation({
      near: { files: studyFiles('1.1', { 1: [1, 2, 3, 4] }), archive: { faults: { abortAfter: 2 } } },
      far: { files: studyFiles('1.1', { 1: [1, 2, 3, 4] }) },
    })
    const response = await fetch(`${setup.all}/studies/1.1`, { headers: DICOM })
    expect(response.status).toBe(200)
    const body = Buffer.from(await response.arrayBuffer()).toString('latin1')
    expect(body.match(/Content-Type: application\/dicom/g)).toHaveLength(4)
  })

  it('warns where an archive does not say whether it has a copy', async () => {
    await using setup = await startFederation(
      {
        near: { files: studyFiles('1.1', { 1: [1, 2] }) },
        far: { files: studyFiles('1.2', { 1: [1] }) },
      },
      { cache: { maxBytes: 0 } },
    )
    await setup.archives.far[Symbol.asyncDispose]()
    const given = await metadata(`${setup.all}/studies/1.1`)
    expect(given).toMatchObject({ status: 200 })
    expect(given.warning).toContain('The archive far has failed, is late')
    expect((await fetch(`${setup.all}/studies/1.1/metadata?strict=true`)).status).toBe(502)
    // It may have what nobody else has.
    expect((await metadata(`${setup.all}/studies/1.2`)).status).toBe(502)
    expect((await metadata(`${setup.of('near')}/studies/9.9`)).status).toBe(404)
  })

  it.each([
    ['is whole where a mirror of it has come', [1, 2, 3], 200],
    ['is not whole where another copy has as many or less, and others perhaps', [1, 2], 206],
  ] as const)('%s, when the archive of a copy dies', async (_, held, status) => {
    await using setup = await startFederation(
      {
        near: { files: studyFiles('1.1', { 1: [1, 2, 3] }) },
        far: { files: studyFiles('1.1', { 1: held }) },
      },
      { cache: { maxBytes: 0 } },
    )
    expect(sorted(await metadata(`${setup.all}/studies/1.1`))).toHaveLength(3)
    await setup.archives.near[Symbol.asyncDispose]()
    for (const path of ['/studies/1.1', '/studies/1.1/series/1.1.1']) {
      const given = await metadata(setup.all + path)
      expect([path, given.status]).toEqual([path, status])
      expect(sorted(given)).toEqual(uids('1.1', { 1: held }))
    }
  })

  it('is not whole where an archive that is silent now had a fuller copy', async () => {
    await using setup = await startFederation(
      {
        near: { files: studyFiles('1.1', { 1: [1, 2] }) },
        far: { files: studyFiles('1.1', { 1: [1, 2, 3, 4] }) },
      },
      { cache: { maxBytes: 0 } },
    )
    expect(sorted(await metadata(`${setup.all}/studies/1.1`))).toHaveLength(4)
    await setup.archives.far[Symbol.asyncDispose]()
    // Something was stored: where the study is is looked for anew.
    const { type, body } = related(studyFiles('1.1', { 1: [1] }))
    const init = { method: 'POST', body: new Uint8Array(body), headers: { 'Content-Type': type } }
    const stored = await fetch(`${setup.all}/studies`, init)
    expect(stored.status).toBe(200)
    const given = await metadata(`${setup.all}/studies/1.1`)
    expect(given.status).toBe(206)
    expect(sorted(given)).toEqual(uids('1.1', { 1: [1, 2] }))
  })

  it('is 404 where all archives say that they have nothing', async () => {
    await using setup = await startFederation({
      near: { files: studyFiles('1.1', { 1: [1] }) },
      far: { files: [] },
    })
    expect((await metadata(`${setup.all}/studies/1.2`)).status).toBe(404)
    expect((await metadata(`${setup.all}/studies/1.1/series/9.9`)).status).toBe(404)
    expect((await fetch(`${setup.all}/studies/1.1/series/1.1.1/instances/9.9/frames/1`)).status).toBe(404)
  })

  it('is given by WADO-URI, rendered and as a thumbnail', async () => {
    await using setup = await startFederation({
      near: { files: studyFiles('1.1', { 1: [1] }) },
      far: { files: studyFiles('1.2', { 1: [1] }) },
    })
    const uri = `${setup.all}/wado?requestType=WADO&studyUID=1.2&seriesUID=1.2.1&objectUID=1.2.1.1&contentType=application/dicom`
    const file = await fetch(uri)
    expect(file.status).toBe(200)
    expect(Buffer.from(await file.arrayBuffer()).toString('latin1', 128, 132)).toBe('DICM')
  })

  it('does not give the worklist, nor have anything sent: which archive is meant has to be said', async () => {
    await using setup = await startFederation({ near: { files: [] }, far: { files: [] } })
    const response = await fetch(`${setup.all}/modality-scheduled-procedure-steps`)
    expect(response.status).toBe(404)
    expect(await response.json()).toMatchObject({
      code: 'NOT_OF_A_FEDERATION',
      detail: 'This is asked of one archive: below /dicomweb/aets/NEAR or /dicomweb/aets/FAR.',
    })
  })
})

describe('copies that contradict each other', () => {
  it('are read where their archives do not list them: as many instances need not be the same ones', async () => {
    await using setup = await startFederation({
      near: { files: studyFiles('1.1', { 1: [1, 2, 3] }) },
      far: { files: studyFiles('1.1', { 1: [4, 5, 6] }), archive: { faults: { findAbortAfter: 2 } } },
    })
    const given = await metadata(`${setup.all}/studies/1.1`)
    expect(given.status).toBe(200)
    expect(sorted(given)).toEqual(uids('1.1', { 1: [1, 2, 3, 4, 5, 6] }))
  })

  it('are given together though one archive tells metadata by C-FIND', async () => {
    await using setup = await startFederation({
      near: { files: studyFiles('1.1', { 1: [1, 2, 3] }), config: { metadata: 'find' } as object },
      far: { files: studyFiles('1.1', { 2: [1, 2] }) },
    })
    expect(sorted(await metadata(`${setup.all}/studies/1.1`))).toEqual(uids('1.1', { 1: [1, 2, 3], 2: [1, 2] }))
    expect(sorted(await metadata(`${setup.all}/studies/1.1/series/1.1.2`))).toEqual(uids('1.1', { 2: [1, 2] }))
  })

  it('are gone on with at another archive when one breaks off, not instance by instance at the one that did', async () => {
    const numbers = Array.from({ length: 30 }, (_, n) => n + 1)
    await using setup = await startFederation({
      near: { files: studyFiles('1.1', { 1: numbers }), archive: { faults: { abortAfter: 1 } } },
      far: { files: studyFiles('1.1', { 1: numbers }) },
    })
    const given = await metadata(`${setup.all}/studies/1.1`)
    expect([given.status, given.instances?.length]).toEqual([200, 30])
    expect(setup.archives.far.retrievals).toBe(1)
    expect(setup.archives.near.retrievals).toBeLessThan(6)
  })

  it('are whole where another has whole what came damaged, as single instances too', async () => {
    const files = studyFiles('1.1', { 1: [1, 2] })
    await using setup = await startFederation({
      near: { files, archive: { faults: { endAfterBytes: files[0]!.length - 400 } } },
      far: { files },
    })
    const whole = await fetch(`${setup.all}/studies/1.1`, { headers: DICOM })
    expect(whole.status).toBe(200)
    expect(
      Buffer.from(await whole.arrayBuffer())
        .toString('latin1')
        .match(/Content-Type: application\/dicom/g),
    ).toHaveLength(2)
    for (const path of ['frames/1', 'bulkdata/7FE00010']) {
      const response = await fetch(`${setup.all}/studies/1.1/series/1.1.1/instances/1.1.1.1/${path}`)
      expect([path, response.status, (await response.arrayBuffer()).byteLength > 0]).toEqual([path, 200, true])
    }
  })

  it('have thumbnails of what only one of them holds, and when one is gone', async () => {
    await using setup = await startFederation({
      near: { files: studyFiles('1.1', { 1: [1, 2] }) },
      far: { files: studyFiles('1.1', { 2: [1] }) },
    })
    const image = { headers: { accept: 'image/jpeg' } }
    const status = async (path: string): Promise<number> => (await fetch(setup.all + path, image)).status
    expect(await status('/studies/1.1/series/1.1.2/thumbnail')).toBe(200)
    await setup.archives.near[Symbol.asyncDispose]()
    expect(await status('/studies/1.1/thumbnail')).toBe(200)
  })
})

describe('where a study is', () => {
  it('is asked anew when it was stored meanwhile, or was nowhere a moment ago', async () => {
    await using setup = await startFederation({
      near: { files: [] },
      far: { files: studyFiles('1.9', { 1: [1] }), archive: { faults: { findDelay: 400 } } },
    })
    const first = metadata(`${setup.all}/studies/1.9`)
    await delay(150)
    const { type, body } = related(studyFiles('1.9', { 2: [1] }))
    const init = { method: 'POST', body: new Uint8Array(body), headers: { 'Content-Type': type } }
    expect((await fetch(`${setup.all}/studies`, init)).status).toBe(200)
    await first
    expect(sorted(await metadata(`${setup.all}/studies/1.9`))).toEqual(uids('1.9', { 1: [1], 2: [1] }))
    expect((await metadata(`${setup.all}/studies/1.8`)).status).toBe(404)
    for (const file of studyFiles('1.8', { 1: [1] })) await setup.archives.near.put(file)
    await vi.waitFor(async () => expect((await metadata(`${setup.all}/studies/1.8`)).status).toBe(200), 8000)
  })
})

describe('what is known of a copy whose archive is gone', () => {
  it('is what it listed last, of a study and of its series', async () => {
    await using setup = await startFederation(
      {
        near: { files: studyFiles('1.1', { 1: [1, 2, 3, 4] }) },
        far: { files: studyFiles('1.1', { 1: [1, 2] }) },
      },
      { cache: { maxBytes: 0 } },
    )
    const series = `${setup.all}/studies/1.1/series/1.1.1`
    expect((await metadata(series)).status).toBe(200)
    for (const file of studyFiles('1.1', { 1: [5] })) await setup.archives.far.put(file)
    expect((await metadata(`${setup.all}/studies/1.1`)).instances).toHaveLength(5)
    await setup.archives.far[Symbol.asyncDispose]()
    expect((await metadata(series)).status).toBe(206)
    expect((await metadata(`${setup.all}/studies/1.1`)).status).toBe(206)
  })

  it('is not one instance that was asked for alone', async () => {
    await using setup = await startFederation(
      {
        near: { files: studyFiles('1.1', { 1: [1, 2, 3] }) },
        far: { files: studyFiles('1.1', { 1: [1] }) },
      },
      { cache: { maxBytes: 0 } },
    )
    const series = `${setup.all}/studies/1.1/series/1.1.1`
    const file = await fetch(`${series}/instances/1.1.1.1`, { headers: DICOM })
    expect([file.status, (await file.arrayBuffer()).byteLength > 0]).toEqual([200, true])
    await setup.archives.near[Symbol.asyncDispose]()
    const given = await metadata(series)
    expect([given.status, given.instances]).toEqual([206, ['1.1.1.1']])
  })

  it('costs no more than its time to list, where it accepts connections and says nothing', async () => {
    await using silent = await ScriptedArchive.start({ associate: () => 'silent' })
    await using near = await DemoArchive.start({ aeTitle: 'NEAR' })
    for (const file of studyFiles('1.1', { 1: [1, 2] })) await near.put(file)
    const patients = { issuer: 'GENERAL' }
    await using gateway = await startGatewayFor(
      [
        { aeTitle: 'NEAR', host: '127.0.0.1', port: near.port, patients },
        { aeTitle: 'SILENT', ...silent.address, patients },
      ],
      {},
      { maxBytes: 0 },
      { federation: { timeout: '500ms' } },
    )
    const began = performance.now()
    expect((await metadata(`${gateway.url}/all/studies/1.1`)).status).toBe(200)
    // A guard against the 30 s of an association.
    expect(performance.now() - began).toBeLessThan(10_000)
  })

  it('is asked for, where the best copy gave less than its archive says that there is', async () => {
    await using setup = await startFederation({
      near: { files: studyFiles('1.1', { 1: [1, 2] }) },
      far: { files: studyFiles('1.1', { 1: [1] }) },
    })
    expect((await metadata(`${setup.of('near')}/studies/1.1`)).instances).toHaveLength(2)
    for (const file of studyFiles('1.1', { 1: [3], 2: [1] })) await setup.archives.near.put(file)
    const given = await metadata(`${setup.all}/studies/1.1`)
    expect([given.status, given.instances?.length]).toEqual([200, 4])
  })

  it('gives every association back when the client leaves in the middle, whatever the archives still have to send', async () => {
    let sent = 0
    const held = Promise.withResolvers<undefined>()
    const onGet = async (): Promise<void> => {
      if (++sent > 1) await held.promise
    }
    const pixelBytes = 100_000
    await using setup = await startFederation(
      {
        near: { files: studyFiles('1.1', { 1: [1, 2, 3], 2: [1] }, { pixelBytes }), archive: { faults: { onGet } } },
        far: { files: studyFiles('1.1', { 1: [3], 3: [1, 2] }, { pixelBytes }), archive: { faults: { onGet } } },
      },
      { cache: { maxBytes: 0 } },
    )
    const leased = (): number => setup.gateway.archives.reduce((sum, { stats }) => sum + stats.leased, 0)
    const own = new AbortController()
    const { status, body } = await fetch(`${setup.all}/studies/1.1`, { headers: DICOM, signal: own.signal })
    expect(status).toBe(200)
    await body!.getReader().read()
    expect(leased()).toBeGreaterThan(0)
    own.abort()
    held.resolve(undefined)
    await eventually(() => expect(leased()).toBe(0))
    for (const { stats } of setup.gateway.archives) expect(stats.waiting).toBe(0)
  })
})
