import { LRUCache } from 'lru-cache'
import type { Bytes, ByteStream } from '../dicom/bytes.ts'
import { recode } from '../dicom/recode.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN, isNative, transferSyntax, type TransferSyntax } from '../dicom/transfer-syntax.ts'
import type { Uid } from '../dicom/uids.ts'
import { Scu } from '../dimse/scu.ts'
import { Status, statusClass } from '../dimse/status.ts'
import type { AcceptedContext } from '../network/negotiation.ts'
import type { Call } from './call.ts'
import type { ContextLimit } from './pool/context-limit.ts'
import { storeProposal, type StoragePair } from './contexts.ts'
import type { Instance } from './instance.ts'
import type { AssociationPool } from './pool/pool.ts'
import type { Lease } from './pool/lease.ts'
import type { Proposal } from './pool/proposal.ts'

/** What became of one instance. */
export type StoreOutcome =
  | { readonly kind: 'stored'; readonly status: number }
  /** The archive refused it, or has no context for it: `status` is a failure of PS3.4 B.2.3. */
  | { readonly kind: 'refused'; readonly status: number; readonly error?: unknown }
  /** The archive went away or fell silent. */
  | { readonly kind: 'failed'; readonly error: unknown }
  /** The data set itself could not be read to its end. */
  | { readonly kind: 'broken'; readonly error: unknown }

/** The data set of an instance without compression, in Explicit VR Little Endian; undefined where that cannot be had. */
export type Decompress = (instance: Instance) => Promise<ByteStream | undefined>

export interface StoreTarget {
  /** For what the archive takes uncompressed only. */
  readonly decompress?: Decompress | undefined
  readonly pool: AssociationPool
  readonly contexts: ContextLimit
  readonly timeout: number
  /** Pairs stored lately, offered together so that a mixed batch needs one association. */
  readonly recent: RecentPairs
}

/** Class and syntax pairs seen lately at an archive. */
export class RecentPairs {
  static readonly max = 32
  readonly #pairs = new LRUCache<string, StoragePair>({ max: RecentPairs.max })

  add(pair: StoragePair): void {
    this.#pairs.set(`${pair.sopClass} ${pair.syntax}`, pair)
  }

  /** Sorted, so that the same pairs make the same proposal. */
  list(): StoragePair[] {
    return [...this.#pairs.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, pair]) => pair)
  }
}

/** It is over, and an association was still waited for. */
class BatchOverError extends Error {
  readonly code = 'BATCH_OVER'
  constructor() {
    super('Nothing more is stored')
    this.name = 'BatchOverError'
  }
}

/** Stores the instances of one request one after another, over one association as long as its contexts serve. */
export class StoreBatch implements AsyncDisposable {
  readonly #target: StoreTarget
  readonly #call: Call
  /** Aborted when it is over: nothing that comes then is held. */
  readonly #over = new AbortController()
  /** That an association is had for an instance. */
  #reaching: Promise<unknown> | undefined
  #lease: Lease | undefined
  #scu: Scu | undefined
  /** Why no association could be had: what is left of the batch does not try again. */
  #unreachable: Error | undefined

  constructor(target: StoreTarget, call: Call) {
    this.#target = target
    this.#call = { ...call, signal: AbortSignal.any([call.signal, this.#over.signal]) }
  }

  /**
   * Has an association for an instance, so that nobody waits for one once its bytes are on their way; `store` tells where
   * there is none. @throws the signal's reason
   */
  async reach(instance: Pick<Instance, 'sopClass' | 'syntax'>): Promise<void> {
    this.#reaching ??= this.#contextFor(instance)
    await this.#reaching.catch(() => this.#call.signal.throwIfAborted())
  }

  /** Sends one instance, whose body fails where it is not whole. Never throws but the signal's reason: every fault is an outcome. */
  async store(instance: Instance): Promise<StoreOutcome> {
    const source = new WatchedBody(instance.body)
    try {
      // It would compete with itself.
      await this.#reaching?.catch(() => undefined)
      this.#reaching = undefined
      const context = await this.#contextFor(instance)
      if (typeof context === 'number') return { kind: 'refused', status: context }
      const target = transferSyntax(context.transferSyntax)
      const body = await this.#bodyFor(instance, source, target)
      if (!body) return { kind: 'refused', status: Status.transferSyntaxNotSupported }
      const { sopClass, sopInstance } = instance
      const { timeout } = this.#target
      const operation = { timeout, signal: this.#call.signal }
      const { status } = await this.#scu!.store(context, { sopClass, sopInstance, body }, operation)
      const kind = statusClass(status)
      return { kind: kind === 'success' || kind === 'warning' ? 'stored' : 'refused', status }
    } catch (error) {
      this.#drop()
      this.#call.signal.throwIfAborted()
      return source.complete || source.failure === undefined ? failedOrBroken(error) : { kind: 'broken', error }
    }
  }

  /** The data set as it goes out: rewritten, or decompressed where the archive does not take it as it is. */
  async #bodyFor(instance: Instance, source: ByteStream, target: TransferSyntax): Promise<ByteStream | undefined> {
    if (isNative(instance.syntax) || instance.syntax.uid === target.uid) return recode(source, instance.syntax, target)
    const plain = await this.#target.decompress?.({ ...instance, body: source })
    return plain && recode(plain, EXPLICIT_VR_LITTLE_ENDIAN, target)
  }

