import type * as Files from 'node:fs/promises'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { once } from '../../../src/dicom/bytes.ts'
import { parsePart10 } from '../../../src/dicom/part10.ts'
import { Arrival, FROM_CLIENT } from '../../../src/instance/arrival.ts'
import { arriving, type Instance } from '../../../src/pacs/instance.ts'
import type { StoreOutcome } from '../../../src/pacs/store.ts'
import { spoolCommand } from '../../../src/routing/spool/command.ts'
import { Spool, type SpoolEvent } from '../../../src/routing/spool/spool.ts'
import type { Target } from '../../../src/routing/target.ts'
import { configWith, KEY } from '../../support/changed.ts'
import { instanceFile } from '../../support/dicom-files.ts'
import { eventually } from '../../support/eventually.ts'
import { published } from '../../support/published.ts'
import { heldBy, sendFiles, startRouting } from '../../support/routing.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

type Step = 'open' | 'rm' | 'rename' | 'mkdir' | 'sync'
const disk = vi.hoisted(() => ({
  fault: undefined as ((step: string, path: string) => Promise<void> | undefined) | undefined,
}))

// A disk that fails cannot be had in a test.
vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof Files>()
  const wrapped =
    <A extends readonly never[], R>(step: Step, work: (path: never, ...rest: A) => Promise<R>) =>
    async (path: never, ...rest: A): Promise<R> => {
      await disk.fault?.(step, path)
      return work(path, ...rest)
    }
  return {
    ...real,
    rm: wrapped('rm', real.rm as never),
    rename: wrapped('rename', real.rename as never),
    mkdir: wrapped('mkdir', real.mkdir as never),
    open: wrapped('open', async (path: string, ...rest: never[]) => {
      const handle = await real.open(path, ...rest)
      const sync = handle.sync.bind(handle)
      handle.sync = async () => {
        await disk.fault?.('sync', path)
        return sync()
      }
      return handle
    }),
  }
})
afterEach(() => (disk.fault = undefined))
const spooling = published('dimsegate:spool')

/** Steps that fail, at paths of instances. */
function failing(code: string, ...steps: readonly Step[]): void {
  disk.fault = (step, path) =>
    steps.includes(step as Step) && path.includes('to-far')
      ? Promise.reject(Object.assign(new Error(`${code}: as the test wants it, ${step}`), { code }))
      : undefined
}

