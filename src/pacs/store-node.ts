import type { Config } from '../config/config.ts'
import type { TlsOptions } from '../network/transport.ts'
import { MAX_CONTEXTS } from '../network/negotiation.ts'
import type { Call } from './call.ts'
import { departmentProposal } from './contexts.ts'
import type { BreakerState } from './pool/breaker.ts'
import { ContextLimit } from './pool/context-limit.ts'
import { AssociationPool } from './pool/pool.ts'
import type { PoolStats } from './pool/pool-stats.ts'
import { RecentPairs, StoreBatch, type Decompress } from './store.ts'
import { readTls } from './tls-files.ts'
import { trial } from './trial.ts'

export type NodeConfig = Extract<Config['destinations'][number], { readonly type: 'dicom' }>

/** As an archive has them by default, but that nodes which serve one association at a time need not wait long for the next. */
const TIMEOUTS = { connect: 10_000, associate: 30_000, idle: 1_000, queue: 30_000 }
const MAX_PDU_BYTES = 131_072

/** A DICOM node that is stored to, and nothing else. */
export class StoreNode implements AsyncDisposable {
  readonly config: NodeConfig
  readonly #pool: AssociationPool
  readonly #contexts = new ContextLimit(MAX_CONTEXTS)
  readonly #recent = new RecentPairs()
  #tls: TlsOptions | undefined

  private constructor(config: NodeConfig, callingAeTitle: string, tls: TlsOptions | undefined) {
    const { name, host, port, aeTitle: calledAeTitle, maxAssociations, timeout: response } = config
    this.config = config
    this.#tls = tls
    const within = (most: number): number => Math.min(most, response)
    const timeouts = {
      ...TIMEOUTS,
      ...{ response, connect: within(TIMEOUTS.connect), associate: within(TIMEOUTS.associate) },
    }
    const currentTls = (): TlsOptions | undefined => this.#tls
    this.#pool = new AssociationPool({
      archive: name,
      maxAssociations,
      timeouts,
      request: {
        ...{ address: { host, port }, calledAeTitle, callingAeTitle, maxPduLength: MAX_PDU_BYTES, timeouts },
        // As it is when an association is opened.
        get tls() {
          return currentTls()
        },
      },
      trial: (signal) => trial(this.#pool, departmentProposal([]), { name, timeouts }, signal),
    })
  }

  /** Reads what TLS needs from its files. @throws TlsFileError */
  static async open(config: NodeConfig, ourAeTitle: string): Promise<StoreNode> {
    const tls = config.tls ? await readTls(config.tls) : undefined
    return new StoreNode(config, config.callingAeTitle ?? ourAeTitle, tls)
  }

  get stats(): PoolStats {
    return this.#pool.stats
  }

  get breaker(): BreakerState {
    return this.#pool.breaker
  }

  /** Reads the files of its TLS anew, for associations to come. @throws TlsFileError, and keeps what it has */
  async renewTls(): Promise<void> {
    if (this.config.tls) this.#tls = await readTls(this.config.tls)
  }

  /** A run of C-STOREs; dispose of it when it is over. `decompress`: for what the node takes uncompressed only. */
  storeBatch(call: Call, decompress?: Decompress): StoreBatch {
    const { timeout } = this.config
    return new StoreBatch(
      { pool: this.#pool, contexts: this.#contexts, timeout, recent: this.#recent, decompress },
      call,
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.close()
  }
}
