import type { Selection } from '../../../src/instance/uids.ts'
import { hash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import { parseConfig } from '../../../src/config/config.ts'
import { DemoArchive, type DemoArchiveOptions } from '../../../src/demo/demo-archive.ts'
import { part10Header } from '../../../src/dicom/part10.ts'
import { IMPLICIT_VR_LITTLE_ENDIAN, transferSyntax } from '../../../src/dicom/transfer-syntax.ts'
import { SopClass } from '../../../src/dicom/uids.ts'
import { Scu } from '../../../src/dimse/scu.ts'
import { Association } from '../../../src/network/association.ts'
import { Archive } from '../../../src/pacs/archive.ts'
import { MoveDestination } from '../../../src/pacs/delivery/move-destination.ts'
import { collect } from '../../support/byte-stream.ts'
import { deflate } from '../../support/deflated.ts'
import { CT } from '../../support/golden.ts'
import { E, I, instanceFile, MR, S, seriesFiles, Syntax } from '../../support/dicom-files.ts'
import { keeper } from '../../support/kept.ts'
import { splitPart10 } from '../../support/part10.ts'
import { freePort } from '../../support/ports.ts'

const call = { signal: new AbortController().signal }
const kept = keeper()

interface Fixture {
  readonly demo: DemoArchive
  readonly archive: Archive
  readonly destination: MoveDestination
  readonly port: number
}

async function started(
  files: readonly Buffer[],
  options: DemoArchiveOptions & { settings?: object; enabled?: boolean | 'auto'; known?: boolean } = {},
): Promise<Fixture> {
  const { settings = { retrieve: 'move' }, enabled = 'auto', known = true, ...demoOptions } = options
  const port = await freePort()
  const destinations = known ? { DIMSEGATE: { host: '127.0.0.1', port } } : {}
  const demo = await DemoArchive.start({ destinations, ...demoOptions })
  kept(demo)
  for (const file of files) await demo.put(file)
  const config = parseConfig({
    dimse: { host: '127.0.0.1', port, enabled },
    archives: [{ aeTitle: demo.aeTitle, host: '127.0.0.1', port: demo.port, ...settings }],
  })
  const destination = new MoveDestination(config.dimse)
  kept(destination)
  const archive = await Archive.open(config.archives[0]!, destination)
  kept(archive)
  return { demo, archive, destination, port }
}

async function fetched(archive: Archive, selection: Selection, compressed = true): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for await (const instance of archive.retrieve(selection, compressed, call)) {
    expect(found.has(instance.sopInstance)).toBe(false)
    found.set(instance.sopInstance, hash('sha256', await collect(instance.body)))
  }
  return found
}

function stored(files: readonly Buffer[], uids: readonly string[]): Map<string, string> {
  return new Map(files.map((file, at) => [uids[at]!, hash('sha256', splitPart10(file).data)]))
}

const series = seriesFiles(5)
const seriesUids = [1, 2, 3, 4, 5].map((n) => `${E}.${n}`)
const noGet = { acceptsClass: (uid: string): boolean => uid !== '1.2.840.10008.5.1.4.1.2.2.3' }

