import type { Bytes } from '../../dicom/bytes.ts'
import type { Picture } from './picture.ts'

/** The colours of a picture, at most 256, and the number of the colour of each pixel. */
export interface Indexed {
  /** Red, green and blue of each, for 256 colours. */
  readonly palette: Bytes
  readonly pixels: Bytes
}

const COLOURS = 256
/** Bits of a channel by which colours are told apart where there are more than 256. */
const BITS = 5
const CELLS = 1 << (3 * BITS)

/**
 * Chooses the colours of a GIF: all where they are 256 or less, as greys are; else by median cut. One pass over the
 * pixels for each of three steps, whatever they are.
 */
export function indexed(picture: Picture): Indexed {
  if (picture.channels === 1) return { palette: greys(), pixels: picture.data }
  return exactly(picture.data) ?? byMedianCut(picture.data)
}

function greys(): Bytes {
  return Uint8Array.from({ length: 3 * COLOURS }, (_, n) => Math.floor(n / 3))
}

/** undefined where there are more than 256 colours. */
function exactly(data: Bytes): Indexed | undefined {
  const numbers = new Map<number, number>()
  const pixels = new Uint8Array(data.length / 3)
  const palette = new Uint8Array(3 * COLOURS)
  let [last, number] = [-1, 0]
  for (let n = 0, at = 0; n < pixels.length; n++, at += 3) {
    const colour = (data[at]! << 16) | (data[at + 1]! << 8) | data[at + 2]!
    if (colour !== last) {
      const known = numbers.get(colour)
      if (known === undefined) {
        if (numbers.size === COLOURS) return undefined
        palette.set(data.subarray(at, at + 3), 3 * numbers.size)
        numbers.set(colour, numbers.size)
      }
      number = known ?? numbers.size - 1
      last = colour
    }
    pixels[n] = number
  }
  return { palette, pixels }
}

/** Cells of the cube of colours, in a box: how many pixels they have, and the sum of each channel of these. */
interface Box {
  readonly cells: Uint16Array
  readonly count: number
  /** The channel in which they differ most, and by how much. */
  readonly channel: number
  readonly spread: number
}

function byMedianCut(data: Bytes): Indexed {
  const counts = new Float64Array(CELLS)
  const sums = [new Float64Array(CELLS), new Float64Array(CELLS), new Float64Array(CELLS)] as const
  for (let at = 0; at < data.length; at += 3) {
    const cell = cellOf(data, at)
    counts[cell]!++
    for (let channel = 0; channel < 3; channel++) sums[channel]![cell]! += data[at + channel]!
  }
  const boxes = cut(counts)
  const palette = new Uint8Array(3 * COLOURS)
  const numbers = new Uint8Array(CELLS)
  for (const [number, { cells, count }] of boxes.entries()) {
    for (let channel = 0; channel < 3; channel++) {
      let sum = 0
      for (const cell of cells) sum += sums[channel]![cell]!
      palette[3 * number + channel] = Math.round(sum / count)
    }
    for (const cell of cells) numbers[cell] = number
  }
  const pixels = new Uint8Array(data.length / 3)
  for (let n = 0; n < pixels.length; n++) pixels[n] = numbers[cellOf(data, 3 * n)]!
  return { palette, pixels }
}

function cellOf(data: Bytes, at: number): number {
  const [red, green, blue] = [data[at]! >> 3, data[at + 1]! >> 3, data[at + 2]! >> 3]
  return (red << (2 * BITS)) | (green << BITS) | blue
}

/** Halves the box that is worth most, by its pixels and how far they are apart, until there are enough. */
function cut(counts: Float64Array): readonly Box[] {
  const filled: number[] = []
  for (let cell = 0; cell < CELLS; cell++) if (counts[cell]! > 0) filled.push(cell)
  const boxes = [boxOf(Uint16Array.from(filled), counts)]
  while (boxes.length < COLOURS) {
    let best = 0
    for (let n = 1; n < boxes.length; n++) if (worthOf(boxes[n]!) > worthOf(boxes[best]!)) best = n
    const { cells, count, channel, spread } = boxes[best]!
    if (spread === 0) break
    const along = (cell: number): number => channelOf(cell, channel)
    cells.sort((a, b) => along(a) - along(b))
    let [middle, sum] = [0, 0]
    while (middle < cells.length - 1 && (middle === 0 || sum < count / 2)) sum += counts[cells[middle++]!]!
    boxes[best] = boxOf(cells.subarray(0, middle), counts)
    boxes.push(boxOf(cells.subarray(middle), counts))
  }
  return boxes
}

function worthOf({ count, spread }: Box): number {
  return count * spread
}

function boxOf(cells: Uint16Array, counts: Float64Array): Box {
  let [channel, spread] = [0, 0]
  for (let one = 0; one < 3; one++) {
    let [least, most] = [Infinity, -Infinity]
    for (const cell of cells) {
      least = Math.min(least, channelOf(cell, one))
      most = Math.max(most, channelOf(cell, one))
    }
    if (most - least > spread) [channel, spread] = [one, most - least]
  }
  let count = 0
  for (const cell of cells) count += counts[cell]!
  return { cells, count, channel, spread }
}

function channelOf(cell: number, channel: number): number {
  return (cell >> ((2 - channel) * BITS)) & ((1 << BITS) - 1)
}
