import type { Bytes } from '../dicom/bytes.ts'
import { Artim } from './artim.ts'
import { ARTIM_MS, type AcceptOptions, type RequestOptions } from './association-options.ts'
import {
  AssociationAbortedError,
  AssociationRejectedError,
  ConnectionLostError,
  InvalidPduError,
  PeerTimeoutError,
  ProtocolError,
} from './errors.ts'
import {
  acceptedContexts,
  associateAccept,
  associateRequest,
  isTooSmall,
  refusal,
  type AcceptedContext,
  type AcceptorPolicy,
} from './negotiation.ts'
import {
  AbortReason,
  type AssociateAccept,
  type AssociateRequest,
  type ControlPdu,
  type DataPiece,
  type UserInformation,
} from './pdu.ts'
import { PduDecoder } from './pdu-decode.ts'
import { encodePdu } from './pdu-encode.ts'
import { step, type Event, type State } from './state-machine.ts'
import { ReceiveQueue } from './receive-queue.ts'
import { Transport } from './transport.ts'
import { Waiters, type Wait } from './waiters.ts'

export type { AcceptOptions, RequestOptions } from './association-options.ts'

/**
 * One association, driven by the state machine of PS3.8 9.2. Received data waits in a bounded queue for `read`; what
 * ends the association makes `read` fail once the queue is empty.
 */
export class Association {
  readonly #transport: Transport
  readonly #requestor: boolean
  readonly #decoder: PduDecoder
  readonly #artim: Artim
  #state: State
  #request: AssociateRequest | undefined
  #peer: UserInformation | undefined
  #contexts: ReadonlyMap<number, AcceptedContext> = new Map()
  readonly #queue: ReceiveQueue
  #failure: Error | undefined
  #released = false
  /** Where the next PDU begins is not known any more. */
  #deaf = false
  readonly #waiters = new Waiters()
  readonly #closed = Promise.withResolvers<undefined>()

