import { AddressList } from '../../network/address-list.ts'
import { plainAddress } from '../../network/transport.ts'
import type { HttpContext } from '../context.ts'
import type { ProxyConfig } from './auth-config.ts'
import { identityRefused } from './errors.ts'
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
    if (!this.#isProxy(c)) return undefined
    const { userHeader, groupsHeader, scopes } = this.#config
    const name = c.req.header(userHeader)?.trim()
    if (name === undefined || name === '' || name.length > MAX_NAME) return undefined
    // Two are one of the proxy and one of somebody else; which is which nobody can tell.
    if (countOf(c, userHeader) > 1 || countOf(c, groupsHeader) > 1) {
      throw identityRefused('PROXY_REFUSED', `There are several of ${userHeader} or ${groupsHeader}.`)
    }
    const groups = (c.req.header(groupsHeader) ?? '').split(',').map((group) => group.trim())
    return { kind: 'proxy', name, may: byScopes(scopes, new Set(groups)) }
  }

  /** @throws RequestError 401 where the headers are those of the proxy, and who sends them is not */
  refuse(c: HttpContext): void {
    if (this.#isProxy(c) || c.req.header(this.#config.userHeader) === undefined) return
    const why = `${this.#config.userHeader} is not taken from this address, which is not in auth.proxy.addresses.`
    throw identityRefused('PROXY_REFUSED', why)
  }

  #isProxy(c: HttpContext): boolean {
    return this.#addresses.has(plainAddress(c.env.incoming.socket.remoteAddress))
  }
}

/** How often a header is there: Node joins them. */
function countOf({ env: { incoming } }: HttpContext, name: string): number {
  return incoming.headersDistinct[name.toLowerCase()]?.length ?? 0
}
