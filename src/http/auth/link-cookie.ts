import { getCookie, setCookie } from 'hono/cookie'
import type { HttpContext } from '../context.ts'

const NAME = 'dimsegate-link'

/** The token of a link that a browser was given. */
export function linkCookie(c: HttpContext): string | undefined {
  return getCookie(c, NAME)
}

/** Gives a browser the token of a link, out of reach of scripts and of other sites. */
export function giveLinkCookie(c: HttpContext, token: string, { secure }: { secure: boolean }): void {
  setCookie(c, NAME, token, { httpOnly: true, sameSite: 'Strict', path: '/', secure })
}
