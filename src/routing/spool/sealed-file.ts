import { createCipheriv, createDecipheriv, hkdfSync, randomBytes, randomUUID } from 'node:crypto'
import { open, rename, rm, type FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Bytes, ByteStream } from '../../dicom/bytes.ts'

const MAGIC = Buffer.from('DSPOOL1\n')
const SALT_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16
const LENGTH_BYTES = 4
/** Most that is sealed at once. */
const CHUNK_BYTES = 65_536
/** What is written before the disk has to have it: no step takes long. */
const SYNC_BYTES = 32 * 1024 * 1024
/** How long a disk may take for a step, in ms. */
export const DISK_STEP_MS = 10_000
/** In the length of a chunk: no other follows. */
const LAST = 0x8000_0000

/** Of files that are being written. */
export const TEMPORARY = /^\.spool-[0-9a-f-]{36}$/

/** A file of the spool is not as it was written, is cut short, or was written with another key. */
export class DamagedSpoolFileError extends Error {
  readonly code = 'SPOOL_FILE_DAMAGED'
  constructor(problem: string, options?: ErrorOptions) {
    super(`A file of the spool cannot be read: ${problem}`, options)
    this.name = 'DamagedSpoolFileError'
  }
}

/** What the disk of the spool does not let be done now: it is full, read-only, or broken. */
export class SpoolDiskError extends Error {
  readonly code = 'SPOOL_DISK'
  constructor(cause: unknown) {
    super(`The disk of the spool failed (${codeOf(cause)})`, { cause })
    this.name = 'SpoolDiskError'
  }
}

/** The file is not there. */
export function isGone(error: unknown): boolean {
  return error instanceof SpoolDiskError && codeOf(error.cause) === 'ENOENT'
}

async function closeLate(opening: Promise<FileHandle>, temporary: string): Promise<void> {
  try {
    await (await opening).close()
    await rm(temporary, { force: true })
  } catch {
    // It is removed at the next start.
  }
}

function isHanging(error: unknown): boolean {
  return error instanceof SpoolDiskError && error.cause instanceof DiskTimeoutError
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
}

/** A disk that hangs. */
class DiskTimeoutError extends Error {
  readonly code = 'ETIMEDOUT'
}

/** Waits for a step of the disk, but not for ever. @throws SpoolDiskError */
export async function onDisk<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new DiskTimeoutError('It takes too long')), DISK_STEP_MS)
  })
  try {
    return await Promise.race([work, late])
  } catch (error) {
    throw new SpoolDiskError(error)
  } finally {
    clearTimeout(timer)
  }
}

export interface Sealing {
  /** At most 64 KiB. */
  readonly head: Bytes
  readonly body: ByteStream
  /** Told how many bytes are about to be written; throws where there is no room. */
  readonly claim: (bytes: number) => void
}

/**
 * Writes a head and a body so that nobody can read or change them without the key: AES-256-GCM by chunks, each bound to its
 * place, the last marked as such. On return it is on the disk under its name (fsync of file and folder); otherwise there is
 * nothing.
 * @throws what the body throws, what `claim` throws, and SpoolDiskError
 */
export async function sealFile(path: string, key: string, { head, body, claim }: Sealing): Promise<void> {
  if (head.length > CHUNK_BYTES) throw new DamagedSpoolFileError('its head is too long')
  const folder = dirname(path)
  const temporary = join(folder, `.spool-${randomUUID()}`)
  const opening = open(temporary, 'wx', 0o600)
  try {
    const file = await onDisk(opening)
    try {
      const salt = randomBytes(SALT_BYTES)
      const seal = new Seal(key, salt)
      let unsynced = 0
      const write = async (bytes: Bytes): Promise<void> => {
        claim(bytes.length)
        await onDisk(file.writeFile(bytes))
        unsynced += bytes.length
        if (unsynced < SYNC_BYTES) return
        await onDisk(file.datasync())
        unsynced = 0
      }
      await write(Buffer.concat([MAGIC, salt, seal.chunk(head, false)]))
      let last: Bytes = Buffer.alloc(0)
      for await (const chunk of inChunks(body)) {
        if (chunk.length === CHUNK_BYTES) await write(seal.chunk(chunk, false))
        else last = chunk
      }
      await write(seal.chunk(last, true))
      await onDisk(file.datasync())
    } finally {
      await onDisk(file.close())
    }
    await onDisk(rename(temporary, path))
    await syncFolder(folder)
  } catch (error) {
    // After a rename whose folder could not be written it is there under its name.
    const gone = Promise.allSettled([temporary, path].map((one) => onDisk(rm(one, { force: true }))))
    if (!isHanging(error)) await gone
    // What comes open later is of nobody.
    else void closeLate(opening, temporary)
    throw error
  }
}

/** What is in a folder now is there after a crash. @throws SpoolDiskError */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await onDisk(open(folder, 'r'))
  try {
    await onDisk(handle.sync())
  } finally {
    await handle.close()
  }
}

