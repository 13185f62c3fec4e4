import type { Association } from '../../network/association.ts'
import type { UserIdentity, UserInformation } from '../../network/pdu.ts'
import type { Call } from '../call.ts'
import { Intolerance, isDropped, isRejection } from './intolerance.ts'
import type { Proposal } from './proposal.ts'

/** How long it is remembered what an archive did not bear, in ms: it may be set right meanwhile. */
export const CONCEDED_MS = 10 * 60_000

/** What may be left out of an association request. PS3.7 D.3.3 lets a peer ignore what it does not know; some do not. */
export type Concession = 'extended' | 'identity'

/** An association as it is to be asked for. */
export type Wanted = Proposal & { readonly identity?: UserIdentity }

/**
 * What is left out in turn: extended negotiation costs less than to be somebody. Before identity is, an association with
 * it has failed twice: a connection may be lost for any reason.
 */
const TURNS: Readonly<Record<string, readonly (readonly Concession[])[]>> = {
  '': [[]],
  extended: [[], ['extended']],
  identity: [[], [], ['identity']],
  'extended identity': [[], ['extended'], ['identity'], ['extended', 'identity']],
}

/** Opens associations to one archive, without what it does not bear. */
export class Concessions {
  readonly #conceded: (what: Concession, error: unknown) => void
  readonly #intolerances: Readonly<Record<Concession, Intolerance>> = {
    extended: new Intolerance(CONCEDED_MS),
    identity: new Intolerance(CONCEDED_MS),
  }

  /** `conceded` is told what is left out from now on, and how the archive took it. */
  constructor(conceded: (what: Concession, error: unknown) => void = () => undefined) {
    this.#conceded = conceded
  }

  /**
   * The association that stands by the fullest request. Who rejects may mean our user: identity is left out only where
   * the archive drops the association in place of an answer.
   * @throws what `request` threw for the whole of it; the signal's reason
   */
  async open(wanted: Wanted, request: (one: Wanted) => Promise<Association>, { signal }: Call): Promise<Association> {
    const { extended, identity, ...plain } = wanted
    const offered = this.#offered(wanted)
    const began = performance.now()
    let first: unknown
    let isRefused = false
    for (const without of TURNS[offered.join(' ')] ?? []) {
      if (isRefused && without.includes('identity')) break
      const isKept = (what: Concession): boolean => offered.includes(what) && !without.includes(what)
      try {
        const association = await request({
          ...plain,
          ...(extended && isKept('extended') && { extended }),
          ...(identity && isKept('identity') && { identity }),
        })
        this.#learn(offered, without, first, began)
        return association
      } catch (error) {
        signal.throwIfAborted()
        first ??= error
        const mayMeanExtended = isRejection(error) && isKept('extended')
        isRefused ||= isRejection(error) && isKept('identity')
        if (!isDropped(error) && !mayMeanExtended) throw first
      }
    }
    throw first
  }

  /** Whether an association stands without something of what is wanted that the archive is not known not to bear. */
  isLess({ user }: { readonly user: Pick<UserInformation, 'extended' | 'identity'> }, wanted: Wanted): boolean {
    const has = { extended: user.extended.length > 0, identity: user.identity !== undefined }
    return this.#offered(wanted).some((what) => !has[what])
  }

  #offered({ extended = [], identity }: Wanted): Concession[] {
    const offered: Concession[] = []
    if (extended.length > 0 && !this.#intolerances.extended.known) offered.push('extended')
    if (identity && !this.#intolerances.identity.known) offered.push('identity')
    return offered
  }

  #learn(offered: readonly Concession[], without: readonly Concession[], error: unknown, began: number): void {
    for (const what of offered) {
      if (!without.includes(what)) this.#intolerances[what].disprove()
      else if (this.#intolerances[what].suspect(error, began)) this.#conceded(what, error)
    }
  }
}