const node = { name: 'far', aeTitle: 'FAR', host: 'far.test' }
const answering = (store: (instance: Instance) => Promise<StoreOutcome> | StoreOutcome): Target => ({
  node,
  open: () => ({
    reach: () => Promise.resolve(),
    store: async (instance) => {
      for await (const _ of instance.body);
      return store(instance)
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }),
})
const refusing = answering(() => ({ kind: 'refused', status: 0xc000 }))

function opened(dir: string, target: Target, open: typeof Spool.open = (...all) => Spool.open(...all)): Promise<Spool> {
  const config = { dir, key: KEY, maxBytes: 1_000_000, giveUpAfter: 1e9 }
  return open(config, { targets: new Map([['far', target]]), told: () => undefined, isBlocked: () => false })
}

async function put(spool: Spool, target: Target): Promise<StoreOutcome> {
  const { syntax, data } = await parsePart10(instanceFile({ instance: '1.1' }))
  const arrival = await Arrival.begin(once(data), syntax, FROM_CLIENT)
  const { sopClass, sopInstance, study, series } = arrival.index.identity
  const uids = { sopClass: sopClass!, sopInstance: sopInstance!, study: study!, series: series! }
  const sender = { kind: 'dicom', name: 'CT1', address: undefined }
  const outlet = spool.before(target, { route: 'r', sender, isChanged: false })
  return outlet.open({ signal: new AbortController().signal, priority: 'bulk' }).store(arriving(uids, arrival))
}

const filesIn = async (dir: string): Promise<string[]> =>
  (await readdir(dir, { recursive: true })).filter((name) => /\.(instance|dead)$/.test(name))

/** One that is given up, in a spool that goes on. */
async function givenUp(dir: string): Promise<{ readonly spool: Spool; readonly id: string }> {
  const spool = await opened(dir, refusing)
  spool.begin()
  await put(spool, refusing)
  await eventually(async () => expect(await filesIn(dir)).toEqual([expect.stringMatching(/C000\.dead$/)]))
  return { spool, id: [...spool.list()][0]!.id }
}

describe('a disk that does not let an instance be', () => {
  it('dropped has that told, and it is there still', async () => {
    await using dir = await temporaryFolder()
    const { spool, id } = await givenUp(dir.path)
    failing('EROFS', 'rm')
    const config = configWith({ spool: { dir: dir.path, key: KEY } })
    let printed = ''
    const dropping = spoolCommand(config, ['drop', id], (text) => (printed += text))
    await expect(dropping).rejects.toThrow('The disk of the spool failed (EROFS); the rest was left as it was.')
    expect(printed).toBe('0 dropped.\n')
    expect([...spool.list()]).toHaveLength(1)
    disk.fault = undefined
    expect(await spool.drop([id])).toEqual({ done: 1, unknown: [] })
    expect([spool.bytes, await filesIn(dir.path)]).toEqual([0, []])
    await spool[Symbol.asyncDispose]()
  })

  it('renamed for good has it by the name that it has: it is tried, and dropped, all the same', async () => {
    await using dir = await temporaryFolder()
    const { spool, id } = await givenUp(dir.path)
    failing('EIO', 'sync')
    expect(await spool.retry([id])).toEqual({ done: 1, unknown: [] })
    await eventually(async () => expect(await filesIn(dir.path)).toEqual([expect.stringMatching(/C000\.dead$/)]))
    expect(await spool.drop([id])).toEqual({ done: 1, unknown: [] })
    expect([spool.bytes, await filesIn(dir.path), [...spool.list()]]).toEqual([0, [], []])
    await spool[Symbol.asyncDispose]()
  })

  it('given up has it given up in this process, and told once', async () => {
    await using dir = await temporaryFolder()
    let asked = 0
    const target = answering(() => (asked++, { kind: 'refused', status: 0xc000 }))
    const spool = await opened(dir.path, target)
    spool.begin()
    failing('EROFS', 'rename')
    // It cannot even come under its name.
    expect(await put(spool, target)).toMatchObject({ kind: 'failed', error: { code: 'SPOOL_DISK' } })
    disk.fault = (step, path) =>
      step === 'rename' && path.endsWith('.instance') ? Promise.reject(new Error()) : undefined
    await put(spool, target)
    await eventually(() => expect([...spool.list()]).toMatchObject([{ isGivenUp: true, reason: 'C000' }]))
    expect([asked, await filesIn(dir.path)]).toEqual([1, [expect.stringMatching(/\.instance$/)]])
    const { id } = [...spool.list()][0]!
    expect(await spool.drop([id])).toEqual({ done: 1, unknown: [] })
    expect(await filesIn(dir.path)).toEqual([])
    await spool[Symbol.asyncDispose]()
  })
})

describe('bytes of the spool', () => {
  it.each([
    ['taken', { kind: 'stored', status: 0 }],
    ['refused', { kind: 'refused', status: 0xc000 }],
  ] as const)('are given back once where an instance is dropped while it is sent, and then %s', async (_, outcome) => {
    await using dir = await temporaryFolder()
    const held = Promise.withResolvers<undefined>()
    const begun = Promise.withResolvers<undefined>()
    const target = answering(async () => {
      begun.resolve(undefined)
      await held.promise
      return outcome
    })
    const spool = await opened(dir.path, target)
    spool.begin()
    await put(spool, target)
    await begun.promise
    await spool.drop([[...spool.list()][0]!.id])
    held.resolve(undefined)
    await spool[Symbol.asyncDispose]()
    expect([spool.bytes, await filesIn(dir.path)]).toEqual([0, []])
  })
})

describe('a folder', () => {
  it('that is removed is made again', async () => {
    await using dir = await temporaryFolder()
    const target = answering(() => ({ kind: 'stored', status: 0 }))
    const spool = await opened(dir.path, target)
    spool.begin()
    for (let n = 0; n < 2; n++) {
      expect(await put(spool, target)).toMatchObject({ kind: 'stored' })
      await eventually(async () => expect(await filesIn(dir.path)).toEqual([]))
      await (await vi.importActual<typeof Files>('node:fs/promises')).rm(join(dir.path, 'to-far'), { recursive: true })
    }
    await spool[Symbol.asyncDispose]()
  })

  it('of a full disk keeps no service from its start: there is no spool until it can be opened', async () => {
    await using dir = await temporaryFolder()
    disk.fault = (step) =>
      step === 'mkdir'
        ? Promise.reject(Object.assign(new Error('ENOSPC: no space left on device, mkdir'), { code: 'ENOSPC' }))
        : undefined
    await expect(opened(dir.path, refusing)).rejects.toMatchObject({
      reason: expect.stringContaining('cannot be used (ENOSPC: no space left on device)') as string,
    })
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const spool = await opened(dir.path, refusing, (...all) => Spool.openOrWait(...all))
    expect(spool.isOpen).toBe(false)
    spool.begin()
    disk.fault = undefined
    vi.advanceTimersByTime(30_000)
    vi.useRealTimers()
    await eventually(() => expect(spool.isOpen).toBe(true))
    expect(spooling.map(({ destination, isPassing }: SpoolEvent) => [destination, isPassing])).toEqual([
      [undefined, false],
      [undefined, true],
    ])
    await spool[Symbol.asyncDispose]()
  })

  it('of a disk that hangs costs best effort, and no device its answer', async () => {
    await using dir = await temporaryFolder()
    await using setup = await startRouting({
      archives: { near: {}, far: {} },
      routes: [{ name: 'both', to: ['near', { name: 'far', delivery: 'best-effort' }] }],
      others: { spool: { dir: dir.path, key: KEY } },
    })
    const hanging = Promise.withResolvers<undefined>()
    disk.fault = (step, path) =>
      step === 'open' && path.includes('.spool-') ? hanging.promise.then(() => {}) : undefined
    expect(await sendFiles(setup.port, [instanceFile({ instance: '1.1' })])).toEqual([0])
    expect([...(await heldBy(setup.archives.near)).keys()]).toEqual(['1.1'])
    disk.fault = undefined
    hanging.resolve(undefined)
    await delay(200)
    expect(await readdir(join(dir.path, 'to-far'))).toEqual([])
  })
})
