import type { Association } from '../network/association.ts'
import type { UserIdentity } from '../network/pdu.ts'
import { Intolerance, isDropped, isRejection } from './intolerance.ts'
import type { Proposal } from './pool.ts'

/** How long it is remembered what an archive did not bear, in ms: it may be set right meanwhile. */
export const CONCEDED_MS = 10 * 60_000

/** What may be left out of an association request. PS3.7 D.3.3 lets a peer ignore what it does not know; some do not. */
export type Optional = 'extended' | 'identity'

export type Offer = Proposal & { readonly identity?: UserIdentity }

/** What is left out in turn: extended negotiation costs less than to be somebody. */
const TURNS: readonly (readonly Optional[])[] = [[], ['extended'], ['identity'], ['extended', 'identity']]

/** Opens associations to one archive, without what it does not bear. */
export class Concessions {
  readonly #conceded: (what: Optional, error: unknown) => void
  readonly #intolerances: Readonly<Record<Optional, Intolerance>> = {
    extended: new Intolerance(CONCEDED_MS),
    identity: new Intolerance(CONCEDED_MS),
  }

  /** `conceded` is told what is left out from now on, and how the archive took it. */
  constructor(conceded: (what: Optional, error: unknown) => void = () => undefined) {
    this.#conceded = conceded
  }

  /**
   * The association that stands by the fullest offer. Who rejects may mean our user: it is left out only where the
   * archive drops the association in place of an answer.
   * @throws what `request` threw for the whole offer
   */
  async open(offer: Offer, request: (offer: Offer) => Promise<Association>): Promise<Association> {
    const { extended, identity, ...plain } = offer
    const offered = (Object.keys(this.#intolerances) as Optional[]).filter(
      (what) => isThere(offer[what]) && !this.#intolerances[what].known,
    )
    let first: unknown
    for (const without of TURNS) {
      if (!without.every((what) => offered.includes(what))) continue
      if (isRejection(first) && without.includes('identity')) break
      const kept = (what: Optional): boolean => offered.includes(what) && !without.includes(what)
      try {
        const association = await request({
          ...plain,
          ...(extended && kept('extended') && { extended }),
          ...(identity && kept('identity') && { identity }),
        })
        this.#learn(offered, without, first)
        return association
      } catch (error) {
        if (without.length === 0) first = error
        const mayComeOfIt = isDropped(error) || (isRejection(error) && offered.includes('extended'))
        if (!mayComeOfIt) throw without.length === 0 ? error : first
      }
    }
    throw first
  }

  #learn(offered: readonly Optional[], without: readonly Optional[], error: unknown): void {
    for (const what of offered) {
      if (!without.includes(what)) this.#intolerances[what].disprove()
      else if (this.#intolerances[what].suspect(error)) this.#conceded(what, error)
    }
  }
}

function isThere(offered: Offer[Optional]): boolean {
  return offered !== undefined && (!('length' in offered) || offered.length > 0)
}
