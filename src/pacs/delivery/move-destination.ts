import type { Config } from '../../config/config.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import { SopClass, WellKnownInstance, type Uid } from '../../dicom/uids.ts'
import type { EventReport } from '../../dimse/event-report.ts'
import { serve, type IncomingStore } from '../../dimse/scp.ts'
import { Status } from '../../dimse/status.ts'
import { Association } from '../../network/association.ts'
import { AddressList } from '../../network/address-list.ts'
import { listen, type Listening, type ListenerTls } from '../../network/listener.ts'
import type { AcceptorPolicy } from '../../network/negotiation.ts'
import type { AssociateRequest } from '../../network/pdu.ts'
import type { Transport } from '../../network/transport.ts'
import { Arrival, type ArrivalOptions } from '../../instance/arrival.ts'
import { readListenerTls } from '../tls-files.ts'
import {
  admit,
  CALLED_AE_TITLE_NOT_RECOGNIZED,
  Callers,
  CALLING_AE_TITLE_NOT_RECOGNIZED,
  LOCAL_LIMIT_EXCEEDED,
  mayBeStorage,
  type Rejection,
} from './admission.ts'
import type { Deliverer } from './deliverer.ts'
import { NO_DEVICES, type Device, type DeviceCall, type Devices } from './devices.ts'
import { publishListener, publishRefusal, type RefusalReason } from './events.ts'
import { ListenerError } from './listener-error.ts'
import { Guests } from './guests.ts'
import { isNamedWell, Moves } from './moves.ts'

const COMMITMENT = SopClass.storageCommitmentPushModel
/** Action Type ID (PS3.4 J.3.2.1). */
const REQUEST_STORAGE_COMMITMENT = 1

/** Storage associations open at once, of all archives together. */
export const MAX_STORAGE_ASSOCIATIONS = 64
/** Connections open at once: there is room for those that have yet to say who they are. */
export const MAX_CONNECTIONS = 4 * MAX_STORAGE_ASSOCIATIONS
/** Milliseconds a storage association may be silent between instances. */
const IDLE_TIMEOUT_MS = 120_000
/** Milliseconds that peers have to close their connections when we stop. */
const CLOSE_GRACE_MS = 1_000

export interface DestinationLimits {
  /** Milliseconds from the connection to the whole A-ASSOCIATE-RQ, and before that to TLS; ARTIM_MS unless told. */
  readonly artim?: number
  /** Milliseconds; IDLE_TIMEOUT_MS unless told. */
  readonly idle?: number
  /** Milliseconds an association is at rest before it makes room; REST_MS unless told. */
  readonly rest?: number
  /** Milliseconds that stragglers of a C-MOVE have; those of MoveAttempt unless told. */
  readonly straggler?: number
}

interface DestinationOptions {
  readonly limits?: DestinationLimits
  /** Undefined: archives deliver by TCP alone. */
  readonly tls?: ListenerTls | undefined
}

/** Who has called over an association that stands. */
interface Caller {
  readonly callingAeTitle: string
  readonly address: string | undefined
  /** The archives it may be. */
  readonly archives: readonly Deliverer[]
  /** The device that it is; then it is none of the archives. */
  readonly device: Device | undefined
  readonly call: DeviceCall
}

/** Instances of devices are sent on, and whole. */
const FROM_DEVICE = (isDeflated: boolean): ArrivalOptions => ({ rewrites: isDeflated, strict: true })

/**
 * The Storage SCP that archives deliver to what a C-MOVE asks of them: it takes instances of moves under way, from the
 * archive that was asked; what devices of the configuration bring; and nothing else.
 */
export class MoveDestination implements AsyncDisposable {
  readonly aeTitle: string
  readonly #config: Config['dimse']
  readonly #callers = new Callers()
  /** The moves that archives deliver for. */
  readonly moves = new Moves()
  readonly #guests: Guests
  #devices: Devices = NO_DEVICES
  #listening: Promise<Listening> | undefined
  readonly #limits: DestinationLimits
  #tls: ListenerTls | undefined

  constructor(config: Config['dimse'], { limits = {}, tls }: DestinationOptions = {}) {
    this.#config = config
    this.#limits = limits
    this.#guests = new Guests(limits.rest)
    this.#tls = tls
    this.aeTitle = config.aeTitle
  }

  /** Reads what TLS needs from its files; listens when it is told to. @throws TlsFileError */
  static async open(config: Config['dimse']): Promise<MoveDestination> {
    const isSecured = config.tls !== null && config.enabled !== false
    return new MoveDestination(config, { tls: isSecured ? await readListenerTls(config.tls) : undefined })
  }

