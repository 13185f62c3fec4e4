import { Attribute } from '../../dicom/attributes.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import type { Tag } from '../../dicom/tag.ts'
import { UnusableImageError } from '../image-description.ts'
import { readDescriptor, readEntries, type Lut } from './lut.ts'

/** The tables of an image in PALETTE COLOR. */
export interface Palette {
  readonly red: Lut
  readonly green: Lut
  readonly blue: Lut
}

const colours = {
  red: {
    descriptor: Attribute.RedPaletteColorLookupTableDescriptor,
    data: Attribute.RedPaletteColorLookupTableData,
    segmented: Attribute.SegmentedRedPaletteColorLookupTableData,
  },
  green: {
    descriptor: Attribute.GreenPaletteColorLookupTableDescriptor,
    data: Attribute.GreenPaletteColorLookupTableData,
    segmented: Attribute.SegmentedGreenPaletteColorLookupTableData,
  },
  blue: {
    descriptor: Attribute.BluePaletteColorLookupTableDescriptor,
    data: Attribute.BluePaletteColorLookupTableData,
    segmented: Attribute.SegmentedBluePaletteColorLookupTableData,
  },
} as const

/** The attributes that a palette is read from. */
export const PALETTE: readonly Tag[] = Object.values(colours).flatMap((tags) => Object.values(tags))

/** Reads the palette of an image; undefined where it has none. @throws UnusableImageError */
export function readPalette(dataset: Dataset, signed: boolean): Palette | undefined {
  if (!dataset.has(colours.red.descriptor)) return undefined
  const read = (colour: keyof typeof colours): Lut => {
    const { descriptor: tag, data, segmented } = colours[colour]
    const descriptor = readDescriptor(dataset, tag, signed)
    if (!descriptor) throw new UnusableImageError('its palette has no descriptor')
    const packed = dataset.get(segmented)?.value
    if (!(packed instanceof Uint8Array) || packed.length === 0) return readEntries(dataset, data, descriptor)
    const { first, bits, count } = descriptor
    return { first, bits, entries: expandSegments(packed, bits, count) }
  }
  return { red: read('red'), green: read('green'), blue: read('blue') }
}

const [DISCRETE, LINEAR, INDIRECT] = [0, 1, 2]

/**
 * Expands a segmented table (PS3.3 C.7.9.2): discrete and linear segments, and indirect ones, which repeat others.
 * @throws UnusableImageError
 */
export function expandSegments(data: Uint8Array, bits: number, count: number): Uint16Array {
  const size = bits > 8 ? 2 : 1
  const view = new DataView(data.buffer, data.byteOffset, data.length)
  const out = new Uint16Array(count)
  let written = 0
  const word = (at: number): number => {
    if ((at + 1) * size > data.length) throw new UnusableImageError('a segmented palette ends too early')
    return size === 2 ? view.getUint16(2 * at, true) : view.getUint8(at)
  }
  const put = (value: number): void => {
    if (written < count) out[written++] = value
  }
  /** Expands so many segments from a word on, or until the table is full; gives the word behind them. */
  const expand = (start: number, segments: number, isNested: boolean): number => {
    let at = start
    for (let n = 0; n < segments && written < count; n++) {
      const [opcode, length] = [word(at), word(at + 1)]
      // An indirect segment could repeat an empty one for ever.
      if (length === 0) throw new UnusableImageError('a segmented palette has an empty segment')
      if (opcode === DISCRETE) {
        for (let k = 0; k < length; k++) put(word(at + 2 + k))
        at += 2 + length
      } else if (opcode === LINEAR) {
        const from = written === 0 ? 0 : out[written - 1]!
        const to = word(at + 2)
        for (let k = 1; k <= length; k++) put(Math.round(from + ((to - from) * k) / length))
        at += 3
      } else if (opcode === INDIRECT && !isNested) {
        // PS3.3 C.7.9.2.3: an offset in bytes, its least significant half first.
        const offset = size === 2 ? word(at + 2) + word(at + 3) * 65_536 : offsetOfBytes(at + 2)
        expand(Math.floor(offset / size), length, true)
        at += size === 2 ? 4 : 6
      } else throw new UnusableImageError('a segmented palette has a segment of no known kind')
    }
    return at
  }
  const offsetOfBytes = (at: number): number =>
    word(at) + word(at + 1) * 256 + word(at + 2) * 65_536 + word(at + 3) * 16_777_216
  expand(0, Infinity, false)
  return out
}
