import { Notifier } from '../../dicom/notifier.ts'
import { Status } from '../../dimse/status.ts'
import type { ExpectedMove } from '../delivery/match.ts'
import type { Moves } from '../delivery/moves.ts'
import type { Instance } from '../instance.ts'
import { Received } from './received.ts'
import type { MoveSource, Retrieval } from './retrieval.ts'

/** An instance that was stored to us and waits for its turn; `answer` gives its C-STORE response. */
export interface Delivered {
  readonly instance: Instance
  readonly answer: (status: number) => void
}

/**
 * What an archive delivers of a selection while somebody waits for it: during its C-MOVEs, between them and behind their
 * final responses. What waits here holds its storage association back.
 */
export class MoveInbox implements Disposable {
  readonly #waiting: Delivered[] = []
  /** Delivered, read or not. */
  readonly #taken = new Received()
  readonly #move: ExpectedMove
  readonly #moves: Moves
  /** Something was delivered; the C-MOVE that waits for it tells itself of its own phases by it too. */
  readonly news = new Notifier()
  readonly #done: () => void
  #delivered = 0
  #refused = 0
  #isOver = false

  constructor({ source, selection, received }: Retrieval<MoveSource>) {
    this.#moves = source.destination.moves
    this.#move = {
      archiveAeTitle: source.aeTitle,
      callingAeTitle: source.callingAeTitle,
      selection,
      messageIds: new Set(),
      lacks: (place) => !this.#taken.has(place) && !received.has(place),
      deliver: (instance) => this.#deliver(instance),
      refused: () => {
        this.#refused++
      },
    }
    this.#done = this.#moves.expect(this.#move)
  }

  /** A C-MOVE begins, with the message id that this comes to. @throws ClusterUnavailableError */
  begin(): Promise<number> {
    return this.#moves.begin(this.#move)
  }

  /** How many were delivered so far, in whatever C-MOVE, repeated ones too. */
  get delivered(): number {
    return this.#delivered
  }

  /** How many the archive delivered that nobody had asked for. */
  get refused(): number {
    return this.#refused
  }

  get isWaiting(): boolean {
    return this.#waiting.length > 0
  }

  next(): Delivered | undefined {
    return this.#waiting.shift()
  }

  /** Takes no more; what waits is refused. */
  [Symbol.dispose](): void {
    this.#isOver = true
    this.#done()
    for (const { answer } of this.#waiting.splice(0)) answer(Status.outOfResources)
  }

  #deliver(instance: Instance): Promise<number> {
    if (this.#isOver) return Promise.resolve(Status.notAuthorized)
    const { promise, resolve } = Promise.withResolvers<number>()
    this.#delivered++
    this.#taken.add(instance)
    this.#waiting.push({ instance, answer: resolve })
    this.news.notify()
    return promise
  }
}
