import { copyFile, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { AuditEvent } from '../../../src/audit/event.ts'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { spoolCommand } from '../../../src/routing/spool/command.ts'
import { configWith, KEY } from '../../support/changed.ts'
import { CT, instanceFile } from '../../support/dicom-files.ts'
import { eventually } from '../../support/eventually.ts'
import { failOnLeaks } from '../../support/leaks.ts'
import { startGatewayFor } from '../../support/gateway.ts'
import { published } from '../../support/published.ts'
import { ScriptedArchive } from '../../support/scripted-archive.ts'
import { heldBy, sendFiles, startRouting, type RoutingSetup } from '../../support/routing.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

failOnLeaks()
const deliveries = published('dimsegate:delivery')
const spooling = published('dimsegate:spool')

const FAR = { name: 'far', delivery: 'best-effort' }
const ROUTES = [{ name: 'both', set: [{ set: { StudyID: 'X' } }], to: ['near', FAR] }]
const ONLY = [{ name: 'only', to: [FAR] }]
const LARGER = instanceFile({ instance: '1.2', pixelBytes: 400_000 })
/** Of FILE, in the spool. */
const SPOOLED_BYTES = 300_893
const FILE = instanceFile({ instance: '1.1', pixelBytes: 300_000 })

interface Far {
  status: number | undefined
  /** How often it was sent an instance. */
  asked?: number
}

/** An archive that is there, and one that says what it is told to say. */
function setUp(
  dir: string,
  far: Far,
  { routes = ROUTES, spool = {}, ...others }: { routes?: object[]; spool?: object; audit?: object } = {},
): Promise<RoutingSetup<'near' | 'far'>> {
  const storeStatus = (): number | undefined => {
    far.asked = (far.asked ?? 0) + 1
    return far.status
  }
  return startRouting({
    archives: { near: {}, far: { faults: { storeStatus } } },
    ...{ routes, others: { spool: { dir, key: KEY, ...spool }, ...others } },
  })
}

/** Files of instances, but no sign of life. */
async function filesIn(dir: string): Promise<string[]> {
  const names = await readdir(dir, { recursive: true })
  return names.filter((name) => /\.(instance|dead)$/.test(name)).sort()
}

const command = async (dir: string, ...args: string[]): Promise<string> => {
  let printed = ''
  await spoolCommand(
    { ...configWith({ spool: { dir, key: KEY } }), destinations: [{ name: 'far' } as never] },
    args,
    (text) => (printed += text),
  )
  return printed
}

describe('a best-effort destination with a spool', () => {
  it('gets what it could not take, as it would have got it, and it is told when it waits and when it goes on', async () => {
    await using dir = await temporaryFolder()
    const far: Far = { status: 0xa700 }
    await using setup = await setUp(dir.path, far)
    expect(await sendFiles(setup.port, [FILE])).toEqual([0])
    await eventually(async () => expect(await command(dir.path)).toMatch(/  far  .*1 tries  waiting: A700\n$/))
    far.status = undefined
    const id = (await filesIn(dir.path))[0]!.replace(/.*\/(.*)\.instance/, '$1')
    expect(await command(dir.path, 'retry', id)).toBe('1 to be tried again.\n')
    await eventually(async () => expect(await filesIn(dir.path)).toEqual([]))
    const [near, late] = await Promise.all([heldBy(setup.archives.near), heldBy(setup.archives.far)])
    expect(late.get('1.1')?.string(Attribute.StudyID)).toBe('X')
    expect(late).toEqual(near)
    expect(deliveries.map(({ destination, result }) => `${destination} ${result}`).sort()).toEqual([
      ...['far spooled', 'far stored', 'near stored'],
    ])
    expect(spooling).toEqual([
      { destination: 'far', isPassing: false, reason: 'A700' },
      { destination: 'far', isPassing: true, reason: undefined },
    ])
    const metrics = (await setup.gateway.telemetry.metrics()).text
    expect(metrics).toContain('dimsegate_spool_instances{destination="far",state="waiting"} 0')
    expect(metrics).toMatch(/dimsegate_spool_bytes \d/)
  })

  it('gets it from a service that was started anew, also what an older one had given up on when somebody says so', async () => {
    await using dir = await temporaryFolder()
    {
      await using setup = await setUp(dir.path, { status: 0xa700 })
      expect(await sendFiles(setup.port, [FILE])).toEqual([0])
      await eventually(() => expect(spooling).toHaveLength(1))
    }
    {
      const far: Far = { status: 0xc000 }
      await using _ = await setUp(dir.path, far)
      await eventually(async () => expect(await filesIn(dir.path)).toEqual([expect.stringMatching(/\.C000\.dead$/)]))
      expect(far.asked).toBe(1)
    }
    const far: Far = { status: undefined }
    await using setup = await setUp(dir.path, far)
    expect(await command(dir.path, 'list')).toMatch(/0 tries  given up: C000\n$/)
    expect(far.asked).toBeUndefined()
    await command(dir.path, 'retry', 'all')
    await eventually(async () => expect(await filesIn(dir.path)).toEqual([]))
    expect([...(await heldBy(setup.archives.far)).keys()]).toEqual(['1.1'])
  })

  it('that refuses an instance gets the others', async () => {
    await using dir = await temporaryFolder()
    const refused: string[] = []
    await using setup = await startRouting({
      archives: {
        far: { faults: { storeStatus: (uid) => (uid === '1.1' ? (refused.push(uid), 0x0110) : undefined) } },
      },
      ...{ routes: ONLY, others: { spool: { dir: dir.path, key: KEY } } },
    })
    const files = ['1.1', '1.2', '1.3'].map((instance) => instanceFile({ instance }))
    expect(await sendFiles(setup.port, files)).toEqual([0, 0, 0])
    await eventually(async () => expect([...(await heldBy(setup.archives.far)).keys()]).toEqual(['1.2', '1.3']))
    expect(refused).toEqual(['1.1'])
    expect(spooling).toEqual([])
  })

  it('is sent to as without one where the spool is full', async () => {
    await using dir = await temporaryFolder()
    const far: Far = { status: 0xa700 }
    await using setup = await setUp(dir.path, far, { spool: { maxBytes: SPOOLED_BYTES } })
    await sendFiles(setup.port, [FILE])
    // To the last byte.
    expect(await filesIn(dir.path)).toHaveLength(1)
    await eventually(() => expect(far.asked).toBe(1))
    expect(await sendFiles(setup.port, [LARGER])).toEqual([0])
    await eventually(() => expect(far.asked).toBe(2))
    expect(setup.archives.near.catalog.files).toHaveLength(2)
  })

  it('lacks an instance that finds no room while it comes, which is told, and is sent the next ones at once', async () => {
    await using dir = await temporaryFolder()
    const far: Far = { status: undefined }
    await using setup = await setUp(dir.path, far, { spool: { maxBytes: SPOOLED_BYTES } })
    expect(await sendFiles(setup.port, [LARGER])).toEqual([0])
    expect(deliveries.find(({ destination }) => destination === 'far')).toMatchObject({
      ...{ result: 'failed', error: { code: 'SPOOL_FULL' } },
    })
    expect(await sendFiles(setup.port, [FILE])).toEqual([0])
    await eventually(() => expect(far.asked).toBe(1))
    expect(await filesIn(dir.path)).toEqual([])
    expect(setup.archives.near.catalog.files).toHaveLength(2)
  })

  it('that takes all loses at most one to another that has filled the spool', async () => {
    await using dir = await temporaryFolder()
    await using setup = await startRouting({
      archives: { near: {}, far: { faults: { storeStatus: () => 0xa700 } }, well: {} },
      routes: [{ name: 'all', to: ['near', FAR, { name: 'well', delivery: 'best-effort' }] }],
      others: { spool: { dir: dir.path, key: KEY, maxBytes: 2_000_000 } },
    })
    const files = Array.from({ length: 20 }, (_, n) => instanceFile({ instance: `1.${n}`, pixelBytes: 300_000 }))
    expect(await sendFiles(setup.port, files)).toEqual(files.map(() => 0))
    await eventually(() => expect(setup.archives.well.catalog.files.length).toBeGreaterThanOrEqual(19))
    expect(setup.archives.near.catalog.files).toHaveLength(20)
  })

  it('that is the only one has it when it is in the spool, and not where it cannot be put there', async () => {
    await using dir = await temporaryFolder()
    const far: Far = { status: 0xa700 }
    await using setup = await setUp(dir.path, far, { routes: ONLY })
    expect(await sendFiles(setup.port, [FILE])).toEqual([0])
    await eventually(() => expect(far.asked).toBe(1))
    const [name] = await filesIn(dir.path)
    await rm(join(dir.path, dirname(name!)), { recursive: true })
    await writeFile(join(dir.path, dirname(name!)), 'no folder')
    expect(await sendFiles(setup.port, [FILE])).toEqual([0xa700])
    // The disk has failed: it is tried at once, without it.
    expect(await sendFiles(setup.port, [FILE])).toEqual([0xa700])
    expect(far.asked).toBe(2)
  })

  it('is told to STOW-RS as elsewhere: nothing is at the archive of the URL yet', async () => {
    await using dir = await temporaryFolder()
    await using setup = await setUp(dir.path, { status: 0xa700 }, { routes: ONLY })
    const form = new Blob(['--b\r\nContent-Type: application/dicom\r\n\r\n', new Uint8Array(FILE), '\r\n--b--\r\n'])
    const response = await fetch(`${setup.gateway.url}/aets/FAR/studies`, {
      method: 'POST',
      headers: { 'Content-Type': 'multipart/related; type="application/dicom"; boundary=b' },
      body: form,
    })
    const text = await response.text()
    expect(response.status, text).toBe(200)
    expect(text).toContain('"1.1"')
    expect(text).not.toContain('00081190":{"vr":"UR","Value"')
  })
})

describe('what is in a spool', () => {
  /** Leaves one instance there, and nobody who has the folder. */
  async function left(dir: string): Promise<string> {
    await using setup = await setUp(dir, { status: 0xa700 })
    await sendFiles(setup.port, [FILE])
    await eventually(() => expect(spooling).toHaveLength(1))
    return (await filesIn(dir))[0]!
  }

  it('is not sent where its file was changed, cut, or is that of another', async () => {
    await using dir = await temporaryFolder()
    const name = await left(dir.path)
    const path = join(dir.path, name)
    const other = (digit: string): string => path.replace(/\d{3}-/, `99${digit}-`)
    await copyFile(path, other('1'))
    await writeFile(other('2'), (await readFile(path)).subarray(0, 200_000))
    const near = join(dir.path, 'to-near')
    await mkdir(near)
    await copyFile(path, join(near, name.replace('to-far/', '')))
    await using setup = await setUp(dir.path, { status: undefined })
    await eventually(async () =>
      expect((await filesIn(dir.path)).filter((one) => one.endsWith('.dead'))).toHaveLength(3),
    )
    await eventually(async () => expect(await filesIn(dir.path)).toHaveLength(3))
    for (const one of await filesIn(dir.path)) expect(one).toMatch(/SPOOL_FILE_DAMAGED\.dead$/)
    expect(setup.archives.far.catalog.files).toHaveLength(1)
    expect(setup.archives.near.catalog.files).toHaveLength(0)
  })

  it('is sent by nobody with another key, and by all with the right one again', async () => {
    await using dir = await temporaryFolder()
    await left(dir.path)
    {
      await using _ = await setUp(dir.path, { status: undefined }, { spool: { key: `${KEY}!` } })
      await eventually(async () => expect(await filesIn(dir.path)).toEqual([expect.stringMatching(/DAMAGED\.dead$/)]))
    }
    await using setup = await setUp(dir.path, { status: undefined })
    await command(dir.path, 'retry', 'all')
    await eventually(() => expect(setup.archives.far.catalog.files).toHaveLength(1))
  })

  it('waits for a destination that is not in the configuration any more', async () => {
    await using dir = await temporaryFolder()
    const name = await left(dir.path)
    await rename(join(dir.path, dirname(name)), join(dir.path, 'to-gone'))
    await using _ = await setUp(dir.path, { status: undefined })
    expect(await command(dir.path)).toMatch(/  gone  .*waiting: not in the configuration\n$/)
    expect(await filesIn(dir.path)).toEqual([name.replace('far', 'gone')])
  })

  it('is looked at and dropped without a service too; what is no file of its own stays', async () => {
    await using dir = await temporaryFolder()
    const name = await left(dir.path)
    const own = [join(dir.path, '.profile'), join(dir.path, 'to-far', 'notes.txt')]
    for (const path of own) await writeFile(path, 'mine')
    await writeFile(join(dir.path, 'to-far', '.spool-00000000-0000-4000-8000-000000000000'), 'half')
    const id = name.replace(/.*\/(.*)\.instance/, '$1')
    expect(await command(dir.path)).toBe(
      `${id}  far  ${new Date(Number(id.slice(0, 13))).toISOString()}  ${SPOOLED_BYTES} bytes  0 tries  waiting\n`,
    )
    await expect(command(dir.path, 'drop', 'nothing')).rejects.toThrow('The spool has no nothing.')
    await expect(command(dir.path, 'drop')).rejects.toThrow('needs ids')
    await expect(command(dir.path, 'burn')).rejects.toThrow('expected list, retry or drop')
    expect(await command(dir.path, 'drop', 'all')).toBe('0 dropped.\n')
    expect(await command(dir.path, 'drop', id)).toBe('1 dropped.\n')
    expect(await command(dir.path)).toBe('The spool is empty.\n')
    expect((await readdir(dir.path, { recursive: true })).sort()).toEqual(['.profile', 'to-far', 'to-far/notes.txt'])
  })

  it('gives its room back when it is dropped from a service that runs, also while it is being sent', async () => {
    await using dir = await temporaryFolder()
    const name = await left(dir.path)
    await using silent = await ScriptedArchive.start({ associate: () => 'silent' })
    await using setup = await startRouting({
      archives: { near: {} },
      destinations: [{ type: 'dicom', name: 'far', aeTitle: 'SILENT', ...silent.address }],
      routes: [{ name: 'r', to: ['near'] }],
      others: { spool: { dir: dir.path, key: KEY } },
    })
    expect(await command(dir.path, 'drop', name.replace(/.*\/(.*)\.instance/, '$1'))).toBe('1 dropped.\n')
    expect((await setup.gateway.telemetry.metrics()).text).toContain('dimsegate_spool_bytes 0')
    expect(await filesIn(dir.path)).toEqual([])
  })

  it('is given up when it was tried for as long as is said', async () => {
    await using dir = await temporaryFolder()
    await using setup = await setUp(dir.path, { status: 0xa700 }, { spool: { giveUpAfter: '1ms' } })
    await sendFiles(setup.port, [FILE])
    await eventually(async () => expect(await filesIn(dir.path)).toEqual([expect.stringMatching(/A700\.dead$/)]))
    expect(deliveries.at(-1)).toMatchObject({ destination: 'far', result: 'refused', status: 0xa700 })
  })
})

describe('the audit trail of what goes through a spool', () => {
  it('has it with us first, and then with its destination, of who had brought it', async () => {
    await using dir = await temporaryFolder()
    await using spool = await temporaryFolder()
    const file = join(dir.path, 'audit.log')
    {
      await using setup = await setUp(spool.path, { status: undefined }, { routes: ONLY, audit: { file } })
      await sendFiles(setup.port, [FILE])
      await eventually(() => expect(setup.archives.far.catalog.files).toHaveLength(1))
      await eventually(async () => expect(await filesIn(spool.path)).toEqual([]))
    }
    const events = (await readFile(file, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as AuditEvent)
    const told = events.filter(({ kind }) => kind === 'instances-transferred')
    expect(told.map(({ resource, archive }) => `${resource} ${archive?.name}`).sort()).toEqual([
      ...['dimse DIMSEGATE', 'spool far'],
    ])
    for (const { user, outcome, study, bytes } of told) {
      expect(bytes).toBeUndefined()
      expect([user, outcome, study?.instances]).toEqual([{ kind: 'dicom', name: 'CT1' }, 'success', { [CT]: 1 }])
    }
  })
})

describe('a folder that cannot be the spool', () => {
  it('is a fault of the configuration: it is not there, or another has it', async () => {
    await using dir = await temporaryFolder()
    await using _ = await setUp(dir.path, { status: undefined })
    const starting = (path: string): Promise<unknown> =>
      startGatewayFor([{ aeTitle: 'PACS', host: '127.0.0.1', port: 1 }], {}, {}, { spool: { dir: path, key: KEY } })
    await expect(starting(dir.path)).rejects.toThrow(/spool.dir.*is in use by another process/)
    await expect(starting(`${dir.path}/none`)).rejects.toThrow(/spool.dir.*ENOENT.*expected a folder that is there/)
  })
})