  /** Gives its association back: the next instance waits for one again. */
  pause(): void {
    this.#lease?.release()
    this.#lease = undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#reaching) this.#over.abort(new BatchOverError())
    await this.#reaching?.catch(() => undefined)
    this.pause()
  }

  #drop(): void {
    this.#lease?.discard()
    this.#lease = undefined
  }

  /** The context to send an instance over, or the status that says why there is none (PS3.4 B.2.3). */
  async #contextFor({ sopClass, syntax }: Pick<Instance, 'sopClass' | 'syntax'>): Promise<AcceptedContext | number> {
    const pair = { sopClass, syntax: syntax.uid }
    if (!this.#offered(pair)) this.pause()
    this.#lease ??= await this.#open(pair)
    this.#scu ??= new Scu(this.#lease.association)
    const contexts = [...this.#lease.association.contexts.values()].filter((c) => c.abstractSyntax === sopClass)
    return (
      chooseContext(contexts, syntax) ??
      (contexts.length === 0 ? Status.sopClassNotSupported : Status.transferSyntaxNotSupported)
    )
  }

  #offered({ sopClass, syntax }: StoragePair): boolean {
    const offered = this.#lease?.association.requested.contexts ?? []
    return offered.some((c) => c.abstractSyntax === sopClass && c.transferSyntaxes.includes(syntax))
  }

  async #open(pair: StoragePair): Promise<Lease> {
    this.#scu = undefined
    const { recent, contexts, pool } = this.#target
    recent.add(pair)
    if (this.#unreachable) throw this.#unreachable
    const propose = (maxContexts: number): Proposal =>
      storeProposal(pairsAround(pair, recent, maxContexts), maxContexts)
    try {
      return await contexts.open(propose, (proposal) => pool.lease(proposal, this.#call), this.#call)
    } catch (error) {
      this.#unreachable = error as Error
      throw error
    }
  }
}

/** A pair, which must be among the contexts, and of the recent ones what there is room for beside it. */
function pairsAround(pair: StoragePair, recent: RecentPairs, maxContexts: number): StoragePair[] {
  const others = recent.list().filter((other) => other.sopClass !== pair.sopClass || other.syntax !== pair.syntax)
  const classes = new Set<Uid>([pair.sopClass])
  const pairs: StoragePair[] = [pair]
  for (const other of others) {
    const room = pairs.length + classes.size + (classes.has(other.sopClass) ? 1 : 2)
    if (room > maxContexts) break
    pairs.push(other)
    classes.add(other.sopClass)
  }
  return pairs.sort((a, b) => (`${a.sopClass} ${a.syntax}` < `${b.sopClass} ${b.syntax}` ? -1 : 1))
}

/** Its own syntax first; any object goes in a native one, if it is or can be made so. */
function chooseContext(contexts: readonly AcceptedContext[], syntax: TransferSyntax): AcceptedContext | undefined {
  const same = contexts.find((context) => context.transferSyntax === syntax.uid)
  return same ?? contexts.find((context) => isNative(transferSyntax(context.transferSyntax)))
}

/** Codes of errors that are faults of the data set. */
const BROKEN: readonly unknown[] = [
  'MALFORMED_DATA_SET',
  'MALFORMED_DEFLATED_DATA_SET',
  'CORRUPT_CODESTREAM',
  'CODEC_STOPPED',
  'STREAMED_LENGTH',
  'UNFIT_PIXEL_DATA',
]

function failedOrBroken(error: unknown): StoreOutcome {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return { kind: BROKEN.includes(code) ? 'broken' : 'failed', error }
}

/** Tells a failure of the body from one of the association that takes it. */
class WatchedBody implements ByteStream {
  complete = false
  failure: unknown
  readonly #body: ByteStream

  constructor(body: ByteStream) {
    this.#body = body
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Bytes> {
    try {
      yield* this.#body
      this.complete = true
    } catch (error) {
      this.failure = error
      throw error
    }
  }
}
