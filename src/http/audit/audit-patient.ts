import { Attribute } from '../../dicom/attributes.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import type { AuditPatient } from '../../audit/event.ts'

/** Whose a data set says that it is; undefined where it names nobody. */
export function auditPatientOf(attributes: Pick<Dataset, 'string'>): AuditPatient | undefined {
  const id = attributes.string(Attribute.PatientID)?.trim() ?? ''
  const issuer = attributes.string(Attribute.IssuerOfPatientID)?.trim() ?? ''
  return id === '' ? undefined : { id, issuer: issuer === '' ? undefined : issuer }
}
