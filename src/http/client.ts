import { isIP, isIPv6 } from 'node:net'
import { plainAddress } from '../network/transport.ts'
import type { HttpContext } from './context.ts'

/** Groups of an address of IPv6 that one client is commonly given (RFC 6177). */
const OWN_GROUPS = 4

/**
 * Who asks, as a word that is the same for all requests of one client: those who share what is scarce have their turns by
 * it. Who has signed in, else the address at the other end of the connection.
 */
export function clientOf(c: HttpContext): string {
  const { principal } = c.var
  const { kind, authority = '', name } = principal
  if (kind !== 'anonymous') return [kind, authority, name].join(' ')
  return networkOf(addressOf(c))
}

/** A proxy that is trusted says for whom it asks; what others wrote in front of that is not believed. */
export function addressOf(c: HttpContext): string {
  const { trustProxy } = c.var.config.http
  const told = trustProxy ? c.req.header('x-forwarded-for')?.split(',').at(-1)?.trim() : undefined
  return plainAddress(told !== undefined && isIP(told) !== 0 ? told : c.env.incoming.socket.remoteAddress) ?? ''
}

/** An address of IPv4, or what is in front of those that one client of IPv6 chooses among. */
export function networkOf(address: string): string {
  if (!isIPv6(address)) return address
  const [front = '', back] = address.split('%')[0]!.split('::')
  const groups = front === '' ? [] : front.split(':')
  const rest = back === undefined || back === '' ? [] : back.split(':')
  const zeros = back === undefined ? 0 : 8 - groups.length - rest.length
  const all = [...groups, ...Array<string>(Math.max(0, zeros)).fill('0'), ...rest]
  return all.slice(0, OWN_GROUPS).join(':')
}

/** Who learns what became of a request: of whom nothing is known anybody may be the same. */
export function ownerOf(c: HttpContext): string {
  return c.var.principal.kind === 'anonymous' ? '' : clientOf(c)
}
