import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** After so many bytes of buffers a young collection frees those that are done with: memory stays small and warm. */
const YOUNG_BYTES = 8 * 1024 * 1024
/** After so many bytes that were kept for long and are let go, a full collection: only that one looks at the old. */
const OLD_BYTES = 256 * 1024 * 1024

let young = 0
let old = 0
let collect: NodeJS.GCFunction | undefined

/** Buffers of so many bytes were made: they lie outside the heap, where the collector sees no reason to hurry. */
export function buffersMade(bytes: number): void {
  young += bytes
  if (young < YOUNG_BYTES) return
  young = 0
  collector()({ type: 'minor', execution: 'sync' })
}

/** Buffers of so many bytes, kept for long, are not wanted any more. */
export function buffersLetGo(bytes: number): void {
  old += bytes
  if (old < OLD_BYTES) return
  old = 0
  void collector()({ type: 'major', execution: 'async' })
}

function collector(): NodeJS.GCFunction {
  if (!collect) {
    setFlagsFromString('--expose-gc')
    collect = runInNewContext('gc') as NodeJS.GCFunction
  }
  return collect
}
