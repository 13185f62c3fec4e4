import type { Bytes } from '../../dicom/bytes.ts'
import type { HeldInstance, Spill } from '../held-instance.ts'
import { NoLongerHeldError } from '../kept-instance.ts'
import { BLOCK_BYTES } from './block-cipher.ts'
import { BlockFile } from './block-file.ts'

/** There is no room on disk for more of an instance. */
export class NoRoomError extends Error {
  readonly code = 'NO_ROOM'
  constructor() {
    super('There is no room on disk')
    this.name = 'NoRoomError'
  }
}

/** What a writing asks for. */
export interface Room {
  readonly folder: string
  /** Room for a file that has so many plain bytes, and is to have so many. @throws NoRoomError */
  grow(from: number, to: number): Promise<void>
  /** What is on disk of it cannot be read. */
  lost(error: unknown): void
}

/** An instance on its way to disk; read from there meanwhile as far as it is written. */
export class Writing implements Spill {
  readonly instance: HeldInstance
  readonly #room: Room
  readonly #controller = new AbortController()
  #file: BlockFile | undefined

  constructor(instance: HeldInstance, room: Room) {
    this.instance = instance
    this.#room = room
  }

  get end(): number {
    return this.#file?.size ?? 0
  }

  get file(): BlockFile | undefined {
    return this.#file
  }

  get isAbandoned(): boolean {
    return this.#controller.signal.aborted || this.#file?.isRemoved === true
  }

  /** What is written is not wanted any more. */
  abandon(): void {
    this.#controller.abort(new NoLongerHeldError())
  }

  /** @throws what fails it; nothing is left to be read then, and the file is to be removed */
  async run(): Promise<BlockFile> {
    const { signal } = this.#controller
    try {
      signal.throwIfAborted()
      const file = (this.#file = await BlockFile.create(this.#room.folder))
      for await (const block of inBlocks(this.instance.along(signal))) {
        const length = block.reduce((sum, piece) => sum + piece.length, 0)
        await this.#room.grow(file.size, file.size + length)
        signal.throwIfAborted()
        await file.append(block)
      }
      await file.finish()
      signal.throwIfAborted()
      return file
    } catch (error) {
      this.abandon()
      throw error
    }
  }

  async *bytes(from: number, to: number, signal: AbortSignal): AsyncGenerator<Bytes> {
    const file = this.#file
    if (!file || this.isAbandoned) throw new NoLongerHeldError()
    file.hold()
    try {
      yield* file.bytes(from, to, signal)
    } catch (cause) {
      signal.throwIfAborted()
      this.abandon()
      this.#room.lost(cause)
      throw new NoLongerHeldError({ cause })
    } finally {
      file.release()
    }
  }
}

/** Pieces of blocks: of BLOCK_BYTES each, but for the last. */
export async function* inBlocks(bytes: AsyncIterable<Bytes>): AsyncGenerator<readonly Bytes[]> {
  let block: Bytes[] = []
  let size = 0
  for await (const chunk of bytes) {
    for (let at = 0; at < chunk.length;) {
      const piece = chunk.subarray(at, at + BLOCK_BYTES - size)
      block.push(piece)
      at += piece.length
      size += piece.length
      if (size < BLOCK_BYTES) continue
      yield block
      block = []
      size = 0
    }
  }
  if (size > 0) yield block
}
