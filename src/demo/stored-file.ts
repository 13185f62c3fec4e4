import { createReadStream } from 'node:fs'
import { Attribute } from '../dicom/attributes.ts'
import type { Bytes, ByteStream } from '../dicom/bytes.ts'
import type { Dataset } from '../dicom/dataset.ts'
import { DatasetReader } from '../dicom/dataset-codec.ts'
import { readPart10 } from '../dicom/part10.ts'
import { inflate, recode } from '../dicom/recode.ts'
import type { TransferSyntax } from '../dicom/transfer-syntax.ts'
import type { Uid } from '../dicom/uids.ts'

/** A PS3.10 file on disk, known by the attributes in front of its pixel data. */
export interface StoredFile {
  readonly path: string
  readonly syntax: TransferSyntax
  readonly header: Dataset
  readonly sopClass: Uid
  readonly sopInstance: Uid
  readonly study: Uid
  readonly series: Uid
}

/**
 * Reads the header of a file; undefined when it lacks one of the UIDs that name an instance.
 * @throws NotDicomError, MalformedDataSetError
 */
export async function readStoredFile(path: string): Promise<StoredFile | undefined> {
  const { syntax, body } = await readPart10(createReadStream(path) as AsyncIterable<Bytes>)
  const reader = new DatasetReader(syntax, { until: Attribute.PixelData })
  for await (const chunk of syntax.deflated ? inflate(body) : body) {
    reader.push(chunk)
    if (reader.complete) break
  }
  const header = reader.complete ? reader.dataset : reader.end()
  const sopClass = header.string(Attribute.SOPClassUID)
  const sopInstance = header.string(Attribute.SOPInstanceUID)
  const study = header.string(Attribute.StudyInstanceUID)
  const series = header.string(Attribute.SeriesInstanceUID)
  if (!sopClass || !sopInstance || !study || !series) return undefined
  return { path, syntax, header, sopClass, sopInstance, study, series }
}

/** The data set of a file in a syntax it can be given in. */
export async function* readBody(file: StoredFile, syntax: TransferSyntax): ByteStream & AsyncGenerator<Bytes> {
  const { body } = await readPart10(createReadStream(file.path, { highWaterMark: 262_144 }) as AsyncIterable<Bytes>)
  yield* recode(body, file.syntax, syntax)
}
