/** What a replica has of the associations to an archive, and could use; each a count. */
export interface Need {
  /** Places that are taken, idle ones and those of connections that are not gone yet too. */
  readonly held: number
  /** Of them, those whose holder transfers. */
  readonly transfers: number
  /** What is in use or waited for by interactive calls, by bulk calls, in the background. */
  readonly interactive: number
  readonly bulk: number
  readonly background: number
}

/** What one replica may have of the associations to an archive, where several share them. It changes as they need. */
export interface Share {
  /** Associations it may have at once. */
  readonly size: number
  /** Of them, how many may be for transfers. */
  readonly transfers: number
  /** What is needed has changed, or may have. */
  report(need: Need): void
  /** Calls back when the share has changed. Once. */
  onChange(changed: () => void): void
}
