import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { DiskFolderError, OwnFolder } from '../../../src/cache/disk/own-folder.ts'
import { failOnLeaks } from '../../support/leaks.ts'
import { temporaryFolder } from '../../support/temporary-folder.ts'

failOnLeaks()

const BLOCK_FILE = '0123456789abcdef'.repeat(2)
const MODULE = new URL('../../../src/cache/disk/own-folder.ts', import.meta.url).href

/** Of a process that made its folder with a file in it, and was killed. */
async function leaveBehind(dir: string): Promise<void> {
  const script = `
    import { writeFile } from 'node:fs/promises'
    const { OwnFolder } = await import(${JSON.stringify(MODULE)})
    const { path } = await OwnFolder.make(${JSON.stringify(dir)})
    await writeFile(path + '/${BLOCK_FILE}', 'sealed')
    console.log('made')
    setInterval(() => undefined, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  child.kill('SIGKILL')
  await once(child, 'close')
}

describe('the folder of a process', () => {
  it('is gone with all that was made in it when the process ends in order', async () => {
    await using dir = await temporaryFolder()
    const own = await OwnFolder.make(dir.path)
    await writeFile(join(own.path, BLOCK_FILE), 'sealed')
    expect(await readdir(dir.path)).toEqual([expect.stringMatching(/^dimsegate-cache-\d+-[0-9a-f]{16}$/)])
    await own[Symbol.asyncDispose]()
    expect(await readdir(dir.path)).toEqual([])
  })

  it('is left alone by others that share the folder around it', async () => {
    await using dir = await temporaryFolder()
    const first = await OwnFolder.make(dir.path)
    await writeFile(join(first.path, BLOCK_FILE), 'sealed')
    const second = await OwnFolder.make(dir.path)
    expect(await readdir(first.path)).toContain(BLOCK_FILE)
    await second[Symbol.asyncDispose]()
    expect(await readdir(first.path)).toContain(BLOCK_FILE)
    await first[Symbol.asyncDispose]()
  })

  it('is removed by the next process where its own has died', async () => {
    await using dir = await temporaryFolder()
    await leaveBehind(dir.path)
    expect(await readdir(dir.path)).toHaveLength(1)
    const own = await OwnFolder.make(dir.path)
    expect((await readdir(dir.path)).map((name) => join(dir.path, name))).toEqual([own.path])
    await own[Symbol.asyncDispose]()
  })

  it('is not removed in the moment before its process listens', async () => {
    await using dir = await temporaryFolder()
    const beginning = join(dir.path, 'dimsegate-cache-1-0123456789abcdef')
    await mkdir(beginning)
    await (await OwnFolder.make(dir.path))[Symbol.asyncDispose]()
    expect(await readdir(dir.path)).toHaveLength(1)
    await utimes(beginning, new Date(), Date.now() / 1000 - 120)
    await (await OwnFolder.make(dir.path))[Symbol.asyncDispose]()
    expect(await readdir(dir.path)).toHaveLength(0)
  })

  it('is removed only as far as it was made here', async () => {
    await using dir = await temporaryFolder()
    await leaveBehind(dir.path)
    const [left] = await readdir(dir.path)
    await writeFile(join(dir.path, left!, 'notes.txt'), 'mine')
    for (const name of ['dimsegate-cache', 'dimsegate-cache-1', 'other']) await mkdir(join(dir.path, name))
    await writeFile(join(dir.path, 'dimsegate-cache-2-0123456789abcdef'), 'a file')
    await (await OwnFolder.make(dir.path))[Symbol.asyncDispose]()
    expect(await readdir(dir.path)).toHaveLength(5)
    expect(await readdir(join(dir.path, left!))).toEqual(['notes.txt'])
  })

  it.each([
    ['is not there', 'none', 'does not exist'],
    ['is a file', 'file', 'is not a folder'],
    [
      'has too long a path',
      'x'.repeat(120),
      'has too long a path: there is to be room for a socket, of 107 bytes in all',
    ],
  ])('is refused in one that %s', async (_, name, reason) => {
    await using dir = await temporaryFolder()
    const path = join(dir.path, name)
    if (name === 'file') await writeFile(path, '')
    if (name.length > 100) await mkdir(path)
    const failure = await OwnFolder.make(path).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(DiskFolderError)
    expect((failure as DiskFolderError).reason).toBe(reason)
    if (name.length > 100) expect(await readdir(path)).toEqual([])
  })
})
