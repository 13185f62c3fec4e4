import type { ReadOptions } from '../../dicom/dataset-codec.ts'

/** For ReadOptions.omit: values are read up to so many bytes together; tags and lengths are not counted. */
export function upTo(maxBytes: number, error: () => Error): NonNullable<ReadOptions['omit']> {
  let read = 0
  return ({ length }) => {
    read += length ?? 0
    if (read > maxBytes) throw error()
    return false
  }
}
