import type { CachedInstance } from '../cache/cached-instance.ts'
import type { Dataset } from '../dicom/dataset.ts'
import { DatasetReader, type ReadOptions } from '../dicom/dataset-codec.ts'
import { littleEndian } from '../dicom/data-set-source.ts'

/** For ReadOptions.omit: values are read up to so many bytes together; tags and lengths are not counted. */
export function upTo(maxBytes: number, error: () => Error): NonNullable<ReadOptions['omit']> {
  let read = 0
  return ({ length }) => {
    read += length ?? 0
    if (read > maxBytes) throw error()
    return false
  }
}

/** Some attributes of an instance, or all. @throws MalformedDataSetError, and what reading it throws */
export async function readAttributes(instance: CachedInstance, options: ReadOptions): Promise<Dataset> {
  const source = littleEndian(instance)
  const reader = new DatasetReader(source.syntax, options)
  for await (const chunk of source.bytes()) {
    reader.push(chunk)
    if (reader.complete) break
  }
  if (!reader.complete) reader.end()
  return reader.dataset
}
