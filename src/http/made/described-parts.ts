import { once } from '../../dicom/bytes.ts'
import { composedFile, type Streamed } from '../../dicom/composed-file.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN, type TransferSyntax } from '../../dicom/transfer-syntax.ts'
import { decodeInstance } from '../../dicomweb/decode/instance-model.ts'
import { jsonObjects, type ReadObject } from '../../dicomweb/decode/json-objects.ts'
import { ModelError, utf8Of } from '../../dicomweb/decode/model-error.ts'
import { modelOfXml } from '../../dicomweb/decode/xml.ts'
import { FailureReason } from '../../dicomweb/encode/store-response.ts'
import type { ReceivedPart } from '../../dicomweb/multipart/reader.ts'
import type { HttpContext } from '../context.ts'
import { RequestError } from '../problem.ts'
import { bulkValue, FRAME, wholeValue, type BulkValue } from './bulk-value.ts'
import { DescribedInstance } from './described-instance.ts'
import type { Held } from './holding.ts'
import type { StorePart, UnmadePart } from './made-part.ts'
import { PartReader } from './part-reader.ts'
import { hasWholePixels, madePixels, type MadePixels } from './pixel-value.ts'

/** The description of one instance, without its bulk data, in bytes. */
export const MAX_DESCRIPTION_BYTES = 2 * 1024 * 1024
/** What an element takes in memory besides its value, about. */
const ELEMENT_BYTES = 200
/** Descriptions that are none, of one request. */
const MAX_UNREADABLE = 1_000

const MODELS = ['application/dicom+json', 'application/json', 'application/dicom+xml']

/** Whether a part describes instances. */
export function isModel(type: string): boolean {
  return MODELS.includes(type)
}

/**
 * The instances of a message of metadata and bulk data (PS3.18 10.5.1): descriptions, and behind them the values that
 * they refer to, in any order. What comes last of an instance, if it is its pixel data, goes on as it comes; what waits
 * for others is held. An instance whose values do not come, or do not fit, fails alone.
 * @throws RequestError 413 and 503; MultipartError; what the body throws
 */
export async function* describedParts(
  c: HttpContext,
  parts: AsyncIterable<ReceivedPart>,
  held: Held,
): AsyncGenerator<StorePart | UnmadePart> {
  const described = new DescribedParts(c, new PartReader(parts), held)
  try {
    yield* described.made()
  } finally {
    await described.close()
  }
}

type Made = StorePart | UnmadePart

class DescribedParts {
  readonly #c: HttpContext
  readonly #reader: PartReader
  readonly #held: Held
  /** Those that wait for a value, by its URI. */
  readonly #waiting = new Map<string, Set<DescribedInstance>>()
  /** Where pixel data was that has come. */
  readonly #spent = new Set<string>()
  #unreadable = 0

  constructor(c: HttpContext, reader: PartReader, held: Held) {
    this.#c = c
    this.#reader = reader
    this.#held = held
  }

  close(): Promise<void> {
    return this.#reader.close()
  }

