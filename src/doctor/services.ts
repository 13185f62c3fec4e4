import { SopClass, type Uid } from '../dicom/uids.ts'
import { departmentProposal } from '../pacs/contexts.ts'
import { servicesFailed, servicesOffered } from './findings-services.ts'
import type { Probe } from './probe.ts'

/** What an archive may do besides images, each with its SOP class. */
const services: readonly (readonly [name: string, sopClass: Uid])[] = [
  ['storage commitment', SopClass.storageCommitmentPushModel],
  ['worklist', SopClass.modalityWorklistFind],
  ['performed steps', SopClass.modalityPerformedProcedureStep],
  ['retrieval of performed steps', SopClass.modalityPerformedProcedureStepRetrieve],
]

/** Which services besides images the archive agrees to. Nothing is asked of them. Those of other systems are not looked at. */
export async function offers(probe: Probe): Promise<void> {
  await probe.step(
    'Other services',
    (signal) =>
      probe.associated(departmentProposal(services.map(([, sopClass]) => sopClass)), signal, (association) => {
        const accepted = new Set([...association.contexts.values()].map(({ abstractSyntax }) => abstractSyntax))
        const named = (isOffered: boolean): string[] =>
          services.filter(([, sopClass]) => accepted.has(sopClass) === isOffered).map(([name]) => name)
        probe.add(servicesOffered(named(true), named(false)))
        return Promise.resolve()
      }),
    servicesFailed,
  )
}
