/** What a flight may put into the cache, and for whom. */
export interface Allowance {
  /** It brings one instance, which is read in parts by one request after another. */
  readonly isForParts: boolean
  /** Bytes of it, at most. */
  readonly maxBytes: number
  /** The same while nobody waits for more of it. */
  readonly lingeringBytes: number
  /** The same while somebody else waits for its association: it reads ahead of its readers. */
  readonly hurriedBytes: number
}
