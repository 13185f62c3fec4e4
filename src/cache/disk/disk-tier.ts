import { settlesWithin } from '../../network/settles-within.ts'
import type { HeldInstance } from '../held-instance.ts'
import { NoLongerHeldError, type KeptInstance } from '../kept-instance.ts'
import { bytesOnDisk, DISK_PATIENCE_MS, DiskFaultError, type BlockFile } from './block-file.ts'
import { DiskInstance } from './disk-instance.ts'
import { OwnFolder } from './own-folder.ts'
import { NoRoomError, Writing } from './writing.ts'

/** Instances that memory let go wait to be written with so many bytes at most; what comes besides is not taken. */
export const MAX_WAITING_BYTES = 64 * 1024 * 1024
/** Instances written as they come, at once: a disk that hangs holds what is in memory of each. */
export const MAX_SPILLS = 8
/** Instances on disk: their indexes are in memory. */
export const MAX_DISK_INSTANCES = 20_000
/** Memory that the indexes of instances on disk take. */
export const MAX_INDEX_BYTES = 64 * 1024 * 1024
/** After a read that failed nothing is read, after a write nothing written, for so long: each might wait in vain. */
export const REST_MS = 60_000
const LIMITS = {
  waitingBytes: MAX_WAITING_BYTES,
  spills: MAX_SPILLS,
  instances: MAX_DISK_INSTANCES,
  indexBytes: MAX_INDEX_BYTES,
  rest: REST_MS,
}
/** What one instance may take of the disk. */
export const INSTANCE_SHARE = 1 / 2
const PURGE_MS = 60_000

export interface DiskOptions {
  /** A folder that is there; others may use it too. */
  readonly dir: string
  readonly maxBytes: number
  /** Others than the named ones. */
  readonly limits?: Partial<typeof LIMITS>
}

/** How the disk has served so far, and what it holds. */
export interface DiskStats {
  /** Requests that were served from disk. */
  readonly hits: number
  /** Reads and writes that failed, and blocks that were not what was written. */
  readonly errors: number
  /** On disk, those being written included. */
  readonly bytes: number
  readonly instances: number
  /** Memory for what is known of them. */
  readonly indexBytes: number
  /** Waiting to be written, in memory. */
  readonly waitingBytes: number
}

interface Entry {
  readonly instance: DiskInstance
  readonly diskBytes: number
  readonly indexBytes: number
  /** On the clock of performance.now. */
  readonly expires: number
}

/**
 * What memory cannot hold: instances that it let go, and those that are larger than it may keep. Encrypted, by keys that
 * are in memory alone; so nothing of it outlives the process. Whatever fails here, an instance is then not on disk.
 */
export class DiskTier implements AsyncDisposable {
  readonly #folder: OwnFolder
  readonly #maxBytes: number
  readonly #limits: typeof LIMITS
  readonly #ttl: number
  /** The one that was used last is the last. */
  readonly #entries = new Map<string, Entry>()
  readonly #writings = new Map<string, Writing>()
  readonly #runs = new Set<Promise<void>>()
  /** What memory let go is written one after the other. */
  #turn: Promise<void> = Promise.resolve()
  #waitingBytes = 0
  #spills = 0
  /** Taken on disk, until a file is off it. */
  #bytes = 0
  #indexBytes = 0
  #hits = 0
  #errors = 0
  /** Until when nothing is read, and nothing written, on the clock of performance.now. */
  #readsRestUntil = 0
  #writesRestUntil = 0
  #isClosed = false
  readonly #purging: NodeJS.Timeout

  private constructor(folder: OwnFolder, { maxBytes, limits }: DiskOptions, ttl: number) {
    this.#folder = folder
    this.#maxBytes = maxBytes
    this.#limits = { ...LIMITS, ...limits }
    this.#ttl = ttl
    this.#purging = setInterval(() => this.#purge(), Math.min(ttl, PURGE_MS))
    this.#purging.unref()
  }

  /** `ttl`: milliseconds that an instance is kept from when it came. @throws DiskFolderError */
  static async open(options: DiskOptions, ttl: number): Promise<DiskTier> {
    return new DiskTier(await OwnFolder.make(options.dir), options, ttl)
  }

  get stats(): DiskStats {
    return {
      hits: this.#hits,
      errors: this.#errors,
      bytes: this.#bytes,
      instances: this.#entries.size,
      indexBytes: this.#indexBytes,
      waitingBytes: this.#waitingBytes,
    }
  }

