import type { ByteStream } from '../dicom/bytes.ts'
import type { Dataset } from '../dicom/dataset.ts'
import { DatasetReader, type ReadOptions } from '../dicom/dataset-codec.ts'
import { MalformedDataSetError } from '../dicom/element-reader.ts'
import type { TransferSyntax } from '../dicom/transfer-syntax.ts'
import { isBulkData, isPixelData } from './bulk-attributes.ts'
import { DamagedInstanceError } from './damage.ts'
import type { InstanceIndex } from './instance-index.ts'
import type { ReadableDataSet } from './readable-instance.ts'

/** All in front of the pixel data has been read, or the whole data set where it has none. */
export function hasHead({ headBytes }: InstanceIndex): boolean {
  return headBytes !== undefined
}

/**
 * Attributes of an instance in front of its pixel data: bulk values are marked as omitted, unless `omit` says otherwise.
 * Reads the head alone, as it comes.
 * @throws MalformedDataSetError or DamagedInstanceError without `onFault`, and what ends the arrival or `omit` throws
 */
export async function readHead(
  body: ByteStream,
  syntax: TransferSyntax,
  { only, omit = isBulkData, bound, onFault }: HeadOptions = {},
): Promise<DatasetReader> {
  const reader = new DatasetReader(syntax, { until: isPixelData, omit, ...(only && { only }) })
  try {
    for await (const chunk of body) {
      reader.push(chunk)
      if (reader.complete) break
      if (bound && reader.keptBytes > bound.bytes) throw bound.error()
    }
    if (!reader.complete) reader.end()
  } catch (error) {
    const isFault = error instanceof MalformedDataSetError || error instanceof DamagedInstanceError
    if (!onFault || !isFault) throw error
    onFault(error instanceof DamagedInstanceError ? error : new DamagedInstanceError(error))
  }
  return reader
}

export interface HeadOptions extends Pick<ReadOptions, 'only' | 'omit'> {
  /** More bytes of values than that are not kept, whatever their elements say of their lengths. */
  readonly bound?: { readonly bytes: number; readonly error: () => Error }
  /** Told of a data set that cannot be followed to the end of its head, which is then read up to there; otherwise thrown. */
  readonly onFault?: (fault: DamagedInstanceError) => void
}

/** A data set with some attributes of the head. @throws as readHead */
export async function headAttributes(source: ReadableDataSet, options: HeadOptions): Promise<Dataset> {
  // Where its end is known nothing behind it is asked for, which may be held no more.
  return (await readHead(source.bytes(0, source.index.headBytes), source.syntax, options)).dataset
}
