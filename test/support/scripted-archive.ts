import { Dataset } from '../../src/dicom/dataset.ts'
import { encodeDataset, parseDataset } from '../../src/dicom/dataset-codec.ts'
import { transferSyntax } from '../../src/dicom/transfer-syntax.ts'
import {
  associateAccept,
  associateReject,
  commandSet,
  findResponse,
  getResponse,
  golden,
  message,
  readCommandSet,
  readRequest,
  storeRequest,
  storeResponse,
  VERIFICATION,
  type AcceptBytes,
  type ContextBytes,
  type Framing,
} from './golden.ts'
import { sliceDataset, type SliceShape } from './slices.ts'
import { ScriptedPeer, type PeerConnection } from './scripted-peer.ts'

/** An association of the scripted archive, at its end. */
export interface ArchiveAssociation {
  readonly peer: PeerConnection
  /** Counts from 0 in the order the requests came. */
  readonly index: number
  readonly contexts: readonly ContextBytes[]
  /** Sub-items of the user information, by type. */
  items(type: number): Buffer[]
  /** The context that stands for a class, and its syntax: the first accepted one unless `syntax` is told. */
  context(sopClass: string, syntax?: string): { id: number; syntax: string }
  /** Bytes of a data set in the syntax of a context. */
  encode(contextId: number, dataset: Dataset): Buffer
  /** What comes next over it: a message, or how it ends. For handlers of operations that are a dialogue. */
  next(): Promise<ArchiveMessage | 'release' | 'abort' | 'closed'>
  /** How it ended, as far as the archive has seen. */
  ended: 'released' | 'aborted' | 'closed' | undefined
}

/** A request that came in over an association. */
export interface ArchiveMessage {
  readonly contextId: number
  readonly field: number
  readonly messageId: number
  readonly command: ReadonlyMap<string, Buffer>
  /** Undefined when no data set came, or it did not come to its end. */
  readonly data: Buffer | undefined
  /** The data set as an identifier. */
  readonly identifier: Dataset
}

type Handler = (association: ArchiveAssociation, message: ArchiveMessage) => Promise<void>

/** What a scripted archive does where it is to differ from one that accepts all and holds nothing. */
export interface ArchiveScript {
  /** What to accept; 'silent' never answers; a triple is an A-ASSOCIATE-RJ; 'close' and 'abort' end the connection. */
  associate?(
    request: Buffer,
    index: number,
  ): AcceptBytes | 'silent' | 'close' | 'abort' | readonly [number, number, number] | undefined
  echo?: Handler
  find?: Handler
  get?: Handler
  store?: Handler
  /** Any other message, C-CANCEL among them. */
  other?: Handler
  /** Where to cut an association: the connection ends when so many bytes have been sent over it. */
  cut?(association: ArchiveAssociation): Cut | undefined
  /** Before an A-RELEASE-RQ is answered; false leaves it unanswered. */
  release?(association: ArchiveAssociation): Promise<boolean>
}

export interface Cut {
  readonly after: number
  readonly by: 'fin' | 'reset'
}

export const C_CANCEL_RQ = 0x0fff

/** An archive that is scripted operation by operation, and counts its associations. */
export class ScriptedArchive implements AsyncDisposable {
  readonly associations: ArchiveAssociation[] = []
  /** Requests in the order they came: `association index` and command field. */
  readonly log: { association: number; message: ArchiveMessage }[] = []
  /** Associations that stand. */
  open = 0
  /** The most that ever stood at once. */
  mostOpen = 0
  /** May be changed while it runs. */
  script: ArchiveScript
  #peer: ScriptedPeer | undefined

  private constructor(script: ArchiveScript) {
    this.script = script
  }

  static async start(script: ArchiveScript = {}): Promise<ScriptedArchive> {
    const archive = new ScriptedArchive(script)
    archive.#peer = await ScriptedPeer.listen((peer) => archive.#play(peer))
    return archive
  }

  get address(): { host: string; port: number } {
    return this.#peer!.address
  }

  get connections(): readonly PeerConnection[] {
    return this.#peer!.connections
  }

  /** Messages of a command field. */
  received(field: number): ArchiveMessage[] {
    return this.log.filter(({ message }) => message.field === field).map(({ message }) => message)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#peer?.[Symbol.asyncDispose]()
  }

