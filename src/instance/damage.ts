/** The data set of an instance ends too early, or cannot be followed to its end: what is in front of that can be had. */
export class DamagedInstanceError extends Error {
  readonly code = 'DAMAGED_INSTANCE'
  /** @param fault where the data set stops making sense; tells no values */
  constructor(fault: Error) {
    super(`An instance came damaged from the archive. ${fault.message}`, { cause: fault })
    this.name = 'DamagedInstanceError'
  }
}
