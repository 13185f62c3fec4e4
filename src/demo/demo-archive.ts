import { createWriteStream } from 'node:fs'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import type { Bytes } from '../dicom/bytes.ts'
import { Attribute } from '../dicom/attributes.ts'
import type { Dataset } from '../dicom/dataset.ts'
import { part10Header } from '../dicom/part10.ts'
import {
  isNative,
  transferSyntax,
  EXPLICIT_VR_BIG_ENDIAN,
  EXPLICIT_VR_LITTLE_ENDIAN,
  IMPLICIT_VR_LITTLE_ENDIAN,
} from '../dicom/transfer-syntax.ts'
import { SopClass, STORAGE_ROOT, type Uid } from '../dicom/uids.ts'
import { verified } from './verify.ts'
import { serve, type Handlers, type IncomingStore, type OutgoingInstance, type OutgoingMove } from '../dimse/scp.ts'
import { Status } from '../dimse/status.ts'
import { Association } from '../network/association.ts'
import type { AcceptorPolicy } from '../network/negotiation.ts'
import type { ProposedContext } from '../network/pdu.ts'
import { listen, type Listening } from '../network/listener.ts'
import type { Transport } from '../network/transport.ts'
import { answer, Catalog } from './catalog.ts'
import { commit } from './commitment.ts'
import type { Faults } from './faults.ts'
import { matches } from './matching.ts'
import { DemoSteps } from './performed-steps.ts'
import { readBody, readStoredFile, type StoredFile } from './stored-file.ts'

export interface DemoArchiveOptions {
  readonly aeTitle?: string
  readonly port?: number
  /** Answers relational queries when they are negotiated. */
  readonly relational?: boolean
  readonly fuzzy?: boolean
  readonly emptyValue?: boolean
  readonly multipleValue?: boolean
  readonly maxPduLength?: number
  readonly maxAssociations?: number
  readonly faults?: Faults
  /** Its scheduled procedure steps. */
  readonly worklist?: readonly Dataset[]
  /** Where it moves to, by AE title. */
  readonly destinations?: Readonly<Record<string, { readonly host: string; readonly port: number }>>
}

const COMMITMENT = SopClass.storageCommitmentPushModel
/** Milliseconds an association may be silent. */
const IDLE_TIMEOUT_MS = 120_000

/**
 * A small archive that really speaks DIMSE: C-ECHO, C-FIND, C-GET, C-MOVE, C-STORE and storage commitment over loopback, over
 * files on disk. What is stored to it goes into a temporary folder that is deleted with it.
 */
export class DemoArchive implements AsyncDisposable {
  readonly aeTitle: string
  /** What it does wrong; may be changed while it runs. */
  faults: Faults
  /** C-GET operations answered so far. */
  retrievals = 0
  /** C-MOVE operations answered so far. */
  moves = 0
  /** Performed procedure steps. */
  readonly steps = new DemoSteps()
  /** Requests for storage commitment answered so far. */
  commitments = 0
  readonly catalog = new Catalog()
  readonly #options: DemoArchiveOptions
  readonly #folder: string
  readonly #associations = new Set<Association>()
  #listening: Listening | undefined
  #stored = 0

  private constructor(options: DemoArchiveOptions, folder: string) {
    this.aeTitle = options.aeTitle ?? 'DEMO'
    this.faults = options.faults ?? {}
    this.#options = options
    this.#folder = folder
  }

