import { Attribute } from '../../src/dicom/attributes.ts'
import { instanceFile as file } from './dicom-files.ts'
import { CT } from './golden.ts'

export interface InstanceOptions {
  readonly study?: string
  readonly series?: string
  readonly sopClass?: string
  readonly modality?: string
  readonly patientId?: string
  /** Instance Number, and the last component of the SOP Instance UID. */
  readonly number?: number
}

/** A small image in a PS3.10 file. */
export function instanceFile(options: InstanceOptions = {}): Buffer {
  const {
    study = '1.2.3',
    series = `${study}.1`,
    sopClass = CT,
    modality = 'CT',
    patientId = 'P-1',
    number = 1,
  } = options
  return file({
    study,
    series,
    sopClass,
    instance: `${series}.${number}`,
    change: (dataset) => {
      dataset
        .set(Attribute.Modality, modality)
        .set(Attribute.PatientID, patientId)
        .set(Attribute.AccessionNumber, `A-${patientId.split('-').at(-1)!}`)
        .set(Attribute.StudyDate, '20240105')
        .set(Attribute.StudyDescription, `Study of ${patientId}`)
        .set(Attribute.SeriesDescription, `Axial ${modality}`)
        .set(Attribute.InstanceNumber, String(number))
    },
  })
}
