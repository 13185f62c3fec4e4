import { Priority as DimsePriority } from '../dimse/command.ts'

/**
 * What a call is for. `interactive`: queries, C-ECHO, small retrievals, what somebody looks at. `bulk`: downloads of
 * studies and series, and stores. `background`: what nobody has asked for yet.
 */
export type Priority = 'interactive' | 'bulk' | 'background'

/** On whose behalf something is done, and for how long. */
export interface Call {
  readonly signal: AbortSignal
  /** Until when an association is waited for, by performance.now(); the pool's own limit holds beside it. */
  readonly deadline?: number
  /** `interactive` unless told. */
  readonly priority?: Priority
  /** Of what is in the background: aborted when somebody asks for it, and it is `bulk` from then on. */
  readonly promoted?: AbortSignal
  /**
   * Called when others wait for an association that this call holds, once for each: the sooner it is given back, the
   * better.
   */
  readonly wanted?: () => void
}

/** Priority (0000,0700) of what is asked of an archive on its behalf (PS3.7 9.1): low for what nobody has asked for yet. */
export function dimsePriority(call: Pick<Call, 'priority' | 'promoted'>): number {
  return priorityOf(call) === 'background' ? DimsePriority.low : DimsePriority.medium
}

/** What a call is for at present. */
export function priorityOf({ priority = 'interactive', promoted }: Pick<Call, 'priority' | 'promoted'>): Priority {
  return promoted?.aborted === true ? 'bulk' : priority
}
