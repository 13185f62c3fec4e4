import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import sharp from 'sharp'
import { afterAll, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { parseDataset } from '../../../src/dicom/dataset-codec.ts'
import { parsePart10 } from '../../../src/dicom/part10.ts'
import { recode } from '../../../src/dicom/recode.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN } from '../../../src/dicom/transfer-syntax.ts'
import type { Picture } from '../../../src/imaging/picture/picture.ts'
import { planDrawing } from '../../../src/imaging/draw/drawing-plan.ts'
import { ImagingPool } from '../../../src/imaging/pool/imaging-pool.ts'
import { storedFrames } from '../../e2e/stored-frames.ts'
import { collect, streamOf } from '../../support/byte-stream.ts'
import { daikonFiles, testdataFiles } from '../../support/testdata.ts'

// Every image there is, drawn as small as a stamp, on one sheet to be looked at: artifacts/contact-sheet.png, with the names in
// the .txt beside it.

const FOLDER = resolve(import.meta.dirname, '../../../artifacts')
const [STAMP, GAP, ACROSS] = [96, 4, 16]
/** Cut off, without a syntax, or a codestream that was spoilt on purpose. */
const BROKEN = [
  ...['JPEG2000-embedded-sequence-delimiter.dcm', 'MR_truncated.dcm', 'emri_small_jpeg_2k_lossless_too_short.dcm'],
  ...['meta_missing_tsyntax.dcm', 'no_meta.dcm', 'rtplan_truncated.dcm'],
]

const pool = new ImagingPool({ threads: null, timeout: 20_000 })

afterAll(() => pool[Symbol.asyncDispose]())

async function stamp(file: string): Promise<Buffer | undefined> {
  let { syntax, data } = await parsePart10(await readFile(file))
  if (syntax.bigEndian || syntax.deflated) {
    data = await collect(recode(streamOf([data]), syntax, EXPLICIT_VR_LITTLE_ENDIAN))
    syntax = EXPLICIT_VR_LITTLE_ENDIAN
  }
  const dataset = parseDataset(data, syntax)
  const [frame] = storedFrames({ dataset, name: file }) ?? []
  if (!frame) return undefined
  const drawing = planDrawing(dataset, 1, dataset.has(Attribute.FloatPixelData) ? 32 : undefined)
  const encapsulated = syntax.encapsulated ? syntax.uid : undefined
  const shrunk = ({ data: pixels, width, height, channels }: Picture): Promise<Buffer> => {
    expect(pixels).toHaveLength(width * height * channels)
    return sharp(pixels, { raw: { width, height, channels } })
      .toColourspace('srgb')
      .resize(STAMP, STAMP, { fit: 'contain' })
      .png()
      .toBuffer()
  }
  return pool.draw(frame, drawing, encapsulated, shrunk, new AbortController().signal)
}

it('every image of the test data is drawn', { timeout: 60_000 }, async () => {
  const folders = ['wg04', 'pydicom', 'ct-3slice', 'dcmqi'] as const
  const files = [...folders.flatMap(testdataFiles), ...daikonFiles()].filter(
    (file) => /(\.dcm|\.seg|_[A-Z0-9]{3,4})$/.test(file) && !BROKEN.includes(basename(file)),
  )
  const stamps: { input: Buffer; left: number; top: number }[] = []
  const names: string[] = []
  for (const file of files) {
    const input = await stamp(file)
    if (!input) continue
    const at = names.push(basename(file)) - 1
    const place = (n: number): number => n * (STAMP + GAP)
    stamps.push({ input, left: place(at % ACROSS), top: place(Math.floor(at / ACROSS)) })
  }
  expect(names.length).toBeGreaterThanOrEqual(29)
  const height = Math.ceil(names.length / ACROSS) * (STAMP + GAP)
  await mkdir(FOLDER, { recursive: true })
  await sharp({ create: { width: ACROSS * (STAMP + GAP), height, channels: 3, background: '#402040' } })
    .composite(stamps)
    .png()
    .toFile(join(FOLDER, 'contact-sheet.png'))
  await writeFile(join(FOLDER, 'contact-sheet.txt'), names.map((name, n) => `${n + 1} ${name}\n`).join(''))
})
