import type { Audit } from '../../audit/audit.ts'
import type { Config } from '../../config/config.ts'
import type { BeginTrace } from '../../routing/devices.ts'
import { Trail, type Ended } from './trail.ts'

const DONE: Ended = { status: 200, cut: false, isRange: false, code: undefined, bytes: 0 }

/** What the associations of devices leave in the audit trail: what each destination was sent, or that nothing took it. */
export function deviceTraces(audit: Audit, { aeTitle, host }: Config['dimse']): BeginTrace {
  const own = { name: aeTitle, aeTitle, host }
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
        const fate = delivery
          ? { archive: delivery.node, refusal: delivery.outcome.kind === 'stored' ? undefined : 'NOT_DELIVERED' }
          : { refusal: 'NOT_ROUTED' }
        stores?.note(instance, fate)
      },
      asked: () => {
        if (!audit.isOff) begun('search').end(DONE)
      },
      end: () => stores?.end(DONE),
    }
  }
}
