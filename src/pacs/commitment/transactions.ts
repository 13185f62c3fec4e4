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
  readonly references: readonly Reference[]
}

/** Where a transaction stands. `gone`: it was asked for, and its time is over, with a result or without. */
export type TransactionState =
  | { readonly kind: 'unknown' }
  | { readonly kind: 'gone' }
  | { readonly kind: 'pending'; readonly transaction: Transaction }
  | { readonly kind: 'done'; readonly transaction: Transaction; readonly result: CommitmentResult }

/** Transactions by archive and Transaction UID, of this gateway or of several that share them. */
export interface Transactions {
  /** False where there is one already, or was one: its UID is not to be used again (PS3.18 13.4.3). */
  begin(transaction: Transaction): Promise<boolean>
  state(archive: string, uid: Uid): Promise<TransactionState>
  /** A result that comes again changes nothing. */
  settle(archive: string, uid: Uid, result: CommitmentResult): Promise<void>
  /** It was not asked for after all: its UID may be used again. */
  withdraw(archive: string, uid: Uid): Promise<void>
}

/** Transactions that are kept at once. */
export const MAX_TRANSACTIONS = 10_000
/** Instances that they name together: some 300 bytes each. */
export const MAX_REFERENCES = 1_000_000
/** UIDs of transactions that are over, which say that they are. */
const MAX_GONE = 100_000

/** Too many transactions are kept to begin another. */
export class TooManyTransactionsError extends Error {
  readonly code = 'TOO_MANY_TRANSACTIONS'
  constructor() {
    super('Too many commitment requests are kept until their results are fetched or their time is over')
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
  readonly references?: number
}

/** In the memory of this process: they end with it. */
export class TransactionsInMemory implements Transactions {
  readonly #kept: LRUCache<string, Kept>
  readonly #gone = new LRUCache<string, true>({ max: MAX_GONE })
  readonly #limits: MemoryLimits
  #references = 0

  constructor(limits: MemoryLimits) {
    this.#limits = limits
    this.#kept = new LRUCache({
      max: limits.most ?? MAX_TRANSACTIONS,
      ttl: limits.keep,
      dispose: ({ transaction }, key, reason) => {
        this.#references -= transaction.references.length
        if (reason === 'expire') this.#gone.set(key, true)
      },
    })
  }

  /** @throws TooManyTransactionsError: none is driven out before its time */
  begin(transaction: Transaction): Promise<boolean> {
    return promised(() => this.#begin(transaction))
  }

  state(archive: string, uid: Uid): Promise<TransactionState> {
    return promised(() => this.#state(keyOf(archive, uid)))
  }

  settle(archive: string, uid: Uid, result: CommitmentResult): Promise<void> {
    return promised(() => {
      const kept = this.#kept.get(keyOf(archive, uid))
      if (kept) kept.result ??= result
    })
  }

  withdraw(archive: string, uid: Uid): Promise<void> {
    return promised(() => void this.#kept.delete(keyOf(archive, uid)))
  }

  #begin(transaction: Transaction): boolean {
    const { most = MAX_TRANSACTIONS, references = MAX_REFERENCES } = this.#limits
    const key = keyOf(transaction.archive, transaction.uid)
    if (this.#state(key).kind !== 'unknown') return false
    this.#kept.purgeStale()
    const total = this.#references + transaction.references.length
    if (this.#kept.size >= most || total > references) throw new TooManyTransactionsError()
    this.#references = total
    this.#kept.set(key, { transaction })
    return true
  }

  #state(key: string): TransactionState {
    const kept = this.#kept.get(key)
    if (!kept) return this.#gone.has(key) ? { kind: 'gone' } : { kind: 'unknown' }
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
