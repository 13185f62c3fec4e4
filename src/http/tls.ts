import { constants } from 'node:crypto'
import { channel } from 'node:diagnostics_channel'
import type { Server } from 'node:https'
import type { TLSSocket, TlsOptions } from 'node:tls'
import type { Config } from '../config/config.ts'
import type { ListenerTls } from '../network/listener.ts'
import { plainAddress } from '../network/transport.ts'
import { readHttpTls } from '../pacs/tls-files.ts'

/** With forward secrecy and authenticated encryption only (RFC 9325 4.2); those of TLS 1.3 all have both. */
const CIPHERS = [
  ...['TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256', 'TLS_AES_128_GCM_SHA256'],
  ...['ECDHE+AESGCM', 'ECDHE+CHACHA20', 'DHE+AESGCM'],
].join(':')

/** Published for each connection that did not come to terms about TLS. */
export interface RefusedConnectionEvent {
  /** Undefined where Node has closed it before it tells: for a certificate that is not good. */
  readonly address: string | undefined
  /** OpenSSL's name, or Node's, for what is wrong. */
  readonly code: string | undefined
}

const refusals = channel('dimsegate:refused-connection')

/**
 * What a web server by HTTPS is made with. Who shows no certificate, or not a good one, gets no further than the handshake,
 * unless it is optional. @throws TlsFileError
 */
export async function tlsOptions(tls: NonNullable<Config['http']['tls']>): Promise<ListenerTls & TlsOptions> {
  const files = await readHttpTls(tls)
  const isAsked = tls.clientCa !== null
  return {
    ...files,
    ciphers: CIPHERS,
    requestCert: isAsked,
    rejectUnauthorized: tls.clientCertificate === 'required',
    // A session that is resumed is not asked for its certificate again, which may have ended since.
    ...(isAsked && { secureOptions: constants.SSL_OP_NO_TICKET }),
  }
}

/** Tells of handshakes that fail. */
export function tellRefusals(server: Server): void {
  server.on('tlsClientError', (error: NodeJS.ErrnoException, socket: TLSSocket) => {
    const { remoteAddress, authorizationError } = socket
    // A connection that is closed without a word was a look at the port.
    const code = (authorizationError as unknown as string | null) ?? error.code
    if (code !== 'ECONNRESET')
      refusals.publish({ address: plainAddress(remoteAddress), code } satisfies RefusedConnectionEvent)
  })
}