  async *made(): AsyncGenerator<Made> {
    let failure: unknown
    try {
      for (let part = await this.#reader.next(); part; part = await this.#reader.next()) {
        const type = essence(part)
        if (isModel(type)) yield* this.#describe(part, type)
        // A file among descriptions is what it is.
        else if (type === 'application/dicom') yield { type, body: part.body }
        else yield* this.#bring(part)
      }
    } catch (error) {
      failure = error
    }
    for (const instance of new Set([...this.#waiting.values()].flatMap((owners) => [...owners]))) yield unmade(instance)
    // eslint-disable-next-line @typescript-eslint/only-throw-error -- it is what was thrown
    if (failure !== undefined) throw failure
  }

  async *#describe(part: ReceivedPart, type: string): AsyncGenerator<Made> {
    const models =
      type === 'application/dicom+xml' ? xmlModel(part, this.#held) : jsonObjects(part.body, MAX_DESCRIPTION_BYTES)
    for await (const { model, bytes } of models) {
      const described = await this.#described(model)
      const { instance } = described ?? {}
      if (!instance || instance.isUnfit) {
        yield { reason: FailureReason.cannotUnderstand, ...namesOf(model) }
        if (++this.#unreadable > MAX_UNREADABLE)
          throw new ModelError('', `is one of more than ${MAX_UNREADABLE} that are none`)
        continue
      }
      if (instance.isComplete) {
        yield hasWholePixels(instance.dataset) ? file(instance, undefined) : unmade(instance)
        continue
      }
      const size = bytes + ELEMENT_BYTES * described!.elements
      this.#held.add(size)
      instance.holds({ bytes: size, owners: 1 })
      for (const key of instance.missing) {
        const others = this.#waiting.get(key)
        if (others) others.add(instance)
        else this.#waiting.set(key, new Set([instance]))
      }
    }
  }

  async #described(model: unknown): Promise<{ instance: DescribedInstance | undefined; elements: number } | undefined> {
    try {
      const decoded = await decodeInstance(model)
      return { instance: DescribedInstance.of(decoded, (uri) => this.#resolved(uri)), elements: decoded.elements }
    } catch (error) {
      if (error instanceof ModelError) return undefined
      throw error
    }
  }

  /** Takes a value in, and gives the instances that lacked nothing else. */
  async *#bring(part: ReceivedPart): AsyncGenerator<Made> {
    const keys = this.#keysOf(part.headers)
    const key = keys.find((one) => this.#waiting.has(one))
    if (key === undefined) {
      // Of pixel data that was told to fail.
      if (keys.some((one) => this.#spent.has(one))) return
      // Nobody refers to it, or nobody any more.
      yield { reason: FailureReason.cannotUnderstand }
      return
    }
    const owners = [...this.#waiting.get(key)!]
    const value = bulkValue(part)
    this.#waiting.delete(key)
    const [first] = owners
    const next = this.#partsBehind(key)
    if (owners.length === 1 && first!.isLast(key)) {
      this.#spent.add(key)
      yield* this.#make(first!, value, next)
      this.#held.release(first!.leave())
      return
    }
    const before = this.#held.bytes
    const parts = [read(value, await wholeValue(value, this.#held))]
    for (let more = await next(); more; more = await next()) parts.push(read(more, await wholeValue(more, this.#held)))
    const shared = { bytes: this.#held.bytes - before, owners: owners.length }
    for (const owner of owners) {
      owner.holds(shared)
      if (!owner.put(key, { parts })) yield* this.#giveUp(owner)
      else if (owner.isComplete) yield* this.#complete(owner)
    }
  }

  /** An instance of which all values are here. */
  async *#complete(instance: DescribedInstance): AsyncGenerator<Made> {
    const { pixels } = instance
    const [value, ...behind] = pixels?.held?.parts ?? []
    const left = behind.values()
    if (!value) yield hasWholePixels(instance.dataset) ? file(instance, undefined) : unmade(instance)
    else yield* this.#make(instance, value, () => Promise.resolve(left.next().value))
    this.#held.release(instance.leave())
  }

  /** An instance with a value that it cannot have: what else comes for it is not waited for. */
  *#giveUp(instance: DescribedInstance): Generator<Made> {
    for (const key of instance.missing) {
      const owners = this.#waiting.get(key)
      owners?.delete(instance)
      if (owners?.size === 0) this.#waiting.delete(key)
    }
    this.#held.release(instance.leave())
    yield unmade(instance)
  }

  /** An instance whose pixel data comes now. */
  async *#make(
    instance: DescribedInstance,
    value: BulkValue,
    next: () => Promise<BulkValue | undefined>,
  ): AsyncGenerator<Made> {
    const { dataset, pixels } = instance
    const { path, vr } = pixels!.reference
    const held = this.#held
    const before = held.bytes
    try {
      const source = { c: this.#c, held, dataset, tag: Number.parseInt(path, 16), vr, next }
      const made = await madePixels(value, source).catch((error: unknown) => {
        if (isFaultOfInstance(error)) return undefined
        throw error
      })
      yield made ? file(instance, made) : unmade(instance)
    } finally {
      held.release(held.bytes - before)
    }
  }

  /** What a part may be referred to by: its Content-Location, or that without `/frames/n` behind it; its Content-ID. */
  #keysOf(headers: ReadonlyMap<string, string>): string[] {
    const location = headers.get('content-location')
    const id = headers.get('content-id')
    const keys = location === undefined ? [] : [location, location.replace(FRAME, '')]
    if (id !== undefined) keys.push(`cid:${id.replace(/^<|>$/g, '')}`)
    return keys.map((key) => this.#resolved(key))
  }

  /** The parts behind, as long as they are of the same value. */
  #partsBehind(key: string): () => Promise<BulkValue | undefined> {
    return async () => {
      const part = await this.#reader.next()
      const own = part && this.#keysOf(part.headers).find((one) => one === key || this.#waiting.has(one))
      if (part && own === key) return bulkValue(part)
      if (part) this.#reader.giveBack(part)
      return undefined
    }
  }

  /** References may be relative (RFC 2557 5). Nothing is ever fetched by them. */
  #resolved(uri: string): string {
    return URL.canParse(uri, this.#c.req.url) ? new URL(uri, this.#c.req.url).href : uri
  }
}

async function* xmlModel({ body }: ReceivedPart, held: Held): AsyncGenerator<ReadObject> {
  const bytes = await wholeValue({ body }, held)
  held.release(bytes.length)
  if (bytes.length > MAX_DESCRIPTION_BYTES) {
    throw new ModelError('', `has more than ${MAX_DESCRIPTION_BYTES} bytes`)
  }
  yield { model: await modelOfXml(utf8Of(bytes)), bytes: bytes.length }
}

/** What a description that cannot be read says that it is. */
function namesOf(model: unknown): Pick<UnmadePart, 'sopClass' | 'sopInstance'> {
  const value = (key: string): string | undefined => {
    const one: unknown = (model as Record<string, { Value?: unknown[] } | undefined> | null)?.[key]?.Value?.[0]
    return typeof one === 'string' ? one : undefined
  }
  return { sopClass: value('00080016'), sopInstance: value('00080018') }
}

function file(instance: DescribedInstance, pixels: MadePixels | undefined): StorePart {
  const syntax: TransferSyntax = pixels?.syntax ?? EXPLICIT_VR_LITTLE_ENDIAN
  const streamed: Streamed | undefined = pixels?.streamed
  return {
    type: 'application/dicom',
    body: composedFile(instance.dataset, syntax, instance, streamed),
    names: instance,
  }
}

function unmade({ sopClass, sopInstance }: DescribedInstance): UnmadePart {
  return { reason: FailureReason.cannotUnderstand, sopClass, sopInstance }
}

function essence({ headers }: ReceivedPart): string {
  return (headers.get('content-type') ?? '').split(';')[0]!.trim().toLowerCase()
}

/** A value that has been read. */
function read(value: BulkValue, whole: Uint8Array): BulkValue {
  return { ...value, length: whole.length, body: once(whole), whole }
}

/** Faults of what was sent for one instance; others are of the message, or of the service. */
const OF_INSTANCE: readonly unknown[] = [
  'UNFIT_PIXEL_DATA',
  'CORRUPT_CODESTREAM',
  'UNUSABLE_IMAGE',
  'CODEC_STOPPED',
  'UNUSABLE_VIDEO',
]

function isFaultOfInstance(error: unknown): boolean {
  return (
    error instanceof Error && 'code' in error && OF_INSTANCE.includes(error.code) && !(error instanceof RequestError)
  )
}
