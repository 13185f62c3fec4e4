import { AddressList } from '../../network/address-list.ts'
import { plainAddress } from '../../network/transport.ts'
import type { HttpContext } from '../context.ts'
import type { ProxyConfig } from './auth-config.ts'
import { byScopes } from './permissions.ts'
import type { Principal } from './principal.ts'

/** Letters of the name of somebody. */
const MAX_NAME = 256

/** A proxy in front that signs people in (oauth2-proxy, an ingress). Headers of anybody else say nothing. */
export class ProxyHeaders {
  readonly #config: ProxyConfig
  readonly #addresses: AddressList

  constructor(config: ProxyConfig) {
    this.#config = config
    this.#addresses = new AddressList(config.addresses)
  }

  of(c: HttpContext): Principal | undefined {
    if (!this.#addresses.has(plainAddress(c.env.incoming.socket.remoteAddress))) return undefined
    const { userHeader, groupsHeader, scopes } = this.#config
    const name = c.req.header(userHeader)?.trim()
    if (name === undefined || name === '' || name.length > MAX_NAME) return undefined
    const groups = (c.req.header(groupsHeader) ?? '').split(',').map((group) => group.trim())
    return { kind: 'proxy', name, may: byScopes(scopes, new Set(groups)) }
  }
}
