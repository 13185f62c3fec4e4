import { setTimeout as delay } from 'node:timers/promises'
import { channel } from 'node:diagnostics_channel'
import type { Config } from '../config/config.ts'
import { Attribute } from '../dicom/attributes.ts'
import type { Dataset } from '../dicom/dataset.ts'
import { newUid } from '../dicom/new-uid.ts'
import { isUid, SopClass, WellKnownInstance, type Uid } from '../dicom/uids.ts'
import { sendReport } from '../dimse/event-report.ts'
import { Status } from '../dimse/status.ts'
import { Association } from '../network/association.ts'
import type { Archive } from '../pacs/archive.ts'
import { reportOf } from '../pacs/commitment/report.ts'
import type { CommitmentResult, Reference } from '../pacs/commitment/transactions.ts'
import { NotSupportedByArchiveError } from '../pacs/errors.ts'
import { commitmentProposal, contextOf } from '../pacs/contexts.ts'

type DeviceConfig = Config['devices'][number]

/** How long an archive has to report, in ms: from tape it takes its time. */
const REPORT_WITHIN_MS = 60 * 60_000
/** Requests of one device that are under way. */
export const MAX_REQUESTS = 200
/** Instances of one request. */
export const MAX_REFERENCES = 10_000
/** Pauses before a device is told, and told again where that fails, in ms. */
const TELL_AFTER_MS = [0, 10_000, 60_000, 300_000]
/** How long a device may be silent, in ms. */
const DEVICE_MS = 30_000
const MAX_PDU_BYTES = 131_072
/** PS3.7 C.5.5, C.5.21. */
const INVALID_ARGUMENT = 0x0115
const RESOURCE_LIMITATION = 0x0213

/** Published when what a device asked for is over. */
export interface DeviceCommitmentEvent {
  readonly device: string
  readonly archive: string
  /** The device has been told, or could not be. */
  readonly isTold: boolean
  readonly committed: number
  readonly failed: number
  readonly error?: unknown
}

const over = channel('dimsegate:device-commitment')

/** Storage commitment that devices ask for: the archive is asked, and what it says is reported to the device. */
export class DeviceCommitments implements AsyncDisposable {
  readonly #archives: ReadonlyMap<string, Pick<Archive, 'commitments'>>
  readonly #aeTitle: string
  readonly #underWay = new Map<string, number>()
  readonly #work = new Set<Promise<unknown>>()
  readonly #stop = new AbortController()

  constructor(archives: ReadonlyMap<string, Pick<Archive, 'commitments'>>, aeTitle: string) {
    this.#archives = archives
    this.#aeTitle = aeTitle
  }

