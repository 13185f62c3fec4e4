import type { Dataset } from '../dicom/dataset.ts'
import { SopClass, type Uid } from '../dicom/uids.ts'
import type { CommandOf } from '../dimse/command.ts'
import type { Performed } from '../dimse/scp.ts'
import { Status } from '../dimse/status.ts'

const STATUS = 0x00400252
const IN_PROGRESS = 'IN PROGRESS'
/** Error ID of a step that may no longer be updated (PS3.4 F.7.2.2.2). */
const NO_LONGER_UPDATED = 0xa710
const MISSING_ATTRIBUTE = 0x0120

type Request = CommandOf<'N-CREATE-RQ' | 'N-GET-RQ' | 'N-SET-RQ'>

/** Performed procedure steps in memory (PS3.4 F). */
export class DemoSteps {
  readonly #steps = new Map<Uid, Dataset>()

  get(uid: Uid): Dataset | undefined {
    return this.#steps.get(uid)
  }

  /** Undefined where it is none of the service. */
  perform(command: Request, dataset: Dataset | undefined): Performed | undefined {
    const sopClass = command.type === 'N-CREATE-RQ' ? command.affectedSopClassUid : command.requestedSopClassUid
    if (command.type === 'N-GET-RQ') {
      if (sopClass !== SopClass.modalityPerformedProcedureStepRetrieve) return undefined
      const step = this.#steps.get(command.requestedSopInstanceUid)
      return step ? { status: Status.success, dataset: step } : { status: Status.noSuchSopInstance }
    }
    if (sopClass !== SopClass.modalityPerformedProcedureStep) return undefined
    if (command.type === 'N-CREATE-RQ') return this.#create(command.affectedSopInstanceUid ?? '', dataset)
    const step = this.#steps.get(command.requestedSopInstanceUid)
    if (!step) return { status: Status.noSuchSopInstance }
    if (step.string(STATUS) !== IN_PROGRESS) {
      return { status: Status.processingFailure, errorId: NO_LONGER_UPDATED }
    }
    for (const [t, element] of dataset?.entries() ?? []) step.put(t, element)
    return { status: Status.success }
  }

  #create(uid: Uid, dataset: Dataset | undefined): Performed {
    if (this.#steps.has(uid)) return { status: Status.duplicateSopInstance }
    // Scheduled Step Attributes Sequence (Type 1 there).
    if (!dataset?.has(0x00400270)) return { status: MISSING_ATTRIBUTE }
    this.#steps.set(uid, dataset)
    return { status: Status.success }
  }
}
