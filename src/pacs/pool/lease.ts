import type { Association } from '../../network/association.ts'

/** An association in use by one operation. Given back exactly once: by `release`, `retire` or `discard`. */
export interface Lease {
  readonly association: Association
  /** It served an operation before: a failure before the first answer may be staleness. */
  readonly reused: boolean
  /** Gives it back for others; one that is no longer fit is dropped. */
  release(): void
  /** Ends it in order: it is not for others. */
  retire(): void
  /** Aborts it. */
  discard(): void
}
