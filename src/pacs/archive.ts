import type { Selection } from '../instance/uids.ts'
import { publishAssociation } from './pool/association-event.ts'
import type { PoolStats } from './pool/pool-stats.ts'
import type { Proposal } from './pool/proposal.ts'
import type { Share } from './pool/share.ts'
import type { ArchiveConfig } from '../config/config.ts'
import type { Dataset } from '../dicom/dataset.ts'
import { SopClass, type Uid } from '../dicom/uids.ts'
import { Scu } from '../dimse/scu.ts'
import type { Association } from '../network/association.ts'
import { MAX_CONTEXTS } from '../network/negotiation.ts'
import type { TlsOptions } from '../network/transport.ts'
import { openBeside, type Beside } from './beside.ts'
import type { Call } from './call.ts'
import { requestOptions } from './request-options.ts'
import type { BreakerState } from './pool/breaker.ts'
import { ContextLimit } from './pool/context-limit.ts'
import { Commitments } from './commitment/commitments.ts'
import { existing } from './commitment/existence.ts'
import { TransactionsInMemory, type CommitmentResult, type Reference } from './commitment/transactions.ts'
import { contextOf, findProposal } from './contexts.ts'
import { Habits, habitSentences } from './habits.ts'
import type { Instance } from './instance.ts'
import { AssociationPool } from './pool/pool.ts'
import { echo, trial } from './trial.ts'
import { withDefaultCharset } from './search/default-charset.ts'
import { asFarAsAnswered, isCapped } from './search/capped.ts'
import { MAX_QUERIES, perValue } from './search/per-value.ts'
import { identifier, uniqueKeys, type Key, type Query } from './search/query.ts'
import { delivererOf } from './delivery/deliverer.ts'
import type { MoveDestination } from './delivery/move-destination.ts'
import type { MoveSource } from './retrieve/retrieval.ts'
import { Retriever } from './retrieve/retriever.ts'
import { Splitter } from './retrieve/split.ts'
import { search, type SearchRequest } from './search/search.ts'
import { onFresh, streamedOnFresh, type Take } from './pool/on-fresh.ts'
import { RecentPairs, StoreBatch, type Decompress } from './store.ts'
import { readTls } from './tls-files.ts'
import { Sends } from './send/sends.ts'
import { PerformedSteps } from './performed/performed-steps.ts'
import { Worklist } from './worklist/worklist.ts'

/** What an archive agreed to for queries, by the bytes of PS3.4 C.5.1.1. */
export interface QueryOptions {
  readonly relational: boolean
  readonly fuzzy: boolean
  readonly emptyValue: boolean
  readonly multipleValue: boolean
}

const NO_OPTIONS: QueryOptions = { relational: false, fuzzy: false, emptyValue: false, multipleValue: false }

/** One archive (PACS) as the rest of the gateway sees it. */
export class Archive implements AsyncDisposable {
  readonly config: ArchiveConfig
  /** Its worklist, or that of the system beside it. */
  readonly worklist: Worklist
  /** Performed procedure steps there, or at another system. */
  readonly performedSteps: PerformedSteps
  /** Its storage commitment. */
  readonly commitments: Commitments
  /** What it sends to others. */
  readonly sends: Sends
  readonly #pool: AssociationPool
  /** Other systems: with the worklist, with performed steps. */
  readonly besides: Beside[] = []
  readonly #recent = new RecentPairs()
  readonly #find: Proposal
  readonly #fuzzyFind: Proposal
  readonly #contexts: ContextLimit
  readonly #splitter: Splitter
  readonly #habits: Habits

  #tls: TlsOptions | undefined