describe('a retrieve by C-MOVE', () => {
  it('brings a study, a series and an instance, byte for byte, and leaves nothing open', async () => {
    const { demo, archive } = await started(series)
    const all = stored(series, seriesUids)
    expect(await fetched(archive, { study: S })).toEqual(all)
    expect(await fetched(archive, { study: S, series: E })).toEqual(all)
    const one = await fetched(archive, { study: S, series: E, instance: seriesUids[2]! })
    expect([...one]).toEqual([...all].slice(2, 3))
    expect(demo.retrievals).toBe(0)
    expect(demo.moves).toBe(3)
    expect(archive.stats).toMatchObject({ leased: 0, waiting: 0 })
    await vi.waitFor(() => expect(demo.associations).toBe(archive.stats.open), { timeout: 5000, interval: 5 })
  })

  it('brings compressed instances as they are stored', async () => {
    const fragments = [Buffer.alloc(0), Buffer.from('ffd8ffe0ffd9', 'hex')]
    const file = instanceFile({ instance: I, syntax: Syntax.jpegLossless, fragments })
    const { archive } = await started([file])
    expect(await fetched(archive, { study: S })).toEqual(stored([file], [I]))
  })

  it('finds its instances where the archive does not tell which move they belong to', async () => {
    const { archive } = await started(series, { faults: { withoutOriginator: true } })
    expect(await fetched(archive, { study: S })).toEqual(stored(series, seriesUids))
  })

  it('asks again for what did not come, then says what is missing', async () => {
    const fails = new Map([[seriesUids[1]!, 1]])
    const getFails = (uid: string): boolean => {
      const left = fails.get(uid) ?? 0
      fails.set(uid, left - 1)
      return left > 0
    }
    const { demo, archive } = await started(series, { faults: { getFails } })
    expect((await fetched(archive, { study: S })).size).toBe(5)
    expect(demo.moves).toBe(2)
    demo.faults = { getFails: (uid) => uid === seriesUids[1] }
    const seen: string[] = []
    const reading = (async () => {
      for await (const instance of archive.retrieve({ study: S }, true, call)) {
        await collect(instance.body)
        seen.push(instance.sopInstance)
      }
    })()
    await expect(reading).rejects.toMatchObject({ code: 'INCOMPLETE_RETRIEVE', delivered: 4, missing: 1 })
    expect(seen).toHaveLength(4)
  })

  it('of what is not there is not found', async () => {
    const { archive } = await started(series)
    await expect(fetched(archive, { study: '1.2.99' })).rejects.toMatchObject({ code: 'NO_SUCH_INSTANCE' })
  })

  it('fails with the status of an archive that does not know us', async () => {
    const { archive } = await started(series, { known: false })
    await expect(fetched(archive, { study: S })).rejects.toMatchObject({ code: 'DIMSE_STATUS', status: 0xa801 })
  })

  it('fails where the listener cannot be opened', async () => {
    const { archive, port } = await started(series)
    const other = new MoveDestination(
      parseConfig({ dimse: { host: '127.0.0.1', port }, archives: [{ aeTitle: 'X', host: 'x', port: 1 }] }).dimse,
    )
    kept(other)
    await other.listen()
    await expect(fetched(archive, { study: S })).rejects.toMatchObject({ code: 'LISTENER_FAILED' })
  })

  it('of several overlapping studies at once gives each what it asked for', async () => {
    const other = seriesFiles(5, { study: '1.2.4', series: '1.2.4.1', sopClass: MR })
    const files = [...series, ...other]
    const { archive } = await started(files, { settings: { retrieve: 'move', maxAssociations: 8 } })
    const selections: Selection[] = Array.from({ length: 20 }, (_, n) =>
      n % 3 === 0 ? { study: S } : n % 3 === 1 ? { study: S, series: E } : { study: '1.2.4' },
    )
    const results = await Promise.all(selections.map((selection) => fetched(archive, selection)))
    for (const [n, result] of results.entries()) {
      expect(result.size).toBe(5)
      if (n % 3 !== 2) expect(result).toEqual(stored(series, seriesUids))
    }
  })

  it('of one study for several who ask at once gives each all of it, though the archive does not say for whom', async () => {
    const { archive } = await started(series, {
      faults: { withoutOriginator: true },
      settings: { retrieve: 'move', maxAssociations: 8 },
    })
    const results = await Promise.all(Array.from({ length: 6 }, () => fetched(archive, { study: S })))
    for (const result of results) expect(result).toEqual(stored(series, seriesUids))
  })

  it('is cancelled when its reader leaves, and the archive can be asked again', async () => {
    const big = seriesFiles(10, { pixelBytes: 300_000 })
    const { demo, archive } = await started(big)
    for await (const instance of archive.retrieve({ study: S }, true, call)) {
      await collect(instance.body)
      break
    }
    await vi.waitFor(() => expect(archive.stats).toMatchObject({ leased: 0 }), { timeout: 8000, interval: 10 })
    expect((await fetched(archive, { study: S })).size).toBe(10)
    expect(demo.moves).toBe(2)
  })

  it('goes at the pace of its reader', async () => {
    const big = seriesFiles(30, { pixelBytes: 500_000 })
    const { archive } = await started(big)
    const reading = archive.retrieve({ study: S }, true, call)
    const first = (await reading.next()).value as { body: AsyncIterable<Uint8Array> }
    await delay(200)
    await collect(first.body)
    let count = 1
    for (let next = await reading.next(); !next.done; next = await reading.next()) {
      await collect(next.value.body)
      count++
    }
    expect(count).toBe(30)
  })
})

