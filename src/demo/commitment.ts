import { Attribute } from '../dicom/attributes.ts'
import { Dataset } from '../dicom/dataset.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN } from '../dicom/transfer-syntax.ts'
import { SopClass, WellKnownInstance, type Uid } from '../dicom/uids.ts'
import { sendReport, type EventReport } from '../dimse/event-report.ts'
import type { Performed } from '../dimse/scp.ts'
import { Status } from '../dimse/status.ts'
import { Association } from '../network/association.ts'
import type { AcceptedContext } from '../network/negotiation.ts'
import type { Faults } from './faults.ts'

const CLASS_INSTANCE_CONFLICT = 0x0119
const ALL_COMMITTED = 1
const FAILURES_EXIST = 2
/** How long who is reported to may be silent, and take to open an association, in ms. */
const TIMEOUT_MS = 10_000

/** Who asks, and how it is reached for a report over an association of the archive's own. */
export interface Asker {
  readonly association: Association
  readonly aeTitle: string
  readonly address: { readonly host: string; readonly port: number } | undefined
}

/** Storage commitment of what is there (PS3.4 J.3): asked by N-ACTION, told by N-EVENT-REPORT. `sopClassOf` of what is there. */
export function commit(
  dataset: Dataset | undefined,
  sopClassOf: (sopInstance: Uid) => Uid | undefined,
  asker: Asker,
  faults: Faults,
): Performed | Promise<Performed> {
  const { actionStatus } = faults
  if (actionStatus === 'none') return asker.association.closed.then(() => ({ status: Status.processingFailure }))
  if (actionStatus !== undefined) return { status: actionStatus }
  const transaction = dataset?.string(Attribute.TransactionUID)
  if (!dataset || transaction === undefined) return { status: Status.processingFailure }
  const report = reportOf(dataset, transaction, sopClassOf)
  return { status: Status.success, afterwards: (context) => tell(report, context, asker, faults) }
}

function reportOf(
  asked: Dataset,
  transaction: Uid,
  sopClassOf: (sopInstance: Uid) => Uid | undefined,
): EventReport & { readonly information: Dataset } {
  const committed: Dataset[] = []
  const failed: Dataset[] = []
  for (const item of asked.items(Attribute.ReferencedSOPSequence)) {
    const sopClass = sopClassOf(item.string(Attribute.ReferencedSOPInstanceUID) ?? '')
    if (sopClass === undefined) failed.push(item.set(Attribute.FailureReason, Status.noSuchSopInstance))
    else if (sopClass !== item.string(Attribute.ReferencedSOPClassUID)) {
      failed.push(item.set(Attribute.FailureReason, CLASS_INSTANCE_CONFLICT))
    } else committed.push(item)
  }
  const information = new Dataset().set(Attribute.TransactionUID, transaction)
  if (failed.length > 0) information.setItems(Attribute.FailedSOPSequence, failed)
  if (committed.length > 0) information.setItems(Attribute.ReferencedSOPSequence, committed)
  return {
    sopClass: SopClass.storageCommitmentPushModel,
    sopInstance: WellKnownInstance.storageCommitmentPushModel,
    eventTypeId: failed.length > 0 ? FAILURES_EXIST : ALL_COMMITTED,
    information,
  }
}

async function tell(
  report: EventReport & { readonly information: Dataset },
  context: AcceptedContext,
  { association, aeTitle, address }: Asker,
  faults: Faults,
): Promise<void> {
  const told = faults.onReport?.(report.information) ?? report.information
  if (told === 'none') return
  const all = { ...report, information: told }
  if (faults.reportsOwn !== true) {
    const status = await sendReport(association, context, all, { timeout: TIMEOUT_MS })
    faults.reported?.(status)
    return
  }
  if (address) void tellByOwn(all, { association, aeTitle, address }, faults).catch(() => undefined)
}

/** Over an association of its own, as the SCP that it is (PS3.4 J.3.4), unless that is left out. */
async function tellByOwn(
  report: EventReport,
  { association: asked, aeTitle, address }: Asker & { readonly address: { host: string; port: number } },
  faults: Faults,
): Promise<void> {
  await faults.beforeReport?.()
  const sopClass = SopClass.storageCommitmentPushModel
  const transferSyntaxes = [EXPLICIT_VR_LITTLE_ENDIAN.uid, IMPLICIT_VR_LITTLE_ENDIAN.uid]
  const own = await Association.request({
    address,
    calledAeTitle: asked.requested.callingAeTitle,
    callingAeTitle: aeTitle,
    maxPduLength: 131_072,
    contexts: [{ id: 1, abstractSyntax: sopClass, transferSyntaxes }],
    ...(faults.withoutRoles !== true && { roles: [{ sopClass, scu: false, scp: true }] }),
    timeouts: { connect: TIMEOUT_MS, associate: TIMEOUT_MS },
  })
  try {
    const context = own.contexts.get(1)
    if (!context) return
    const status = await sendReport(own, context, report, { timeout: TIMEOUT_MS })
    faults.reported?.(status)
  } finally {
    await own.release(TIMEOUT_MS)
  }
}
