import type { ByteStream } from '../../dicom/bytes.ts'
import type { Uid } from '../../dicom/uids.ts'
import { isNameable, isUid } from '../../dicom/uids.ts'
import type { TransferSyntax } from '../../dicom/transfer-syntax.ts'
import { Arrival, FROM_ARCHIVE } from '../../instance/arrival.ts'
import type { Identity } from '../../instance/instance-index.ts'
import { belongsTo } from '../identify.ts'
import { arriving } from '../instance.ts'
import type { Elsewhere, Offer } from './elsewhere.ts'
import {
  Fit,
  matchingMove,
  misledMove,
  placeOf,
  type ExpectedMove,
  type Match,
  type Named,
  type Place,
} from './match.ts'
import { Recorded } from './recorded.ts'

/** An instance that is being stored to us. */
type Incoming = Named & { readonly sopClass: Uid; readonly syntax: TransferSyntax; readonly body: ByteStream }

/** Why an instance is nobody's. */
export type Unwanted = 'unasked' | 'unreadable' | 'unexpected'

/** How often others are asked for one instance, where what it is here changes meanwhile. */
const MAX_TRIES = 3

/** The C-MOVEs under way, whose instances may come to this replica or to another. */
export class Moves {
  readonly #expected = new Set<ExpectedMove>()
  #elsewhere: Elsewhere | undefined
  /** What other replicas pass on at the moment. */
  readonly #promised = new WeakMap<ExpectedMove, Set<string>>()
  #messageId = 0

  /** There are other replicas. */
  join(elsewhere: Elsewhere): void {
    this.#elsewhere = elsewhere
  }

  /** Takes the instances of a move from here on; call what it returns when the move is over. */
  expect(move: ExpectedMove): () => void {
    this.#expected.add(move)
    return () => {
      this.#expected.delete(move)
      this.#elsewhere?.withdraw(move)
    }
  }

