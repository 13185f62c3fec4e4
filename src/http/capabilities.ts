import type { MediaRange } from '../dicomweb/negotiate/accept.ts'
import { choose, isAnyOf, type Negotiable } from '../dicomweb/negotiate/negotiate.ts'
import { acceptHeader, notAcceptable } from './accept.ts'
import type { HttpContext } from './context.ts'
import { wadl } from './wadl.ts'

const types = ['application/vnd.sun.wadl+xml', 'application/json'] as const
type CapabilitiesType = (typeof types)[number]

const resource: Negotiable<CapabilitiesType> = {
  named: (range) => types.find((type) => type === nameOf(range)),
  defaults: (range) => (isAnyOf(range, 'application') ? types : []),
  covers: (range, offer) => isAnyOf(range, 'application') || nameOf(range) === offer,
  same: (a, b) => a === b,
}

/**
 * What the service can do below the root of an archive (PS3.18 8.9): as WADL, or as OpenAPI in JSON.
 * @throws RequestError 406
 */
export function retrieveCapabilities(c: HttpContext, contract: object): Response {
  const [type] = choose(acceptHeader(c), resource)
  const { base } = c.var
  if (!type) throw notAcceptable(`This is given as ${types.join(' or ')}.`)
  const text =
    type === 'application/json' ? JSON.stringify({ ...contract, servers: [{ url: base }] }) : wadl(contract, base)
  return c.body(text, 200, { 'Content-Type': type })
}

function nameOf({ type, subtype }: MediaRange): string {
  return `${type}/${subtype}`
}
