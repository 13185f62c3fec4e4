import type { MiddlewareHandler } from 'hono'
import type { HttpEnv } from './context.ts'

const METHODS = 'GET, POST, DELETE, OPTIONS'
const REQUEST_HEADERS = 'Accept, Authorization, Content-Type, If-None-Match, If-Range, Prefer, Range'
const EXPOSED_HEADERS = [
  ...['Accept-Ranges', 'Content-Disposition', 'Content-Location', 'Content-Range', 'Content-Type', 'ETag', 'Link'],
  ...['Location', 'Preference-Applied', 'Retry-After', 'Warning'],
].join(', ')
/** Seconds a browser may keep the answer to a preflight. */
const MAX_AGE_S = '86400'

/**
 * Lets pages of the origins listed use the API (https://fetch.spec.whatwg.org/#http-cors-protocol); `*` is any, without
 * credentials. Headers are set before the handler runs: a streamed response is out before it returns.
 */
export function crossOrigin(origins: '*' | readonly string[]): MiddlewareHandler<HttpEnv> {
  return async (c, next) => {
    const origin = c.req.header('origin')
    const allowed = origins === '*' ? '*' : origins.find((one) => one === origin)
    if (allowed !== undefined) {
      c.header('Access-Control-Allow-Origin', allowed)
      c.header('Access-Control-Expose-Headers', EXPOSED_HEADERS)
    }
    if (c.req.method !== 'OPTIONS' || c.req.header('access-control-request-method') === undefined) return next()
    if (allowed !== undefined) {
      c.header('Access-Control-Allow-Methods', METHODS)
      c.header('Access-Control-Allow-Headers', REQUEST_HEADERS)
      c.header('Access-Control-Max-Age', MAX_AGE_S)
    }
    return c.body(null, 204)
  }
}
