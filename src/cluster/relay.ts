// What replicas say to each other, over HTTP/2 (RFC 9113) with TLS.
//
//   POST /instances   the offer in a header field; 200 where the instance is wanted, 204 where it is not. Behind the 200
//                     the body: the data set as the archive sent it; as a trailer how many bytes it had. The answer's
//                     body, when the last of them was taken, or no more are: the status of the C-STORE response.
//   POST /misled      an offer that nobody had asked for; 204.

export const INSTANCES = '/instances'
export const MISLED = '/misled'
/** Header field of a request. */
export const OFFER = 'dimsegate-offer'
/** Trailer: a body without it, or of another length, was cut. */
export const BYTES = 'dimsegate-bytes'

/** Bytes of a body that may be on their way before its reader has taken them. */
const WINDOW_BYTES = 512 * 1024
/** Instances on their way to one replica at once: more than storage associations there may be. */
export const MAX_STREAMS = 256

export const SETTINGS = {
  initialWindowSize: WINDOW_BYTES,
  maxFrameSize: 256 * 1024,
  maxConcurrentStreams: MAX_STREAMS,
  enablePush: false,
} as const

/** What HTTP/2 may hold of one connection in Node's count, in MB; what waits in the windows of all streams fits. */
export const SESSION_MEMORY_MB = 256
/** Connections of other replicas. */
export const MAX_SESSIONS = 256

/** Of all bodies of a connection together: none waits for another's reader. */
export const SESSION_WINDOW_BYTES = MAX_STREAMS * WINDOW_BYTES

/** A connection is asked whether it is there, and given up where it does not say so; in ms. */
export const PING_MS = 5_000
export const SILENCE_MS = 10_000