  /** Takes a request (PS3.4 J.3.2); comes to the status of the N-ACTION response. What is promised is told behind it. */
  ask(device: DeviceConfig, request: Dataset | undefined): number {
    const transaction = request?.string(Attribute.TransactionUID)
    const items = request?.items(Attribute.ReferencedSOPSequence) ?? []
    const references = items.flatMap((item): Reference[] => {
      const sopClass = item.string(Attribute.ReferencedSOPClassUID)
      const sopInstance = item.string(Attribute.ReferencedSOPInstanceUID)
      return sopClass !== undefined && sopInstance !== undefined ? [{ sopClass, sopInstance }] : []
    })
    const isReadable = transaction !== undefined && isUid(transaction) && references.length === items.length
    if (!isReadable || items.length === 0) return INVALID_ARGUMENT
    const count = this.#underWay.get(device.name) ?? 0
    if (count >= MAX_REQUESTS || items.length > MAX_REFERENCES) return RESOURCE_LIMITATION
    this.#underWay.set(device.name, count + 1)
    const work = this.#carry(device, transaction, references).finally(() => {
      this.#underWay.set(device.name, this.#underWay.get(device.name)! - 1)
      this.#work.delete(work)
    })
    this.#work.add(work)
    return Status.success
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('The service stops'))
    await Promise.allSettled(this.#work)
  }

  async #carry(device: DeviceConfig, transaction: Uid, references: readonly Reference[]): Promise<void> {
    const { name, commitment } = device
    const { archive } = commitment!
    let isTold = false
    let error: unknown
    let result: CommitmentResult | undefined
    try {
      result = await this.#asked(device, references)
      // Without a word of the archive nothing is told: the device asks again.
      if (result) await this.#tell(device, transaction, result)
      isTold = result !== undefined
    } catch (cause) {
      error = cause
    }
    if (this.#stop.signal.aborted && !isTold) return
    const [committed, failed] = [result?.committed.length ?? 0, result?.failed.length ?? 0]
    over.publish({ device: name, archive, isTold, committed, failed, error } satisfies DeviceCommitmentEvent)
  }

  /** What the archive says; all of it failed where it cannot be asked. Undefined where it does not say it in time. */
  async #asked(
    { name, commitment }: DeviceConfig,
    references: readonly Reference[],
  ): Promise<CommitmentResult | undefined> {
    const { commitments } = this.#archives.get(commitment!.archive)!
    const { signal } = this.#stop
    const who = { owner: `device ${name}`, client: `device ${name}` }
    const uid = newUid()
    try {
      const state = await commitments.request(
        { uid, ...who, references, wait: REPORT_WITHIN_MS },
        { signal, priority: 'bulk' },
      )
      return state.kind === 'done' ? state.result : undefined
    } catch (error) {
      signal.throwIfAborted()
      const isWanting = error instanceof NotSupportedByArchiveError
      const reason = isWanting ? Status.sopClassNotSupported : Status.processingFailure
      const failed = references.map((one) => ({ ...one, reason }))
      return { committed: [], failed }
    } finally {
      await commitments.forget(uid)
    }
  }

  /** @throws what kept the device from being told at last */
  async #tell(device: DeviceConfig, transaction: Uid, result: CommitmentResult): Promise<void> {
    let last: unknown
    for (const pause of TELL_AFTER_MS) {
      if (pause > 0) await delay(pause, undefined, { signal: this.#stop.signal, ref: false })
      try {
        await this.#report(device, transaction, result)
        return
      } catch (error) {
        this.#stop.signal.throwIfAborted()
        last = error
      }
    }
    throw last
  }

  /** Over an association of our own, as the SCP that we are (PS3.4 J.3.4). */
  async #report(device: DeviceConfig, transaction: Uid, result: CommitmentResult): Promise<void> {
    const { aeTitle, calledAeTitle, commitment, name } = device
    const sopClass = SopClass.storageCommitmentPushModel
    const { signal } = this.#stop
    const association = await Association.request(
      {
        ...commitmentProposal(),
        address: { host: commitment!.host, port: commitment!.port },
        calledAeTitle: aeTitle,
        callingAeTitle: calledAeTitle ?? this.#aeTitle,
        maxPduLength: MAX_PDU_BYTES,
        roles: [{ sopClass, scu: false, scp: true }],
        timeouts: { connect: DEVICE_MS, associate: DEVICE_MS },
      },
      signal,
    )
    try {
      const context = contextOf(association, sopClass, name, 'reports of storage commitment')
      const sopInstance = WellKnownInstance.storageCommitmentPushModel
      const report = { sopClass, sopInstance, ...reportOf(transaction, result) }
      const status = await sendReport(association, context, report, { timeout: DEVICE_MS, signal })
      if (status !== Status.success) throw new ReportRefusedError(status)
    } finally {
      await association.release(DEVICE_MS)
    }
  }
}

/** The device does not want to know. */
class ReportRefusedError extends Error {
  readonly code = 'REPORT_REFUSED'
  readonly status: number
  constructor(status: number) {
    super(`The device answered a report with status ${status.toString(16)}`)
    this.name = 'ReportRefusedError'
    this.status = status
  }
}
