import { execFile } from 'node:child_process'
import { appendFile, chmod, mkdir, open, readFile, rename, stat, writeFile, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { AuditFileError, FileSink } from '../../src/audit/file-sink.ts'
import { temporaryFolder, type TemporaryFolder } from '../support/temporary-folder.ts'
import { EVENTS } from './events.ts'

let folder: TemporaryFolder
let path: string

beforeEach(async () => {
  folder = await temporaryFolder()
  path = join(folder.path, 'audit.jsonl')
})

afterEach(async () => {
  vi.restoreAllMocks()
  await folder[Symbol.asyncDispose]()
})

const lines = async (file = path): Promise<string[]> => (await readFile(file, 'utf8')).trimEnd().split('\n')
const eventsIn = async (file?: string): Promise<unknown[]> =>
  (await lines(file)).map((line) => JSON.parse(line) as unknown)

describe('the file of the audit trail', () => {
  it('gets one JSON object a line, also when it was moved away', async () => {
    const sink = await FileSink.open(path)
    await sink.write(EVENTS.slice(0, 2))
    await rename(path, `${path}.1`)
    await sink.write(EVENTS.slice(2, 5))
    expect(await eventsIn(`${path}.1`)).toEqual(EVENTS.slice(0, 2))
    expect(await eventsIn()).toEqual(EVENTS.slice(2, 5))
    for (const file of [path, `${path}.1`]) expect((await stat(file)).mode & 0o777).toBe(0o600)
  })

  it('that others could read is closed to them, not to its group', async () => {
    await writeFile(path, '')
    await chmod(path, 0o644)
    await FileSink.open(path)
    expect((await stat(path)).mode & 0o777).toBe(0o640)
  })

  it.each([
    ['missing/audit.jsonl', 'cannot be made: its folder does not exist'],
    ['file/audit.jsonl', 'cannot be made: its folder does not exist'],
    ['folder', 'is a folder'],
  ])('that is %s ends the start: it %s', async (name, reason) => {
    await mkdir(join(folder.path, 'folder'))
    await writeFile(join(folder.path, 'file'), '')
    const file = join(folder.path, name)
    const failure: unknown = await FileSink.open(file).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(AuditFileError)
    expect((failure as AuditFileError).message).toContain(`${file} ${reason}`)
  })

  it('is begun on a new line behind half a line, which a process has left that ended within it', async () => {
    const half = '{"kind":"que'
    await writeFile(path, `${JSON.stringify(EVENTS[0])}\n${half}`)
    const sink = await FileSink.open(path)
    await sink.write(EVENTS.slice(1, 3))
    await sink.write(EVENTS.slice(3, 4))
    expect(await lines()).toEqual(
      [EVENTS[0], half, ...EVENTS.slice(1, 4)].map((one) => (one === half ? half : JSON.stringify(one))),
    )
  })

  it.each(['write', 'sync'] as const)(
    'has whole lines, each once, where a %s failed in the middle',
    async (operation) => {
      const sink = await FileSink.open(path)
      await sink.write(EVENTS.slice(0, 1))
      await fullDisk(operation)
      await expect(sink.write(EVENTS.slice(1, 3))).rejects.toMatchObject({ code: 'ENOSPC' })
      await sink.write(EVENTS.slice(1, 3))
      expect(await eventsIn()).toEqual(EVENTS.slice(0, 3))
    },
  )

  it('keeps what another process has written meanwhile, and begins on a new line', async () => {
    const sink = await FileSink.open(path)
    await sink.write(EVENTS.slice(0, 1))
    await fullDisk('write', () => appendFile(path, 'of another'))
    await expect(sink.write(EVENTS.slice(1, 3))).rejects.toMatchObject({ code: 'ENOSPC' })
    await sink.write(EVENTS.slice(1, 3))
    const [first, mixed, ...rest] = await lines()
    expect(mixed).toMatch(/^\{.{9}of another$/)
    expect([first, ...rest].map((line) => JSON.parse(line!) as unknown)).toEqual(EVENTS.slice(0, 3))
  })

  it('may be the standard output, be that a pipe', async () => {
    const module = new URL('../../src/audit/file-sink.ts', import.meta.url).href
    const script = `const { FileSink } = await import(${JSON.stringify(module)})
      const sink = await FileSink.open('/dev/stdout')
      await sink.write([{ n: 1 }])
      await sink.write([{ n: 2 }])`
    const { stdout } = await promisify(execFile)('sh', [
      '-c',
      '"$0" --input-type=module -e "$1" | cat',
      process.execPath,
      script,
    ])
    expect(stdout).toBe('{"n":1}\n{"n":2}\n')
  })
})

/** Has the disk be full behind 10 bytes of a write, or at the flush of it, once. */
async function fullDisk(operation: 'write' | 'sync', meanwhile?: () => Promise<void>): Promise<void> {
  const file = await open(path, 'r')
  const methods = Object.getPrototypeOf(file) as FileHandle
  await file.close()
  const full = Object.assign(new Error('no space'), { code: 'ENOSPC' })
  if (operation === 'sync') {
    vi.spyOn(methods, 'sync').mockRejectedValueOnce(full)
    return
  }
  const write = Reflect.get(methods, 'write') as (bytes: Buffer, offset: number, length: number) => Promise<unknown>
  vi.spyOn(methods, 'write')
    .mockImplementationOnce(async function (this: FileHandle, bytes: unknown) {
      const done = await write.call(this, bytes as Buffer, 0, 10)
      await meanwhile?.()
      return done as never
    })
    .mockRejectedValueOnce(full)
}
