import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseDataset } from '../src/dicom/dataset-codec.ts'
import { parsePart10, part10Header } from '../src/dicom/part10.ts'
import { transferSyntax } from '../src/dicom/transfer-syntax.ts'
import type { Uid } from '../src/dicom/uids.ts'
import { ImagingPool } from '../src/imaging/pool/imaging-pool.ts'
import { planTranscoding } from '../src/imaging/transcode/plan-transcoding.ts'
import { transcode } from '../src/imaging/transcode/transcode.ts'
import { once } from './data.ts'
import { CT_IMAGE, imageFile, studyUid } from './dicom-files.ts'

/** Studies in JPEG 2000 Lossless, the slowest to decode. */
export const COMPRESSED_STUDIES = 10
export const COMPRESSED_INSTANCES = 20
const FIRST_STUDY = 50
const JPEG_2000_LOSSLESS = '1.2.840.10008.1.2.4.90'

export function compressedStudy(n: number): Uid {
  return studyUid(FIRST_STUDY + n)
}

/** Makes what is missing. */
export async function compressedFiles(): Promise<string[]> {
  const folder = await once('compressed', async (into) => {
    await using pool = new ImagingPool({ threads: null, timeout: 30_000 })
    for (let n = 0; n < COMPRESSED_STUDIES * COMPRESSED_INSTANCES; n++) {
      await writeFile(join(into, `${String(n).padStart(6, '0')}.dcm`), await compressed(n, pool))
    }
  })
  return (await readdir(folder)).sort().map((name) => join(folder, name))
}

async function compressed(n: number, pool: ImagingPool): Promise<Buffer> {
  const file = imageFile({
    study: FIRST_STUDY + Math.floor(n / COMPRESSED_INSTANCES),
    sopClass: CT_IMAGE,
    modality: 'CT',
    series: 1,
    instance: 1 + (n % COMPRESSED_INSTANCES),
    rows: 512,
    columns: 512,
    frames: 1,
  })
  const { syntax, data } = await parsePart10(Buffer.concat(file))
  const dataset = parseDataset(data, syntax)
  const to = transferSyntax(JPEG_2000_LOSSLESS)
  const plan = planTranscoding({ header: dataset, frames: 1 }, syntax, to)
  if (!plan) throw new Error('An image of the benchmark cannot be compressed')
  async function* body(): AsyncGenerator<Uint8Array> {
    yield data
  }
  const [sopClass, sopInstance] = [dataset.string(0x00080016)!, dataset.string(0x00080018)!]
  const pieces: Uint8Array[] = [part10Header(sopClass, sopInstance, to)]
  for await (const piece of transcode(body(), plan, pool, new AbortController().signal)) pieces.push(piece)
  return Buffer.concat(pieces)
}
