import { StatusError } from '../dimse/status.ts'
import { AssociationAbortedError } from '../network/errors.ts'
import { NotSupportedByArchiveError } from './errors.ts'
import type { Call } from './call.ts'
import type { Instance, Selection } from './instance.ts'
import { Received } from './received.ts'
import { retrieveByGet } from './retrieve-get.ts'
import { retrieveByMove, type MoveSource } from './retrieve-move.ts'
import { IncompleteRetrieveError } from './retrieve-source.ts'

/** How long it is remembered that an archive gives nothing by C-GET, in ms. */
export const REMEMBERED_MS = 4 * 60 * 60 * 1000

/** The way to fetch from one archive: C-GET, C-MOVE, or what it has been found to support. */
export class Retrieval {
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
    const received = new Received()
    if (this.#way === 'move' || (this.#way === 'auto' && performance.now() < this.#moveUntil)) {
      yield* this.#byMove(selection, received, call)
      return
    }
    try {
      yield* retrieveByGet(selection, compressed, this.#source, received, call)
    } catch (error) {
      if (this.#way === 'get' || !this.#worthMoving(error, received)) throw error
      yield* this.#orElse(error, selection, received, call)
    }
  }

  async *#byMove(...[selection, received, call]: MoveArguments): AsyncGenerator<Instance> {
    try {
      yield* retrieveByMove(selection, this.#source, received, call)
    } catch (error) {
      // The archive may have learnt C-GET meanwhile. Who has left says nothing of it.
      if (!call.signal.aborted) this.#moveUntil = 0
      throw error
    }
  }

  /** C-MOVE in place of a C-GET that failed; what failed first is told, unless this way got further. */
  async *#orElse(first: unknown, ...[selection, received, call]: MoveArguments): AsyncGenerator<Instance> {
    const before = received.size
    try {
      yield* retrieveByMove(selection, this.#source, received, call)
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
  #worthMoving(error: unknown, received: Received): boolean {
    const { destination } = this.#source
    if (error instanceof NotSupportedByArchiveError) return destination.enabled
    // Some archives abort a C-GET that they do not allow.
    const hasNone = error instanceof StatusError || error instanceof AssociationAbortedError
    const isShort = error instanceof IncompleteRetrieveError || (hasNone && received.size === 0)
    return isShort && destination.isOpen
  }
}

type MoveArguments = [selection: Selection, received: Received, call: Call]
