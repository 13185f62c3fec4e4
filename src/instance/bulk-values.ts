import { MalformedDataSetError } from '../dicom/element-reader.ts'
import { walkElements } from '../dicom/element-walk.ts'
import { DamagedInstanceError } from './damage.ts'
import { hasHead } from './head.ts'
import { CorruptFragmentsError } from './frame-table.ts'
import { joined, run, type SizedBytes } from './frames.ts'
import type { BulkValue } from './instance-index.ts'
import type { ReadableDataSet } from './readable-instance.ts'

/**
 * The bulk values of an instance in their order, as they come, but for its own pixel data.
 * @throws DamagedInstanceError, and what ends the arrival
 */
export async function* bulkValues(source: ReadableDataSet): AsyncGenerator<BulkValue> {
  const { index } = source
  for (let next = 0; ; next++) {
    await source.until(({ values, complete }) => values.length > next || complete)
    const value = index.values[next]
    if (value) yield value
    else if (index.complete) return
    else throw new DamagedInstanceError(index.fault!)
  }
}

/** A value by its path, wherever it is, bulk or not; undefined where there is none. @throws as bulkValues */
export async function findValue(source: ReadableDataSet, path: string): Promise<BulkValue | undefined> {
  let found: BulkValue | undefined
  let seen = 0
  await source.until(({ values, complete }) => {
    for (; !found && seen < values.length; seen++) if (values[seen]!.path === path) found = values[seen]
    return found !== undefined || complete
  })
  return found ?? inHead(source, path)
}

/** Small values are not in the index. */
async function inHead(source: ReadableDataSet, path: string): Promise<BulkValue | undefined> {
  await source.until(hasHead)
  const { syntax, index } = source
  const head = { syntax, bytes: () => source.bytes(0, index.headBytes) }
  try {
    for await (const { header, offset, path: at, encapsulated } of walkElements(head)) {
      if (at === path && !encapsulated) return { header, path, offset, fragments: undefined }
    }
  } catch (error) {
    // Behind the header of the pixel data there is nothing in a head.
    if (index.layout === undefined || !(error instanceof MalformedDataSetError)) throw error
  }
  return undefined
}

/**
 * The bytes of a value; `length` is the one without the pad, where it is told elsewhere. Another than that is not believed.
 * @throws CorruptFragmentsError, and what ends the arrival
 */
export async function bulkBytes(
  source: ReadableDataSet,
  { header, offset, fragments }: BulkValue,
  length?: number,
): Promise<SizedBytes> {
  if (!fragments) {
    const stated = header.length ?? 0
    return run(source, offset, length === stated - 1 ? length : stated)
  }
  await source.until(
    () => fragments.ended,
    () => offset,
  )
  if (!fragments.ended) throw new CorruptFragmentsError('they end in the middle of an item')
  return joined(source, fragments.fragments)
}
