import type { Request } from './opener.ts'
import type { Share } from './share.ts'

export interface PoolOptions {
  readonly archive: string
  readonly maxAssociations: number
  /** Milliseconds an unused association is kept, and that a caller waits for one. */
  readonly timeouts: { readonly idle: number; readonly queue: number }
  readonly request: Request
  /** Milliseconds; INTERACTIVE_WAIT_MS unless told. */
  readonly interactiveWait?: number
  /** What this replica may have of `maxAssociations`; undefined where that is all of them. */
  readonly share?: Share | undefined
  /** C-ECHO over a new association of a lease `anyway`. Without it the archive never counts as down. */
  readonly trial?: (signal: AbortSignal) => Promise<void>
}
