/**
 * The server that the replicas share cannot be asked: which of them waits for an instance cannot be told to the others.
 * What an archive gives by C-GET, and all else that is asked of it, is not affected.
 */
export class ClusterUnavailableError extends Error {
  readonly code = 'CLUSTER_UNAVAILABLE'
  constructor(options?: ErrorOptions) {
    super('The server that the replicas share cannot be reached', options)
    this.name = 'ClusterUnavailableError'
  }
}

/** What comes from another replica ends before it was whole. */
export class RelayCutError extends Error {
  readonly code = 'RELAY_CUT'
  constructor(options?: ErrorOptions) {
    super('The replica that an instance was stored to did not pass on all of it', options)
    this.name = 'RelayCutError'
  }
}