describe('our listener', () => {
  it('takes nothing from an archive that nobody asked', async () => {
    const { archive } = await started(series, { faults: { movesAs: 'ROGUE' } })
    await expect(fetched(archive, { study: S })).rejects.toThrow()
  })

  it('takes nothing that was not asked for, though another move is under way', async () => {
    const { archive, port } = await started(seriesFiles(20, { pixelBytes: 200_000 }))
    const rogueFiles = seriesFiles(1, { study: '1.2.66', series: '1.2.66.1' })
    const rogue = await DemoArchive.start({ destinations: { DIMSEGATE: { host: '127.0.0.1', port } } })
    kept(rogue)
    for (const file of rogueFiles) await rogue.put(file)
    const reading = archive.retrieve({ study: S }, true, call)
    const first = (await reading.next()).value as { body: AsyncIterable<Uint8Array> }
    const config = parseConfig({
      archives: [{ aeTitle: 'DEMO', host: '127.0.0.1', port: rogue.port, retrieve: 'move' }],
    })
    // It delivers, under the name of an archive that was asked, what was asked of nobody.
    const stranger = await Archive.open(config.archives[0]!, new Deaf(config.dimse))
    kept(stranger)
    await expect(fetched(stranger, { study: '1.2.66' })).rejects.toThrow()
    await collect(first.body)
    const uids = new Set<string>()
    for (let next = await reading.next(); !next.done; next = await reading.next()) {
      await collect(next.value.body)
      uids.add(next.value.sopInstance)
    }
    expect(uids.size).toBe(19)
    expect([...uids].every((uid) => uid.startsWith(E))).toBe(true)
  })
})

/** Believes that it listens. */
class Deaf extends MoveDestination {
  override async listen(): Promise<number> {
    return 0
  }
}

describe('a C-ECHO to our listener', () => {
  const echo = async (port: number, callingAeTitle: string): Promise<void> => {
    const timeouts = { connect: 2000, associate: 2000 }
    const contexts = [
      { id: 1, abstractSyntax: SopClass.verification, transferSyntaxes: [IMPLICIT_VR_LITTLE_ENDIAN.uid] },
    ]
    const address = { host: '127.0.0.1', port }
    const association = await Association.request({
      ...{ address, timeouts, contexts, callingAeTitle },
      ...{ calledAeTitle: 'DIMSEGATE', maxPduLength: 16_384 },
    })
    await new Scu(association).echo(association.contexts.get(1)!, { timeout: 2000 })
    await association.release(2000)
  }

  it('is answered to an archive that is configured, at any time, and to nobody else', async () => {
    const { demo, destination, port } = await started(series)
    await destination.listen()
    await expect(echo(port, demo.aeTitle)).resolves.toBeUndefined()
    await expect(echo(port, 'ROGUE')).rejects.toMatchObject({ code: 'ASSOCIATION_REJECTED', reason: 3 })
  })
})

