import type { ServerResponse } from 'node:http'
import type { Config } from '../config/config.ts'

/**
 * What every answer tells a browser: to keep nothing of it, to guess at nothing, and to let nobody else use it. What has a
 * policy of its own, as the pages of a viewer, sets it over these.
 */
export function securityHeaders({ cors, tls }: Config['http']): (outgoing: ServerResponse) => void {
  const { origins } = cors
  const mayShow = origins === '*' ? ['*'] : ["'self'", ...origins]
  const headers = Object.entries({
    'X-Content-Type-Options': 'nosniff',
    'Cache-Control': 'private, no-store',
    // Who asks, and for what form of it, changes the answer.
    Vary: 'Accept, Authorization, Cookie, Origin',
    'Cross-Origin-Resource-Policy': origins.length > 0 ? 'cross-origin' : 'same-origin',
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
  return (outgoing) => {
    for (const [name, value] of headers) outgoing.setHeader(name, value)
  }
}
