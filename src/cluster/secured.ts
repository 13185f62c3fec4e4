import { hkdfSync } from 'node:crypto'
import type { SecureClientSessionOptions, SecureServerOptions } from 'node:http2'
import type { ClusterFiles } from '../pacs/tls-files.ts'

export interface Secured {
  readonly server: SecureServerOptions
  readonly client: SecureClientSessionOptions
}

const IDENTITY = 'dimsegate replica'
const KEY_BYTES = 32
/** Pre-shared keys with forward secrecy (RFC 8442); Node has none for TLS 1.3. RFC 9113 9.2.2 does not forbid it. */
const PSK_SUITE = 'ECDHE-PSK-CHACHA20-POLY1305'

/** TLS between replicas, either way: both sides prove who they are, and all is encrypted. */
export function secured(credentials: ClusterFiles['credentials']): Secured {
  if ('secret' in credentials) {
    const psk = Buffer.from(hkdfSync('sha256', credentials.secret, '', IDENTITY, KEY_BYTES))
    const only = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2', ciphers: PSK_SUITE } as const
    return {
      server: { ...only, pskCallback: (_, identity) => (identity === IDENTITY ? psk : null) },
      // There is no certificate whose name could be looked at: who has the key is a replica.
      client: { ...only, pskCallback: () => ({ psk, identity: IDENTITY }), checkServerIdentity: () => undefined },
    }
  }
  const mutual = { ...credentials, minVersion: 'TLSv1.3' } as const
  return {
    server: { ...mutual, requestCert: true, rejectUnauthorized: true },
    // Replicas come and go, and with them their addresses: the authority is of replicas alone.
    client: { ...mutual, checkServerIdentity: () => undefined },
  }
}
