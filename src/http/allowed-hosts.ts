import { isIP } from 'node:net'
import type { MiddlewareHandler } from 'hono'
import type { Config } from '../config/config.ts'
import { isLoopback } from '../network/loopback.ts'
import { publicOrigin } from './base-url.ts'
import type { HttpEnv } from './context.ts'
import { RequestError } from './problem.ts'

/**
 * The names that clients may use for us. Under another a page of somebody else would be of our origin, once its name leads
 * here (DNS rebinding): a browser then lets it read what it likes.
 */
export class AllowedHosts {
  readonly #names: ReadonlySet<string>
  readonly #suffixes: readonly string[]
  /** Ports that pages of ours come from; those of their schemes are left out of origins. */
  readonly #ports: readonly string[]
  readonly #isSecure: boolean

  constructor({ allowedHosts, publicUrl, host, port, tls }: Config['http']) {
    const publicly = publicUrl === null ? undefined : new URL(publicUrl)
    this.#ports = ['', String(port), publicly?.port ?? '']
    this.#isSecure = (publicly?.protocol ?? (tls ? 'https:' : '')) === 'https:'
    const names = [...allowedHosts, host, ...(publicly ? [publicly.hostname] : [])].map(plain)
    this.#names = new Set(names.filter((name) => !name.startsWith('*.')))
    this.#suffixes = names.filter((name) => name.startsWith('*.')).map((name) => name.slice(1))
  }

  /** Whether we go by the host of a Host header. An address cannot be made to lead elsewhere. */
  has(header: string): boolean {
    const host = nameOf(header)
    return host !== undefined && (isIP(host.replace(/^\[|\]$/g, '')) !== 0 || isLoopback(host) || this.#isNamed(host))
  }

  /**
   * Whether pages of an origin are ours, where a proxy may have written another Host: of a name that is configured, at our
   * port, and by HTTPS where we are asked by it. Something else may be served at another port of the same machine.
   */
  isOwnOrigin({ protocol, hostname, port }: URL): boolean {
    if (this.#isSecure && protocol !== 'https:') return false
    return this.#ports.includes(port) && this.#isNamed(hostname)
  }

  #isNamed(host: string): boolean {
    const name = plain(host)
    return this.#names.has(name) || this.#suffixes.some((suffix) => name.endsWith(suffix))
  }
}

/** Refuses requests under a name that is none of ours; a probe of life may use any. */
export function ownNameOnly(hosts: AllowedHosts): MiddlewareHandler<HttpEnv> {
  return async (c, next) => {
    const { http } = c.var.config
    // What a proxy says goes into links too, and behind one that does not see to it a page may say it.
    const isTold = http.publicUrl === null && http.trustProxy
    const told = isTold ? (URL.parse(publicOrigin(c, http))?.host ?? '') : undefined
    for (const host of [c.req.header('host'), told]) {
      if (host !== undefined && !hosts.has(host) && c.req.path !== '/livez') throw misdirected()
    }
    return next()
  }
}

/** Refuses what a page of another origin sends without being asked first: a form is such a request, and stores. */
export function ownPagesOnly(hosts: AllowedHosts, origins: '*' | readonly string[]): MiddlewareHandler<HttpEnv> {
  return async (c, next) => {
    const origin = c.req.header('origin')
    if (c.req.method !== 'POST' || origin === undefined || origins === '*' || origins.includes(origin)) return next()
    const page = URL.parse(origin)
    // The Host header was looked at before. An origin of just any address is not ours.
    if (page && (page.host === c.req.header('host') || hosts.isOwnOrigin(page))) return next()
    throw new RequestError(
      403,
      'FOREIGN_ORIGIN',
      'Pages of this origin may not store here. Name it in http.cors.origins if they are to.',
    )
  }
}

function misdirected(): RequestError {
  const detail = 'The service does not go by this name. Name it in http.allowedHosts, or as http.publicUrl.'
  return new RequestError(421, 'HOST_NOT_ALLOWED', detail)
}

/** Without its port; undefined for what is no host. */
function nameOf(header: string): string | undefined {
  return /^(\[[\da-f:.]+\]|[^:/@\s]+)(?::\d{1,5})?$/i.exec(header)?.[1]
}

function plain(name: string): string {
  return name.toLowerCase().replace(/\.$/, '')
}
