import { channel } from 'node:diagnostics_channel'
import { isIPv6, type BlockList } from 'node:net'
import type { Config } from '../config/config.ts'
import { isNative, isKnownTransferSyntax, transferSyntax } from '../dicom/transfer-syntax.ts'
import { isUid, SopClass, STORAGE_ROOT, type Uid } from '../dicom/uids.ts'
import { untruncated } from '../dicom/verify.ts'
import { serve, type IncomingStore } from '../dimse/scp.ts'
import { Status } from '../dimse/status.ts'
import { Association } from '../network/association.ts'
import type { AcceptorPolicy } from '../network/negotiation.ts'
import type { AssociateReject, AssociateRequest } from '../network/pdu.ts'
import { listen, type ListenerTls, type Listening } from '../network/listener.ts'
import type { Transport } from '../network/transport.ts'
import { belongsTo, identify, type Identity } from './identify.ts'
import type { Instance, InstanceUids, Selection } from './instance.ts'
import { readListenerTls } from './tls-files.ts'

/** Our DICOM listener cannot be opened. */
export class ListenerError extends Error {
  readonly code = 'LISTENER_FAILED'
  constructor(aeTitle: string, port: number, options: ErrorOptions) {
    super(`The DICOM listener ${aeTitle} cannot be opened at port ${port}`, options)
    this.name = 'ListenerError'
  }
}

/** Published for each instance that is stored to us and that nobody asked for, and each caller who is not let in. */
export interface RefusedStoreEvent {
  /** Of who called; not known of who is gone already. */
  readonly address?: string | undefined
  /** OpenSSL's name for what is wrong with TLS. */
  readonly code?: string | undefined
  /** How who called named itself. */
  readonly callingAeTitle?: string
  readonly reason: 'tls-failed' | 'not-dicom' | 'unknown-caller' | 'unexpected' | 'unreadable'
}

/** Published when the listener is opened. */
export interface ListenerEvent {
  readonly aeTitle: string
  readonly port: number
}

const refusals = channel('dimsegate:refused-store')
const openings = channel('dimsegate:listener')

/** Storage associations open at once, of all archives together. */
export const MAX_STORAGE_ASSOCIATIONS = 64
/** Connections open at once: there is room for those that have yet to say who they are. */
export const MAX_CONNECTIONS = 4 * MAX_STORAGE_ASSOCIATIONS
/** Milliseconds a storage association may be silent between instances. */
const IDLE_TIMEOUT_MS = 120_000
/** Milliseconds that peers have to close their connections when we stop. */
const CLOSE_GRACE_MS = 1_000

/** Of all UIDs that the standard assigns (PS3.6 Annex A). */
const STANDARD_ROOT = '1.2.840.10008.'

export interface DestinationLimits {
  /** Milliseconds from the connection to the whole A-ASSOCIATE-RQ, and before that to TLS; ARTIM_MS unless told. */
  readonly artim?: number
  /** Milliseconds; IDLE_TIMEOUT_MS unless told. */
  readonly idle?: number
}

interface DestinationOptions {
  readonly limits?: DestinationLimits
  /** Undefined: archives deliver by TCP alone. */
  readonly tls?: ListenerTls | undefined
}

/** How an archive calls us. */
export interface Deliverer {
  /** What we call it: its moves name it so. */
  readonly aeTitle: string
  /** AE titles that it may call with besides. */
  readonly aeTitles: readonly string[]
  /** Addresses it may call from; undefined for any. */
  readonly addresses: BlockList | undefined
  /** Milliseconds it may be silent within an instance. */
  readonly timeout: number
}

/** A move that waits for its instances. */
export interface ExpectedMove {
  /** Of the archive that was asked. */
  readonly archiveAeTitle: string
  /** Ours, as the archive knows it. */
  readonly callingAeTitle: string
  readonly messageId: number
  readonly selection: Selection
  /** It has not had this instance yet. */
  lacks(instance: Pick<InstanceUids, 'series' | 'sopInstance'>): boolean
  /** Passes an instance on; resolves with the status of its C-STORE when it was read, or is not wanted. */
  deliver(instance: Instance): Promise<number>
}

/**
 * The Storage SCP that archives deliver to what a C-MOVE asks of them. It takes instances of moves under way, from the
 * archive that was asked, and nothing else.
 */
export class MoveDestination implements AsyncDisposable {
  readonly aeTitle: string
  readonly #config: Config['dimse']
  readonly #known = new Map<string, Deliverer>()
  readonly #moves = new Set<ExpectedMove>()
  readonly #associations = new Set<Association>()
  #listening: Promise<Listening> | undefined
  readonly #limits: DestinationLimits
  readonly #tls: ListenerTls | undefined
  #messageId = 0

