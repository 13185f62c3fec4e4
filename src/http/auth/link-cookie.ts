import { getCookie, setCookie } from 'hono/cookie'
import { publicOrigin } from '../base-url.ts'
import type { HttpContext } from '../context.ts'

const NAME = 'dimsegate-link'

/** The token of a link that a browser was given. Over HTTPS no other host of the domain can have given it. */
export function linkCookie(c: HttpContext): string | undefined {
  return isSecure(c) ? getCookie(c, NAME, 'host') : getCookie(c, NAME)
}

/** Gives a browser the token of a link, out of reach of scripts and of other sites. */
export function giveLinkCookie(c: HttpContext, token: string): void {
  const options = { httpOnly: true, sameSite: 'Strict', path: '/' } as const
  setCookie(c, NAME, token, isSecure(c) ? { ...options, secure: true, prefix: 'host' } : options)
}

function isSecure(c: HttpContext): boolean {
  return publicOrigin(c, c.var.config.http).startsWith('https:')
}
