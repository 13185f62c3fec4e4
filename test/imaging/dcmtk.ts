import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Attribute } from '../../src/dicom/attributes.ts'
import type { Bytes } from '../../src/dicom/bytes.ts'
import { Dataset } from '../../src/dicom/dataset.ts'
import { encodeDataset } from '../../src/dicom/dataset-codec.ts'
import { part10Header } from '../../src/dicom/part10.ts'
import { transferSyntax } from '../../src/dicom/transfer-syntax.ts'
import type { ImageDescription } from '../../src/imaging/image-description.ts'
import { SECONDARY_CAPTURE } from '../support/dicom-files.ts'
import { setImage } from '../support/image-attributes.ts'
import { findProgram } from '../support/peers.ts'

// DCMTK's own programs, as the other opinion.

/** Nothing to compare with, and nobody insists: under CI=true the tests run, and so fail. */
export function skipWithoutDcmtk(): boolean {
  return findProgram('dcmdjpeg') === undefined && process.env['CI'] !== 'true'
}

/** What a program of DCMTK makes of a file. */
export async function dcmtk(program: string, options: readonly string[], file: Bytes): Promise<Buffer> {
  const folder = await mkdtemp(join(tmpdir(), 'dimsegate-imaging-'))
  try {
    const [from, to] = [join(folder, 'from'), join(folder, 'to')]
    await writeFile(from, file)
    await promisify(execFile)(findProgram(program) ?? program, ['-q', ...options, from, to])
    return await readFile(to)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** A file with an image and not much else: native with `frame`, encapsulated with fragments. */
export function fileOf(
  image: ImageDescription,
  syntax: string,
  pixels: Bytes | readonly Bytes[],
  frames = 1,
  change: (dataset: Dataset) => void = () => undefined,
): Buffer {
  const instance = '1.2.826.0.1.3680043.10.1561.91'
  const even = (bytes: Bytes): Bytes => (bytes.length % 2 === 0 ? bytes : Buffer.concat([bytes, Buffer.of(0)]))
  const dataset = new Dataset()
    .set(Attribute.SOPClassUID, SECONDARY_CAPTURE)
    .set(Attribute.SOPInstanceUID, instance)
    .set(Attribute.Modality, 'OT')
    .set(Attribute.PatientID, 'P-1')
    .set(Attribute.StudyInstanceUID, `${instance}.1`)
    .set(Attribute.SeriesInstanceUID, `${instance}.2`)
  setImage(dataset, image)
  if (frames > 1) dataset.set(Attribute.NumberOfFrames, frames)
  change(dataset)
  if (pixels instanceof Uint8Array) {
    dataset.put(Attribute.PixelData, { vr: image.bitsAllocated > 8 ? 'OW' : 'OB', value: even(pixels) })
  } else {
    const fragments = [new Uint8Array(0), ...pixels.map(even)]
    dataset.put(Attribute.PixelData, { vr: 'OB', value: { fragments } })
  }
  const target = transferSyntax(syntax)
  return Buffer.concat([part10Header(SECONDARY_CAPTURE, instance, target), encodeDataset(dataset, target)])
}
