import { connect } from 'node:net'
import { connect as connectTls, type ConnectionOptions } from 'node:tls'
import { Dataset } from '../../src/dicom/dataset.ts'
import { encodeDataset } from '../../src/dicom/dataset-codec.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN } from '../../src/dicom/transfer-syntax.ts'
import {
  associateRequest,
  CT,
  EXPLICIT_LE,
  golden,
  moveResponse,
  readItems,
  storeRequest,
  type Framing,
  type RequestBytes,
} from './golden.ts'
import { PeerConnection } from './scripted-peer.ts'
import type { ArchiveAssociation, ArchiveMessage } from './scripted-archive.ts'
import { sliceDataset, type SliceShape } from './slices.ts'

export const C_MOVE_RQ = 0x0021

/** Contexts of a storage association: CT in Explicit VR Little Endian. */
const storage = [{ id: 1, abstractSyntax: CT, transferSyntaxes: [EXPLICIT_LE] }]

export interface StoreOptions extends Framing {
  /** Of the C-MOVE that it belongs to; not told by default. */
  readonly originator?: { readonly aeTitle: string; readonly messageId: number }
  /** What the command says in place of what the data set says. */
  readonly sopInstance?: string
  /** Bytes of the data set that are sent, as if they were all. */
  readonly cut?: number
}

/** An association by which an archive stores to a listener of ours; its bytes are those of the tests. */
export class StorageCaller implements AsyncDisposable {
  readonly peer: PeerConnection
  /** The PDU that answered the request: 2 accepted, 3 rejected, 7 aborted. */
  readonly answer: Buffer | undefined

  private constructor(peer: PeerConnection, answer: Buffer | undefined) {
    this.peer = peer
    this.answer = answer
  }

  /** A connection to the listener, over which nothing was sent. */
  static async connect(port: number, tls?: ConnectionOptions): Promise<PeerConnection> {
    const to = { port, host: '127.0.0.1', allowHalfOpen: true }
    const socket = tls ? connectTls({ ...to, ...tls }) : connect(to)
    await new Promise<void>((resolve, reject) => {
      socket.once(tls ? 'secureConnect' : 'connect', () => resolve())
      socket.once('error', reject)
    })
    return new PeerConnection(socket)
  }

  static async open(port: number, options: RequestBytes = {}, tls?: ConnectionOptions): Promise<StorageCaller> {
    const peer = await StorageCaller.connect(port, tls)
    await peer.send(
      associateRequest({ calledAeTitle: 'DIMSEGATE', callingAeTitle: 'PACS', contexts: storage, ...options }),
    )
    return new StorageCaller(peer, await peer.next())
  }

  /** Result, source and reason of a rejection (PS3.8 9.3.4); the type of the answer where it is none. */
  get rejection(): number[] | number | undefined {
    return this.answer?.[0] === 3 ? [...this.answer.subarray(7, 10)] : this.answer?.[0]
  }

  /** The result of each context that was offered: 0 is accepted (PS3.8 9.3.3.2). */
  get results(): number[] {
    if (this.answer?.[0] !== 2) return []
    const items = readItems(this.answer.subarray(74)).filter(({ type }) => type === 0x21)
    return items.map(({ value }) => value[2]!)
  }

  /** Stores one instance; the status of the response, or undefined when the association ends instead. */
  async store(shape: SliceShape | Dataset, options: StoreOptions = {}): Promise<number | undefined> {
    await this.send(shape, options)
    const answer = await this.peer.next()
    if (answer?.[0] !== 4) return undefined
    // Status is the last element of a C-STORE response but for the UID of its instance.
    const at = answer.indexOf(Buffer.from('0000000902000000', 'hex'))
    return answer.readUInt16LE(at + 8)
  }

  /** Sends a C-STORE request and its data set. */
  async send(shape: SliceShape | Dataset, options: StoreOptions = {}): Promise<void> {
    await this.peer.send(this.bytes(shape, options))
  }

  bytes(shape: SliceShape | Dataset, options: StoreOptions = {}): Buffer {
    const dataset = shape instanceof Dataset ? shape : sliceDataset(shape)
    const { originator, cut, sopInstance = dataset.string(0x00080018) ?? '', ...framing } = options
    const data = Buffer.from(encodeDataset(dataset, EXPLICIT_VR_LITTLE_ENDIAN)).subarray(0, cut)
    const more = originator ? { '1030': originator.aeTitle, '1031': originator.messageId } : {}
    return storeRequest({ sopInstance, data, more, fragments: [100_000], ...framing })
  }

  async release(): Promise<void> {
    await this.peer.send(golden.releaseRequest)
    await this.peer.next()
    this.peer.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { socket } = this.peer
    const closed = socket.closed ? undefined : new Promise((resolve) => socket.once('close', resolve))
    socket.destroy()
    await closed
  }
}

export type MoveHandler = (
  association: ArchiveAssociation,
  message: ArchiveMessage,
  /** The C-MOVE, as each instance names it. */
  originator: { readonly aeTitle: string; readonly messageId: number },
) => Promise<void>

/** What a scripted archive does with a C-MOVE, as the `other` of its script. */
export function onMove(
  handler: MoveHandler,
  other?: (association: ArchiveAssociation, message: ArchiveMessage) => Promise<void>,
): (association: ArchiveAssociation, message: ArchiveMessage) => Promise<void> {
  return async (association, message) => {
    if (message.field !== C_MOVE_RQ) return other?.(association, message)
    await handler(association, message, { aeTitle: 'DIMSEGATE', messageId: message.messageId })
  }
}

/** Answers a C-MOVE. */
export async function endMove(
  { peer }: ArchiveAssociation,
  { contextId, messageId }: ArchiveMessage,
  response: Parameters<typeof moveResponse>[0] = {},
): Promise<void> {
  await peer.send(moveResponse({ contextId, messageId, ...response }))
}
