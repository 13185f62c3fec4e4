import type { Audit } from '../../audit/audit.ts'
import type { Config } from '../../config/config.ts'
import type { BeginTrace } from '../../routing/devices.ts'
import { fateOf, ownNode } from './fate.ts'
import { DONE, Trail } from './trail.ts'

/** What the associations of devices leave in the audit trail: what each destination was sent, or that nothing took it. */
export function deviceTraces(audit: Audit, dimse: Config['dimse']): BeginTrace {
  const own = ownNode(dimse)
  return ({ callingAeTitle, address = '' }) => {
    const begun = (verb: 'store' | 'search'): Trail =>
      new Trail(audit, {
        ...{ principal: { kind: 'dicom', name: callingAeTitle }, address, verb, archive: own, resource: 'dimse' },
        ...{ study: undefined, query: '' },
      })
    let stores: Trail | undefined
    let study: string | undefined
    return {
      note: (instance, delivery) => {
        if (audit.isOff) return
        // Associations of devices last for days: it is told when the next study begins.
        if (study !== instance.study) {
          stores?.end(DONE)
          stores = begun('store')
          study = instance.study
        }
        stores?.note(instance, delivery ? fateOf(delivery, dimse) : { refusal: 'NOT_ROUTED' })
      },
      asked: () => {
        if (!audit.isOff) begun('search').end(DONE)
      },
      end: () => stores?.end(DONE),
    }
  }
}