/** A sealed file that is being read: its head, and then its body, once. */
export interface OpenedFile extends AsyncDisposable {
  readonly head: Bytes
  /** @throws DamagedSpoolFileError, also where the file ends before its last chunk, and SpoolDiskError */
  readonly body: ByteStream
}

/** @throws DamagedSpoolFileError, also where it is not there, and SpoolDiskError */
export async function openSealed(path: string, key: string): Promise<OpenedFile> {
  const file = await opened(path)
  try {
    const reader = new ChunkReader(file)
    const front = await reader.exactly(MAGIC.length + SALT_BYTES)
    if (!front.subarray(0, MAGIC.length).equals(MAGIC)) throw new DamagedSpoolFileError('it is of something else')
    const seal = new Seal(key, front.subarray(MAGIC.length))
    const head = await reader.chunk(seal)
    if (head.isLast) throw new DamagedSpoolFileError('it has no body')
    return { head: head.bytes, body: bodyOf(reader, seal), [Symbol.asyncDispose]: () => file.close() }
  } catch (error) {
    await file.close()
    throw error
  }
}

async function opened(path: string): Promise<FileHandle> {
  try {
    return await onDisk(open(path, 'r'))
  } catch (error) {
    throw isGone(error) ? new DamagedSpoolFileError('it is not there', { cause: error }) : error
  }
}

async function* bodyOf(reader: ChunkReader, seal: Seal): AsyncGenerator<Bytes> {
  for (;;) {
    const { bytes, isLast } = await reader.chunk(seal)
    if (bytes.length > 0) yield bytes
    if (isLast) return
  }
}

/** Of CHUNK_BYTES each, but for the last. */
async function* inChunks(body: ByteStream): AsyncGenerator<Bytes> {
  let chunk = Buffer.allocUnsafe(CHUNK_BYTES)
  let size = 0
  for await (const bytes of body) {
    for (let at = 0; at < bytes.length;) {
      const taken = bytes.subarray(at, at + CHUNK_BYTES - size)
      chunk.set(taken, size)
      size += taken.length
      at += taken.length
      if (size < CHUNK_BYTES) continue
      yield chunk
      chunk = Buffer.allocUnsafe(CHUNK_BYTES)
      size = 0
    }
  }
  if (size > 0) yield chunk.subarray(0, size)
}

class ChunkReader {
  readonly #file: FileHandle
  #position = 0

  constructor(file: FileHandle) {
    this.#file = file
  }

  async exactly(length: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafe(length)
    let have = 0
    while (have < length) {
      const { bytesRead } = await onDisk(this.#file.read(buffer, have, length - have, this.#position))
      if (bytesRead === 0) throw new DamagedSpoolFileError('it is cut short')
      have += bytesRead
      this.#position += bytesRead
    }
    return buffer
  }

  async chunk(seal: Seal): Promise<{ readonly bytes: Bytes; readonly isLast: boolean }> {
    const prefix = await this.exactly(LENGTH_BYTES)
    const length = prefix.readUInt32BE()
    const isLast = length >= LAST
    const size = isLast ? length - LAST : length
    if (size > CHUNK_BYTES) throw new DamagedSpoolFileError('a length in it is wrong')
    return { bytes: seal.open(prefix, await this.exactly(size + TAG_BYTES)), isLast }
  }
}

/** The cipher of one file: its key is of its salt, and each chunk has a number for its nonce. */
class Seal {
  readonly #key: Buffer
  #number = 0

  constructor(key: string, salt: Bytes) {
    this.#key = Buffer.from(hkdfSync('sha256', key, salt, 'dimsegate spool', 32))
  }

  chunk(bytes: Bytes, isLast: boolean): Buffer {
    const prefix = Buffer.alloc(LENGTH_BYTES)
    prefix.writeUInt32BE(isLast ? bytes.length + LAST : bytes.length)
    const cipher = createCipheriv('aes-256-gcm', this.#key, this.#nonce())
    cipher.setAAD(prefix)
    return Buffer.concat([prefix, cipher.update(bytes), cipher.final(), cipher.getAuthTag()])
  }

  open(prefix: Bytes, sealed: Buffer): Bytes {
    const decipher = createDecipheriv('aes-256-gcm', this.#key, this.#nonce())
    decipher.setAAD(prefix)
    decipher.setAuthTag(sealed.subarray(-TAG_BYTES))
    try {
      const bytes = decipher.update(sealed.subarray(0, -TAG_BYTES))
      decipher.final()
      return bytes
    } catch (cause) {
      throw new DamagedSpoolFileError('it was changed, or written with another key', { cause })
    }
  }

  #nonce(): Buffer {
    const nonce = Buffer.alloc(NONCE_BYTES)
    nonce.writeUInt32BE(this.#number++, NONCE_BYTES - 4)
    return nonce
  }
}
