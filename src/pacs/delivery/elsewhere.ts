import type { Uid } from '../../dicom/uids.ts'
import type { ByteStream } from '../../dicom/bytes.ts'
import type { Identity } from '../../instance/instance-index.ts'
import type { ExpectedMove, Named } from './match.ts'

/** An instance that an archive stores to us, as it can be told before it is here. */
export interface Offer extends Named {
  /** AE titles of the archives that it may come from. */
  readonly archives: readonly string[]
  readonly sopClass: Uid
  /** Transfer Syntax UID of its data set. */
  readonly syntax: Uid
  readonly identity: Identity
}

/** Other replicas of this gateway: archives know all of them by one address, and deliver to any. */
export interface Elsewhere {
  /** A message id that no move of any replica has. @throws ClusterUnavailableError */
  messageId(): Promise<number>
  /** Lets the others know of a move, before the archive does. Once more where it has another message id. @throws ClusterUnavailableError */
  announce(move: ExpectedMove): Promise<void>
  /** The move is over. */
  withdraw(move: ExpectedMove): void
  /**
   * Passes an instance on to the replica whose move it fits better than `fit`; `body` is called once, when that is
   * found. Comes to the status of the C-STORE response; undefined where no replica takes it.
   */
  deliver(offer: Offer, fit: number, body: () => ByteStream): Promise<number | undefined>
  /** An instance that is of no move came for one of another replica, as far as that can be told. `ours`: moves here. */
  misled(offer: Offer, ours: number): void
}
