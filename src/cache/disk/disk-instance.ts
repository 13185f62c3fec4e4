import type { Bytes } from '../../dicom/bytes.ts'
import { Described } from '../../instance/description.ts'
import type { InstanceIndex } from '../../instance/instance-index.ts'
import { NoLongerHeldError, type KeptInstance, type Pin } from '../kept-instance.ts'
import type { BlockFile } from './block-file.ts'

/** What the tier wants to know of an instance of its own. */
export interface Shelf {
  /** A request is served from it. */
  served(): void
  /** It cannot be read any more. */
  lost(error: unknown): void
}

/** A whole instance on disk: its bytes are in a file, its index is in memory. */
export class DiskInstance extends Described implements KeptInstance {
  readonly index: InstanceIndex
  readonly arrival: number
  readonly askedAt: number
  readonly passing = false
  readonly isOutdated = false
  readonly isLosable = true
  readonly isDamaged = false
  readonly file: BlockFile
  readonly #shelf: Shelf
  readonly #pins = new Set<Pin>()

  constructor(instance: KeptInstance, file: BlockFile, shelf: Shelf) {
    super(instance)
    this.index = instance.index
    this.arrival = instance.arrival
    this.askedAt = instance.askedAt
    this.file = file
    this.#shelf = shelf
  }

  /** Somebody may yet read it. */
  get isPinned(): boolean {
    return this.#pins.size > 0
  }

  holds(): boolean {
    return !this.file.isRemoved
  }

  pin(pin: Pin): void {
    if (this.#pins.has(pin)) return
    this.#pins.add(pin)
    this.file.hold()
    this.#shelf.served()
  }

  unpin(pin: Pin): void {
    if (this.#pins.delete(pin)) this.file.release()
  }

  async *bytes(from: number, to: number, signal: AbortSignal): AsyncGenerator<Bytes> {
    const bytes = this.file.bytes(from, to, signal)
    try {
      for (;;) {
        let next: IteratorResult<Bytes>
        try {
          next = await bytes.next()
        } catch (cause) {
          signal.throwIfAborted()
          this.#shelf.lost(cause)
          throw new NoLongerHeldError({ cause })
        }
        if (next.done) return
        yield next.value
      }
    } finally {
      await bytes.return(undefined)
    }
  }

  /** The index is whole: `ready` may find in it what it looks for, and nothing more comes. */
  until(ready: (index: InstanceIndex) => boolean): Promise<void> {
    ready(this.index)
    return Promise.resolve()
  }
}
