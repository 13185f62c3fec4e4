import { randomBytes } from 'node:crypto'
import { mkdir, readdir, rm, rmdir, stat } from 'node:fs/promises'
import type { Server } from 'node:net'
import { join } from 'node:path'
import { BLOCK_FILE_NAME } from './block-file.ts'
import { beAlive, isAlive } from '../../network/sign-of-life.ts'

/** A folder is there a moment before its process listens in it. */
const BEGINNING_MS = 60_000
const PREFIX = 'dimsegate-cache-'
const NAME = /^dimsegate-cache-\d+-[0-9a-f]{16}$/
/** The sign of life of its process: while there is one, the folder is in use. */
const ALIVE = 'alive'

/** A folder for the cache cannot be used. */
export class DiskFolderError extends Error {
  readonly code = 'DISK_FOLDER'
  readonly dir: string
  constructor(dir: string, cause: unknown) {
    super(`The folder for the cache cannot be used: ${reasonOf(cause)}`, { cause })
    this.name = 'DiskFolderError'
    this.dir = dir
  }

  /** What is wrong with it, to be read behind its name. */
  get reason(): string {
    return reasonOf(this.cause)
  }
}

/** The folder of this process within one that it may share with others; gone when the process ends in order. */
export class OwnFolder implements AsyncDisposable {
  readonly path: string
  readonly #alive: Server

  private constructor(path: string, alive: Server) {
    this.path = path
    this.#alive = alive
  }

  /** Makes it, and removes those that processes left behind which have died. @throws DiskFolderError */
  static async make(dir: string): Promise<OwnFolder> {
    const path = join(dir, `${PREFIX}${process.pid}-${randomBytes(8).toString('hex')}`)
    try {
      await removeLeftovers(dir)
      await mkdir(path, { mode: 0o700 })
    } catch (cause) {
      throw new DiskFolderError(dir, cause)
    }
    try {
      return new OwnFolder(path, await beAlive(join(path, ALIVE)))
    } catch (cause) {
      await removeOwn(path)
      throw new DiskFolderError(dir, cause)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Closing removes the socket.
    await new Promise((resolve) => this.#alive.close(resolve))
    await removeOwn(this.path)
  }
}

async function removeLeftovers(dir: string): Promise<void> {
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    if (!entry.isDirectory() || !NAME.test(entry.name)) continue
    const path = join(dir, entry.name)
    if (!(await isInUse(path))) await removeOwn(path)
  }
}

async function isInUse(path: string): Promise<boolean> {
  const alive = await isAlive(join(path, ALIVE))
  if (alive !== undefined) return alive
  try {
    return Date.now() - (await stat(path)).mtimeMs < BEGINNING_MS
  } catch {
    return true
  }
}

/** What was made here, and nothing else: a folder that holds anything besides stays. */
async function removeOwn(path: string): Promise<void> {
  try {
    for (const name of await readdir(path)) {
      if (name === ALIVE || BLOCK_FILE_NAME.test(name)) await rm(join(path, name), { force: true })
    }
    await rmdir(path)
  } catch {
    // Another process may be at the same; what stays is tried again at the next start.
  }
}

function reasonOf(cause: unknown): string {
  const code = (cause as NodeJS.ErrnoException | undefined)?.code
  switch (code) {
    case 'ENOENT':
      return 'does not exist'
    case 'ENOTDIR':
      return 'is not a folder'
    case 'EACCES':
    case 'EPERM':
      return 'cannot be written: permission denied'
    case 'EROFS':
      return 'cannot be written: the file system is read-only'
    case 'ENOSPC':
      return 'cannot be written: the disk is full'
    case 'EINVAL':
    case 'ENAMETOOLONG':
      return 'has too long a path: there is to be room for a socket, of 107 bytes in all'
    default:
      return `cannot be used (${code ?? 'unknown error'})`
  }
}