  /** A script that fails ends its connection, so that nobody waits for it. */
  async #play(peer: PeerConnection): Promise<void> {
    try {
      await this.#serve(peer)
    } catch (error) {
      if (error instanceof CutError) return
      peer.close()
      throw error
    }
  }

  async #serve(peer: PeerConnection): Promise<void> {
    const request = await peer.next()
    if (request?.[0] !== 1) {
      peer.close()
      return
    }
    const index = this.associations.length
    const answer = this.script.associate?.(request, index) ?? {}
    const association = new Served(peer, index, request, typeof answer === 'object' && !isTriple(answer) ? answer : {})
    this.associations.push(association)
    const cut = this.script.cut?.(association)
    if (cut) cutShort(peer, cut)
    if (answer === 'silent') return
    if (answer === 'close') {
      peer.close()
      return
    }
    if (answer === 'abort') return peer.abort()
    if (isTriple(answer)) {
      await peer.send(associateReject(...answer))
      peer.close()
      return
    }
    this.open++
    this.mostOpen = Math.max(this.mostOpen, this.open)
    let stands = true
    const over = (how: NonNullable<ArchiveAssociation['ended']>): void => {
      if (!stands) return
      stands = false
      this.open--
      association.ended = how
    }
    peer.socket.once('close', () => over('closed'))
    await peer.send(associateAccept(request, answer))
    for (;;) {
      const message = await association.next()
      if (typeof message === 'object') {
        this.log.push({ association: index, message })
        await this.#handle(association, message)
        continue
      }
      if (message === 'release') {
        if ((await this.script.release?.(association)) === false) continue
        over('released')
        await peer.send(golden.releaseResponse)
        await peer.closed()
      } else over(message === 'abort' ? 'aborted' : 'closed')
      peer.close()
      return
    }
  }

  async #handle(association: ArchiveAssociation, request: ArchiveMessage): Promise<void> {
    const { peer } = association
    const { contextId, messageId } = request
    const { script } = this
    switch (request.field) {
      case 0x0030:
        if (script.echo) return script.echo(association, request)
        return peer.send(echoResponse(contextId, messageId))
      case 0x0020:
        if (script.find) return script.find(association, request)
        return peer.send(findResponse({ contextId, messageId }))
      case 0x0010:
        if (script.get) return script.get(association, request)
        return peer.send(getResponse({ contextId, messageId, completed: 0, failed: 0, warning: 0 }))
      case 0x0001:
        if (script.store) return script.store(association, request)
        return peer.send(storeResponse({ contextId, messageId, sopInstance: uidOf(request, '1000') }))
      default:
        return script.other?.(association, request)
    }
  }
}

/** Ends a script whose connection was cut on purpose. */
class CutError extends Error {}

function cutShort(peer: PeerConnection, { after, by }: Cut): void {
  const send = peer.send.bind(peer)
  let room = after
  peer.send = async (...chunks) => {
    const bytes = Buffer.concat(chunks)
    if (bytes.length < room) {
      room -= bytes.length
      return send(bytes)
    }
    if (room > 0) await send(bytes.subarray(0, room))
    room = 0
    if (by === 'reset') peer.reset()
    else peer.close()
    throw new CutError('The connection was cut')
  }
}

function isTriple(answer: unknown): answer is readonly [number, number, number] {
  return Array.isArray(answer)
}

class Served implements ArchiveAssociation {
  readonly peer: PeerConnection
  readonly index: number
  readonly contexts: readonly ContextBytes[]
  ended: ArchiveAssociation['ended']
  readonly #user: readonly { type: number; value: Buffer }[]
  readonly #answers: AcceptBytes['answers']
  #pdvs: { contextId: number; flags: number; bytes: Buffer }[] = []
  /** How it ended in the midst of a message. */
  #ending: 'release' | 'abort' | 'closed' | undefined

  constructor(peer: PeerConnection, index: number, request: Buffer, accept: AcceptBytes) {
    this.peer = peer
    this.index = index
    const { contexts, user } = readRequest(request)
    this.contexts = contexts
    this.#user = user
    this.#answers = accept.answers
  }

  items(type: number): Buffer[] {
    return this.#user.filter((one) => one.type === type).map(({ value }) => value)
  }

  context(sopClass: string, syntax?: string): { id: number; syntax: string } {
    for (const context of this.contexts) {
      const agreed = this.#agreed(context)
      if (context.abstractSyntax !== sopClass || agreed === undefined) continue
      if (syntax === undefined || agreed === syntax) return { id: context.id, syntax: agreed }
    }
    throw new Error(`No context for ${sopClass}`)
  }

