import type { ArchiveConfig } from '../config/config.ts'
import type { RequestOptions } from '../network/association.ts'
import type { UserIdentity } from '../network/pdu.ts'
import type { TlsOptions } from '../network/transport.ts'
import type { Proposal } from './pool/proposal.ts'

/** How an association to an archive is asked for, but for its proposal. */
export function requestOptions(
  config: ArchiveConfig,
  tls: TlsOptions | undefined,
): Omit<RequestOptions, keyof Proposal> {
  return {
    address: { host: config.host, port: config.port },
    calledAeTitle: config.aeTitle,
    callingAeTitle: config.callingAeTitle,
    maxPduLength: config.maxPduLength,
    timeouts: config.timeouts,
    ...(tls && { tls }),
    ...(config.identity && { identity: userIdentity(config.identity) }),
  }
}

/** PS3.7 D.3.3.7.1. */
function userIdentity(identity: NonNullable<ArchiveConfig['identity']>): UserIdentity {
  const none = new Uint8Array(0)
  const positiveResponseRequested = false
  if (identity.type === 'username') {
    const { username, passcode } = identity
    const primary = Buffer.from(username, 'utf8')
    if (passcode === undefined) return { type: 1, positiveResponseRequested, primary, secondary: none }
    return { type: 2, positiveResponseRequested, primary, secondary: Buffer.from(passcode, 'utf8') }
  }
  const types = { kerberos: 3, saml: 4, jwt: 5 } as const
  const primary = Buffer.from(identity.token, identity.type === 'kerberos' ? 'base64' : 'utf8')
  return { type: types[identity.type], positiveResponseRequested, primary, secondary: none }
}
