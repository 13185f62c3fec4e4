import type { HttpContext } from '../context.ts'
import type { Freshness } from './given.ts'

/** Headers by which a browser keeps an answer, and asks whether it still holds. */
export interface Validators {
  readonly ETag?: string
  readonly 'Cache-Control'?: string
}

/** What lets a browser keep an answer that has a tag; nothing where `http.browserCache` is off. */
export function keptUnder(c: HttpContext, tag: string, freshness: Freshness): Validators {
  const { browserCache } = c.var.config.http
  if (browserCache === null) return {}
  // Of what a link shows, nobody else is to find more in the browser than that link still opens.
  const isFixed = freshness === 'fixed' && c.var.principal.binding === undefined
  const how = isFixed ? `max-age=${Math.floor(browserCache / 1000)}, immutable` : 'no-cache'
  return { ETag: tag, 'Cache-Control': `private, ${how}` }
}
