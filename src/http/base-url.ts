import type { Config } from '../config/config.ts'
import type { HttpContext } from './context.ts'
import { isSecured } from './secured.ts'

/**
 * The origin clients reach us by: what is configured; else, behind a trusted proxy, what it says (RFC 7239, or
 * X-Forwarded-*); else the Host header. One without a port gets that of the connection, unless a proxy shows itself: some
 * clients never name it (the Python dicomweb-client), and would follow our URLs to port 80.
 */
export function publicOrigin(c: HttpContext, http: Config['http']): string {
  if (http.publicUrl !== null) return http.publicUrl
  const header = (name: string): string | undefined => c.req.header(name)?.split(',')[0]?.trim()
  const forwarded = http.trustProxy ? forwardedPairs(header('forwarded')) : new Map<string, string>()
  const proxied = (name: string): string | undefined => (http.trustProxy ? header(name) : undefined)
  const own = isSecured(c.env.incoming.socket) ? 'https' : 'http'
  const scheme = forwarded.get('proto') ?? proxied('x-forwarded-proto') ?? own
  const host = forwarded.get('host') ?? proxied('x-forwarded-host') ?? header('host') ?? `${http.host}:${http.port}`
  const prefix = pathPrefix(proxied('x-forwarded-prefix') ?? '')
  const port = portSuffix(proxied('x-forwarded-port'), scheme, proxied('x-forwarded-host'))
  const ownPort = !isProxied(c) ? portSuffix(String(c.env.incoming.socket.localPort ?? ''), scheme, host) : ''
  return isHost(host) && /^https?$/.test(scheme)
    ? `${scheme}://${host}${ownPort || port}${prefix}`
    : `${own}://${http.host}:${http.port}`
}

const proxyHeaders = [
  'forwarded',
  'via',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-forwarded-port',
  'x-forwarded-for',
  'x-real-ip',
]

/** A proxy shows itself: the request is somebody else's than who sends it. */
export function isProxied(c: HttpContext): boolean {
  return proxyHeaders.some((name) => c.req.header(name) !== undefined)
}

function forwardedPairs(header: string | undefined): Map<string, string> {
  const pairs = (header ?? '').split(';').map((pair) => pair.split('='))
  return new Map(
    pairs.map(([name = '', value = '']) => [name.trim().toLowerCase(), value.trim().replace(/^"|"$/g, '')]),
  )
}

/** The port a proxy names beside a host without one, unless it goes without saying. */
function portSuffix(port: string | undefined, scheme: string, host: string | undefined): string {
  const isNeeded = port !== (scheme === 'https' ? '443' : '80') && host !== undefined && !/:\d+$/.test(host)
  return isNeeded && /^\d{1,5}$/.test(port ?? '') ? `:${port!}` : ''
}

/** Without slash at its end; nothing where it is no path. */
function pathPrefix(text: string): string {
  const path = text.endsWith('/') ? text.slice(0, -1) : text
  return /^(\/[A-Za-z0-9._~%!$&'()*+,;=:@-]+)+$/.test(path) ? path : ''
}

/** A client writes the Host header: only what can stand in a URL goes into one. */
function isHost(host: string): boolean {
  return /^[A-Za-z0-9._~:[\]-]+$/.test(host)
}
