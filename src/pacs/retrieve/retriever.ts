import type { Uid } from '../../dicom/uids.ts'
import type { Selection } from '../../instance/uids.ts'
import { NotSupportedByArchiveError } from '../errors.ts'
import { Status, StatusError } from '../../dimse/status.ts'
import { AssociationAbortedError } from '../../network/errors.ts'
import { type Call } from '../call.ts'
import type { Instance } from '../instance.ts'
import { retrieveByGet } from './by-get.ts'
import { retrieveByMove } from './by-move.ts'
import { ListenerError } from '../delivery/listener-error.ts'
import { IncompleteRetrieveError } from './errors.ts'
import { Ledger } from './ledger.ts'
import { Malformed } from './malformed.ts'
import { MovedClasses } from './moved-classes.ts'
import { Received } from './received.ts'
import type { MoveSource, Retrieval } from './retrieval.ts'

type Way = 'get' | 'move'

/** How long it is remembered that an archive gives nothing by C-GET, in ms. */
export const REMEMBERED_MS = 4 * 60 * 60 * 1000

/** How long C-MOVE is not tried in place of C-GET where the archive does not know us as a destination, in ms. */
export const UNKNOWN_MS = 60_000

/** What has come of a selection, and what the archive has said that there is. */
export type Begun = Pick<Retrieval, 'received' | 'ledger'>

/** Fetches from one archive: by C-GET, by C-MOVE, or by whichever of them gives what there is. */
export class Retriever {
  readonly #source: MoveSource
  readonly #way: 'auto' | Way
  #moveUntil = 0
  /** Something has come by C-GET. */
  #hasGotten = false
  #unknownUntil = -Infinity
  readonly #moved = new MovedClasses(REMEMBERED_MS)

  constructor(source: MoveSource, way: 'auto' | Way) {
    this.#source = source
    this.#way = way
  }

  /** It is asked by C-MOVE: what is delivered is told apart by what it is of. */
  get isMoving(): boolean {
    return this.#way === 'move' || (this.#way === 'auto' && performance.now() < this.#moveUntil)
  }

  /**
   * Instances of a selection, each once, but for those that have come whole already (`begun`).
   * @throws as retrieveByGet and retrieveByMove
   */
  async *retrieve(selection: Selection, compressed: boolean, call: Call, begun?: Begun): AsyncGenerator<Instance> {
    const source = this.#source
    const received = begun?.received ?? new Received()
    const ledger = begun?.ledger ?? new Ledger(received, !source.wrongCounts)
    const moved = this.#moved
    const retrieval = { selection, source, received, ledger, malformed: new Malformed(), moved, call }
    if (this.#way !== 'auto') {
      yield* by(this.#way, retrieval, compressed)
      return
    }
    const way: Way = performance.now() < this.#moveUntil ? 'move' : 'get'
    const classes = new Set<Uid>()
    try {
      for await (const instance of by(way, retrieval, compressed)) {
        classes.add(instance.sopClass)
        this.#hasGotten ||= way === 'get'
        yield instance
      }
    } catch (error) {
      call.signal.throwIfAborted()
      if (!this.#isWorthTheOther(way, error, retrieval)) throw error
      for await (const instance of this.#orElse(error, way === 'get' ? 'move' : 'get', retrieval, compressed)) {
        yield instance
        if (way === 'get' && this.#hasGotten) this.#learnMoved(instance.sopClass, classes)
      }
    } finally {
      if (way === 'get') for (const sopClass of classes) this.#moved.forget(sopClass)
    }
  }

  /** The other way in place of one that failed; what failed first is told, unless this way got further. */
  async *#orElse(
    first: unknown,
    way: Way,
    retrieval: Retrieval<MoveSource>,
    compressed: boolean,
  ): AsyncGenerator<Instance> {
    const { received, call, source } = retrieval
    const before = received.size
    for (const { sopInstance } of retrieval.malformed.instances) retrieval.ledger.fails(sopInstance)
    try {
      // What came malformed by the one may come whole by the other.
      yield* by(way, { ...retrieval, malformed: new Malformed() }, compressed)
    } catch (error) {
      call.signal.throwIfAborted()
      const isUnknown = error instanceof StatusError && error.status === Status.moveDestinationUnknown
      if (isUnknown) this.#unknownUntil = performance.now() + UNKNOWN_MS
      // Nothing by either way: whatever was believed of the archive may have changed.
      if (before === 0) this.#moveUntil = 0
      const isOnlyWay = first instanceof NotSupportedByArchiveError && !(error instanceof NotSupportedByArchiveError)
      throw received.size > before || isOnlyWay || lacksMore(error, first) ? error : first
    }
    if (before > 0 || !this.#tellsOfAll(way, first, retrieval)) return
    this.#moveUntil = way === 'move' ? performance.now() + REMEMBERED_MS : 0
    source.habits.learn(way === 'move' ? 'no-get' : 'no-move')
  }

  /** Whether what failed by a way says that nothing comes by it: of one series, where others came, it is its classes. */
  #tellsOfAll(other: Way, first: unknown, { selection }: Retrieval): boolean {
    const isOfSome = other === 'move' && selection.series !== undefined && this.#hasGotten
    return !isOfSome || first instanceof NotSupportedByArchiveError
  }

  /** An instance came by C-MOVE, after others by C-GET. */
  #learnMoved(sopClass: Uid, gotten: ReadonlySet<Uid>): void {
    if (gotten.has(sopClass)) return
    this.#moved.learn(sopClass)
    this.#source.habits.learn('moved-classes')
  }

  /** One way is not there, or gave less than it should, and the other may be tried. */
  #isWorthTheOther(way: Way, error: unknown, { received }: Retrieval): boolean {
    if (way === 'get' && !this.#source.destination.enabled) return false
    if (error instanceof NotSupportedByArchiveError) return true
    if (way === 'get' && performance.now() < this.#unknownUntil) return false
    if (error instanceof IncompleteRetrieveError) return true
    // Some archives abort a C-GET that they do not allow.
    const failsAltogether =
      error instanceof StatusError || error instanceof AssociationAbortedError || error instanceof ListenerError
    return failsAltogether && received.size === 0
  }
}

/** The archive has said by now that there is more than what was missing at first. */
function lacksMore(error: unknown, first: unknown): boolean {
  if (!(error instanceof IncompleteRetrieveError) || !(first instanceof IncompleteRetrieveError)) return false
  return error.missing > first.missing
}

function by(way: Way, retrieval: Retrieval<MoveSource>, compressed: boolean): AsyncGenerator<Instance> {
  return way === 'get' ? retrieveByGet(retrieval, compressed) : retrieveByMove(retrieval)
}
