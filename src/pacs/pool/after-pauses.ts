import { setTimeout as delay } from 'node:timers/promises'
import { AssociationRejectedError } from '../../network/errors.ts'

/**
 * Tries again after each of the pauses, in ms, for as long as the archive rejects for want of resources (PS3.8 9.3.4,
 * result 2).
 * @throws what the last try threw; the signal's reason
 */
export async function afterPauses<T>(
  pauses: readonly number[],
  signal: AbortSignal,
  attempt: () => Promise<T>,
): Promise<T> {
  for (const pause of pauses) {
    try {
      return await attempt()
    } catch (error) {
      if (!(error instanceof AssociationRejectedError) || !error.transient) throw error
    }
    await paused(pause, signal)
  }
  return attempt()
}

/** @throws the signal's reason */
export async function paused(milliseconds: number, signal: AbortSignal): Promise<void> {
  // Its own error on abort is not the signal's reason.
  await delay(milliseconds, undefined, { signal }).catch(() => signal.throwIfAborted())
}
