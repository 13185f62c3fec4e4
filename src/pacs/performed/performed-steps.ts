import { LRUCache } from 'lru-cache'
import { Attribute } from '../../dicom/attributes.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import { SopClass, type Uid } from '../../dicom/uids.ts'
import { invoke, type NormalizedRequest, type NormalizedResponse } from '../../dimse/normalized.ts'
import type { Call } from '../call.ts'
import { contextOf, departmentProposal } from '../contexts.ts'
import type { AssociationPool } from '../pool/pool.ts'
import { withDefaultCharset } from '../search/default-charset.ts'

/** Values of Performed Procedure Step Status (0040,0252) (PS3.3 C.4.14). */
const IN_PROGRESS = 'IN PROGRESS'
const FINAL: readonly string[] = ['COMPLETED', 'DISCONTINUED']

/** Steps whose last status is remembered, and for how long, in ms: those of a day. */
const MAX_KNOWN = 10_000
const KNOWN_MS = 24 * 60 * 60 * 1_000

/** The status of a step is none, or none that it may have (PS3.4 F.7.2.1.2, F.7.2.2.2). */
export class StepStatusError extends Error {
  readonly code = 'STEP_STATUS'
  constructor(problem: string) {
    super(`Performed Procedure Step Status (0040,0252) ${problem}`)
    this.name = 'StepStatusError'
  }
}

/** The step is completed or discontinued: it does not change any more (PS3.4 F.7.2.2.2). */
export class StepFinalError extends Error {
  readonly code = 'STEP_FINAL'
  constructor() {
    super('The performed procedure step is completed or discontinued, and may not be changed any more')
    this.name = 'StepFinalError'
  }
}

export interface PerformedStepsTarget {
  readonly archive: string
  readonly pool: Pick<AssociationPool, 'lease'>
  /** Milliseconds that the system may be silent. */
  readonly timeout: number
  /** What answers are read in that name no character set. */
  readonly charset: string
}

/** Modality performed procedure steps at the system that manages them, as its SCU (PS3.4 F). */
export class PerformedSteps {
  readonly #target: PerformedStepsTarget
  readonly #known = new LRUCache<Uid, string>({ max: MAX_KNOWN, ttl: KNOWN_MS })

  constructor(target: PerformedStepsTarget) {
    this.#target = target
  }

  /**
   * N-CREATE. Comes to its status, which is a warning where it is not 0.
   * @throws StepStatusError where it does not begin IN PROGRESS, and as `retrieve`
   */
  async create(uid: Uid, step: Dataset, call: Call): Promise<number> {
    const status = statusOf(step)
    if (status !== IN_PROGRESS) throw new StepStatusError(`of a new step is ${IN_PROGRESS}`)
    const affectedSopClassUid = SopClass.modalityPerformedProcedureStep
    const request = { type: 'N-CREATE-RQ', affectedSopClassUid, affectedSopInstanceUid: uid } as const
    const response = await this.#invoke(request, step, call)
    this.#known.set(uid, status)
    return response.status
  }

  /**
   * N-SET. Comes to its status, as `create`.
   * @throws StepFinalError where it is known to have ended, StepStatusError, and as `retrieve`
   */
  async update(uid: Uid, changes: Dataset, call: Call): Promise<number> {
    const status = statusOf(changes)
    if (status !== undefined && status !== IN_PROGRESS && !FINAL.includes(status)) {
      throw new StepStatusError(`is one of ${[IN_PROGRESS, ...FINAL].join(', ')}`)
    }
    if (FINAL.includes(this.#known.get(uid) ?? '')) throw new StepFinalError()
    const requestedSopClassUid = SopClass.modalityPerformedProcedureStep
    const request = { type: 'N-SET-RQ', requestedSopClassUid, requestedSopInstanceUid: uid } as const
    const response = await this.#invoke(request, changes, call)
    if (status !== undefined) this.#known.set(uid, status)
    return response.status
  }

  /**
   * N-GET of all attributes.
   * @throws NotSupportedByArchiveError, StatusError, and what opening or losing an association throws: then it is not known
   *   whether it was done
   */
  async retrieve(uid: Uid, call: Call): Promise<Dataset | undefined> {
    const requestedSopClassUid = SopClass.modalityPerformedProcedureStepRetrieve
    const request = { type: 'N-GET-RQ', requestedSopClassUid, requestedSopInstanceUid: uid } as const
    const { dataset } = await this.#invoke(request, undefined, call)
    return dataset && withDefaultCharset(dataset, this.#target.charset)
  }

  async #invoke(request: NormalizedRequest, dataset: Dataset | undefined, call: Call): Promise<NormalizedResponse> {
    const { archive, pool, timeout } = this.#target
    const sopClass = 'requestedSopClassUid' in request ? request.requestedSopClassUid : request.affectedSopClassUid
    const lease = await pool.lease(departmentProposal([sopClass]), call)
    try {
      const context = contextOf(lease.association, sopClass, archive, 'performed procedure steps')
      // To its end, though the client leaves: what was asked for is done or not.
      return await invoke(lease.association, context, request, { dataset, timeout })
    } finally {
      // It is not asked again over one that may have died meanwhile: nobody would know whether it was done.
      lease.retire()
    }
  }
}

function statusOf(step: Dataset): string | undefined {
  return step.string(Attribute.PerformedProcedureStepStatus)
}
