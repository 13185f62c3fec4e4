import type { Association } from '../network/association.ts'
import type { Wait } from '../network/waiters.ts'
import type { Command, CommandOf } from './command.ts'
import type { DataStream } from './message.ts'
import { sendMessage } from './send-message.ts'
import { Status } from './status.ts'

/** A store of the peer within a C-GET, until it is answered: once, by who asks first. */
export class StoreToAnswer {
  readonly #association: Association
  readonly #contextId: number
  readonly #request: CommandOf<'C-STORE-RQ'>
  readonly #data: DataStream
  #isWanted = true
  #answer: Promise<void> | undefined

  constructor(association: Association, contextId: number, request: CommandOf<'C-STORE-RQ'>, data: DataStream) {
    this.#association = association
    this.#contextId = contextId
    this.#request = request
    this.#data = data
  }

  /** Answers when the last byte is here, read or not, so that the peer sends on meanwhile. */
  answerOnArrival(wait: Wait): void {
    // What ends the association is told where the data set is read, what fails the answer where that is awaited.
    this.#association.dataSetArrived(wait).then(
      () => {
        if (this.#isWanted) this.#send(Status.success, wait).catch(() => undefined)
      },
      () => undefined,
    )
  }

  /** It is to be refused, unless it is answered already. */
  isNotWanted(): void {
    this.#isWanted = false
  }

  /** Passes over what is unread. @throws what ends the association */
  async accept(wait: Wait): Promise<void> {
    await this.#data.skip(wait)
    await this.#send(Status.success, wait)
  }

  /** As out of resources; passes over what is unread. @throws what ends the association */
  async refuse(wait: Wait): Promise<void> {
    await this.#data.skip(wait)
    await this.#send(Status.outOfResources, wait)
  }

  #send(status: number, wait: Wait): Promise<void> {
    const { messageId, affectedSopClassUid, affectedSopInstanceUid } = this.#request
    const response: Command = {
      type: 'C-STORE-RSP',
      messageIdBeingRespondedTo: messageId,
      affectedSopClassUid,
      affectedSopInstanceUid,
      status,
      hasDataSet: false,
    }
    this.#answer ??= sendMessage(this.#association, this.#contextId, response, undefined, wait)
    return this.#answer
  }
}
