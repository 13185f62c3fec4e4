import type { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'

/** As much of a TLS socket as is asked. */
interface Secured {
  readonly authorized: boolean
  getPeerX509Certificate(): X509Certificate | undefined
}

/** The connection is encrypted by us. */
export function isSecured(socket: Socket): socket is Socket & Secured {
  return 'encrypted' in socket && socket.encrypted === true
}
