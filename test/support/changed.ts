import { parseConfig } from '../../src/config/config.ts'
import { concat, type Bytes, type ByteStream } from '../../src/dicom/bytes.ts'
import type { Dataset } from '../../src/dicom/dataset.ts'
import { encodeDataset, parseDataset } from '../../src/dicom/dataset-codec.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN, type TransferSyntax } from '../../src/dicom/transfer-syntax.ts'
import { Draft } from '../../src/routing/change/draft.ts'
import { Pseudonyms } from '../../src/routing/deidentify/pseudonyms.ts'
import { takeSteps, type Change, type Means } from '../../src/routing/change/steps.ts'
import { Front } from '../../src/routing/front.ts'

export const KEY = 'a key of the tests, and of nobody else'

/** A configuration with one archive, and these keys. */
export function configWith(others: object): ReturnType<typeof parseConfig> {
  return parseConfig({ archives: [{ aeTitle: 'PACS', host: '127.0.0.1', port: 1 }], ...others })
}

/** Steps as they are written in a configuration. */
export function stepsOf(set: readonly object[]): readonly Change[] {
  return configWith({ pseudonyms: { key: KEY }, routes: [{ name: 'r', set, to: ['pacs'] }] }).routes[0]!.set
}

export interface ChangedOptions {
  readonly syntax?: TransferSyntax
  readonly worklist?: Means['worklist']
  /** Bytes of a chunk. */
  readonly chunk?: number
}

/** The bytes that steps make of a data set. */
export function changedBytes(dataset: Dataset, set: readonly object[], options: ChangedOptions = {}): Promise<Bytes> {
  return changedBytesOf(encodeDataset(dataset, options.syntax ?? EXPLICIT_VR_LITTLE_ENDIAN), set, options)
}

/** The same of a data set that is encoded already. */
export async function changedBytesOf(
  data: Bytes,
  set: readonly object[],
  { syntax = EXPLICIT_VR_LITTLE_ENDIAN, worklist, chunk = 1_000 }: ChangedOptions = {},
): Promise<Bytes> {
  const rest = pieces(data, chunk)
  const draft = new Draft(await Front.read(rest, syntax))
  await takeSteps(draft, stepsOf(set), {
    pseudonyms: new Pseudonyms(KEY),
    worklist: worklist!,
    signal: new AbortController().signal,
  })
  const made: Bytes[] = []
  for await (const piece of draft.stream(draft.front.behind(rest))) made.push(Buffer.from(piece))
  return concat(made)
}

/** What steps make of a data set. */
export async function changed(
  dataset: Dataset,
  set: readonly object[],
  options: ChangedOptions = {},
): Promise<Dataset> {
  const { syntax = EXPLICIT_VR_LITTLE_ENDIAN } = options
  return parseDataset(await changedBytes(dataset, set, options), syntax)
}

async function* pieces(bytes: Bytes, length: number): ByteStream & AsyncGenerator<Bytes> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length)
}