  private constructor(
    config: ArchiveConfig,
    destination: MoveDestination,
    tls: TlsOptions | undefined,
    share: Share | undefined,
  ) {
    this.config = config
    this.#tls = tls
    const currentTls = (): TlsOptions | undefined => this.#tls
    this.#pool = new AssociationPool({
      archive: config.name,
      maxAssociations: config.maxAssociations,
      timeouts: config.timeouts,
      share,
      request: {
        ...requestOptions(config, undefined),
        // As it is when an association is opened.
        get tls() {
          return currentTls()
        },
      },
      trial: (signal) => trial(this.#pool, this.#find, config, signal),
    })
    this.#find = queryProposal(config, false)
    this.#fuzzyFind = queryProposal(config, true)
    this.#contexts = new ContextLimit(config.quirks.maxContexts ?? MAX_CONTEXTS, (error) =>
      publishAssociation({ archive: config.name, event: 'fewer-contexts', error }),
    )
    this.#habits = new Habits(config.name)
    const source: MoveSource = {
      archive: config.name,
      pool: this.#pool,
      find: (query, call) => this.find(query, call),
      contexts: this.#contexts,
      roles: config.quirks.getRoles ?? 'scp',
      ownSyntaxes: config.quirks.transferSyntaxes ?? [],
      singleUidLists: config.quirks.singleUidLists === true,
      wrongCounts: config.quirks.wrongCounts === true,
      habits: this.#habits,
      timeout: config.timeouts.response,
      destination,
      aeTitle: config.aeTitle,
      callingAeTitle: config.callingAeTitle,
      moveTimeout: config.timeouts.move,
    }
    const retriever = new Retriever(source, config.retrieve)
    this.#splitter = new Splitter(source, retriever)
    const beside = (system: ArchiveConfig['worklist'], service: string): AssociationPool | undefined => {
      if (!system) return undefined
      const one = openBeside(config, { ...system, service }, currentTls)
      this.besides.push(one)
      return one.pool
    }
    const worklistPool = beside(config.worklist, 'worklist') ?? this.#pool
    this.worklist = new Worklist({ pool: worklistPool, config })
    this.performedSteps = new PerformedSteps({
      archive: config.name,
      pool: beside(config.performedSteps, 'performed steps') ?? worklistPool,
      timeout: config.timeouts.response,
      charset: config.charset.default,
    })
    this.commitments = new Commitments({
      archive: config.name,
      pool: this.#pool,
      transactions: new TransactionsInMemory({ keep: config.commitment.keep }),
      listen: async () => {
        if (destination.enabled) await destination.listen()
      },
      timeout: config.timeouts.response,
    })
    this.sends = new Sends({
      archive: config.name,
      pool: this.#pool,
      // The others are for who waits for an answer.
      atOnce: Math.max(1, Math.floor(config.maxAssociations / 2)),
      timeout: config.timeouts.move,
      keep: config.send.keep,
      isListed: async (query, call) => {
        for await (const _ of this.find(query, call)) return true
        return false
      },
      singleUidLists: () => config.quirks.singleUidLists === true || this.#habits.has('single-uids'),
    })
    destination.know(delivererOf(config, this.commitments))
  }

  /** Reads what TLS needs from its files. `share`: what this replica may have of its associations. */
  static async open(config: ArchiveConfig, destination: MoveDestination, share?: Share): Promise<Archive> {
    return new Archive(config, destination, config.tls ? await readTls(config.tls) : undefined, share)
  }

  /** Reads the files of its TLS anew, for associations to come. @throws TlsFileError, and keeps what it has */
  async renewTls(): Promise<void> {
    if (this.config.tls) this.#tls = await readTls(this.config.tls)
  }

  /** What it has been found to do in its own way, in a sentence each. */
  get habits(): readonly string[] {
    return this.#habits.all.map((habit) => habitSentences[habit])
  }

  get stats(): PoolStats {
    return this.#pool.stats
  }

  /** Whether it counts as down: then it fails all that is asked of it at once. */
  get breaker(): BreakerState {
    return this.#pool.breaker
  }

  /** A place among `maxAssociations` for an association that is not of the pool; what is returned gives it back. */
  reserve(call: Call): Promise<() => void> {
    return this.#pool.reserve(call)
  }

  /** C-ECHO. @throws StatusError, and what opening or losing an association throws */
  async echo(call: Call): Promise<void> {
    await onFresh(this.#taking(this.#find, call), (lease) => echo(lease, this.config, call.signal))
  }

  /** What the archive agrees to; asks it when no association tells. */
  queryOptions(fuzzy: boolean, call: Call): Promise<QueryOptions> {
    return onFresh(this.#taking(fuzzy ? this.#fuzzyFind : this.#find, call), async ({ association }) =>
      negotiated(association),
    )
  }

  /**
   * What a C-FIND finds, or one for each value of a list that the archive cannot match as such.
   * @throws StatusError, UnencodableKeyError, InvalidKeyError, TooManyMatchesError, and what opening or losing an
   *   association throws
   */
  async *find(query: Query, call: Call, { multipleValue } = NO_OPTIONS, capped?: () => void): AsyncGenerator<Dataset> {
    const singleUids = this.config.quirks.singleUidLists === true || this.#habits.has('single-uids')
    const cannotMatch = ({ vr }: Key): boolean => (vr === 'UI' ? singleUids : !multipleValue)
    const { queries, isSpread } = perValue(query, cannotMatch)
    if (!isSpread) capped?.()
    const asked = (one: Query): AsyncGenerator<Dataset> => {
      const matches = this.#findOne(one, call)
      return capped ? asFarAsAnswered(matches, capped) : matches
    }
    for (const one of queries) yield* this.#findByLists(one, asked)
  }

  /** Some archives refuse lists of UIDs, or find nothing by them, or by one of them: the others are asked for alone. */
  async *#findByLists(query: Query, asked: (query: Query) => AsyncGenerator<Dataset>): AsyncGenerator<Dataset> {
    const { queries: each } = perValue(query, ({ vr }) => vr === 'UI')
    if (each.length === 1 || each.length > MAX_QUERIES) {
      yield* asked(query)
      return
    }
    const unique = uniqueKeys[query.level]
    const isUnique = (query.keys.find((key) => key.tag === unique)?.values.length ?? 0) > 1
    const wanted = new Set(query.keys.find((key) => key.tag === unique)?.values.map(String))
    const found = new Set<Uid>()
    let isEmpty = true
    try {
      for await (const match of asked(query)) {
        isEmpty = false
        const uid = match.string(unique)
        // No others: an archive may answer anything.
        if (uid !== undefined && wanted.has(uid)) found.add(uid)
        yield match
      }
    } catch (error) {
      if (!isEmpty || !isCapped(error)) throw error
    }
    if (!isEmpty && !isUnique) return
    for (const one of each) {
      const uid = one.keys.find((key) => key.tag === unique)?.values[0]
      if (isUnique && found.has(String(uid))) continue
      for await (const match of asked(one)) {
        this.#habits.learn('single-uids')
        yield match
      }
    }
  }

  async *#findOne(query: Query, call: Call): AsyncGenerator<Dataset> {
    const { charset, timeouts, name } = this.config
    const keys = this.config.quirks.uppercaseNames ? query.keys.map(uppercased) : query.keys
    const request = identifier({ level: query.level, keys }, charset)
    const operation = { timeout: timeouts.response, signal: call.signal }
    const take = this.#taking(query.fuzzy ? this.#fuzzyFind : this.#find, call)
    yield* streamedOnFresh(take, async function* ({ association }) {
      const context = contextOf(association, SopClass.studyRootFind, name, 'Study Root C-FIND')
      for await (const match of new Scu(association).find(context, request, operation)) {
        yield withDefaultCharset(match, charset.default)
      }
    })
  }

  /** Whether a search of it is one C-FIND, at whatever level (PS3.4 C.4.1.3.2). */
  isRelational({ relational }: QueryOptions): boolean {
    return relational || this.config.search.relational === 'assume'
  }

  /**
   * Results of a search at one level, attributes of the levels above included where they are asked for. `capped` is called
   * where the archive ended an answer early: there may be more than is given.
   */
  async *search(
    request: SearchRequest,
    options: QueryOptions,
    call: Call,
    capped?: () => void,
  ): AsyncGenerator<Dataset> {
    const finder = {
      find: (query: Query, inner: Call) => this.find(query, inner, options, capped),
      relational: this.isRelational(options),
      loose: this.config.quirks.looseMatching === true,
      maxParents: this.config.search.maxParents,
      capped,
    }
    yield* search(request, finder, call)
  }

  /** Instances of a selection, each once, by C-GET or C-MOVE; see Retriever and Splitter. */
  retrieve(selection: Selection, compressed: boolean, call: Call): AsyncGenerator<Instance> {
    return this.#splitter.retrieve(selection, compressed, call)
  }

  /** Whether it lists instances, where it has no storage commitment. @throws as `existing` */
  async existing(references: readonly Reference[], call: Call): Promise<CommitmentResult> {
    const options = await this.queryOptions(false, call)
    const find = (query: Query, inner: Call): AsyncGenerator<Dataset> => this.find(query, inner, options)
    return existing(references, { archive: this.config.name, relational: this.isRelational(options), find }, call)
  }

  /** A run of C-STOREs; dispose of it when it is over. `decompress`: for what the archive takes uncompressed only. */
  storeBatch(call: Call, decompress?: Decompress): StoreBatch {
    const { response: timeout } = this.config.timeouts
    return new StoreBatch(
      { pool: this.#pool, contexts: this.#contexts, timeout, recent: this.#recent, decompress },
      call,
    )
  }

  /** Releases the associations that are idle; those in use end with their operations. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.sends.close()
    await Promise.all([this.#pool, ...this.besides.map(({ pool }) => pool)].map((pool) => pool.close()))
  }

  #taking(proposal: Proposal, call: Call): Take {
    return (fresh) => this.#pool.lease(proposal, call, { fresh })
  }
}

function uppercased(key: Key): Key {
  if (key.item) return { ...key, item: key.item.map(uppercased) }
  if (key.vr !== 'PN') return key
  return { ...key, values: key.values.map((value) => (typeof value === 'string' ? value.toUpperCase() : value)) }
}

/** What the archive granted of the options of findProposal; it may ignore them all. */
export function negotiated(association: Association): QueryOptions {
  const answer = association.peer.extended.find(({ sopClass }) => sopClass === SopClass.studyRootFind)
  if (!answer) return NO_OPTIONS
  const on = (byte: number): boolean => answer.information[byte - 1] === 1
  return { relational: on(1), fuzzy: on(3), emptyValue: on(6), multipleValue: on(7) }
}

/** The proposal of a query to an archive; `fuzzy`: names are to be matched by meaning. */
export function queryProposal({ search, quirks }: ArchiveConfig, fuzzy: boolean): Proposal {
  return findProposal({
    extendedNegotiation: search.extendedNegotiation && quirks.noExtendedNegotiation !== true,
    relational: search.relational === 'negotiate',
    fuzzy,
  })
}
