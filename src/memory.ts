import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

// Images pass through buffers outside the heap, where the garbage collector sees no reason to hurry, or too much of one
// (docs/decisions/0008). The layers below publish how many bytes of them they make and let go; here it is seen to that
// they are freed in time. Both are of the whole process.

/** After so many bytes of buffers a young collection frees those that are done with: memory stays small and warm. */
export const YOUNG_BYTES = 8 * 1024 * 1024
/** After so many bytes that were kept for long and are let go, a full collection: only that one looks at the old. */
export const OLD_BYTES = 256 * 1024 * 1024

/** By how much the heap may grow until all of it is collected, in percent of what was in use then; of V8 itself up to 300. */
const HEAP_GROWTH_PERCENT = 50

/**
 * Counts buffers with the heap, so that young collections free them in passing: counted apart, each 64 MiB of them forces
 * a full collection, a quarter of the CPU of a retrieve. What is in use when they run grows old: so that it does not pile
 * up, all is collected a little sooner than V8 would.
 */
export function setCollectorFlags(): void {
  setFlagsFromString('--external-memory-accounted-in-global-limit')
  setFlagsFromString(`--heap-growing-percent=${HEAP_GROWTH_PERCENT}`)
}

/**
 * Collects garbage by the volume of buffers, in bytes: those of the channel `dimsegate:buffers-made`, and those of
 * `dimsegate:buffers-let-go` that had been kept for long. Returns what ends it.
 */
export function collectByVolume(collect: (type: 'minor' | 'major') => void = collector()): () => void {
  const made = every(YOUNG_BYTES, () => collect('minor'))
  const letGo = every(OLD_BYTES, () => collect('major'))
  subscribe('dimsegate:buffers-made', made)
  subscribe('dimsegate:buffers-let-go', letGo)
  return () => {
    unsubscribe('dimsegate:buffers-made', made)
    unsubscribe('dimsegate:buffers-let-go', letGo)
  }
}

/** Adds up what is published, and acts each time that it comes to `limit`. */
function every(limit: number, act: () => void): (bytes: unknown) => void {
  let sum = 0
  return (bytes) => {
    sum += bytes as number
    if (sum < limit) return
    sum = 0
    act()
  }
}

function collector(): (type: 'minor' | 'major') => void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as NodeJS.GCFunction
  return (type) => {
    if (type === 'minor') collect({ type, execution: 'sync' })
    // What takes longer goes on beside the work.
    else void collect({ type, execution: 'async' })
  }
}
