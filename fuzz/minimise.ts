import { performance } from 'node:perf_hooks'
import { judge, type Fault, type Limits } from './judge.ts'
import type { Target } from './target.ts'

/** What making an input smaller may take. */
const PATIENCE_MS = 10_000

/** A smaller input with the same fault: without what can be left out, and plain where it does not matter what is there. */
export async function minimise(
  target: Target,
  input: Uint8Array,
  { kind, signature }: Fault,
  limits: Limits,
): Promise<Buffer> {
  let least = Buffer.from(input)
  // What is slow takes its time at each try, and is slow by its size.
  if (kind === 'slow' || kind === 'memory' || kind === 'hang') return least
  const end = performance.now() + PATIENCE_MS
  const isSame = async (smaller: Buffer): Promise<boolean> =>
    (await judge(target, smaller, limits))?.signature === signature
  for (let size = least.length >> 1; size >= 1; size >>= 1) {
    for (let at = 0; at < least.length && performance.now() < end;) {
      const shorter = Buffer.concat([least.subarray(0, at), least.subarray(at + size)])
      if (await isSame(shorter)) least = shorter
      else at += size
    }
  }
  for (let at = 0; at < least.length && performance.now() < end; at++) {
    for (const plain of [0, 0x30]) {
      if (least[at] === plain) break
      const plainer = Buffer.from(least)
      plainer[at] = plain
      if (!(await isSame(plainer))) continue
      least = plainer
      break
    }
  }
  return least
}
