import { SopClass, type Uid } from '../dicom/uids.ts'
import type { Association } from '../network/association.ts'
import { departmentProposal } from '../pacs/contexts.ts'
import { servicesFailed, servicesOffered, systemFailed, systemOffers } from './findings-services.ts'
import type { Probe } from './probe.ts'

type Service = readonly [name: string, sopClass: Uid]

const COMMITMENT: Service = ['storage commitment', SopClass.storageCommitmentPushModel]
const WORKLIST: Service = ['worklist', SopClass.modalityWorklistFind]
const STEPS: readonly Service[] = [
  ['performed steps', SopClass.modalityPerformedProcedureStep],
  ['retrieval of performed steps', SopClass.modalityPerformedProcedureStepRetrieve],
]

/** Which services besides images the archive, and the systems beside it, agree to. Nothing is asked of them. */
export async function offers(probe: Probe): Promise<void> {
  const { worklist, performedSteps } = probe.config
  const all = [COMMITMENT, WORKLIST, ...STEPS]
  await probe.step(
    'Other services',
    (signal) =>
      probe.associated(proposalOf(all), signal, (association) => {
        probe.add(servicesOffered(...offeredOf(association, all)))
        return Promise.resolve()
      }),
    servicesFailed,
  )
  // Where the steps are not said to be elsewhere, they are with the worklist.
  if (worklist) await besides(probe, worklist, performedSteps ? [WORKLIST] : [WORKLIST, ...STEPS])
  if (performedSteps) await besides(probe, performedSteps, STEPS)
}

async function besides(
  probe: Probe,
  system: NonNullable<Probe['config']['worklist']>,
  wanted: readonly Service[],
): Promise<void> {
  await probe.step(
    `System ${system.aeTitle}`,
    (signal) =>
      probe.beside(system, proposalOf(wanted), signal, (association) => {
        probe.add(systemOffers(system, ...offeredOf(association, wanted)))
        return Promise.resolve()
      }),
    (error) => systemFailed(system, error),
  )
}

function proposalOf(services: readonly Service[]) {
  return departmentProposal(services.map(([, sopClass]) => sopClass))
}

function offeredOf(association: Association, services: readonly Service[]): [offered: string[], missing: string[]] {
  const accepted = new Set([...association.contexts.values()].map(({ abstractSyntax }) => abstractSyntax))
  const named = (isOffered: boolean): string[] =>
    services.filter(([, sopClass]) => accepted.has(sopClass) === isOffered).map(([name]) => name)
  return [named(true), named(false)]
}
