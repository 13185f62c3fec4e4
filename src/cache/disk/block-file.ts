import { randomBytes } from 'node:crypto'
import { open, rm, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import type { Bytes } from '../../dicom/bytes.ts'
import { settlesWithin } from '../../network/settles-within.ts'
import { BLOCK_BYTES, BlockCipher, DamagedBlockError, TAG_BYTES } from './block-cipher.ts'

/** A disk that does not answer for so long, in ms, is done without. */
export const DISK_PATIENCE_MS = 5_000
/** What a file takes on a disk is a multiple of this. */
const CLUSTER_BYTES = 4096
/** Random, so that a name tells nothing: in hexadecimal digits twice as many. */
const NAME_BYTES = 16

/** The disk, or its file system, does not do what it is asked for. */
export class DiskFaultError extends Error {
  readonly code = 'DISK_FAULT'
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'DiskFaultError'
  }
}

/** Names of the files that are made here. */
export const BLOCK_FILE_NAME = new RegExp(`^[0-9a-f]{${2 * NAME_BYTES}}$`)

/** Bytes that a file of so many plain ones takes on a disk. */
export function bytesOnDisk(plain: number): number {
  const sealed = plain + Math.ceil(plain / BLOCK_BYTES) * TAG_BYTES
  return Math.ceil(sealed / CLUSTER_BYTES) * CLUSTER_BYTES
}

/** One file of sealed blocks, written once from its start; what is written can be read from any byte, also meanwhile. */
export class BlockFile {
  readonly path: string
  readonly #cipher = new BlockCipher()
  /** For writing. */
  #handle: FileHandle | undefined
  #size = 0
  #blocks = 0
  /** Who may yet read it. */
  #holders = 0
  #removal: PromiseWithResolvers<undefined> | undefined

  private constructor(path: string, handle: FileHandle) {
    this.path = path
    this.#handle = handle
  }

  /** @throws DiskFaultError */
  static async create(folder: string): Promise<BlockFile> {
    const path = join(folder, randomBytes(NAME_BYTES).toString('hex'))
    return new BlockFile(path, await opened(path, 'wx'))
  }

  /** Plain bytes that can be read. */
  get size(): number {
    return this.#size
  }

  get isRemoved(): boolean {
    return this.#removal !== undefined
  }

  /**
   * Writes the next block: of BLOCK_BYTES, but for the last.
   * @throws DiskFaultError
   */
  async append(pieces: readonly Bytes[]): Promise<void> {
    if (!this.#handle) throw new Error('The file is written already')
    const sealed = this.#cipher.seal(pieces)
    const length = sealed.reduce((sum, piece) => sum + piece.length, 0)
    const place = this.#blocks * (BLOCK_BYTES + TAG_BYTES)
    this.#blocks++
    const { bytesWritten } = await timely(this.#handle.writev(sealed as Buffer[], place))
    if (bytesWritten !== length) throw new DiskFaultError(`${bytesWritten} of ${length} bytes were written`)
    this.#size += length - TAG_BYTES
  }

  /** Nothing more is written. @throws DiskFaultError */
  async finish(): Promise<void> {
    const handle = this.#handle
    this.#handle = undefined
    if (handle) await timely(handle.close())
  }

  /**
   * Plain bytes from a position up to another, as far as they are written now; a block is read at a time.
   * @throws DamagedBlockError, DiskFaultError, the signal's reason
   */
  async *bytes(from: number, to: number, signal: AbortSignal): AsyncGenerator<Bytes> {
    const size = this.#size
    const end = Math.min(to, size)
    if (from >= end) return
    const handle = await opened(this.path, 'r')
    try {
      for (let position = from; position < end;) {
        signal.throwIfAborted()
        const block = Math.floor(position / BLOCK_BYTES)
        const start = block * BLOCK_BYTES
        const plain = this.#cipher.open(block, await sealedBlock(handle, block, Math.min(BLOCK_BYTES, size - start)))
        const piece = plain.subarray(position - start, end - start)
        yield piece
        position += piece.length
      }
    } finally {
      await settlesWithin(handle.close(), DISK_PATIENCE_MS)
    }
  }

  /** It is not removed before it is released. */
  hold(): void {
    this.#holders++
  }

  release(): void {
    this.#holders--
    if (this.#removal && this.#holders === 0) void this.#unlink(this.#removal)
  }

  /** Resolves when it is off the disk, which is when nobody holds it any more. @throws DiskFaultError */
  remove(): Promise<undefined> {
    if (!this.#removal) {
      this.#removal = Promise.withResolvers<undefined>()
      if (this.#holders === 0) void this.#unlink(this.#removal)
    }
    return this.#removal.promise
  }

  async #unlink({ resolve, reject }: PromiseWithResolvers<undefined>): Promise<void> {
    try {
      await this.finish()
    } catch {
      // What matters is that it goes.
    }
    try {
      await timely(rm(this.path, { force: true }))
      resolve(undefined)
    } catch (error) {
      reject(error)
    }
  }
}

async function sealedBlock(handle: FileHandle, block: number, plain: number): Promise<Bytes> {
  // Of its own for each: a read that comes late must not write into what is in use.
  const sealed = Buffer.allocUnsafeSlow(plain + TAG_BYTES)
  const place = block * (BLOCK_BYTES + TAG_BYTES)
  const { bytesRead } = await timely(handle.read(sealed, 0, sealed.length, place))
  if (bytesRead !== sealed.length) throw new DamagedBlockError(block)
  return sealed
}

async function opened(path: string, flags: 'r' | 'wx'): Promise<FileHandle> {
  const opening = open(path, flags, 0o600)
  let isLate = true
  try {
    const handle = await timely(opening)
    isLate = false
    return handle
  } finally {
    if (isLate) void opening.then((handle) => handle.close()).catch(() => undefined)
  }
}

/** @throws DiskFaultError */
async function timely<T>(work: Promise<T>): Promise<T> {
  if (!(await settlesWithin(work, DISK_PATIENCE_MS))) {
    throw new DiskFaultError(`The disk did not answer within ${DISK_PATIENCE_MS} ms`)
  }
  try {
    return await work
  } catch (cause) {
    throw new DiskFaultError('The disk cannot be used', { cause })
  }
}
