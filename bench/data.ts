import { createWriteStream } from 'node:fs'
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { Uid } from '../src/dicom/uids.ts'
import {
  CT_IMAGE,
  ENHANCED_CT_IMAGE,
  imageFile,
  type ImageOptions,
  MR_IMAGE,
  patientId,
  studyUid,
} from './dicom-files.ts'

/** Git-ignored; delete it to have everything made anew. */
export const DATA_FOLDER = join(import.meta.dirname, 'data')
/** Change it with what is made here. */
const VERSION = 1

/** Studies with headers only, to be searched. */
export const SEARCH_STUDIES = 5000
const FIRST_SEARCH_STUDY = 100

/** One study as files on disk. */
export interface BenchStudy {
  readonly name: string
  readonly study: Uid
  readonly folder: string
  readonly files: readonly string[]
  /** Of the Pixel Data of each instance. */
  readonly pixelBytes: number
  /** The files as a multipart/related body, to be stored; its boundary is BOUNDARY. */
  readonly body: string
}

export type StudyName = 'ct' | 'small' | 'multiframe'
/** Studies that are asked for at once, and the instances of each. */
const FIRST_TOGETHER = 10
const TOGETHER = { studies: 8, each: 60 }
/** A UUID, as dicomweb-client makes one for each request: the longer it is, the faster it is searched for. */
export const BOUNDARY = '0b6f3c9e-52a7-4d81-9f0e-7c1d2a846b35'

export interface BenchData {
  readonly studies: Readonly<Record<StudyName, BenchStudy>>
  /** Several studies, to be asked for at once: as one, and each by its UID. */
  readonly together: BenchStudy & {
    readonly uids: readonly Uid[]
    /** Patient IDs of each. */
    readonly patients: readonly string[]
    /** Instances of each. */
    readonly each: number
  }
  /** A study of 20 series, to be opened. */
  readonly open: BenchStudy
  /** Of the studies to be searched. */
  readonly headers: readonly string[]
}

const plans: Readonly<Record<StudyName, Omit<ImageOptions, 'instance' | 'series'> & { series: number; each: number }>> =
  {
    ct: { study: 1, sopClass: CT_IMAGE, modality: 'CT', series: 1, each: 500, rows: 512, columns: 512, frames: 1 },
    small: { study: 2, sopClass: MR_IMAGE, modality: 'MR', series: 4, each: 500, rows: 64, columns: 64, frames: 1 },
    multiframe: {
      study: 3,
      sopClass: ENHANCED_CT_IMAGE,
      modality: 'CT',
      series: 1,
      each: 1,
      rows: 512,
      columns: 512,
      frames: 600,
    },
  }

/** Makes what is missing. */
export async function prepareData(): Promise<BenchData> {
  const named = (name: StudyName): Promise<BenchStudy> => study(name, plans[name])
  const [ct, small, multiframe] = [await named('ct'), await named('small'), await named('multiframe')]
  const several = await Promise.all(
    Array.from({ length: TOGETHER.studies }, (_, n) =>
      study(`together-${n}`, { ...plans.ct, study: FIRST_TOGETHER + n, each: TOGETHER.each }),
    ),
  )
  const uids = several.map((one) => one.study)
  const patients = several.map((_, n) => patientId(FIRST_TOGETHER + n))
  const { each } = TOGETHER
  const together = {
    ...several[0]!,
    name: 'together',
    files: several.flatMap(({ files }) => files),
    uids,
    patients,
    each,
  }
  const folder = await once('headers', async (into) => {
    for (let n = 0; n < SEARCH_STUDIES; n++) {
      const options = { sopClass: CT_IMAGE, modality: 'CT', series: 1, instance: 1, rows: 0, columns: 0, frames: 0 }
      await writeFile(join(into, fileName(n)), imageFile({ ...options, study: FIRST_SEARCH_STUDY + n }))
    }
  })
  const open = await study('open', { ...plans.ct, study: 30, series: 20, each: 100, rows: 256, columns: 256 })
  return { studies: { ct, small, multiframe }, together, open, headers: await filesOf(folder) }
}

async function study(name: string, { series, each, ...options }: (typeof plans)[StudyName]): Promise<BenchStudy> {
  const folder = await once(name, async (into) => {
    for (let n = 0; n < series * each; n++) {
      const place = { series: 1 + Math.floor(n / each), instance: 1 + (n % each) }
      await writeFile(join(into, fileName(n)), imageFile({ ...options, ...place }))
    }
  })
  const files = await filesOf(folder)
  const body = join(
    await once(`${name}-upload`, (into) => pipeline(multipart(files), createWriteStream(join(into, 'body')))),
    'body',
  )
  const pixelBytes = options.rows * options.columns * 2 * options.frames
  return { name, study: studyUid(options.study), folder, files, pixelBytes, body }
}

async function* multipart(files: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const file of files) {
    yield Buffer.from(`\r\n--${BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n`)
    yield await readFile(file)
  }
  yield Buffer.from(`\r\n--${BOUNDARY}--\r\n`)
}

/**
 * A folder below DATA_FOLDER, filled once. A file beside it, written last, says that it is whole, and where: the index
 * of dcmqrscp names files by their whole path.
 */
export async function once(name: string, fill: (folder: string) => Promise<unknown>): Promise<string> {
  const folder = join(DATA_FOLDER, name)
  const [stamp, text] = [`${folder}.whole`, `${VERSION} ${folder}`]
  if ((await readFile(stamp, 'utf8').catch(() => '')) === text && (await stat(folder)).isDirectory()) return folder
  process.stderr.write(`Making ${name} …\n`)
  await rm(stamp, { force: true })
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  await fill(folder)
  await writeFile(stamp, text)
  return folder
}

function fileName(n: number): string {
  return `${String(n).padStart(6, '0')}.dcm`
}

async function filesOf(folder: string): Promise<string[]> {
  return (await readdir(folder)).sort().map((name) => join(folder, name))
}
