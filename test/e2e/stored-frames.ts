import { Attribute } from '../../src/dicom/attributes.ts'
import { EXPLICIT_LE } from './expectations.ts'
import { isCompressed, type Sample } from './corpus.ts'

const PIXELS = [Attribute.PixelData, Attribute.FloatPixelData, Attribute.DoubleFloatPixelData]

/** PS3.18 Tables 8.7.3-4 and 8.7.3-5, as far as files are there. */
const MEDIA: Readonly<Record<string, string>> = {
  '1.2.840.10008.1.2.5': 'image/dicom-rle',
  '1.2.840.10008.1.2.4.50': 'image/jpeg',
  '1.2.840.10008.1.2.4.51': 'image/jpeg',
  '1.2.840.10008.1.2.4.57': 'image/jpeg',
  '1.2.840.10008.1.2.4.70': 'image/jpeg',
  '1.2.840.10008.1.2.4.80': 'image/jls',
  '1.2.840.10008.1.2.4.81': 'image/jls',
  '1.2.840.10008.1.2.4.90': 'image/jp2',
  '1.2.840.10008.1.2.4.91': 'image/jp2',
}

/** The media type of a frame as stored. */
export function mediaOf({ syntax }: Sample): string {
  return isCompressed(syntax) ? MEDIA[syntax]! : 'application/octet-stream'
}

/** The syntax that a frame as stored is given in: of what is not compressed Explicit VR Little Endian. */
export function frameSyntaxOf({ syntax }: Sample): string {
  return isCompressed(syntax) ? syntax : EXPLICIT_LE
}

/** Cut from a file on purpose without the code of src: the frames of its pixel data, undefined where it has none. */
export function storedFrames({ dataset, name }: Pick<Sample, 'dataset' | 'name'>): Buffer[] | undefined {
  const tag = PIXELS.find((one) => dataset.has(one))
  if (tag === undefined) return undefined
  const { value } = dataset.get(tag)!
  const frames = dataset.number(Attribute.NumberOfFrames) ?? 1
  if (value instanceof Uint8Array) return nativeFrames(Buffer.from(value), frameBits(dataset, tag), frames)
  if (!('fragments' in value)) throw new Error(`The pixel data of ${name} is a sequence`)
  const [table, ...fragments] = value.fragments.map((bytes) => Buffer.from(bytes))
  if (frames === 1) return [Buffer.concat(fragments)]
  if (fragments.length === frames) return fragments
  // PS3.5 A.4: offsets of each frame's first item, from the first item behind the table.
  if (table?.length !== 4 * frames) throw new Error(`The fragments of ${name} have no Basic Offset Table`)
  const starts = Array.from({ length: frames }, (_, frame) => table.readUInt32LE(4 * frame))
  let offset = 0
  const cut = starts.map((): Buffer[] => [])
  for (const fragment of fragments) {
    cut[starts.findLastIndex((start) => start <= offset)]!.push(fragment)
    offset += 8 + fragment.length
  }
  return cut.map((pieces) => Buffer.concat(pieces))
}

function frameBits(dataset: Sample['dataset'], tag: number): number {
  const pixels = dataset.number(Attribute.Rows)! * dataset.number(Attribute.Columns)!
  if (tag === Attribute.FloatPixelData) return pixels * 32
  if (tag === Attribute.DoubleFloatPixelData) return pixels * 64
  const isSubsampled = dataset.string(Attribute.PhotometricInterpretation) === 'YBR_FULL_422'
  const samples = isSubsampled ? 2 : dataset.number(Attribute.SamplesPerPixel)!
  return pixels * samples * dataset.number(Attribute.BitsAllocated)!
}

function nativeFrames(value: Buffer, bits: number, frames: number): Buffer[] {
  return Array.from({ length: frames }, (_, frame) => {
    const [from, to] = [frame * bits, (frame + 1) * bits]
    if (bits % 8 === 0) return value.subarray(from / 8, to / 8)
    // PS3.5 8.1.1: the pixels of a byte begin at its lowest bit.
    const out = Buffer.alloc(Math.ceil(bits / 8))
    for (let at = from; at < to; at++) {
      const bit = (value[at >> 3]! >> (at & 7)) & 1
      out[(at - from) >> 3]! |= bit << ((at - from) & 7)
    }
    return out
  })
}
