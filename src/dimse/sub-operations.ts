import { Attribute } from '../dicom/attributes.ts'
import type { ByteStream } from '../dicom/bytes.ts'
import { Dataset } from '../dicom/dataset.ts'
import type { Uid } from '../dicom/uids.ts'
import type { Association } from '../network/association.ts'
import type { AcceptedContext } from '../network/negotiation.ts'
import type { Scu } from './scu.ts'
import { Status } from './status.ts'

/** An instance to be sent in a C-GET; `open` is called when its turn comes. */
export interface OutgoingInstance {
  readonly sopClass: Uid
  readonly sopInstance: Uid
  /** The body in the syntax of one of the contexts, or undefined when none of them fits. */
  open(contexts: readonly AcceptedContext[]): { context: AcceptedContext; body: ByteStream } | undefined
}

/** What a response of a C-GET or C-MOVE says of its sub-operations (PS3.7 9.3.3.2). */
export interface Counts {
  readonly status: number
  readonly remaining?: number
  readonly completed: number
  readonly failed: number
  readonly warning: number
  /** The list of failed instances follows. */
  readonly hasDataSet?: boolean
}

export type Respond = (counts: Counts, list?: Dataset) => Promise<void>

/**
 * Sends instances one by one, with a Pending response behind each, then the final response.
 * @throws what `send` and `respond` throw
 */
export async function subOperations(
  instances: readonly OutgoingInstance[],
  {
    send,
    respond,
    isCancelled,
  }: {
    /** Whether it was stored. */
    readonly send: (instance: OutgoingInstance) => Promise<boolean>
    readonly respond: Respond
    readonly isCancelled: () => boolean
  },
): Promise<void> {
  const failed: Uid[] = []
  let completed = 0
  const remaining = (): number => instances.length - completed - failed.length
  const counts = (): Omit<Counts, 'status'> => ({ completed, failed: failed.length, warning: 0 })
  for (const instance of instances) {
    if (isCancelled()) break
    if (await send(instance)) completed++
    else failed.push(instance.sopInstance)
    if (remaining() > 0 && !isCancelled()) {
      await respond({ ...counts(), remaining: remaining(), status: Status.pending })
    }
  }
  if (isCancelled()) return respond({ ...counts(), remaining: remaining(), status: Status.cancel })
  if (failed.length === 0) return respond({ ...counts(), status: Status.success })
  const status = completed > 0 ? Status.subOperationsWithFailures : Status.cannotPerformSubOperations
  const list = new Dataset().set(Attribute.FailedSOPInstanceUIDList, failed)
  return respond({ ...counts(), status, hasDataSet: true }, list)
}

/** Stores one instance by a context of its class; whether it was stored. @throws as Scu.store */
export async function sendInstance(
  scu: Scu,
  association: Association,
  instance: OutgoingInstance,
  operation: Parameters<Scu['store']>[2],
): Promise<boolean> {
  const contexts = [...association.contexts.values()]
  const opened = instance.open(contexts.filter(({ abstractSyntax }) => abstractSyntax === instance.sopClass))
  if (!opened) return false
  const { sopClass, sopInstance } = instance
  const response = await scu.store(opened.context, { sopClass, sopInstance, body: opened.body }, operation)
  return response.status === Status.success
}
