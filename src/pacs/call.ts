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

/** What a call is for at present. */
export function priorityOf({ priority = 'interactive', promoted }: Pick<Call, 'priority' | 'promoted'>): Priority {
  return promoted?.aborted === true ? 'bulk' : priority
}
