import type { Bytes, ByteStream } from '../../dicom/bytes.ts'
import { transferSyntax } from '../../dicom/transfer-syntax.ts'
import { Arrival, FROM_CLIENT } from '../../instance/arrival.ts'
import { arriving, type Instance } from '../../pacs/instance.ts'
import type { StoreOutcome } from '../../pacs/store.ts'
import type { Target } from '../target.ts'
import type { SpooledInstance } from './entry.ts'
import type { Place, SpoolFolder } from './spool-folder.ts'

/** What came of a try; what it is of is not known where its file cannot be read. */
export interface Sent {
  readonly outcome: StoreOutcome
  readonly head: SpooledInstance | undefined
  readonly instance: Instance | undefined
}

/** Sends an instance from the spool to its destination. Never throws: every fault is an outcome. */
export async function sendEntry(folder: SpoolFolder, place: Place, target: Target, signal: AbortSignal): Promise<Sent> {
  let head: SpooledInstance | undefined
  let instance: Instance | undefined
  let outcome: StoreOutcome | undefined
  /** Of the file itself, whatever else came of it. */
  let fault: unknown
  try {
    await using opened = await folder.read(place)
    head = opened.instance
    const body = watched(opened.body, (error) => (fault = error))
    const arrival = await Arrival.begin(body, transferSyntax(head.syntax), FROM_CLIENT)
    instance = arriving(head, arrival)
    const outlet = target.open({ signal, priority: 'background' })
    try {
      await outlet.reach(instance)
      outcome = await outlet.store(instance)
    } finally {
      await outlet[Symbol.asyncDispose]()
      await arrival.return()
    }
  } catch (error) {
    // What came of it stands, however its end goes.
    outcome ??= { kind: 'failed', error }
  }
  return { outcome: fault === undefined ? outcome : { kind: 'failed', error: fault }, head, instance }
}

async function* watched(body: ByteStream, failed: (error: unknown) => void): AsyncGenerator<Bytes> {
  try {
    yield* body
  } catch (error) {
    failed(error)
    throw error
  }
}
