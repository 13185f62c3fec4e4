import type { Selection } from '../../instance/uids.ts'
import { NotSupportedByArchiveError } from '../errors.ts'
import { StatusError } from '../../dimse/status.ts'
import { AssociationAbortedError } from '../../network/errors.ts'
import { type Call } from '../call.ts'
import type { Instance } from '../instance.ts'
import { retrieveByGet } from './by-get.ts'
import { retrieveByMove } from './by-move.ts'
import { IncompleteRetrieveError } from './errors.ts'
import { Malformed } from './malformed.ts'
import { Received } from './received.ts'
import type { MoveSource, Retrieval } from './retrieval.ts'

/** How long it is remembered that an archive gives nothing by C-GET, in ms. */
export const REMEMBERED_MS = 4 * 60 * 60 * 1000

/** Fetches from one archive: by C-GET, by C-MOVE, or by what it has been found to support. */
export class Retriever {
  readonly #source: MoveSource
  readonly #way: 'auto' | 'get' | 'move'
  #moveUntil = 0

  constructor(source: MoveSource, way: 'auto' | 'get' | 'move') {
    this.#source = source
    this.#way = way
  }

  /**
   * Instances of a selection, each once.
   * @throws as retrieveByGet and retrieveByMove
   */
  async *retrieve(selection: Selection, compressed: boolean, call: Call): AsyncGenerator<Instance> {
    const source = this.#source
    const retrieval = { selection, source, received: new Received(), malformed: new Malformed(), call }
    if (this.#way === 'move' || (this.#way === 'auto' && performance.now() < this.#moveUntil)) {
      yield* this.#byMove(retrieval)
      return
    }
    try {
      yield* retrieveByGet(retrieval, compressed)
    } catch (error) {
      if (this.#way === 'get' || !this.#worthMoving(error, retrieval)) throw error
      yield* this.#orElse(error, retrieval)
    }
  }

  async *#byMove(retrieval: Retrieval<MoveSource>): AsyncGenerator<Instance> {
    try {
      yield* retrieveByMove(retrieval)
    } catch (error) {
      // The archive may have learnt C-GET meanwhile. Who has left says nothing of it.
      if (!retrieval.call.signal.aborted) this.#moveUntil = 0
      throw error
    }
  }

  /** C-MOVE in place of a C-GET that failed; what failed first is told, unless this way got further. */
  async *#orElse(first: unknown, retrieval: Retrieval<MoveSource>): AsyncGenerator<Instance> {
    const { received, call } = retrieval
    const before = received.size
    try {
      // What came malformed by C-GET may come whole by another way.
      yield* retrieveByMove({ ...retrieval, malformed: new Malformed() })
    } catch (error) {
      call.signal.throwIfAborted()
      const isOnlyWay = first instanceof NotSupportedByArchiveError && !(error instanceof NotSupportedByArchiveError)
      throw received.size > before || isOnlyWay ? error : first
    }
    if (before === 0) this.#moveUntil = performance.now() + REMEMBERED_MS
  }

  /**
   * C-GET is not there, or gave less than it should. The listener is opened for an archive that has no C-GET; what an
   * archive with C-GET could not send is asked for by C-MOVE only where that has been set up.
   */
  #worthMoving(error: unknown, { received }: Retrieval): boolean {
    const { destination } = this.#source
    if (error instanceof NotSupportedByArchiveError) return destination.enabled
    // Some archives abort a C-GET that they do not allow.
    const hasNone = error instanceof StatusError || error instanceof AssociationAbortedError
    const isShort = error instanceof IncompleteRetrieveError || (hasNone && received.size === 0)
    return isShort && destination.isOpen
  }
}
