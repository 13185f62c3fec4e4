import { Fifo } from '../dicom/fifo.ts'
import type { DataPiece } from './pdu.ts'

/** Bytes received and not yet read at which the socket is paused, and at which it goes on. */
export const HIGH_WATER_BYTES = 1024 * 1024
export const LOW_WATER_BYTES = 512 * 1024
/** What a piece counts for beyond its bytes: a peer that sends PDVs of a byte or none must not fill the memory. */
export const PIECE_OVERHEAD_BYTES = 256

/** What has been received and not yet read; tells its source when to pause and when to go on. */
export class ReceiveQueue {
  readonly #pieces = new Fifo<DataPiece>()
  #bytes = 0
  #paused = false
  #dataSetEnds = 0
  readonly #source: { pause(): void; resume(): void }

  constructor(source: { pause(): void; resume(): void }) {
    this.#source = source
  }

  get length(): number {
    return this.#pieces.length
  }

  /** The last piece of at least one data set is here. */
  get holdsDataSetEnd(): boolean {
    return this.#dataSetEnds > 0
  }

  push(piece: DataPiece): void {
    this.#pieces.push(piece)
    if (endsDataSet(piece)) this.#dataSetEnds++
    this.#bytes += piece.bytes.length + PIECE_OVERHEAD_BYTES
    if (this.#paused || this.#bytes <= HIGH_WATER_BYTES) return
    this.#paused = true
    this.#source.pause()
  }

  shift(): DataPiece | undefined {
    const piece = this.#pieces.shift()
    if (piece === undefined) return undefined
    if (endsDataSet(piece)) this.#dataSetEnds--
    this.#bytes -= piece.bytes.length + PIECE_OVERHEAD_BYTES
    if (this.#paused && this.#bytes <= LOW_WATER_BYTES) {
      this.#paused = false
      this.#source.resume()
    }
    return piece
  }
}

function endsDataSet({ command, last }: DataPiece): boolean {
  return last && !command
}
