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

function inArchive(archive: Archive | undefined): string {
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

  /** @throws RequestError 401 for who is nobody we know, 403 for who may not do that, 503 where it cannot be found out */
  async admit(c: HttpContext, verb: Verb, archive?: Archive): Promise<Principal> {
    const principal = this.#authenticator ? await this.#authenticator.whoAsks(c) : this.#anonymous(c)
    c.set('principal', principal)
    if (!principal.may(verb, archive?.config)) throw notPermitted(deeds[verb] + inArchive(archive))
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
