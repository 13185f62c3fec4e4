import type { Config } from '../../config/config.ts'
import { isLoopback } from '../../network/loopback.ts'
import { plainAddress } from '../../network/transport.ts'
import type { Archive } from '../../pacs/archive.ts'
import { isProxied } from '../base-url.ts'
import type { HttpContext } from '../context.ts'
import { signInOf } from './auth-config.ts'
import { Authenticator } from './authenticator.ts'
import { notPermitted } from './errors.ts'
import type { Principal, Verb } from './principal.ts'

/** Without `auth`: whoever reaches us, which is this machine. */
const ANYBODY: Principal = { kind: 'anonymous', name: 'anonymous', may: () => true }
/** With `auth: open`: whoever reaches us, from wherever. */
const STRANGER: Principal = { ...ANYBODY, may: (verb) => verb !== 'admin' }

const deeds: Readonly<Record<Verb, string>> = {
  search: 'search',
  retrieve: 'retrieve',
  store: 'store',
  send: 'have the archive send',
  admin: 'see this: the admin scope is for that, or ops.listen',
}

function inArchive([archive, ...others]: readonly Archive[]): string {
  if (others.length > 0) return ' in any of these archives: its scopes, or its archives, leave them out'
  return archive ? ` in the archive ${archive.config.name}: its scopes, or its archives, leave that out` : ''
}

/** Who is let in, and to what. */
export class Gate {
  readonly #auth: Config['auth']
  readonly #authenticator: Authenticator | undefined

  constructor(auth: Config['auth']) {
    this.#auth = auth
    const signIn = signInOf(auth)
    this.#authenticator = signIn && new Authenticator(signIn)
  }

  /**
   * `among`: the archives that it concerns, of which one is enough.
   * @throws RequestError 401 for who is nobody we know, 403 for who may not do that, 503 where it cannot be found out
   */
  async admit(c: HttpContext, verb: Verb, among: readonly Archive[] = []): Promise<Principal> {
    const principal = this.#authenticator ? await this.#authenticator.whoAsks(c) : this.#anonymous(c)
    c.set('principal', principal)
    const mayAny = among.length > 0 ? among.some(({ config }) => principal.may(verb, config)) : principal.may(verb)
    if (!mayAny) throw notPermitted(deeds[verb] + inArchive(among))
    // What concerns all patients is not for who may see one.
    if (verb === 'admin' && principal.binding) throw notPermitted(deeds.admin)
    return principal
  }

  #anonymous(c: HttpContext): Principal {
    if (this.#auth === null) return ANYBODY
    const isHere = isLoopback(plainAddress(c.env.incoming.socket.remoteAddress) ?? '')
    // A proxy beside us calls from this machine for others.
    return isHere && !c.var.config.http.trustProxy && !isProxied(c) ? ANYBODY : STRANGER
  }
}