  #agreed({ id, transferSyntaxes }: ContextBytes): string | undefined {
    const answer = this.#answers?.[id] ?? transferSyntaxes[0]
    return typeof answer === 'string' ? answer : undefined
  }

  encode(contextId: number, dataset: Dataset): Buffer {
    return Buffer.from(encodeDataset(dataset, transferSyntax(this.#syntax(contextId))))
  }

  #syntax(contextId: number): string {
    return this.#agreed(this.contexts.find(({ id }) => id === contextId)!)!
  }

  async next(): Promise<ArchiveMessage | 'release' | 'abort' | 'closed'> {
    const first = this.#ending ?? (await this.#gather())
    if (typeof first === 'string') return first
    const command = readCommandSet(first.bytes)
    const hasData = command.get('0800')?.readUInt16LE(0) !== 0x0101
    const second = hasData ? await this.#gather() : undefined
    if (typeof second === 'string') this.#ending = second
    const data = typeof second === 'object' ? second.bytes : undefined
    const { contextId } = first
    const syntax = this.#syntax(contextId)
    return {
      contextId,
      command,
      field: command.get('0100')?.readUInt16LE(0) ?? -1,
      messageId: (command.get('0110') ?? command.get('0120'))?.readUInt16LE(0) ?? -1,
      data,
      get identifier() {
        return data ? parseDataset(data, transferSyntax(syntax)) : new Dataset()
      },
    }
  }

  async #gather(): Promise<{ contextId: number; bytes: Buffer } | 'release' | 'abort' | 'closed'> {
    const gathered: Buffer[] = []
    for (;;) {
      const one = this.#pdvs.shift()
      if (one) {
        gathered.push(one.bytes)
        if (one.flags & 2) return { contextId: one.contextId, bytes: Buffer.concat(gathered) }
        continue
      }
      const pdu = await this.peer.next()
      if (pdu === undefined) return 'closed'
      if (pdu[0] === 5) return 'release'
      if (pdu[0] === 7) return 'abort'
      const body = pdu.subarray(6)
      for (let at = 0; at < body.length; at += 4 + body.readUInt32BE(at)) {
        const bytes = body.subarray(at + 6, at + 4 + body.readUInt32BE(at))
        this.#pdvs.push({ contextId: body[at + 4]!, flags: body[at + 5]!, bytes })
      }
    }
  }
}

/** C-ECHO-RSP. */
export function echoResponse(contextId: number, messageId: number, status = 0): Buffer {
  const command = commandSet({
    '0002': VERIFICATION,
    '0100': 0x8030,
    '0120': messageId,
    '0800': 0x0101,
    '0900': status,
  })
  return message(command, undefined, { contextId })
}

/** The text of a UID of a command. */
export function uidOf(message: ArchiveMessage, element: string): string {
  return (message.command.get(element)?.toString('latin1') ?? '').replace(/\0$/, '')
}

/** The identifier's element names, by tag, that came with a value. */
export function keysWithValues(identifier: Dataset): Map<number, string[]> {
  const keys = new Map<number, string[]>()
  for (const [t] of identifier.entries()) {
    const values = identifier.strings(t)
    if (values.length > 0) keys.set(t, values)
  }
  return keys
}

/** A handler that answers a C-FIND with these matches, all at once. */
export function findAnswer(matches: (identifier: Dataset) => readonly Dataset[], framing: Framing = {}): Handler {
  return async (association, { contextId, messageId, identifier }) => {
    const pending = matches(identifier).map((match) =>
      findResponse({ contextId, messageId, data: association.encode(contextId, match), ...framing }),
    )
    await association.peer.send(Buffer.concat([...pending, findResponse({ contextId, messageId, ...framing })]))
  }
}

/** A handler that answers C-FIND at each level of Study Root from instances, by their unique keys. */
export function listing(shapes: readonly SliceShape[]): Handler {
  return findAnswer((identifier) => {
    const tag = { STUDY: 0x0020000d, SERIES: 0x0020000e, IMAGE: 0x00080018 }[identifier.string(0x00080052) ?? ''] ?? 0
    const found = new Map<string, Dataset>()
    for (const dataset of shapes.map(sliceDataset)) {
      const uids = [0x0020000d, 0x0020000e, 0x00080018].filter((t) => identifier.strings(t).length > 0)
      if (uids.every((t) => identifier.strings(t).includes(dataset.string(t)!)))
        found.set(dataset.string(tag)!, dataset)
    }
    return [...found.values()].map((dataset) => {
      const match = new Dataset()
      for (const [t] of identifier.entries()) if (dataset.has(t)) match.put(t, dataset.get(t)!)
      return match
    })
  })
}

/** An instance to be stored in a C-GET; the command says what the data set says unless told otherwise. */
export interface Sending {
  readonly shape: SliceShape
  readonly sopClass?: string
  readonly sopInstance?: string
  readonly framing?: Framing
}

/** Stores instances over the association of a C-GET, one after another, until a C-CANCEL comes or the association ends. */
export async function storeAll(
  association: ArchiveAssociation,
  list: readonly Sending[],
): Promise<{ statuses: number[]; cancelled: boolean; ended: boolean }> {
  const statuses: number[] = []
  let cancelled = false
  for (const [index, { shape, framing, ...command }] of list.entries()) {
    if (cancelled) break
    const dataset = sliceDataset(shape)
    const sopClass = command.sopClass ?? dataset.string(0x00080016)!
    const { id: contextId } = association.context(sopClass)
    const sopInstance = command.sopInstance ?? dataset.string(0x00080018)!
    const data = association.encode(contextId, dataset)
    await association.peer.send(
      storeRequest({ messageId: index + 1, sopClass, sopInstance, data, contextId, ...framing }),
    )
    for (;;) {
      const answer = await association.next()
      if (typeof answer === 'string') return { statuses, cancelled, ended: true }
      if (answer.field === C_CANCEL_RQ) cancelled = true
      else {
        statuses.push(answer.command.get('0900')?.readUInt16LE(0) ?? -1)
        break
      }
    }
  }
  return { statuses, cancelled, ended: false }
}