describe('the way to fetch', () => {
  const auto = { retrieve: 'auto' }

  it('is C-GET where the archive has it', async () => {
    const { demo, archive, destination } = await started(series, { settings: auto })
    expect((await fetched(archive, { study: S })).size).toBe(5)
    expect([demo.retrievals, demo.moves, destination.isOpen]).toEqual([1, 0, false])
  })

  it('is C-MOVE where the archive has no C-GET, which is remembered', async () => {
    const { demo, archive } = await started(series, { settings: auto, faults: noGet })
    expect(await fetched(archive, { study: S })).toEqual(stored(series, seriesUids))
    expect(await fetched(archive, { study: S, series: E })).toEqual(stored(series, seriesUids))
    expect([demo.retrievals, demo.moves]).toEqual([0, 2])
  })

  it('is the other for what C-GET could not bring, where the listener is set up', async () => {
    const { demo, archive, destination } = await started(series, { settings: auto, enabled: true })
    await destination.listen()
    const native = { acceptsSyntax: (uid: string): boolean => !uid.includes('.2.4.') && uid !== '1.2.840.10008.1.2.5' }
    demo.faults = { ...native, getFails: (uid) => demo.moves === 0 && uid === seriesUids[3] }
    expect(await fetched(archive, { study: S })).toEqual(stored(series, seriesUids))
    expect(demo.moves).toBe(1)
  })

  it('that is none is told as such', async () => {
    const faults = { acceptsClass: (uid: string) => !/^1\.2\.840\.10008\.5\.1\.4\.1\.2\.2\.[23]$/.test(uid) }
    const { archive, destination } = await started(series, { settings: auto, faults })
    await expect(fetched(archive, { study: S })).rejects.toMatchObject({ code: 'NOT_SUPPORTED_BY_ARCHIVE' })
    expect(destination.isOpen).toBe(false)
  })

  it('stays C-GET where the listener is switched off', async () => {
    const { archive } = await started(series, { settings: auto, enabled: false, faults: noGet })
    await expect(fetched(archive, { study: S })).rejects.toMatchObject({
      code: 'NOT_SUPPORTED_BY_ARCHIVE',
      what: 'C-GET',
    })
  })
})

describe('an archive that knows one syntax alone', () => {
  const image = { pixelBytes: 200 }
  const file = instanceFile(image)
  const { data } = splitPart10(file)
  const as = { deflated: '1.2.840.10008.1.2.1.99', implicit: IMPLICIT_VR_LITTLE_ENDIAN.uid }

  it.each(['get', 'move'])('Explicit VR Big Endian, is searched and retrieved from by C-%s', async (retrieve) => {
    const faults = { acceptsSyntax: (uid: string) => uid === Syntax.bigEndian }
    const bigEndian = instanceFile({ ...image, syntax: Syntax.bigEndian })
    const { archive } = await started([bigEndian], { settings: { retrieve }, faults })
    // As it is given to others: Explicit VR Little Endian.
    expect(await fetched(archive, { study: S })).toEqual(stored([file], [I]))
  })

  it.each(['get', 'move'])('of its own, gives what it has by C-%s', async (retrieve) => {
    const own = '1.2.826.0.1.3680043.10.1561.77'
    const faults = { acceptsSyntax: (uid: string) => uid === own || uid === as.implicit }
    const bytes = Buffer.concat([part10Header(CT, I, transferSyntax(own)), data])
    const { archive } = await started([bytes], { settings: { retrieve, quirks: { transferSyntaxes: [own] } }, faults })
    for await (const one of archive.retrieve({ study: S }, true, call)) {
      expect([one.sopInstance, one.syntax.uid, one.received.uid]).toEqual([I, own, own])
      expect((await collect(one.body)).equals(data)).toBe(true)
    }
    expect(await fetched(archive, { study: S })).toHaveLength(1)
    if (retrieve === 'get') {
      const { archive: unnamed } = await started([bytes], { settings: { retrieve }, faults })
      await expect(fetched(unnamed, { study: S })).rejects.toThrow()
    }
  })

  it.each(['get', 'move'])('deflated, gives what it has by C-%s', async (retrieve) => {
    const header = part10Header(CT, I, transferSyntax(as.deflated))
    const faults = { acceptsSyntax: (uid: string) => uid === as.deflated || uid === as.implicit }
    const { archive } = await started([Buffer.concat([header, deflate(data)])], { settings: { retrieve }, faults })
    expect(await fetched(archive, { study: S })).toEqual(stored([file], [I]))
  })
})

describe('one SOP Instance UID in two series of a study', () => {
  const twice = [
    instanceFile({ instance: '1.2.7.7', series: '1.2.7.1' }),
    instanceFile({ instance: '1.2.7.7', series: '1.2.7.2' }),
  ]

  it.each(['get', 'move'])('comes from both by C-%s', async (retrieve) => {
    const { archive } = await started(twice, { settings: { retrieve } })
    const found: string[] = []
    for await (const { series: own, sopInstance, body } of archive.retrieve({ study: S }, true, call)) {
      await collect(body)
      found.push(`${own} ${sopInstance}`)
    }
    expect(found.sort()).toEqual(['1.2.7.1 1.2.7.7', '1.2.7.2 1.2.7.7'])
  })
})