  /** A whole instance that memory lets go. */
  take(key: string, instance: HeldInstance): void {
    const { heldBytes } = instance
    if (!this.#isWelcome(key, instance) || this.#waitingBytes + heldBytes > this.#limits.waitingBytes) return
    this.#waitingBytes += heldBytes
    const before = this.#turn
    this.#turn = this.#begin(key, instance, before, () => {
      this.#waitingBytes -= heldBytes
    })
  }

  /** An instance that comes: it is written at once, and read from there where memory has dropped it. */
  spill(key: string, instance: HeldInstance): void {
    if (!this.#isWelcome(key, instance) || this.#spills >= this.#limits.spills) return
    this.#spills++
    void this.#begin(key, instance, undefined, () => {
      this.#spills--
    })
    instance.spillTo(this.#writings.get(key)!)
  }

  /** One that is on disk whole, or that is being written and can be read. */
  find(key: string): KeptInstance | undefined {
    if (performance.now() < this.#readsRestUntil) return undefined
    const entry = this.#entries.get(key)
    if (entry && entry.expires > performance.now()) {
      this.#entries.delete(key)
      this.#entries.set(key, entry)
      return entry.instance
    }
    if (entry) void this.#remove(key, entry)
    const writing = this.#writings.get(key)
    return writing?.isAbandoned === false && writing.instance.whole ? writing.instance : undefined
  }

  delete(key: string): void {
    this.#abandon(key)
    const entry = this.#entries.get(key)
    if (entry) void this.#remove(key, entry)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    clearInterval(this.#purging)
    for (const key of this.#writings.keys()) this.#abandon(key)
    await settlesWithin(Promise.all(this.#runs), DISK_PATIENCE_MS)
    this.#entries.clear()
    await settlesWithin(this.#folder[Symbol.asyncDispose](), DISK_PATIENCE_MS)
  }

  #isWelcome(key: string, { index, size, whole, wholeAt, isDamaged }: HeldInstance): boolean {
    if (isDamaged) return false
    if (this.#isClosed || this.#writesRest || this.#entries.has(key) || this.#writings.has(key)) return false
    if (whole && wholeAt + this.#ttl <= performance.now()) return false
    return bytesOnDisk(Math.max(size, index.foreseenBytes)) <= this.#maxBytes * INSTANCE_SHARE
  }

  #begin(key: string, instance: HeldInstance, before: Promise<void> | undefined, settled: () => void): Promise<void> {
    let diskBytes = 0
    const writing = new Writing(instance, {
      folder: this.#folder.path,
      grow: async (from, to) => {
        const more = bytesOnDisk(to) - bytesOnDisk(from)
        if (diskBytes + more > this.#maxBytes * INSTANCE_SHARE) throw new NoRoomError()
        await this.#makeRoom(more)
        diskBytes += more
      },
      lost: (error) => this.#failedToRead(error),
    })
    this.#writings.set(key, writing)
    const run = async (): Promise<void> => {
      await before
      try {
        if (this.#writesRest) throw new NoRoomError()
        const file = await writing.run()
        if (writing.isAbandoned) throw new NoLongerHeldError()
        this.#put(key, instance, file, diskBytes)
      } catch (error) {
        if (error instanceof DiskFaultError) {
          this.#errors++
          this.#writesRestUntil = performance.now() + this.#limits.rest
        }
        // Who reads it yet may hold the file, and nobody waits for that here.
        if (writing.file) void this.#takeOff(writing.file, diskBytes)
      } finally {
        if (this.#writings.get(key) === writing) this.#writings.delete(key)
        settled()
      }
    }
    const running = run()
    this.#runs.add(running)
    void running.then(() => this.#runs.delete(running))
    return running
  }

  get #writesRest(): boolean {
    return performance.now() < this.#writesRestUntil
  }

  #failedToRead(error: unknown): void {
    this.#errors++
    // A block that was changed says nothing of the disk.
    if (error instanceof DiskFaultError) this.#readsRestUntil = performance.now() + this.#limits.rest
  }

  #abandon(key: string): void {
    this.#writings.get(key)?.abandon()
    this.#writings.delete(key)
  }

  #put(key: string, held: HeldInstance, file: BlockFile, diskBytes: number): void {
    const indexBytes = held.index.heldBytes
    const expires = held.wholeAt + this.#ttl
    const { instances, indexBytes: maxIndexBytes } = this.#limits
    while (this.#entries.size >= instances || this.#indexBytes + indexBytes > maxIndexBytes) {
      const [oldKey, oldest] = this.#oldest() ?? []
      if (oldKey === undefined || !oldest) throw new NoRoomError()
      void this.#remove(oldKey, oldest)
    }
    const instance = new DiskInstance(held, file, {
      served: () => this.#hits++,
      lost: (error) => {
        if (this.#entries.get(key) === entry) this.#failedToRead(error)
        void this.#remove(key, entry)
      },
    })
    const entry: Entry = { instance, diskBytes, indexBytes, expires }
    this.#entries.set(key, entry)
    this.#indexBytes += indexBytes
  }

  async #makeRoom(bytes: number): Promise<void> {
    while (this.#bytes + bytes > this.#maxBytes) {
      const [key, oldest] = this.#oldest() ?? []
      if (key === undefined || !oldest) throw new NoRoomError()
      await this.#remove(key, oldest)
    }
    this.#bytes += bytes
  }

  /** The one that was not used for longest. What is being read is passed over, since it is used now. */
  #oldest(): [string, Entry] | undefined {
    for (let left = this.#entries.size; left > 0; left--) {
      const [first] = this.#entries
      if (!first) return undefined
      const [key, entry] = first
      if (!entry.instance.isPinned) return first
      this.#entries.delete(key)
      this.#entries.set(key, entry)
    }
    return undefined
  }

  /** Nobody finds it any more; its file goes when nobody reads it any more. */
  async #remove(key: string, entry: Entry): Promise<void> {
    if (this.#entries.get(key) !== entry) return
    this.#entries.delete(key)
    this.#indexBytes -= entry.indexBytes
    await this.#takeOff(entry.instance.file, entry.diskBytes)
  }

  async #takeOff(file: BlockFile, diskBytes: number): Promise<void> {
    try {
      await file.remove()
      this.#bytes -= diskBytes
    } catch {
      // It may still be there, and counts.
      this.#errors++
    }
  }

  #purge(): void {
    const now = performance.now()
    for (const [key, entry] of this.#entries) if (entry.expires <= now) void this.#remove(key, entry)
  }
}