  /**
   * One more C-MOVE of it may be sent, with the message id that this comes to: archives name it with each instance (PS3.7
   * 9.1.1.1.8).
   * @throws ClusterUnavailableError
   */
  async begin(move: ExpectedMove): Promise<number> {
    const messageId = (await this.#elsewhere?.messageId()) ?? (this.#messageId = (this.#messageId % 65_535) + 1)
    move.messageIds.add(messageId)
    await this.#elsewhere?.announce(move)
    return messageId
  }

  /** Whether one of these archives may have been asked, by this replica or another. */
  mayBeAsked(archives: readonly string[]): boolean {
    return archives.length > 0 && (this.#elsewhere !== undefined || this.#of(archives).length > 0)
  }

  /** Comes to the status of the C-STORE response. */
  async deliver(incoming: Incoming, archives: readonly string[]): Promise<number | Unwanted> {
    const moves = this.#of(archives)
    if (!this.mayBeAsked(archives)) return 'unasked'
    const recorded = this.#elsewhere && new Recorded(incoming.body)
    const arrival = await Arrival.begin(recorded ?? incoming.body, incoming.syntax, FROM_ARCHIVE).catch(() => undefined)
    if (!arrival) return 'unreadable'
    const { identity } = arrival.index
    if (!isNamedWell(incoming, identity)) {
      misledMove(moves, incoming)?.refused()
      await arrival.return()
      return 'unreadable'
    }
    const offer = { ...namesOf(incoming), archives, identity }
    let match = this.#match(archives, offer)
    for (let tries = 0; recorded && mayBeElsewhere(offer, match) && tries < MAX_TRIES; tries++) {
      const status = await this.#elsewhere!.deliver(offer, match?.fit ?? Fit.none, () => recorded.again())
      if (status !== undefined) {
        await arrival.return()
        return status
      }
      const before = match
      // Meanwhile the same instance may have come for another move.
      match = this.#match(archives, offer)
      if (match?.fit === before?.fit) break
    }
    recorded?.keep()
    if (match) return delivered(match, incoming, arrival)
    const misled = misledMove(moves, incoming)
    if (misled) misled.refused()
    else this.#elsewhere?.misled(offer, moves.length)
    await arrival.return()
    return moves.length === 0 && !this.#elsewhere ? 'unasked' : 'unexpected'
  }

  /**
   * What another replica was given and that fits a move here better than `fit`: comes to who takes it, and so to the
   * status of its C-STORE response. Undefined: there is none.
   */
  offered(
    offer: Offer,
    fit: number,
    syntax: TransferSyntax,
  ): ((body: ByteStream) => Promise<number | Unwanted>) | undefined {
    const match = this.#match(offer.archives, offer)
    if (!match || match.fit <= fit) return undefined
    const { move } = match
    const over = this.#promise(move, placeOf(move, offer.identity, offer.sopInstance))
    return async (body) => {
      try {
        const arrival = await Arrival.begin(body, syntax, FROM_ARCHIVE).catch(() => undefined)
        if (!arrival) return 'unreadable'
        // Who it is says the data set; and the move may be over.
        const { identity } = arrival.index
        const isFitting = isNamedWell(offer, identity) && belongsTo(identity, move.selection)
        if (isFitting && this.#expected.has(move)) return await delivered(match, offer, arrival)
        await arrival.return()
        return 'unexpected'
      } finally {
        over()
      }
    }
  }

  /** Another replica was given an instance that no move has asked for, and that named one here, or the only one there is. */
  misled(offer: Offer): void {
    misledMove(this.#of(offer.archives), offer)?.refused()
  }

  #match(archives: readonly string[], offer: Offer): Match | undefined {
    const isPromised = (move: ExpectedMove, place: Place): boolean =>
      this.#promised.get(move)?.has(keyOf(place)) === true
    return matchingMove(this.#of(archives), offer, { identity: offer.identity, isPromised })
  }

  /** An instance is on its way to a move: no other that is the same is one that it lacks. Until what this returns is called. */
  #promise(move: ExpectedMove, place: Place): () => void {
    const promised = this.#promised.get(move) ?? new Set()
    this.#promised.set(move, promised)
    promised.add(keyOf(place))
    return () => void promised.delete(keyOf(place))
  }

  #of(archives: readonly string[]): ExpectedMove[] {
    return [...this.#expected].filter(({ archiveAeTitle }) => archives.includes(archiveAeTitle))
  }
}

/** Another replica may have named it, or lack it. */
function mayBeElsewhere({ moveOriginatorMessageId }: Offer, match: Match | undefined): boolean {
  if (match?.fit === Fit.named) return false
  return match?.fit !== Fit.lacking || moveOriginatorMessageId !== undefined
}

function keyOf({ series, sopInstance }: Place): string {
  return `${series} ${sopInstance}`
}

function delivered({ move }: Match, incoming: Named & { readonly sopClass: Uid }, arrival: Arrival): Promise<number> {
  const { identity } = arrival.index
  const place = placeOf(move, identity, incoming.sopInstance)
  const { study } = move.selection
  return move.deliver(arriving({ sopClass: identity.sopClass ?? incoming.sopClass, study, ...place }, arrival))
}

function namesOf(incoming: Incoming): Omit<Offer, 'archives' | 'identity'> {
  const { sopClass, sopInstance, syntax, moveOriginatorAeTitle, moveOriginatorMessageId } = incoming
  return { sopClass, sopInstance, syntax: syntax.uid, moveOriginatorAeTitle, moveOriginatorMessageId }
}

/** Whether it can be passed on by its UIDs: others may be a path or a header elsewhere. */
export function isNamedWell(
  { sopClass, sopInstance }: Pick<Incoming, 'sopClass' | 'sopInstance'>,
  identity: Identity,
): boolean {
  const { series } = identity
  const names = [identity.sopInstance ?? sopInstance, ...(series === undefined ? [] : [series])]
  return isUid(identity.sopClass ?? sopClass) && names.every(isNameable)
}
