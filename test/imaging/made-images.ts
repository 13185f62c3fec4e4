import type { ImageDescription } from '../../src/imaging/image-description.ts'

/** An image of 4 x 4 grey pixels of 8 bits, unless told otherwise. */
export function description(image: Partial<ImageDescription>): ImageDescription {
  const samplesPerPixel = image.samplesPerPixel ?? 1
  const bitsAllocated = image.bitsAllocated ?? 8
  const bitsStored = image.bitsStored ?? bitsAllocated
  return {
    rows: 4,
    columns: 4,
    photometricInterpretation: samplesPerPixel === 3 ? 'RGB' : 'MONOCHROME2',
    planarConfiguration: 0,
    highBit: bitsStored - 1,
    signed: false,
    ...image,
    samplesPerPixel,
    bitsAllocated,
    bitsStored,
  }
}

/** Bytes that look random, the same every time. */
export function noise(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length)
  for (let at = 0, x = seed; at < length; at++) {
    x = (Math.imul(x, 1_103_515_245) + 12_345) >>> 0
    bytes[at] = x >>> 16
  }
  return bytes
}

/** The samples of a frame, each from its place and colour: `value` gives a stored value in the range of the image. */
export function frameOf(
  image: ImageDescription,
  value: (column: number, row: number, sample: number) => number,
): Buffer {
  const { rows, columns, samplesPerPixel, bitsAllocated } = image
  const size = bitsAllocated / 8
  const frame = Buffer.alloc(rows * columns * samplesPerPixel * size)
  let at = 0
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      for (let sample = 0; sample < samplesPerPixel; sample++) {
        const stored = Math.round(value(column, row, sample))
        for (let byte = 0; byte < size; byte++) frame[at++] = stored >> Math.min(8 * byte, 31)
      }
    }
  }
  return frame
}

/** A smooth picture with a little noise and an edge over the whole range of the stored bits. */
export function picture(image: ImageDescription, seed = 1): Buffer {
  const { rows, columns, bitsStored, signed } = image
  const range = 2 ** bitsStored - 1
  const grain = noise(rows * columns * 4, seed)
  return frameOf(image, (column, row, sample) => {
    const slope = (column / columns + row / rows) / 2
    const wave = 0.1 * Math.sin((column + 3 * sample) / 5) + (row > rows / 2 ? 0.1 : 0)
    const speck = (grain[(row * columns + column) * 4 + sample]! - 128) / 4096
    const fraction = Math.min(Math.max(slope + wave + speck, 0), 1)
    return fraction * range - (signed ? 2 ** (bitsStored - 1) : 0)
  })
}