  private constructor(transport: Transport, requestor: boolean, maxPduLength: number, artim: number, state: State) {
    this.#transport = transport
    this.#requestor = requestor
    this.#decoder = new PduDecoder(maxPduLength)
    this.#queue = new ReceiveQueue(transport)
    this.#artim = new Artim(artim, () => {
      this.#on('Evt18')
      this.#transport.destroy()
    })
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
    const association = new Association(transport, true, maxPduLength, options.artim ?? ARTIM_MS, 4)
    association.#request = associateRequest(options)
    options.onConnected?.(association.closed)
    try {
      association.#start()
      association.#on('Evt2')
      await association.#waiters.until(() => association.#state !== 5, {
        timeout: timeouts.associate,
        signal,
        what: 'answer to the association request',
      })
      association.#throwFailure()
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
    await association.#waiters.until(() => association.#state !== 2, undefined)
    const request = association.#request
    if (!request && association.#failure instanceof ProtocolError) options.onMalformed?.()
    if (association.#state !== 3 || !request) return undefined
    try {
      const decision = refusal(request) ?? options.decide(request)
      if (!('result' in decision)) {
        association.#acceptRequest(request, decision, options.maxPduLength)
        return association
      }
      association.#transport.write([encodePdu({ type: 'associate-reject', ...decision })])
      association.#on('Evt8')
      return undefined
    } catch (error) {
      association.abort()
      throw error
    }
  }

  #acceptRequest(request: AssociateRequest, policy: AcceptorPolicy, maxPduLength: number): void {
    const accept = associateAccept(request, policy, maxPduLength)
    this.#contexts = acceptedContexts(request, accept)
    this.#peer = request.user
    this.#transport.write([encodePdu(accept)])
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

  /** In data transfer with nothing unread: fit for another operation. */
  get idle(): boolean {
    return this.#state === 6 && this.#failure === undefined && this.#queue.length === 0
  }

  /** Pieces have arrived that are not read yet. */
  get pending(): boolean {
    return this.#queue.length > 0
  }

  /** Resolves when the connection is gone. */
  get closed(): Promise<undefined> {
    return this.#closed.promise
  }

  /** The next piece if it is here already. */
  poll(): DataPiece | undefined {
    return this.#queue.shift()
  }

  /**
   * The next piece; undefined when the peer has released the association.
   * @throws AssociationAbortedError, ConnectionLostError, PeerTimeoutError, ProtocolError, the signal's reason
   */
  async read(wait: Wait): Promise<DataPiece | undefined> {
    for (;;) {
      const piece = this.poll()
      if (piece) return piece
      this.#throwFailure()
      if (this.#released) return undefined
      await this.#orGiveUp(() => this.#queue.length > 0 || this.#released || this.#failure !== undefined, wait)
    }
  }

  /**
   * Waits until the end of the data set that is being read is here, read or not.
   * @throws as `read`
   */
  async dataSetArrived(wait: Wait): Promise<void> {
    await this.#waiters.until(() => this.#queue.holdsDataSetEnd || this.#failure !== undefined, wait)
    if (!this.#queue.holdsDataSetEnd) this.#throwFailure()
  }

  /**
   * Sends P-DATA-TF PDUs, framed by the caller; resolves when the peer's pace allows more.
   * @throws as `read`
   */
  async send(chunks: readonly Bytes[], wait: Wait): Promise<void> {
    wait.signal?.throwIfAborted()
    this.#throwFailure()
    if (this.#state !== 6) throw new ConnectionLostError('The association is no longer open')
    this.#on('Evt9')
    if (this.#transport.write(chunks)) return
    let drained = false
    this.#transport.onDrained(() => {
      drained = true
      this.#waiters.wake()
    })
    await this.#orGiveUp(() => drained || this.#failure !== undefined, wait)
    // A connection that ends counts as drained too.
    this.#throwFailure()
  }

  /** A peer that fell silent answers nothing more, a C-CANCEL neither: the association is aborted. */
  async #orGiveUp(ready: () => boolean, wait: Wait): Promise<void> {
    try {
      await this.#waiters.until(ready, wait)
    } catch (error) {
      if (error instanceof PeerTimeoutError) this.abort()
      throw error
    }
  }

  /** Releases in order; after `timeout` ms without an answer the connection is cut. Never throws. */
  async release(timeout: number): Promise<void> {
    if (this.#state !== 6) {
      this.abort()
      return
    }
    this.#on('Evt11')
    try {
      await this.#waiters.until(() => this.#state === 1, { timeout, what: 'release response' })
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
    this.#fail(error)
    this.#on('Evt19', AbortReason.unexpectedPdu)
  }

  #start(): void {
    this.#transport.start({
      data: (chunk) => this.#data(chunk),
      closed: (error) => {
        this.#fail(new ConnectionLostError('The peer closed the connection', { cause: error }))
        this.#on('Evt17')
        this.#state = 1
        this.#artim.stop()
        this.#closed.resolve(undefined)
        this.#waiters.wake()
        this.#waiters.close()
      },
    })
  }

  /** Of several failures the first counts; after a release none does. */
  #fail(error: Error): void {
    if (!this.#released) this.#failure ??= error
  }

  #throwFailure(): void {
    if (this.#failure) throw this.#failure
  }

  #data(chunk: Bytes): void {
    if (this.#deaf || this.#state === 1) return
    try {
      this.#decoder.push(chunk)
      for (let pdu = this.#decoder.next(); pdu !== undefined; pdu = this.#decoder.next()) {
        if (pdu.type === 'data') this.#piece(pdu)
        else this.#control(pdu)
        if ((this.#state as State) === 1) return
      }
    } catch (error) {
      if (!(error instanceof InvalidPduError)) throw error
      this.#deaf = true
      this.#fail(new ProtocolError(error.message, { cause: error }))
      this.#on('Evt19', error.reason)
    } finally {
      this.#waiters.wake()
    }
  }

  #piece(piece: DataPiece): void {
    const { action } = this.#on('Evt10', AbortReason.unexpectedPdu) ?? {}
    if (action !== 'DT-2') return
    this.#queue.push(piece)
  }

  #control(pdu: ControlPdu): void {
    switch (pdu.type) {
      case 'associate-request':
        if (this.#state === 2) this.#request = pdu
        this.#on('Evt6', AbortReason.unexpectedPdu)
        return
      case 'associate-accept':
        this.#accepted(pdu)
        return
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
        this.#fail(new AssociationAbortedError('peer', pdu.source, pdu.reason))
        this.#on('Evt16')
        return
    }
  }

  #accepted(accept: AssociateAccept): void {
    if (this.#state === 5) {
      this.#contexts = acceptedContexts(this.#request!, accept)
      this.#peer = accept.user
      if (isTooSmall(accept.user.maxLength)) {
        this.#fail(new ProtocolError(`The peer takes PDUs of at most ${accept.user.maxLength} bytes`))
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
        this.#transport.write([encodePdu(this.#request!)])
        break
      case 'AE-5':
        this.#artim.start()
        break
      case 'AE-3':
      case 'AE-6':
      case 'AA-5':
      case 'AR-5':
        this.#artim.stop()
        break
      case 'AR-1':
        this.#transport.write([encodePdu({ type: 'release-request' })])
        break
      case 'AR-4':
      case 'AR-9':
        this.#transport.write([encodePdu({ type: 'release-response' })])
        if (taken.action === 'AR-4') this.#artim.start()
        break
      case 'AE-4':
      case 'AE-8':
      case 'AR-3':
        this.#transport.end()
        this.#artim.start()
        break
      case 'AA-1':
        this.#endByAbort(0, 0)
        break
      case 'AA-8':
        this.#fail(new ProtocolError('The peer sent a PDU that is out of place'))
        this.#endByAbort(2, reason)
        break
      case 'AA-7':
        this.#transport.write([encodePdu({ type: 'abort', source: 2, reason })])
        break
      case 'AA-2':
      case 'AA-3':
        this.#artim.stop()
        this.#transport.destroy()
        break
      default:
        // The caller of this method does the action, or there is none.
        break
    }
    this.#waiters.wake()
    return taken
  }

  #endByAbort(source: number, reason: number): void {
    this.#transport.write([encodePdu({ type: 'abort', source, reason })])
    this.#transport.end()
    this.#artim.start()
  }
}
