import type { HttpBindings } from '@hono/node-server'
import type { Config } from '../config/config.ts'

/**
 * What every answer tells a browser: to keep nothing of it, to guess at nothing, and to let nobody else use it. What has a
 * policy of its own, as the pages of a viewer, sets it over these.
 */
export function securityHeaders({ cors, tls }: Config['http']): (env: HttpBindings) => void {
  const { origins } = cors
  const mayShow = origins === '*' ? ['*'] : ["'self'", ...origins]
  const headers = Object.entries({
    'X-Content-Type-Options': 'nosniff',
    'Cache-Control': 'private, no-store',
    // Who asks, and for what form of it, changes the answer.
    Vary: 'Accept, Accept-Encoding, Authorization, Cookie, Origin',
    'Referrer-Policy': 'no-referrer',
    'Content-Security-Policy': [
      "default-src 'none'",
      // Of the frames that browsers themselves put around a picture, a film or a document.
      "img-src 'self'",
      "media-src 'self'",
      "object-src 'self'",
      "style-src 'unsafe-inline'",
      "base-uri 'none'",
      "form-action 'none'",
      `frame-ancestors ${mayShow.join(' ')}`,
    ].join('; '),
    ...(tls !== null && { 'Strict-Transport-Security': 'max-age=31536000' }),
  })
  return ({ incoming, outgoing }) => {
    for (const [name, value] of headers) outgoing.setHeader(name, value)
    const { origin, referer } = incoming.headers
    const isShown =
      origins === '*' || [origin, originOf(referer)].some((one) => one !== undefined && origins.includes(one))
    outgoing.setHeader('Cross-Origin-Resource-Policy', isShown ? 'cross-origin' : 'same-origin')
  }
}

/** Of the page that has a picture of ours in it: browsers send no Origin for that. */
function originOf(referer: string | undefined): string | undefined {
  return referer === undefined ? undefined : URL.parse(referer)?.origin
}
