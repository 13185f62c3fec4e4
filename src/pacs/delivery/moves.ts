import type { ByteStream } from '../../dicom/bytes.ts'
import type { Uid } from '../../dicom/uids.ts'
import { isNameable, isUid } from '../../dicom/uids.ts'
import type { TransferSyntax } from '../../dicom/transfer-syntax.ts'
import { Arrival, FROM_ARCHIVE } from '../../instance/arrival.ts'
import type { Identity } from '../../instance/instance-index.ts'
import { arriving } from '../instance.ts'
import type { Elsewhere, Offer } from './elsewhere.ts'
import { Fit, matchingMove, misledMove, placeOf, type ExpectedMove, type Match, type Named } from './match.ts'
import { Recorded } from './recorded.ts'

/** An instance that is being stored to us. */
type Incoming = Named & { readonly sopClass: Uid; readonly syntax: TransferSyntax; readonly body: ByteStream }

/** Why an instance is nobody's. */
export type Unwanted = 'unasked' | 'unreadable' | 'unexpected'

/** The C-MOVEs under way, whose instances may come to this replica or to another. */
export class Moves {
  readonly #expected = new Set<ExpectedMove>()
  #elsewhere: Elsewhere | undefined
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
    const match = matchingMove(moves, incoming, identity)
    const offer = { ...namesOf(incoming), archives, identity }
    if (recorded && match?.fit !== Fit.named) {
      const again = (): ByteStream => recorded.again()
      const status = await this.#elsewhere!.deliver(offer, match?.fit ?? Fit.none, again)
      if (status !== undefined) {
        await arrival.return()
        return status
      }
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
    const moves = this.#of(offer.archives)
    const match = matchingMove(moves, offer, offer.identity)
    if (!match || match.fit <= fit) return undefined
    return async (body) => {
      const arrival = await Arrival.begin(body, syntax, FROM_ARCHIVE).catch(() => undefined)
      if (!arrival) return 'unreadable'
      // Who it is says the data set; and the move may be over.
      const found = matchingMove(this.#of(offer.archives), offer, arrival.index.identity)
      if (found && isNamedWell(offer, arrival.index.identity)) return delivered(found, offer, arrival)
      await arrival.return()
      return 'unexpected'
    }
  }

  /** Another replica was given an instance that no move has asked for, and that named one here, or the only one there is. */
  misled(offer: Offer): void {
    misledMove(this.#of(offer.archives), offer)?.refused()
  }

  #of(archives: readonly string[]): ExpectedMove[] {
    return [...this.#expected].filter(({ archiveAeTitle }) => archives.includes(archiveAeTitle))
  }
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