  constructor(config: Config['dimse'], { limits = {}, tls }: DestinationOptions = {}) {
    this.#config = config
    this.#limits = limits
    this.#tls = tls
    this.aeTitle = config.aeTitle
  }

  /** Reads what TLS needs from its files; listens when it is told to. @throws TlsFileError */
  static async open(config: Config['dimse']): Promise<MoveDestination> {
    const isSecured = config.tls !== null && config.enabled !== false
    return new MoveDestination(config, { tls: isSecured ? await readListenerTls(config.tls) : undefined })
  }

  /** Whether archives may deliver at all. */
  get enabled(): boolean {
    return this.#config.enabled !== false
  }

  /** Archives have to deliver by TLS. */
  get isSecured(): boolean {
    return this.#tls !== undefined
  }

  /** It listens: by configuration, or since an archive needed it. */
  get isOpen(): boolean {
    return this.#listening !== undefined
  }

  /** The port it listens on. @throws ListenerError */
  async listen(): Promise<number> {
    const { host, port } = this.#config
    if (!this.#listening) {
      const accept = (transport: Transport): void => void this.#serve(transport)
      const onTlsFailure = (code: string, address: string | undefined): void =>
        refusals.publish({ reason: 'tls-failed', address, code } satisfies RefusedStoreEvent)
      this.#listening = listen({ host, port }, accept, {
        maxConnections: MAX_CONNECTIONS,
        tls: this.#tls,
        handshakeTimeout: this.#limits.artim,
        onTlsFailure,
      })
      this.#listening.then(
        (listening) => openings.publish({ aeTitle: this.aeTitle, port: listening.port } satisfies ListenerEvent),
        () => undefined,
      )
    }
    try {
      return (await this.#listening).port
    } catch (error) {
      this.#listening = undefined
      throw new ListenerError(this.aeTitle, port, { cause: error })
    }
  }

  /** A message id that no other move has: archives name it with each instance (PS3.7 9.1.1.1.8). */
  nextMessageId(): number {
    this.#messageId = (this.#messageId % 65_535) + 1
    return this.#messageId
  }

  /**
   * Says how an archive calls us. It may verify us (C-ECHO) at any time, as its administrators do when they enter us, and
   * store what its moves ask for.
   */
  know(archive: Deliverer): void {
    this.#known.set(archive.aeTitle, archive)
  }

  /** Takes the instances of a move from here on; call what it returns when the move is over. */
  expect(move: ExpectedMove): () => void {
    this.#moves.add(move)
    return () => void this.#moves.delete(move)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const listening = await this.#listening?.catch(() => undefined)
    for (const association of this.#associations) association.abort()
    await listening?.end(CLOSE_GRACE_MS)
  }

  async #serve(transport: Transport): Promise<void> {
    const { remoteAddress } = transport
    const association = await Association.accept(transport, {
      maxPduLength: 131_072,
      decide: (request) => this.#decide(request, remoteAddress),
      onMalformed: () => refusals.publish({ reason: 'not-dicom', address: remoteAddress } satisfies RefusedStoreEvent),
      ...(this.#limits.artim !== undefined && { artim: this.#limits.artim }),
    }).catch(() => undefined)
    if (!association) return
    const callers = this.#archivesAt(association.requested.callingAeTitle, remoteAddress)
    this.#associations.add(association)
    void association.closed.then(() => this.#associations.delete(association))
    const handlers = { store: (instance: IncomingStore) => this.#store(instance, callers) }
    const timeouts = callers.map((caller) => this.#known.get(caller)!.timeout)
    const patience = {
      idleTimeout: this.#limits.idle ?? IDLE_TIMEOUT_MS,
      dataTimeout: Math.max(...timeouts),
    }
    // What goes wrong ends this association; the move finds out by what does not come.
    await serve(association, handlers, patience).catch(() => association.abort())
  }

  /** PS3.8 9.3.4: called AE title not recognized, calling AE title not recognized, local limit exceeded. */
  #decide(request: AssociateRequest, address: string | undefined): AcceptorPolicy | Omit<AssociateReject, 'type'> {
    if (request.calledAeTitle.trim() !== this.aeTitle) return { result: 1, source: 1, reason: 7 }
    const callers = this.#archivesAt(request.callingAeTitle, address)
    const expected = this.#movesOf(callers).length > 0
    if (callers.length === 0) {
      const callingAeTitle = request.callingAeTitle.trim()
      refusals.publish({ reason: 'unknown-caller', address, callingAeTitle } satisfies RefusedStoreEvent)
      return { result: 1, source: 1, reason: 3 }
    }
    if (this.#associations.size >= MAX_STORAGE_ASSOCIATIONS) return { result: 2, source: 3, reason: 2 }
    return {
      choose: (abstractSyntax, offered) => {
        const isServed = abstractSyntax === SopClass.verification || (expected && mayBeStorage(abstractSyntax))
        if (!isServed) return 'abstract'
        return choose(offered) ?? 'transfer'
      },
      roles: () => undefined,
    }
  }

  /** The archives that call with this AE title from this address: more than one may share a title for storing. */
  #archivesAt(callingAeTitle: string, address: string | undefined): string[] {
    const title = callingAeTitle.trim()
    const callers = [...this.#known.values()].filter(
      ({ aeTitle, aeTitles, addresses }) =>
        (aeTitle === title || aeTitles.includes(title)) && (!addresses || isAmong(address, addresses)),
    )
    return callers.map(({ aeTitle }) => aeTitle)
  }

  #movesOf(archives: readonly string[]): ExpectedMove[] {
    return [...this.#moves].filter(({ archiveAeTitle }) => archives.includes(archiveAeTitle))
  }

  async #store(incoming: IncomingStore, callers: readonly string[]): Promise<number> {
    const moves = this.#movesOf(callers)
    if (moves.length === 0) return this.#refused('unknown-caller')
    let identified: { identity: Identity; body: Instance['body'] }
    try {
      identified = await identify(incoming.body, incoming.syntax)
    } catch {
      refusals.publish({ reason: 'unreadable' } satisfies RefusedStoreEvent)
      return Status.cannotUnderstand
    }
    const { identity, body } = identified
    if (!isNamedWell(incoming, identity)) {
      refusals.publish({ reason: 'unreadable' } satisfies RefusedStoreEvent)
      return Status.cannotUnderstand
    }
    const move = chosen(moves, incoming, identity)
    if (!move) return this.#refused('unexpected')
    return move.deliver({
      sopClass: identity.sopClass ?? incoming.sopClass,
      sopInstance: identity.sopInstance ?? incoming.sopInstance,
      study: move.selection.study,
      series: identity.series ?? move.selection.series ?? '',
      syntax: incoming.syntax,
      // The archive's word that it is whole is not enough: a data set that ends inside an element is not.
      body: untruncated(body, incoming.syntax),
    })
  }

  #refused(reason: RefusedStoreEvent['reason']): number {
    refusals.publish({ reason } satisfies RefusedStoreEvent)
    return Status.notAuthorized
  }
}

