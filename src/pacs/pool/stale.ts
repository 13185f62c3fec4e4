import { isDropped } from './intolerance.ts'
import type { Lease } from './lease.ts'

/**
 * Whether an operation that failed before its first answer may have met an association that was dead already: it is
 * checked by use, and the operation tried once more on a fresh one.
 */
export function wasStale(lease: Lease, error: unknown): boolean {
  return lease.reused && isDropped(error)
}
