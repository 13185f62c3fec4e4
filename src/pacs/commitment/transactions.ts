import { LRUCache } from 'lru-cache'
import type { Uid } from '../../dicom/uids.ts'

/** An instance as its storage is asked about (PS3.4 Table J.3-1). */
export interface Reference {
  readonly sopClass: Uid
  readonly sopInstance: Uid
  /** Where it is, if that is told. */
  readonly study?: Uid | undefined
  readonly series?: Uid | undefined
}

/** An instance that the archive does not keep safe, and why (PS3.3 C.14.1.1). */
export interface FailedReference extends Reference {
  readonly reason: number
}

/** What the archive said of every instance it was asked about. */
export interface CommitmentResult {
  readonly committed: readonly Reference[]
  readonly failed: readonly FailedReference[]
}

/** A request for storage commitment (PS3.4 J.3). */
export interface Transaction {
  readonly archive: string
  readonly uid: Uid
  /** Who asked: nobody else learns the result. */
  readonly owner: string
  /** Whose share of all transactions it is. */
  readonly client: string
  readonly references: readonly Reference[]
}

/** Where a transaction stands. `gone`: it was asked for, and its time is over, with a result or without. */
export type TransactionState =
  | { readonly kind: 'unknown' }
  | { readonly kind: 'gone'; readonly owner: string }
  | { readonly kind: 'pending'; readonly transaction: Transaction }
  | { readonly kind: 'done'; readonly transaction: Transaction; readonly result: CommitmentResult }

/** Transactions by archive and Transaction UID, of this gateway or of several that share them. */
export interface Transactions {
  /** False where there is one already, or was one: its UID is not to be used again (PS3.18 13.4.3). */
  begin(transaction: Transaction): Promise<boolean>
  state(archive: string, uid: Uid): Promise<TransactionState>
  /** Its result, or another one. */
  settle(archive: string, uid: Uid, result: CommitmentResult): Promise<void>
  /** It was not asked for after all: its UID may be used again. */
  withdraw(archive: string, uid: Uid): Promise<void>
}

/** Transactions that are kept at once. */
export const MAX_TRANSACTIONS = 10_000
/** Those of one client that have no result yet. */
export const MAX_PENDING_OF_CLIENT = 1_000
/** Instances that they name together: some 300 bytes each. */
export const MAX_REFERENCES = 1_000_000
/** UIDs of transactions that are over, which say that they are. */
const MAX_GONE = 100_000

/** Too many transactions are kept to begin another. */
export class TooManyTransactionsError extends Error {
  readonly code = 'TOO_MANY_TRANSACTIONS'
  constructor() {
    super('Too many commitment requests of all, or of one client, wait for the reports of the archive')
    this.name = 'TooManyTransactionsError'
  }
}

interface Kept {
  readonly transaction: Transaction
  result?: CommitmentResult
}

export interface MemoryLimits {
  /** Milliseconds that a transaction is kept from its beginning. */
  readonly keep: number
  readonly most?: number
  readonly ofClient?: number
  readonly references?: number
}

/** In the memory of this process: they end with it. */
export class TransactionsInMemory implements Transactions {
  readonly #kept: LRUCache<string, Kept>
  /** Their owners. */
  readonly #gone = new LRUCache<string, string>({ max: MAX_GONE })
  /** Those with a result, the oldest first. */
  readonly #done = new Set<string>()
  /** How many have no result, by client. */
  readonly #pending = new Map<string, number>()
  readonly #limits: MemoryLimits
  #references = 0

  constructor(limits: MemoryLimits) {
    this.#limits = limits
    this.#kept = new LRUCache({
      max: limits.most ?? MAX_TRANSACTIONS,
      ttl: limits.keep,
      dispose: ({ transaction, result }, key, reason) => {
        this.#references -= transaction.references.length
        if (!result) this.#count(transaction.client, -1)
        this.#done.delete(key)
        if (reason === 'expire') this.#gone.set(key, transaction.owner)
      },
    })
  }

  /** @throws TooManyTransactionsError: none is driven out before its result is there */
  begin(transaction: Transaction): Promise<boolean> {
    return promised(() => this.#begin(transaction))
  }

  state(archive: string, uid: Uid): Promise<TransactionState> {
    return promised(() => this.#state(keyOf(archive, uid)))
  }

  settle(archive: string, uid: Uid, result: CommitmentResult): Promise<void> {
    return promised(() => {
      const key = keyOf(archive, uid)
      const kept = this.#kept.get(key)
      if (!kept) return
      if (!kept.result) this.#count(kept.transaction.client, -1)
      kept.result = result
      this.#done.add(key)
    })
  }

  withdraw(archive: string, uid: Uid): Promise<void> {
    return promised(() => void this.#kept.delete(keyOf(archive, uid)))
  }

  #begin(transaction: Transaction): boolean {
    const { most = MAX_TRANSACTIONS, references = MAX_REFERENCES, ofClient = MAX_PENDING_OF_CLIENT } = this.#limits
    const key = keyOf(transaction.archive, transaction.uid)
    if (this.#state(key).kind !== 'unknown') return false
    this.#kept.purgeStale()
    const more = transaction.references.length
    const isFull = (): boolean => this.#kept.size >= most || this.#references + more > references
    // What has a result makes room, the oldest first: who wants it has had some time.
    for (const done of this.#done) {
      if (!isFull()) break
      this.#gone.set(done, this.#kept.peek(done)?.transaction.owner ?? '')
      this.#kept.delete(done)
    }
    const { client } = transaction
    if (isFull() || (this.#pending.get(client) ?? 0) >= ofClient) throw new TooManyTransactionsError()
    this.#count(client, 1)
    this.#references += more
    this.#kept.set(key, { transaction })
    return true
  }

  #count(client: string, more: 1 | -1): void {
    const count = (this.#pending.get(client) ?? 0) + more
    if (count === 0) this.#pending.delete(client)
    else this.#pending.set(client, count)
  }

  #state(key: string): TransactionState {
    const kept = this.#kept.get(key)
    const owner = this.#gone.get(key)
    if (!kept) return owner === undefined ? { kind: 'unknown' } : { kind: 'gone', owner }
    const { transaction, result } = kept
    return result ? { kind: 'done', transaction, result } : { kind: 'pending', transaction }
  }
}

function keyOf(archive: string, uid: Uid): string {
  return `${archive} ${uid}`
}

function promised<T>(work: () => T): Promise<T> {
  return new Promise((resolve) => resolve(work()))
}
