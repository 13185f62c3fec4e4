import { mkdir, rm, rmdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isAlive } from '../../network/sign-of-life.ts'
import { DeskServer } from './desk-server.ts'

/** The folder of the spool cannot be used. */
export class SpoolFolderError extends Error {
  readonly code = 'SPOOL_FOLDER'
  /** To be read behind its name. */
  readonly reason: string
  constructor(dir: string, reason: string, options?: ErrorOptions) {
    super(`The folder ${dir} of the spool ${reason}`, options)
    this.name = 'SpoolFolderError'
    this.reason = reason
  }

  /** The disk is full, read-only or broken, which may pass. */
  get isOfDisk(): boolean {
    return OF_DISK.some((code) => isCode(this.cause, code) || isCode((this.cause as Error | undefined)?.cause, code))
  }
}

const OF_DISK: readonly string[] = ['ENOSPC', 'EDQUOT', 'EROFS', 'EIO', 'ETIMEDOUT']
/** Bytes of a path to a socket, as systems have room for them. */
const MAX_SOCKET_BYTES = 103

/** While there is somebody at this socket, the folder is theirs. */
const SOCKET = 'alive'
/** Made for the moment in which a folder is taken: of two who begin together one has it. */
const TAKING = 'taking'
/** Then who was taking it has died. */
const TAKING_MS = 60_000

/** @throws SpoolFolderError where its path is too long */
export function socketOf(dir: string): string {
  const path = join(dir, SOCKET)
  if (Buffer.byteLength(path) <= MAX_SOCKET_BYTES) return path
  const most = MAX_SOCKET_BYTES - SOCKET.length - 1
  throw new SpoolFolderError(dir, `has too long a path; expected one of at most ${most} bytes`)
}

/** Has a folder for this process alone. @throws SpoolFolderError */
export async function takeFolder(dir: string): Promise<DeskServer> {
  const socket = socketOf(dir)
  const taking = join(dir, TAKING)
  try {
    await dropStale(taking)
    await mkdir(taking)
  } catch (cause) {
    throw isCode(cause, 'EEXIST') ? inUse(dir, cause) : unusable(dir, cause)
  }
  try {
    if ((await isAlive(socket)) === true) throw inUse(dir)
    await rm(socket, { force: true })
    return await DeskServer.listen(socket)
  } catch (cause) {
    throw cause instanceof SpoolFolderError ? cause : unusable(dir, cause)
  } finally {
    await rmdir(taking)
  }
}

async function dropStale(taking: string): Promise<void> {
  try {
    // Also where the clock was set back.
    if (Math.abs(Date.now() - (await stat(taking)).mtimeMs) > TAKING_MS) await rmdir(taking)
  } catch (error) {
    if (!isCode(error, 'ENOENT')) throw error
  }
}

function inUse(dir: string, cause?: unknown): SpoolFolderError {
  return new SpoolFolderError(dir, 'is in use by another process; expected a folder of its own', { cause })
}

export function unusable(dir: string, cause: unknown): SpoolFolderError {
  // The system's own words, without the path.
  const why = cause instanceof Error && 'code' in cause ? cause.message.split(',')[0] : 'unknown error'
  return new SpoolFolderError(dir, `cannot be used (${why}); expected a folder that is there and can be written`, {
    cause,
  })
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
