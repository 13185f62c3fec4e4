import type { Bytes } from '../dicom/bytes.ts'
import { APPLICATION_CONTEXT, IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME } from '../dicom/uids.ts'
import {
  AssociationAbortedError,
  AssociationRejectedError,
  ConnectionLostError,
  PeerTimeoutError,
  ProtocolError,
} from './errors.ts'
import {
  acceptedContexts,
  answerContexts,
  hasValidContextIds,
  type AcceptedContext,
  type AcceptorPolicy,
} from './negotiation.ts'
import {
  AbortReason,
  type AssociateAccept,
  type AssociateReject,
  type AssociateRequest,
  type ControlPdu,
  type DataPiece,
  type ExtendedNegotiation,
  type ProposedContext,
  type RoleSelection,
  type UserIdentity,
  type UserInformation,
} from './pdu.ts'
import { InvalidPduError, PduDecoder } from './pdu-decode.ts'
import { encodePdu } from './pdu-encode.ts'
import { step, type Event, type State } from './state-machine.ts'
import { Transport, type Address, type TlsOptions } from './transport.ts'

/** PS3.8 9.1.4; ran in Sta2 and Sta13. */
export const ARTIM_MS = 30_000
/** Bytes received and not yet read at which the socket is paused, and at which it goes on. */
export const HIGH_WATER_BYTES = 1024 * 1024
export const LOW_WATER_BYTES = 512 * 1024
/** What we send to a peer that sets no limit. */
const UNLIMITED_PDU_BYTES = 131_072
/** A peer that takes less than this is broken: PDV headers alone are 6 bytes. */
const MIN_PDU_BYTES = 128

export interface RequestOptions {
  readonly address: Address
  readonly calledAeTitle: string
  readonly callingAeTitle: string
  readonly contexts: readonly ProposedContext[]
  readonly roles?: readonly RoleSelection[]
  readonly extended?: readonly ExtendedNegotiation[]
  readonly identity?: UserIdentity
  /** Announced as the largest P-DATA-TF body we take, in bytes. */
  readonly maxPduLength: number
  readonly tls?: TlsOptions
  /** Milliseconds. */
  readonly timeouts: { readonly connect: number; readonly associate: number }
}

export interface AcceptOptions {
  readonly maxPduLength: number
  /** Decides on a request: a policy for its contexts, or a rejection. */
  decide(request: AssociateRequest): AcceptorPolicy | Omit<AssociateReject, 'type'>
  readonly artim?: number
}

/** How long to wait for the peer, and for whom no more. */
export interface Wait {
  readonly timeout: number
  readonly signal?: AbortSignal | undefined
  /** Names what is awaited in PeerTimeoutError. */
  readonly what: string
}

/**
 * One association, driven by the state machine of PS3.8 9.2. Received data waits in a bounded queue for `read`; what
 * ends the association makes `read` fail once the queue is empty.
 */
export class Association {
  readonly #transport: Transport
  readonly #requestor: boolean
  readonly #decoder: PduDecoder
  readonly #artimMs: number
  #state: State
  #request: AssociateRequest | undefined
  #peer: UserInformation | undefined
  #contexts: ReadonlyMap<number, AcceptedContext> = new Map()
  #queue: DataPiece[] = []
  #queuedBytes = 0
  #paused = false
  #failure: Error | undefined
  #released = false
  /** Each waits for a condition of its own and looks whenever something has happened. */
  readonly #waiters = new Set<() => void>()
  #artim: NodeJS.Timeout | undefined
  readonly #closed = Promise.withResolvers<undefined>()

  private constructor(transport: Transport, requestor: boolean, maxPduLength: number, artim: number, state: State) {
    this.#transport = transport
    this.#requestor = requestor
    this.#decoder = new PduDecoder(maxPduLength)
    this.#artimMs = artim
    this.#state = state
  }