  /** Reads the files of its TLS anew; connections that stand stay. @throws TlsFileError, and keeps what it has */
  async renewTls(): Promise<void> {
    if (!this.#tls || !this.#config.tls) return
    this.#tls = await readListenerTls(this.#config.tls)
    const listening = await this.#listening?.catch(() => undefined)
    listening?.renewTls(this.#tls)
  }

  /** See DestinationLimits. */
  get stragglerGrace(): number | undefined {
    return this.#limits.straggler
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
    this.#listening ??= this.#listen()
    try {
      return (await this.#listening).port
    } catch (error) {
      this.#listening = undefined
      throw new ListenerError(this.aeTitle, this.#config.port, { cause: error })
    }
  }

  /**
   * Says how an archive calls us. It may verify us (C-ECHO) at any time, as its administrators do when they enter us, and
   * store what its moves ask for.
   */
  know(archive: Deliverer): void {
    this.#callers.add(archive)
  }

  /** Says which devices may call. */
  welcome(devices: Devices): void {
    this.#devices = devices
  }

  /** Takes no more associations of devices, and ends those that stand behind the instance that is coming. `grace` in ms. */
  async endDevices(grace: number): Promise<void> {
    this.#devices = NO_DEVICES
    await this.#guests.endDevices(grace)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const listening = await this.#listening?.catch(() => undefined)
    this.#guests.abort()
    await listening?.end(CLOSE_GRACE_MS)
  }

  async #listen(): Promise<Listening> {
    const { host, port, allowedPeers } = this.#config
    const allowed = new AddressList(allowedPeers)
    const isArchive = this.#callers.addresses()
    const isKnown = (address: string | undefined): boolean => isArchive(address) || this.#devices.isKnown(address)
    const listening = await listen({ host, port }, (transport, settled) => void this.#serve(transport, settled), {
      door: {
        maxConnections: MAX_CONNECTIONS,
        maxOfKnown: MAX_STORAGE_ASSOCIATIONS,
        isKnown,
        onMadeRoom: (address) => publishRefusal({ reason: 'made-room', address }),
      },
      isAllowed: (address) => allowedPeers.length === 0 || allowed.has(address),
      onNotAllowed: (address) => publishRefusal({ reason: 'not-allowed', address }),
      tls: this.#tls,
      handshakeTimeout: this.#limits.artim,
      onTlsFailure: (code, address) => publishRefusal({ reason: 'tls-failed', address, code }),
    })
    publishListener({ aeTitle: this.aeTitle, port: listening.port })
    return listening
  }

  async #serve(transport: Transport, settled: () => void): Promise<void> {
    const { remoteAddress: address } = transport
    using stay = new DisposableStack()
    const association = await Association.accept(transport, {
      maxPduLength: 131_072,
      decide: (request) => this.#decide(request, address, stay),
      onMalformed: () => publishRefusal({ reason: 'not-dicom', address }),
      ...(this.#limits.artim !== undefined && { artim: this.#limits.artim }),
    }).catch(() => undefined)
    if (!association) return
    settled()
    const callingAeTitle = association.requested.callingAeTitle.trim()
    const over = new AbortController()
    void association.closed.then(() => over.abort())
    const calledAeTitle = association.requested.calledAeTitle.trim()
    const call = { calledAeTitle, address, signal: over.signal }
    const caller = { callingAeTitle, address, call, ...this.#namesOf(association.requested, address) }
    const { archives, device } = caller
    const guest = this.#guests.add(association, { callingAeTitle, address, isDevice: device !== undefined })
    const patience = {
      idleTimeout: this.#limits.idle ?? IDLE_TIMEOUT_MS,
      dataTimeout: Math.max(device?.timeout ?? 0, ...archives.map(({ timeout }) => timeout)),
    }
    // What goes wrong ends this association; the move finds out by what does not come.
    await serve(
      association,
      {
        store: (instance) => guest.during(() => this.#store(instance, caller)),
        report: (report) => guest.during(() => this.#report(report, caller)),
        ...(device?.asksCommitment && {
          perform: (command: { readonly type: string }, request: Dataset | undefined) =>
            Promise.resolve({ status: commitmentFault(command) ?? device.commit(request) }),
        }),
        ...(device?.asksWorklist && {
          find: async (identifier: Dataset) => guest.throughout(device.findSteps(identifier, call)),
        }),
      },
      patience,
    ).catch(() => association.abort())
  }

  /** `stay`: what it takes, for as long as it stands. */
  #decide(request: AssociateRequest, address: string | undefined, stay: DisposableStack): AcceptorPolicy | Rejection {
    const refuse = (reason: RefusalReason): void =>
      publishRefusal({ reason, address, callingAeTitle: request.callingAeTitle.trim() })
    const { archives, device } = this.#namesOf(request, address)
    if (!device && request.calledAeTitle.trim() !== this.aeTitle) {
      refuse('wrong-title')
      return CALLED_AE_TITLE_NOT_RECOGNIZED
    }
    if (archives.length === 0 && !device) {
      refuse('unknown-caller')
      return CALLING_AE_TITLE_NOT_RECOGNIZED
    }
    if (device && !device.hasRoom) {
      refuse('no-room')
      return LOCAL_LIMIT_EXCEEDED
    }
    if (this.#guests.size >= MAX_STORAGE_ASSOCIATIONS) {
      const left = this.#guests.makeRoom()
      if (!left) {
        refuse('no-room')
        return LOCAL_LIMIT_EXCEEDED
      }
      publishRefusal({ reason: 'made-room', ...left })
    }
    if (device) stay.use(device.enter())
    const own = archives.flatMap(({ ownSyntaxes }) => ownSyntaxes)
    const storage = device !== undefined || this.moves.mayBeAsked(titlesOf(archives))
    if (!storage && request.contexts.some(({ abstractSyntax }) => mayBeStorage(abstractSyntax))) refuse('unasked')
    return admit({
      ...{ storage, own, reports: archives.some(({ reports }) => reports !== undefined) },
      isDevice: device !== undefined,
      worklist: device?.asksWorklist === true,
      commitment: device?.asksCommitment === true,
    })
  }

  /** Who it may be that calls so. */
  #namesOf(
    { callingAeTitle, calledAeTitle }: Pick<AssociateRequest, 'callingAeTitle' | 'calledAeTitle'>,
    address: string | undefined,
  ): Pick<Caller, 'archives' | 'device'> {
    const called = calledAeTitle.trim()
    const device = this.#devices.at(callingAeTitle.trim(), called, address)
    // What both may bring could not be told apart: the configuration has two titles for us.
    const isArchive = !device && called === this.aeTitle
    return { archives: isArchive ? this.#callers.at(callingAeTitle, address) : [], device }
  }

  /** The status of the N-EVENT-REPORT response. */
  async #report(report: EventReport, { archives, address, callingAeTitle }: Caller): Promise<number> {
    const known = await Promise.all(archives.map(async ({ reports }) => (await reports?.isFor(report)) === true))
    const takers = archives.filter((_, index) => known[index])
    // Which of several it is that calls by one title, nobody knows: what one says is not taken for the word of another.
    const status = takers.length === 1 ? await takers[0]!.reports!.take(report) : undefined
    if (status !== undefined) return status
    publishRefusal({ reason: 'unasked-report', address, callingAeTitle })
    return Status.processingFailure
  }

  /** The status of the C-STORE response. */
  async #store(incoming: IncomingStore, caller: Caller): Promise<number> {
    const refuse = (reason: RefusalReason, status: number): number => {
      publishRefusal({ reason, address: caller.address, callingAeTitle: caller.callingAeTitle })
      return status
    }
    const { device, call } = caller
    if (!device) {
      const delivered = await this.moves.deliver(incoming, titlesOf(caller.archives))
      if (typeof delivered === 'number') return delivered
      return refuse(delivered, delivered === 'unreadable' ? Status.cannotUnderstand : Status.notAuthorized)
    }
    const options = FROM_DEVICE(incoming.syntax.deflated)
    const arrival = await Arrival.begin(incoming.body, incoming.syntax, options).catch(() => undefined)
    if (arrival && isNamedWell(incoming, arrival.index.identity)) return device.store(incoming, arrival, call)
    await arrival?.return()
    return refuse('unreadable', Status.cannotUnderstand)
  }
}

function titlesOf(archives: readonly Deliverer[]): string[] {
  return archives.map(({ aeTitle }) => aeTitle)
}

/** Why it is no request for storage commitment (PS3.4 J.3.2); undefined where it is one. */
function commitmentFault(command: {
  readonly type: string
  readonly requestedSopClassUid?: Uid
  readonly requestedSopInstanceUid?: Uid
  readonly actionTypeId?: number
}): number | undefined {
  const { type, requestedSopClassUid, requestedSopInstanceUid, actionTypeId } = command
  if (type !== 'N-ACTION-RQ' || requestedSopClassUid !== COMMITMENT) return Status.unrecognizedOperation
  if (requestedSopInstanceUid !== WellKnownInstance.storageCommitmentPushModel) return Status.noSuchSopInstance
  return actionTypeId === REQUEST_STORAGE_COMMITMENT ? undefined : Status.noSuchAction
}
