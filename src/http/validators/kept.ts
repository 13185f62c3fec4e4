import type { CachedInstance } from '../../cache/cached-instance.ts'
import type { Validators } from './freshness.ts'

/** What lets a browser keep an answer, and is remembered of it. */
export interface Kept {
  readonly validators: Validators
  /** All of an instance has been given. */
  add(instance: CachedInstance): void
  /** All of the answer has been given. */
  end(): void
}

/** Of an answer that is not to be kept. */
export const NOT_KEPT: Kept = { validators: {}, add: () => undefined, end: () => undefined }
