/** On whose behalf something is done, and for how long. */
export interface Call {
  readonly signal: AbortSignal
}
