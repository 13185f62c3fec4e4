import type { HttpContext } from '../context.ts'

/** Headers by which a browser keeps an answer, and asks whether it still holds. */
export interface Validators {
  readonly ETag?: string
  readonly 'Cache-Control'?: string
}

/**
 * Pixels and bulk data do not change under the UID of their instance (PS3.5 9): they need not be asked for again.
 * Headers are corrected by some archives, and pictures may be drawn better one day: these are asked for each time.
 */
const IMMUTABLE = /\/instances\/[^/]+\/(frames\/[\d,]+|pixeldata|bulkdata\/.+)$/

/** What lets a browser keep an answer that has a tag; nothing where `http.browserCache` is off. */
export function keptUnder(c: HttpContext, tag: string): Validators {
  const { browserCache } = c.var.config.http
  if (browserCache === null) return {}
  // Of what a link shows, nobody else is to find more in the browser than that link still opens.
  const isFresh = IMMUTABLE.test(c.req.path) && c.var.principal.binding === undefined
  const how = isFresh ? `max-age=${Math.floor(browserCache / 1000)}, immutable` : 'no-cache'
  return { ETag: tag, 'Cache-Control': `private, ${how}` }
}
