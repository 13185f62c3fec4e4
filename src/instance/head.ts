import type { ByteStream } from '../dicom/bytes.ts'
import type { Dataset } from '../dicom/dataset.ts'
import { Breather } from '../dicom/breather.ts'
import { DatasetReader, TooManyElementsError, type ReadOptions } from '../dicom/dataset-codec.ts'
import { MalformedDataSetError } from '../dicom/element-reader.ts'
import { STEP_BYTES } from '../dicom/token-runs.ts'
import type { TransferSyntax } from '../dicom/transfer-syntax.ts'
import { isBulkData, isPixelData } from './bulk-attributes.ts'
import { DamagedInstanceError } from './damage.ts'
import type { InstanceIndex } from './instance-index.ts'
import type { ReadableDataSet } from './readable-instance.ts'

/**
 * Elements and items of a head that are kept: ten thousand frames with ten items each, and what is in these, are some
 * 400,000. Each takes some 400 bytes.
 */
export const MAX_HEAD_ELEMENTS = 750_000

/** All in front of the pixel data has been read, or the whole data set where it has none. */
export function hasHead({ headBytes }: InstanceIndex): boolean {
  return headBytes !== undefined
}

/**
 * Attributes of an instance in front of its pixel data: bulk values are marked as omitted, unless `omit` says otherwise.
 * Reads the head alone, as it comes.
 * @throws MalformedDataSetError or DamagedInstanceError without `onFault`, TooManyElementsError without `bound`, and what ends the arrival or `omit` throws
 */
export async function readHead(
  body: ByteStream,
  syntax: TransferSyntax,
  { only, omit = isBulkData, bound, onFault }: HeadOptions = {},
): Promise<DatasetReader> {
  const most = bound?.elements ?? MAX_HEAD_ELEMENTS
  const reader = new DatasetReader(syntax, { until: isPixelData, omit, most, ...(only && { only }) })
  const breather = new Breather()
  try {
    for await (const chunk of body) {
      for (let at = 0; at < chunk.length; at += STEP_BYTES) {
        reader.push(chunk.subarray(at, at + STEP_BYTES))
        if (reader.complete) break
        if (bound && reader.keptBytes > bound.bytes) throw bound.error()
        if (breather.isDue) await breather.breathe()
      }
      if (reader.complete) break
    }
    if (!reader.complete) reader.end()
  } catch (error) {
    if (error instanceof TooManyElementsError && bound) throw bound.error()
    const isFault = error instanceof MalformedDataSetError || error instanceof DamagedInstanceError
    if (!onFault || !isFault) throw error
    onFault(error instanceof DamagedInstanceError ? error : new DamagedInstanceError(error))
  }
  return reader
}

export interface HeadOptions extends Pick<ReadOptions, 'only' | 'omit'> {
  /**
   * More bytes of values than that are not kept, whatever their elements say of their lengths; nor more elements and
   * items, MAX_HEAD_ELEMENTS unless told.
   */
  readonly bound?: { readonly bytes: number; readonly elements?: number; readonly error: () => Error }
  /** Told of a data set that cannot be followed to the end of its head, which is then read up to there; otherwise thrown. */
  readonly onFault?: (fault: DamagedInstanceError) => void
}

/** A data set with some attributes of the head. @throws as readHead */
export async function headAttributes(source: ReadableDataSet, options: HeadOptions): Promise<Dataset> {
  // Where its end is known nothing behind it is asked for, which may be held no more.
  return (await readHead(source.bytes(0, source.index.headBytes), source.syntax, options)).dataset
}
