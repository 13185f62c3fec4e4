import { open } from 'node:fs/promises'
import type { AuditEvent, AuditSink } from './event.ts'

/** Of a file that is made here. */
const MODE = 0o600
/** What somebody who is neither its owner nor of its group may do with it: nothing. */
const OF_OTHERS = 0o007
const NEWLINE = 10

/** The file of the trail cannot be written. */
export class AuditFileError extends Error {
  readonly code = 'AUDIT_FILE_UNUSABLE'
  constructor(path: string, cause: unknown) {
    super(`${path} ${reasonOf(cause)}`, { cause })
    this.name = 'AuditFileError'
  }
}

/** One JSON object a line, at the end of a file that is opened each time: it may be moved away for another. */
export class FileSink implements AuditSink {
  readonly name = 'file'
  readonly path: string
  /** There may be half a line at the end: of a write that failed, or of a process that ended within one. */
  #mayBeTorn = true

  private constructor(path: string) {
    this.path = path
  }

  /** Makes sure that the file can be written, and that nobody else may read it. @throws AuditFileError */
  static async open(path: string): Promise<FileSink> {
    try {
      await using file = await open(path, 'a', MODE)
      const stats = await file.stat()
      const isOurs = stats.isFile() && stats.uid === process.getuid?.()
      if (isOurs && (stats.mode & OF_OTHERS) !== 0) await file.chmod(stats.mode & 0o777 & ~OF_OTHERS)
    } catch (error) {
      throw new AuditFileError(path, error)
    }
    return new FileSink(path)
  }

  async write(events: readonly AuditEvent[]): Promise<void> {
    const lines = events.map((event) => `${JSON.stringify(event)}\n`).join('')
    await using file = await open(this.path, 'a', MODE)
    // A pipe has no end to look at, and cannot be flushed.
    const stats = await file.stat()
    const isFile = stats.isFile()
    const before = isFile ? stats.size : 0
    const isTorn = this.#mayBeTorn && before > 0 && !(await this.#endsInLine(before))
    this.#mayBeTorn = true
    const bytes = Buffer.from(isTorn ? `\n${lines}` : lines, 'utf8')
    let written = 0
    try {
      while (written < bytes.length) written += (await file.write(bytes, written)).bytesWritten
      if (isFile) await file.sync()
    } catch (error) {
      // It comes again, whole. What another process has written behind it stays.
      if (isFile && (await file.stat()).size === before + written) await file.truncate(before).catch(() => undefined)
      throw error
    }
    this.#mayBeTorn = false
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing is open between two writes.
  }

  async #endsInLine(size: number): Promise<boolean> {
    await using file = await open(this.path, 'r')
    const { buffer, bytesRead } = await file.read(Buffer.alloc(1), 0, 1, size - 1)
    return bytesRead === 0 || buffer[0] === NEWLINE
  }
}

function reasonOf(cause: unknown): string {
  const code = (cause as NodeJS.ErrnoException | undefined)?.code
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return 'cannot be made: its folder does not exist; make that, or name another'
    case 'EISDIR':
      return 'is a folder; name a file in it'
    case 'EACCES':
    case 'EPERM':
      return 'cannot be written: permission denied; let the user of this process write it, and its folder'
    case 'EROFS':
      return 'cannot be written: the file system is read-only; name one that is not'
    case 'ENXIO':
      return 'cannot be opened: it is a socket, as standard output is one below systemd; name a file'
    case 'ENOSPC':
      return 'cannot be written: the disk is full; make room'
    default:
      return `cannot be written (${code ?? 'unknown error'}); name another`
  }
}
