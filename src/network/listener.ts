import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, Server as TlsServer, type TlsOptions, type TLSSocket } from 'node:tls'
import { ARTIM_MS } from './association-options.ts'
import { Newcomers, type DoorOptions } from './newcomers.ts'
import { plainAddress, Transport, type Address } from './transport.ts'

/** What TLS needs to know to be connected to (PS3.15 B.12); PEM texts. With `ca`, callers have to show a certificate of it. */
export type ListenerTls = Pick<TlsOptions, 'cert' | 'key' | 'ca' | 'minVersion'>

export interface ListenOptions {
  /** Whom to let in; everybody unless told. */
  readonly door?: DoorOptions
  /** Whether an address may connect at all; any may unless told. */
  readonly isAllowed?: (address: string | undefined) => boolean
  /** Told of each connection of an address that may not. */
  readonly onNotAllowed?: (address: string | undefined) => void
  /** Undefined: TCP alone. */
  readonly tls?: ListenerTls | undefined
  /** Milliseconds that a TLS handshake may take; ARTIM_MS unless told. */
  readonly handshakeTimeout?: number | undefined
  /**
   * Called for a failed TLS handshake, with OpenSSL's name for the reason, and the caller's address if it is still
   * connected. Not called for callers that only disconnect.
   */
  readonly onTlsFailure?: (code: string, address: string | undefined) => void
}

export interface Listening extends AsyncDisposable {
  readonly port: number
  /** Stops accepting; connections that are open stay. */
  close(): Promise<void>
  /** Takes other certificates from the next connection on; nothing where it listens without TLS. */
  renewTls(tls: ListenerTls): void
  /** Stops accepting; connections that are open in `grace` ms are cut. */
  end(grace: number): Promise<void>
}

/**
 * Accepts connections; port 0 takes a free one. What `accept` is given beside each is to be called when an association
 * stands over it.
 * @throws when the address is not to be had, or the certificate is none
 */
export async function listen(
  address: Address,
  accept: (transport: Transport, settled: () => void) => void,
  options: ListenOptions = {},
): Promise<Listening> {
  const { door, tls, isAllowed = () => true, onNotAllowed } = options
  const newcomers = door && new Newcomers(door)
  const accepted = (socket: Socket): void => {
    if (!socket.destroyed) accept(Transport.accepted(socket), () => newcomers?.settled(socket))
  }
  const server = tls ? tlsServer(tls, accepted, options) : createServer({ noDelay: true }, accepted)
  const sockets = new Set<Socket>()
  // Also with TLS this is the TCP connection: one that never completes its handshake is cut as well.
  server.prependListener('connection', (socket) => {
    const address = plainAddress(socket.remoteAddress)
    if (!isAllowed(address)) {
      socket.destroy()
      onNotAllowed?.(address)
      return
    }
    if (newcomers?.admit(socket, sockets.size) === false) {
      socket.destroy()
      return
    }
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  const { promise, resolve, reject } = Promise.withResolvers<undefined>()
  server.once('error', reject)
  server.listen(address.port, address.host, () => resolve(undefined))
  await promise
  const close = (): Promise<void> => new Promise((closed) => server.close(() => closed()))
  const end = async (grace: number): Promise<void> => {
    const cut = setTimeout(() => sockets.forEach((socket) => socket.destroy()), grace)
    await close()
    clearTimeout(cut)
  }
  const renewTls = (renewed: ListenerTls): void => {
    if (server instanceof TlsServer) server.setSecureContext(renewed)
  }
  return { port: (server.address() as AddressInfo).port, close, end, renewTls, [Symbol.asyncDispose]: close }
}

function tlsServer(
  tls: ListenerTls,
  accepted: (socket: Socket) => void,
  { handshakeTimeout = ARTIM_MS, onTlsFailure }: ListenOptions,
): Server {
  const requestCert = tls.ca !== undefined
  const server = createTlsServer({ ...tls, requestCert, rejectUnauthorized: true, handshakeTimeout, noDelay: true })
  server.on('secureConnection', accepted)
  server.on('tlsClientError', (error: NodeJS.ErrnoException, socket: TLSSocket) => {
    const { remoteAddress } = socket
    // Node's types say that there is always an error.
    const authorizationError = socket.authorizationError as unknown as string | null | undefined
    socket.destroy()
    // Probes of load balancers open connections and close them again.
    const code = authorizationError ?? error.code ?? 'TLS_FAILED'
    if (code !== 'ECONNRESET') onTlsFailure?.(code, plainAddress(remoteAddress))
  })
  return server
}
