import { Attribute } from '../dicom/attributes.ts'
import { formatTag } from '../dicom/tag.ts'
import { Status, statusClass } from '../dimse/status.ts'
import type { Instance } from '../pacs/instance.ts'
import type { StoreOutcome } from '../pacs/store.ts'
import { WebStoreError } from './web-store-error.ts'

/** Bytes of an answer that are read: one instance takes some hundreds. */
const MAX_ANSWER_BYTES = 256 * 1024

type Fields = Readonly<Record<string, unknown>>

/** What the answer of a STOW-RS server says of the one instance that it was sent (PS3.18 10.5.3). @throws WebStoreError, and what reading it throws */
export async function storeAnswer(
  response: Response,
  { sopInstance }: Pick<Instance, 'sopInstance'>,
): Promise<StoreOutcome> {
  const { status } = response
  const told = await dicomJson(response)
  const failed = itemsOf(told, Attribute.FailedSOPSequence)
  const other = itemsOf(told, Attribute.OtherFailuresSequence)
  const reason = numberOf(failed[0] ?? other[0], Attribute.FailureReason)
  if (failed.length > 0 || other.length > 0) return { kind: 'refused', status: failureOf(reason) }
  if (status === 200 || status === 202) return stored(told, sopInstance)
  if (status === 401 || status === 403) {
    throw new WebStoreError('WEB_STORE_FORBIDDEN', `The server answered with status ${status}`, { http: status })
  }
  const error = new WebStoreError('WEB_STORE_FAILED', `The server answered with status ${status}`, { http: status })
  if (status === 415) return { kind: 'refused', status: Status.transferSyntaxNotSupported, error }
  if (OF_THE_INSTANCE.includes(status)) return { kind: 'refused', status: Status.cannotUnderstand, error }
  // A wrong address, or want of something: it may be mended.
  throw error
}

/** Statuses that are of what was sent. */
const OF_THE_INSTANCE: readonly number[] = [400, 406, 409, 413, 422]

function stored(told: Fields | undefined, sopInstance: string): StoreOutcome {
  const references = itemsOf(told, Attribute.ReferencedSOPSequence)
  const own = references.find((one) => valueOf(one, Attribute.ReferencedSOPInstanceUID) === sopInstance)
  // A status alone is no receipt: seen of a server that had taken nothing.
  if (!own) return { kind: 'refused', status: Status.processingFailure }
  const warning = numberOf(own, Attribute.WarningReason)
  return {
    kind: 'stored',
    status: warning !== undefined && statusClass(warning) === 'warning' ? warning : Status.success,
  }
}

/** A code that is no failure would be taken for success. */
function failureOf(reason: number | undefined): number {
  return reason !== undefined && statusClass(reason) === 'failure' ? reason : Status.processingFailure
}

/** DICOM JSON; undefined where it is anything else: some servers answer with XML, or nothing. */
async function dicomJson(response: Response): Promise<Fields | undefined> {
  const text = await textOf(response)
  if (!(response.headers.get('content-type') ?? '').includes('json')) return undefined
  try {
    const value: unknown = JSON.parse(text)
    const one: unknown = Array.isArray(value) ? value[0] : value
    return typeof one === 'object' && one !== null ? (one as Fields) : undefined
  } catch {
    return undefined
  }
}

async function textOf(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.length
    if (size > MAX_ANSWER_BYTES) throw new WebStoreError('WEB_STORE_FAILED', 'The answer of the server has no end')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function itemsOf(told: Fields | undefined, tag: number): readonly Fields[] {
  const values = (told?.[formatTag(tag)] as Fields | undefined)?.Value
  return Array.isArray(values) ? (values as Fields[]) : []
}

function valueOf(item: Fields | undefined, tag: number): unknown {
  const values = (item?.[formatTag(tag)] as Fields | undefined)?.Value
  return Array.isArray(values) ? (values[0] as unknown) : undefined
}

function numberOf(item: Fields | undefined, tag: number): number | undefined {
  const value = valueOf(item, tag)
  return typeof value === 'number' || typeof value === 'string' ? Number(value) : undefined
}