function isAmong(address: string | undefined, addresses: BlockList): boolean {
  return address !== undefined && addresses.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
}

/** Storage classes of the standard, and those of vendors, which are not told apart from other services. */
function mayBeStorage(abstractSyntax: Uid): boolean {
  return abstractSyntax.startsWith(STORAGE_ROOT) || !abstractSyntax.startsWith(STANDARD_ROOT)
}

/** Whether all the UIDs by which it would be passed on are UIDs: what is none may be a path or a header elsewhere. */
function isNamedWell({ sopClass, sopInstance }: IncomingStore, identity: Identity): boolean {
  const { series } = identity
  const used = [identity.sopClass ?? sopClass, identity.sopInstance ?? sopInstance]
  return used.every(isUid) && (series === undefined || isUid(series))
}

/** The move an instance belongs to: the one it names, if it is of that; else one whose selection it is of. */
function chosen(
  moves: readonly ExpectedMove[],
  { sopInstance, moveOriginatorAeTitle, moveOriginatorMessageId }: IncomingStore,
  identity: Identity,
): ExpectedMove | undefined {
  const fitting = moves.filter(({ selection }) => belongsTo(identity, selection))
  const named = fitting.find(
    ({ callingAeTitle, messageId }) =>
      messageId === moveOriginatorMessageId && (moveOriginatorAeTitle ?? callingAeTitle).trim() === callingAeTitle,
  )
  // Where the archive does not say, the same instance comes once for each move: each gets one of them.
  return named ?? fitting.find((move) => move.lacks(placeOf(move, identity, sopInstance))) ?? fitting[0]
}

function placeOf(
  { selection }: ExpectedMove,
  identity: Identity,
  sopInstance: Uid,
): Pick<InstanceUids, 'series' | 'sopInstance'> {
  return { series: identity.series ?? selection.series ?? '', sopInstance: identity.sopInstance ?? sopInstance }
}

/**
 * As stored first, since an archive offers that beside a native syntax. It is never asked to decompress: it may keep the
 * association for a move of somebody who wants the instance as stored. Deflated data sets are for disks; as in C-GET the
 * archive inflates them.
 */
function choose(offered: readonly Uid[]): Uid | undefined {
  const usable = offered.filter((uid) => isKnownTransferSyntax(uid) && !transferSyntax(uid).deflated)
  return usable.find((uid) => !isNative(transferSyntax(uid))) ?? usable[0]
}
