import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { ByteStream } from '../../dicom/bytes.ts'
import { fileName, parseFileName, type EntryName, type SpooledInstance } from './entry.ts'
import {
  DamagedSpoolFileError,
  onDisk,
  openSealed,
  sealFile,
  syncFolder,
  TEMPORARY,
  type OpenedFile,
} from './sealed-file.ts'

/** The spool holds as much as it may. */
export class SpoolFullError extends Error {
  readonly code = 'SPOOL_FULL'
  constructor(maxBytes: number) {
    super(`The spool holds the ${maxBytes} bytes that it may (spool.maxBytes)`)
    this.name = 'SpoolFullError'
  }
}

export interface SpoolFolderOptions {
  readonly dir: string
  readonly key: string
  readonly maxBytes: number
}

/** Where an entry is. */
export interface Place extends EntryName {
  readonly destination: string
}

export interface Found extends Place {
  readonly bytes: number
}

/** Files that are looked at together. */
const BATCH = 64
/** Instances in the spool: what is known of each takes some 700 bytes of memory. */
export const MAX_ENTRIES = 1_000_000
/** Where one had no room there is none until so much of it is free: others would be lost one by one. */
const FREE_SHARE = 0.1
const PREFIX = 'to-'
/** Of a folder, as file systems have it. */
export const MAX_NAME_BYTES = 255

/** The folder of a destination. */
export function folderName(destination: string): string {
  return `${PREFIX}${encodeURIComponent(destination)}`
}

/** Undefined where it is the folder of none. */
function destinationOf(folder: string): string | undefined {
  try {
    const name = decodeURIComponent(folder.slice(PREFIX.length))
    return folderName(name) === folder ? name : undefined
  } catch {
    return undefined
  }
}

/** A folder for each destination, a file for each instance: its name says how it stands with it, and to rename it is one step. */
export class SpoolFolder {
  readonly #options: SpoolFolderOptions
  /** In files, and in those being written. */
  #bytes = 0
  #entries = 0
  #isCramped = false

  constructor(options: SpoolFolderOptions) {
    this.#options = options
  }

  get bytes(): number {
    return this.#bytes
  }

  get isFull(): boolean {
    const { maxBytes } = this.#options
    if (this.#bytes <= maxBytes * (1 - FREE_SHARE)) this.#isCramped = false
    return this.#isCramped || this.#bytes >= maxBytes || this.#entries >= MAX_ENTRIES
  }

  /** What is there, the oldest of each destination first; what was not written to its end is removed. To be called once. @throws faults of the file system */
  async *takeUp(): AsyncGenerator<Found> {
    const folders = await readdir(this.#options.dir, { withFileTypes: true })
    for (const folder of folders) {
      const destination = folder.isDirectory() ? destinationOf(folder.name) : undefined
      if (destination === undefined) continue
      const names = (await readdir(this.#folder(destination))).sort()
      for (let at = 0; at < names.length; at += BATCH) {
        const found = await Promise.all(names.slice(at, at + BATCH).map((name) => this.#found(destination, name)))
        for (const one of found) if (one) yield one
      }
    }
  }

  async #found(destination: string, name: string): Promise<Found | undefined> {
    const path = join(this.#folder(destination), name)
    // Nobody was told that it is there.
    if (TEMPORARY.test(name)) await rm(path, { force: true })
    const entry = parseFileName(name)
    if (!entry) return undefined
    const { size: bytes } = await stat(path)
    this.#bytes += bytes
    this.#entries++
    return { ...entry, destination, bytes }
  }

  /** Puts an instance there; on return it is on the disk. Comes to its bytes. @throws SpoolFullError, what the body throws, SpoolDiskError */
  async put(instance: SpooledInstance, body: ByteStream): Promise<number> {
    const { key, maxBytes } = this.#options
    let bytes = 0
    const claim = (more: number): void => {
      if (this.#bytes + more > maxBytes) {
        this.#isCramped = true
        throw new SpoolFullError(maxBytes)
      }
      bytes += more
      this.#bytes += more
    }
    const { id, destination } = instance
    const head = Buffer.from(JSON.stringify(instance))
    try {
      await this.#make(destination)
      await sealFile(this.#path({ id, destination, reason: undefined }), key, { head, body, claim })
    } catch (error) {
      this.#bytes -= bytes
      throw error
    }
    this.#entries++
    return bytes
  }

  /** @throws DamagedSpoolFileError, SpoolDiskError */
  async read(place: Place): Promise<OpenedFile & { readonly instance: SpooledInstance }> {
    const opened = await openSealed(this.#path(place), this.#options.key)
    const instance = JSON.parse(Buffer.from(opened.head).toString('utf8')) as SpooledInstance
    if (instance.id !== place.id || instance.destination !== place.destination) {
      await opened[Symbol.asyncDispose]()
      throw new DamagedSpoolFileError('it has the name of another')
    }
    return { ...opened, instance }
  }

  /** Gives it another name. @throws SpoolDiskError */
  async note(place: Place, reason: string | undefined): Promise<void> {
    await onDisk(rename(this.#path(place), this.#path({ ...place, reason })))
    // It has that name from now on, whatever it has after a crash.
    await syncFolder(this.#folder(place.destination)).catch(() => undefined)
  }

  /** It is where it was to go, or not wanted. @throws SpoolDiskError */
  async remove(place: Place): Promise<void> {
    await onDisk(rm(this.#path(place), { force: true }))
  }

  /** Bytes of what was removed may be of others. */
  free(bytes: number): void {
    this.#bytes -= bytes
    this.#entries--
  }

  async #make(destination: string): Promise<void> {
    const made = await onDisk(mkdir(this.#folder(destination), { mode: 0o700, recursive: true }))
    if (made !== undefined) await syncFolder(this.#options.dir)
  }

  #folder(destination: string): string {
    return join(this.#options.dir, folderName(destination))
  }

  #path(place: Place): string {
    return join(this.#folder(place.destination), fileName(place))
  }
}
