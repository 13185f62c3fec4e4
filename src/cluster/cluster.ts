import { isIPv6 } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { Config } from '../config/config.ts'
import type { ByteStream } from '../dicom/bytes.ts'
import { Status } from '../dimse/status.ts'
import { Fit, names } from '../pacs/delivery/match.ts'
import type { ExpectedMove } from '../pacs/delivery/match.ts'
import type { Elsewhere, Offer } from '../pacs/delivery/elsewhere.ts'
import type { Moves } from '../pacs/delivery/moves.ts'
import type { ClusterFiles } from '../pacs/tls-files.ts'
import type { Share } from '../pacs/pool/share.ts'
import { belongsTo } from '../pacs/identify.ts'
import { ControlPlane } from './control-plane.ts'
import { ReplicaClient } from './replica-client.ts'
import { ReplicaServer } from './replica-server.ts'
import { secured } from './secured.ts'
import { Shares } from './shares.ts'
import { Waits, type Wait } from './waits.ts'

export type ClusterConfig = NonNullable<Config['cluster']>

/** This replica among the others: whatever of them an archive delivers to, who asked has it. */
export class Cluster implements Elsewhere, AsyncDisposable {
  readonly #config: ClusterConfig
  readonly #plane: ControlPlane
  readonly #server: ReplicaServer
  readonly #client: ReplicaClient
  readonly #waits: Waits
  readonly #shares: Shares

  /** It neither listens nor asks for anything before `begin`. */
  constructor(config: ClusterConfig, { ca, credentials }: ClusterFiles, moves: Moves) {
    const tls = secured(credentials)
    const prefix = `${config.name}:`
    this.#config = config
    this.#plane = new ControlPlane({ url: config.url, ca })
    this.#server = new ReplicaServer(tls, moves)
    this.#client = new ReplicaClient(tls)
    this.#waits = new Waits(this.#plane, { prefix, self: () => this.#self() })
    this.#shares = new Shares(this.#plane, prefix)
    moves.join(this)
  }

  /**
   * Listens, and looks for the shared server, which need not be there yet: it is found when it comes.
   * @throws where `listen` cannot be listened on
   */
  async begin(): Promise<void> {
    await this.#server.listen(this.#config.listen)
    await this.#plane.open()
  }

  /** Takes other certificates of replicas, for connections to come. */
  renewTls({ credentials }: ClusterFiles): void {
    const tls = secured(credentials)
    this.#server.renewTls(tls)
    this.#client.renewTls(tls)
  }

  /** Whether the shared server is there. */
  get isUp(): boolean {
    return this.#plane.isUp
  }

  /** Port that other replicas reach this one at. */
  get port(): number {
    return this.#server.port
  }

  /** What this replica has of the associations to an archive, of which there may be so many together. Before `begin`. */
  share(archive: string, limit: number): Share {
    return this.#shares.of(archive, limit)
  }

  messageId(): Promise<number> {
    return this.#waits.messageId()
  }

  announce(move: ExpectedMove): Promise<void> {
    return this.#waits.announce(move)
  }

  withdraw(move: ExpectedMove): void {
    this.#waits.withdraw(move)
  }

  async deliver(offer: Offer, fit: number, body: () => ByteStream): Promise<number | undefined> {
    let isMissed = false
    const refused = new Set<string>()
    for (const isAsked of [false, true]) {
      const { waits, isSure } = await this.#waitsOf(offer.archives, isAsked)
      if (!isSure) isMissed = true
      const fitting = waits.filter(({ selection }) => belongsTo(offer.identity, selection))
      const named = fitting.filter((wait) => names(offer, wait))
      // Whose C-MOVE it names is not known of yet.
      if (!isAsked && named.length === 0 && offer.moveOriginatorMessageId !== undefined) continue
      for (const [least, some] of candidates(named, fitting, fit)) {
        for (const replica of new Set(some.map((wait) => wait.replica))) {
          if (refused.has(`${least} ${replica}`)) continue
          refused.add(`${least} ${replica}`)
          const taken = await this.#client.offer(replica, { offer, fit: least }, body)
          if (typeof taken === 'number') return taken
          if (taken === 'unreachable') isMissed = true
        }
      }
      if (fit >= Fit.lacking) return undefined
    }
    // Nobody is known to want it, but somebody may; who has had it loses nothing.
    return isMissed && fit < Fit.lacking ? Status.outOfResources : undefined
  }

  misled(offer: Offer, ours: number): void {
    const waits = offer.archives.flatMap((archive) => this.#waits.known(archive)?.waits ?? [])
    const named = waits.find((wait) => names(offer, wait)) ?? (ours === 0 && waits.length === 1 ? waits[0] : undefined)
    if (named) this.#client.misled(named.replica, { offer, fit: Fit.none })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#waits.close()
    await this.#shares.close()
    this.#client[Symbol.dispose]()
    await this.#server[Symbol.asyncDispose]()
    await this.#plane[Symbol.asyncDispose]()
  }

  #self(): string {
    return withPort(this.#config.advertise ?? addressOf(this.#config.listen.host), this.#server.port)
  }

  /** `isSure`: that is all of them. */
  async #waitsOf(archives: readonly string[], isAsked: boolean): Promise<{ waits: readonly Wait[]; isSure: boolean }> {
    let { isComplete: isSure } = this.#waits
    const waits = await Promise.all(
      archives.map(async (archive) => {
        const known = this.#waits.known(archive)
        if (!isAsked && known && this.#waits.isFresh(known)) return known.waits
        try {
          return await this.#waits.look(archive)
        } catch {
          // Whoever waits says what it still wants.
          isSure = false
          return known?.waits ?? []
        }
      }),
    )
    return { waits: waits.flat(), isSure }
  }
}

/** Whom an instance is offered that fits a move here so well, and what it has to fit better there; the best first. */
function candidates(
  named: readonly Wait[],
  fitting: readonly Wait[],
  fit: number,
): [least: number, waits: readonly Wait[]][] {
  return [
    [fit, named],
    ...(fit < Fit.lacking ? [[Fit.had, fitting] as [number, readonly Wait[]]] : []),
    ...(fit < Fit.had ? [[Fit.none, fitting] as [number, readonly Wait[]]] : []),
  ]
}

function withPort(address: string, port: number): string {
  const isBare = !/:\d+$/.test(address) || isIPv6(address)
  const host = isIPv6(address) ? `[${address}]` : address
  return isBare ? `${host}:${port}` : address
}

/** The address it listens on, or the first of this machine that others may reach. */
function addressOf(listening: string): string {
  if (listening !== '0.0.0.0' && listening !== '::') return listening
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  const outward = addresses.filter(({ internal }) => !internal)
  const found = outward.find(({ family }) => family === 'IPv4') ?? outward.find(({ scopeid }) => !scopeid)
  return found?.address ?? '127.0.0.1'
}