  /**
   * Opens an association as its requestor.
   * @throws ConnectError, AssociationRejectedError, AssociationAbortedError, ConnectionLostError, PeerTimeoutError,
   *   the signal's reason
   */
  static async request(options: RequestOptions, signal?: AbortSignal): Promise<Association> {
    const { address, timeouts, tls, maxPduLength } = options
    const transport = await Transport.connect(address, { timeout: timeouts.connect, signal, tls })
    const association = new Association(transport, true, maxPduLength, ARTIM_MS, 4)
    association.#request = associateRequest(options)
    association.#start()
    association.#on('Evt2')
    try {
      await association.#until(() => association.#state !== 5, {
        timeout: timeouts.associate,
        signal,
        what: 'answer to the association request',
      })
      if (association.#failure) throw association.#failure
      return association
    } catch (error) {
      association.abort()
      throw error
    }
  }

  /**
   * Answers a connection as its acceptor; undefined when it is rejected or ends before an association stands.
   */
  static async accept(transport: Transport, options: AcceptOptions): Promise<Association | undefined> {
    const association = new Association(transport, false, options.maxPduLength, options.artim ?? ARTIM_MS, 1)
    association.#on('Evt5')
    association.#start()
    await association.#until(() => association.#state !== 2, undefined)
    const request = association.#request
    if (association.#state !== 3 || !request) return undefined
    const decision = hasValidContextIds(request)
      ? options.decide(request)
      : { result: 1, source: 1, reason: 1 }
    if ('result' in decision) {
      association.#send([encodePdu({ type: 'associate-reject', ...decision })])
      association.#on('Evt8')
      return undefined
    }
    association.#acceptRequest(request, decision, options.maxPduLength)
    return association
  }

  #acceptRequest(request: AssociateRequest, policy: AcceptorPolicy, maxPduLength: number): void {
    const accept: AssociateAccept = {
      type: 'associate-accept',
      calledAeTitle: request.calledAeTitle,
      callingAeTitle: request.callingAeTitle,
      applicationContext: APPLICATION_CONTEXT,
      contexts: answerContexts(request, policy),
      user: {
        maxLength: maxPduLength,
        implementationClassUid: IMPLEMENTATION_CLASS_UID,
        implementationVersionName: IMPLEMENTATION_VERSION_NAME,
        roles: request.user.roles.flatMap((role) => policy.roles?.(role) ?? []),
        extended: request.user.extended.flatMap((item) => policy.extended?.(item) ?? []),
        commonExtended: [],
      },
    }
    this.#contexts = acceptedContexts(request, accept)
    this.#peer = request.user
    this.#send([encodePdu(accept)])
    this.#on('Evt7')
  }

  /** The request that opened it, ours or the peer's. */
  get requested(): AssociateRequest {
    return this.#request!
  }

  /** What the peer said of itself, roles and extended negotiation included. */
  get peer(): UserInformation {
    return this.#peer!
  }

  get contexts(): ReadonlyMap<number, AcceptedContext> {
    return this.#contexts
  }

  /** The largest fragment of a PDV that the peer takes: its P-DATA-TF limit less the 6 bytes of the PDV header, even. */
  get maxFragmentBytes(): number {
    const { maxLength } = this.peer
    const limit = maxLength === 0 ? UNLIMITED_PDU_BYTES : Math.min(maxLength, UNLIMITED_PDU_BYTES)
    return (limit - 6) & ~1
  }

  /** In data transfer with nothing unread: fit for another operation. */
  get idle(): boolean {
    return this.#state === 6 && this.#failure === undefined && this.#queue.length === 0
  }

  /** Something has arrived that is not read yet. */
  get pending(): boolean {
    return this.#queue.length > 0
  }

  get remoteAddress(): string | undefined {
    return this.#transport.remoteAddress
  }

  /** Resolves when the connection is gone. */
  get closed(): Promise<undefined> {
    return this.#closed.promise
  }

  /** The next piece if it is here already. */
  poll(): DataPiece | undefined {
    const piece = this.#queue.shift()
    if (piece === undefined) return undefined
    this.#queuedBytes -= piece.bytes.length
    if (this.#paused && this.#queuedBytes <= LOW_WATER_BYTES) {
      this.#paused = false
      this.#transport.resume()
    }
    return piece
  }

  /**
   * The next piece; undefined when the peer has released the association.
   * @throws AssociationAbortedError, ConnectionLostError, PeerTimeoutError, ProtocolError, the signal's reason
   */
  async read(wait: Wait): Promise<DataPiece | undefined> {
    const ready = this.poll()
    if (ready) return ready
    await this.#until(() => this.#queue.length > 0 || this.#released || this.#failure !== undefined, wait)
    const piece = this.poll()
    if (piece) return piece
    if (this.#failure) throw this.#failure
    return undefined
  }

  /**
   * Sends P-DATA-TF PDUs, framed by the caller; resolves when the peer's pace allows more.
   * @throws as `read`
   */
  async send(chunks: readonly Bytes[], wait: Wait): Promise<void> {
    if (this.#failure) throw this.#failure
    if (this.#state !== 6) throw new ConnectionLostError('The association is no longer open')
    this.#on('Evt9')
    if (this.#send(chunks)) return
    let drained = false
    this.#transport.onDrained(() => {
      drained = true
      this.#wake()
    })
    await this.#until(() => drained || this.#failure !== undefined, wait)
    if (!drained && this.#failure) throw this.#failure
  }

  /** Releases in order; after `timeout` ms without an answer the connection is cut. Never throws. */
  async release(timeout: number): Promise<void> {
    if (this.#state !== 6) return this.abort()
    this.#on('Evt11')
    try {
      await this.#until(() => this.#state === 1, { timeout, what: 'release response' })
    } catch {
      this.abort()
    }
  }

  /** Aborts, whatever the state; harmless when it is over already (PS3.8 7.3). */
  abort(): void {
    this.#failure ??= new AssociationAbortedError('us', 0, 0)
    if (this.#state === 1) this.#transport.destroy()
    else this.#on('Evt15')
  }

  /** Aborts after a breach of the protocol by the peer; what is read fails with the error given. */
  abortFor(error: ProtocolError): void {
    this.#failure ??= error
    this.#on('Evt19', AbortReason.unexpectedPdu)
  }

  #start(): void {
    this.#transport.start({
      data: (chunk) => this.#data(chunk),
      closed: (error) => {
        this.#failure ??= this.#released
          ? undefined
          : new ConnectionLostError('The peer closed the connection', { cause: error })
        this.#on('Evt17')
        this.#state = 1
        this.#stopArtim()
        this.#closed.resolve(undefined)
        this.#wake()
      },
    })
  }

  #data(chunk: Bytes): void {
    try {
      this.#decoder.push(chunk)
      for (let pdu = this.#decoder.next(); pdu !== undefined; pdu = this.#decoder.next()) {
        if (pdu.type === 'data') this.#piece(pdu)
        else this.#control(pdu)
        if (this.#state === 13 || this.#state === 1) return
      }
    } catch (error) {
      if (!(error instanceof InvalidPduError)) throw error
      this.#failure ??= new ProtocolError(error.message, { cause: error })
      this.#on('Evt19', error.reason)
    } finally {
      this.#wake()
    }
  }

  #piece(piece: DataPiece): void {
    const { action } = this.#on('Evt10', AbortReason.unexpectedPdu) ?? {}
    if (action !== 'DT-2') return
    this.#queue.push(piece)
    this.#queuedBytes += piece.bytes.length
    if (!this.#paused && this.#queuedBytes > HIGH_WATER_BYTES) {
      this.#paused = true
      this.#transport.pause()
    }
  }

  #control(pdu: ControlPdu): void {
    switch (pdu.type) {
      case 'associate-request':
        if (this.#state === 2) this.#request = pdu
        this.#on('Evt6', AbortReason.unexpectedPdu)
        return
      case 'associate-accept':
        return this.#accepted(pdu)
      case 'associate-reject':
        if (this.#state === 5) this.#failure = new AssociationRejectedError(pdu.result, pdu.source, pdu.reason)
        this.#on('Evt4', AbortReason.unexpectedPdu)
        return
      case 'release-request':
        if (this.#on('Evt12', AbortReason.unexpectedPdu)?.action === 'AR-2') this.#released = true
        // AR-2 and AR-8 indicate; the answer follows at once, nothing of ours is outstanding in these states.
        if (this.#state === 8 || this.#state === 9) this.#on('Evt14')
        return
      case 'release-response':
        this.#on('Evt13', AbortReason.unexpectedPdu)
        // AR-10: the acceptor of a release collision answers the peer's request after its own is confirmed.
        if (this.#state === 12) this.#on('Evt14')
        return
      case 'abort':
        this.#failure ??= new AssociationAbortedError('peer', pdu.source, pdu.reason)
        this.#on('Evt16')
        return
    }
  }

  #accepted(accept: AssociateAccept): void {
    if (this.#state === 5) {
      this.#contexts = acceptedContexts(this.#request!, accept)
      this.#peer = accept.user
      const { maxLength } = accept.user
      if (maxLength !== 0 && maxLength < MIN_PDU_BYTES) {
        this.#failure = new ProtocolError(`The peer takes PDUs of at most ${maxLength} bytes`)
        this.#on('Evt19', AbortReason.invalidParameter)
        return
      }
    }
    this.#on('Evt3', AbortReason.unexpectedPdu)
  }

  /** One step of table 9-10: moves the state, does the action. */
  #on(event: Event, reason = 0): { action: string } | undefined {
    const taken = step(this.#state, event, this.#requestor)
    if (!taken) return undefined
    this.#state = taken.next
    switch (taken.action) {
      case 'AE-2':
        this.#send([encodePdu(this.#request!)])
        break
      case 'AE-5':
        this.#startArtim()
        break
      case 'AE-3':
      case 'AE-6':
      case 'AA-5':
      case 'AR-5':
        this.#stopArtim()
        break
      case 'AE-8':
        this.#transport.end()
        this.#startArtim()
        break
      case 'AR-1':
        this.#send([encodePdu({ type: 'release-request' })])
        break
      case 'AR-4':
        this.#send([encodePdu({ type: 'release-response' })])
        this.#startArtim()
        break
      case 'AR-9':
        this.#send([encodePdu({ type: 'release-response' })])
        break
      case 'AE-4':
      case 'AR-3':
        this.#transport.end()
        this.#startArtim()
        break
      case 'AA-1':
        this.#endByAbort(0, 0)
        break
      case 'AA-8':
        this.#failure ??= new ProtocolError('The peer sent a PDU that is out of place')
        this.#endByAbort(2, reason)
        break
      case 'AA-7':
        this.#send([encodePdu({ type: 'abort', source: 2, reason })])
        break
      case 'AA-2':
      case 'AA-3':
        this.#stopArtim()
        this.#transport.destroy()
        break
      case 'AE-1':
      case 'AE-7':
      case 'DT-1':
      case 'DT-2':
      case 'AR-2':
      case 'AR-6':
      case 'AR-7':
      case 'AR-8':
      case 'AR-10':
      case 'AA-4':
      case 'AA-6':
        break
    }
    this.#wake()
    return taken
  }

  #endByAbort(source: number, reason: number): void {
    this.#send([encodePdu({ type: 'abort', source, reason })])
    this.#transport.end()
    this.#startArtim()
  }

  #wake(): void {
    for (const look of this.#waiters) look()
  }

  #send(chunks: readonly Bytes[]): boolean {
    return this.#transport.write(chunks)
  }

  #startArtim(): void {
    this.#stopArtim()
    this.#artim = setTimeout(() => {
      this.#on('Evt18')
      this.#transport.destroy()
    }, this.#artimMs)
    this.#artim.unref()
  }

  #stopArtim(): void {
    clearTimeout(this.#artim)
  }

  /** Waits until `ready`; without `wait` for as long as the state machine's timers allow. */
  async #until(ready: () => boolean, wait: Wait | undefined): Promise<void> {
    if (ready()) return
    wait?.signal?.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<undefined>()
    const aborted = (): void => reject(wait!.signal!.reason as Error)
    const timer =
      wait && setTimeout(() => reject(new PeerTimeoutError(wait.what, wait.timeout)), wait.timeout)
    wait?.signal?.addEventListener('abort', aborted)
    const look = (): void => {
      if (ready()) resolve(undefined)
    }
    this.#waiters.add(look)
    try {
      await promise
    } finally {
      this.#waiters.delete(look)
      clearTimeout(timer)
      wait?.signal?.removeEventListener('abort', aborted)
    }
  }
}

function associateRequest(options: RequestOptions): AssociateRequest {
  return {
    type: 'associate-request',
    calledAeTitle: options.calledAeTitle,
    callingAeTitle: options.callingAeTitle,
    applicationContext: APPLICATION_CONTEXT,
    contexts: options.contexts,
    user: {
      maxLength: options.maxPduLength,
      implementationClassUid: IMPLEMENTATION_CLASS_UID,
      implementationVersionName: IMPLEMENTATION_VERSION_NAME,
      roles: options.roles ?? [],
      extended: options.extended ?? [],
      commonExtended: [],
      ...(options.identity && { identity: options.identity }),
    },
  }
}
