/** How the associations to one archive are used. */
export interface PoolStats {
  /** Places that are taken, those of associations that come and go included. */
  readonly open: number
  /** Of them: in use, or being opened for use. */
  readonly leased: number
  /** Of those: being opened. */
  readonly opening: number
  /** Of those that are leased: for what somebody has asked for. */
  readonly foreground: number
  /** Of those that are open: in use by nobody. */
  readonly idle: number
  /** Calls that wait for one. */
  readonly waiting: number
  /** How many there may be at once: as configured, or as the archive has lately taken. */
  readonly limit: number
}