  /** Starts on a loopback port, a free one by default. */
  static async start(options: DemoArchiveOptions = {}): Promise<DemoArchive> {
    const archive = new DemoArchive(options, await mkdtemp(join(tmpdir(), 'dimsegate-demo-')))
    archive.#listening = await listen({ host: '127.0.0.1', port: options.port ?? 0 }, (transport) => {
      void archive.#serve(transport)
    })
    return archive
  }

  get port(): number {
    return this.#listening!.port
  }

  /** Associations that are open now. */
  get associations(): number {
    return this.#associations.size
  }

  /** Adds the DICOM files of a folder and of those below it, or one file; returns how many there were. */
  async load(path: string): Promise<number> {
    if ((await stat(path)).isFile()) return this.#add(path)
    let added = 0
    const entries = await readdir(path, { recursive: true, withFileTypes: true })
    for (const entry of entries.sort((a, b) => (join(a.parentPath, a.name) < join(b.parentPath, b.name) ? -1 : 1))) {
      if (entry.isFile()) added += await this.#add(join(entry.parentPath, entry.name))
    }
    return added
  }

  /** Adds an instance that was made in code. */
  async put(file: Bytes): Promise<void> {
    const path = this.#nextPath()
    await pipeline(Readable.from([file]), createWriteStream(path))
    await this.#add(path)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const association of this.#associations) association.abort()
    await this.#listening?.close()
    await rm(this.#folder, { recursive: true, force: true })
  }

  async #add(path: string): Promise<number> {
    let file: StoredFile | undefined
    try {
      file = await readStoredFile(path)
    } catch {
      // Folders of images hold other files too.
      return 0
    }
    if (!file) return 0
    this.catalog.add(file)
    return 1
  }

  #nextPath(): string {
    return join(this.#folder, `${++this.#stored}.dcm`)
  }

  async #serve(transport: Transport): Promise<void> {
    const full = this.#associations.size >= (this.#options.maxAssociations ?? Infinity)
    const association = await Association.accept(transport, {
      maxPduLength: this.#options.maxPduLength ?? 131_072,
      decide: () => (full ? { result: 2, source: 3, reason: 2 } : this.#policy()),
    })
    if (!association) return
    this.#associations.add(association)
    void association.closed.then(() => this.#associations.delete(association))
    try {
      await serve(association, this.#handlers(), { idleTimeout: IDLE_TIMEOUT_MS })
    } catch {
      association.abort()
    }
  }

  #policy(): AcceptorPolicy {
    const { acceptsClass = () => true, acceptsSyntax = () => true } = this.faults
    return {
      choose: (abstractSyntax, offered) => {
        if (!isServed(abstractSyntax) || !acceptsClass(abstractSyntax)) return 'abstract'
        const usable = offered.filter(acceptsSyntax)
        const native = NATIVE.find((uid) => usable.includes(uid))
        const storage = abstractSyntax.startsWith(STORAGE_ROOT)
        return (storage ? usable[0] : native) ?? 'transfer'
      },
      roles: (role) => role,
      extended: ({ sopClass, information }) => {
        const { relational, fuzzy, emptyValue, multipleValue } = this.#options
        // PS3.4 K.5.1: the third byte is that of names.
        if (sopClass === SopClass.modalityWorklistFind) {
          return { sopClass, information: Uint8Array.of(1, 1, fuzzy === true ? 1 : 0) }
        }
        if (sopClass !== SopClass.studyRootFind) return undefined
        // The bytes of PS3.4 C.5.1.1.
        const granted = [relational, false, fuzzy, false, false, emptyValue, multipleValue]
        return { sopClass, information: information.map((byte, index) => (granted[index] === true ? byte : 0)) }
      },
    }
  }

  #handlers(): Handlers {
    return {
      store: (instance) => this.#store(instance),
      find: (identifier, sopClass, association) => {
        this.faults.onFind?.(identifier)
        if (sopClass === SopClass.modalityWorklistFind) {
          return Promise.resolve(this.faults.findStatus ?? this.#worklist(identifier))
        }
        return Promise.resolve(this.faults.findStatus ?? this.#find(identifier, association))
      },
      get: (identifier, _sopClass, association) => {
        this.retrievals++
        return Promise.resolve(this.#select(identifier, association))
      },
      move: (identifier, destination, association) => Promise.resolve(this.#move(identifier, destination, association)),
      perform: (command, dataset, association) => {
        const unknown = { status: Status.unrecognizedOperation }
        if (command.type !== 'N-ACTION-RQ') {
          const { normalizedStatus: status } = this.faults
          return Promise.resolve(status === undefined ? (this.steps.perform(command, dataset) ?? unknown) : { status })
        }
        if (command.requestedSopClassUid !== COMMITMENT) return Promise.resolve(unknown)
        this.commitments++
        const address = this.#options.destinations?.[association.requested.callingAeTitle.trim()]
        const asker = { association, aeTitle: this.aeTitle, address }
        return Promise.resolve(commit(dataset, (uid) => this.catalog.sopClassOf(uid), asker, this.faults))
      },
    }
  }

  async *#worklist(identifier: Dataset): AsyncGenerator<Dataset> {
    for (const step of this.#options.worklist ?? []) if (matches(step, identifier)) yield answer(step, identifier)
  }

  async *#find(identifier: Dataset, association: Association): AsyncGenerator<Dataset> {
    const { findDelay, findAbortAfter, onMatch, withoutCounts, availability } = this.faults
    let count = 0
    for (const match of this.catalog.find(identifier, { counts: withoutCounts !== true })) {
      if (findDelay !== undefined) await Promise.race([delay(findDelay, undefined, { ref: false }), association.closed])
      if (count === findAbortAfter) association.abort()
      count++
      onMatch?.(count)
      if (availability !== undefined && match.has(Attribute.InstanceAvailability)) {
        match.set(Attribute.InstanceAvailability, availability)
      }
      yield match
    }
  }

  async #store({ sopClass, sopInstance, syntax, body }: IncomingStore): Promise<number> {
    const refused = this.faults.storeStatus?.(sopInstance)
    if (refused !== undefined) return refused
    // The name is a number: no UID of a peer becomes part of a path.
    const path = this.#nextPath()
    async function* file(): AsyncGenerator<Bytes> {
      yield part10Header(sopClass, sopInstance, syntax)
      yield* verified(body, syntax)
    }
    try {
      await pipeline(file(), createWriteStream(path))
    } catch (error) {
      await rm(path, { force: true })
      if (error instanceof Error && 'code' in error && error.code === 'MALFORMED_DATA_SET')
        return Status.cannotUnderstand
      throw error
    }
    if ((await this.#add(path)) === 1) return Status.success
    await rm(path, { force: true })
    return Status.cannotUnderstand
  }

  #move(identifier: Dataset, destination: string, association: Association): OutgoingMove | number {
    this.moves++
    const { moveStatus, withoutOriginator, movesAs } = this.faults
    const address = this.#options.destinations?.[destination.trim()]
    if (moveStatus !== undefined) return moveStatus
    if (!address) return Status.moveDestinationUnknown
    const instances = this.#select(identifier, association)
    return {
      instances,
      originator: withoutOriginator === true ? undefined : association.requested.callingAeTitle,
      connect: () =>
        Association.request({
          address,
          calledAeTitle: destination.trim(),
          callingAeTitle: movesAs ?? this.aeTitle,
          maxPduLength: this.#options.maxPduLength ?? 131_072,
          contexts: storageContexts(this.catalog.select(identifier)),
          timeouts: { connect: CONNECT_TIMEOUT_MS, associate: CONNECT_TIMEOUT_MS },
        }),
    }
  }

  #select(identifier: Dataset, association: Association): OutgoingInstance[] {
    const { getFails, abortAfter, stallAfterBytes, endAfterBytes, onGet } = this.faults
    return this.catalog.select(identifier).map((file, index) => ({
      sopClass: file.sopClass,
      sopInstance: file.sopInstance,
      open: (contexts) => {
        if (index === abortAfter) association.abort()
        if (getFails?.(file.sopInstance)) return undefined
        const context =
          contexts.find(({ transferSyntax: uid }) => uid === file.syntax.uid) ??
          (isNative(file.syntax)
            ? contexts.find(({ transferSyntax: uid }) => isNative(transferSyntax(uid)))
            : undefined)
        if (!context) return undefined
        const read = readBody(file, transferSyntax(context.transferSyntax))
        const body = onGet ? behind(Promise.race([onGet(file.sopInstance), association.closed]), read) : read
        if (endAfterBytes !== undefined) return { context, body: firstBytes(body, endAfterBytes) }
        return { context, body: stallAfterBytes === undefined ? body : stalling(body, stallAfterBytes, association) }
      },
    }))
  }
}

/** In which it talks, the first one that is offered. */
const NATIVE = [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN].map(({ uid }) => uid)

const services = new Set<Uid>([
  SopClass.verification,
  SopClass.studyRootFind,
  SopClass.studyRootGet,
  SopClass.studyRootMove,
  COMMITMENT,
  SopClass.modalityWorklistFind,
  SopClass.modalityPerformedProcedureStep,
  SopClass.modalityPerformedProcedureStepRetrieve,
])
/** Milliseconds. */
const CONNECT_TIMEOUT_MS = 5_000

/** One context for each class and syntax, and one for each class in the native syntaxes. */
function storageContexts(files: readonly StoredFile[]): ProposedContext[] {
  const pairs = new Map<string, readonly [Uid, readonly Uid[]]>()
  for (const { sopClass, syntax } of files) {
    pairs.set(`${sopClass} ${syntax.uid}`, [sopClass, [syntax.uid]])
    pairs.set(sopClass, [sopClass, [EXPLICIT_VR_LITTLE_ENDIAN.uid, IMPLICIT_VR_LITTLE_ENDIAN.uid]])
  }
  return [...pairs.values()].map(([abstractSyntax, transferSyntaxes], n) => ({
    id: 2 * n + 1,
    abstractSyntax,
    transferSyntaxes,
  }))
}

function isServed(abstractSyntax: Uid): boolean {
  return services.has(abstractSyntax) || abstractSyntax.startsWith(STORAGE_ROOT)
}

async function* behind(wait: Promise<unknown>, body: AsyncIterable<Bytes>): AsyncGenerator<Bytes> {
  await wait
  yield* body
}

async function* stalling(body: AsyncIterable<Bytes>, after: number, association: Association): AsyncGenerator<Bytes> {
  let sent = 0
  for await (const chunk of body) {
    const room = after - sent
    yield chunk.subarray(0, room)
    sent += chunk.length
    if (sent > after) {
      await association.closed
      return
    }
  }
}

async function* firstBytes(body: AsyncIterable<Bytes>, count: number): AsyncGenerator<Bytes> {
  let left = count
  for await (const chunk of body) {
    yield chunk.subarray(0, left)
    left -= chunk.length
    if (left <= 0) return
  }
}
