import { Dataset } from '../dicom/dataset.ts'
import { dateAndTime } from '../dicom/date-time.ts'
import { tagOf } from '../dicom/dictionary.ts'
import { newUid } from '../dicom/new-uid.ts'

/** What is scheduled for nobody in particular. */
const ORDERS = [
  ...[{ accession: 'DEMO1', patient: 'Roe^Jane', id: 'R1', sex: 'F', modality: 'CT', what: 'CT of the head' }],
  ...[{ accession: 'DEMO2', patient: 'Doe^John', id: 'D2', sex: 'M', modality: 'MR', what: 'MR of the knee' }],
]

/** Scheduled procedure steps of today (PS3.4 Table K.6-1), made up. */
export function scheduledToday(): Dataset[] {
  const { date } = dateAndTime(new Date())
  return ORDERS.map(({ accession, patient, id, sex, modality, what }) => {
    const step = keyed({
      Modality: modality,
      ScheduledStationAETitle: `${modality}1`,
      ScheduledProcedureStepStartDate: date,
      ScheduledProcedureStepStartTime: '120000',
      ScheduledProcedureStepDescription: what,
      ScheduledProcedureStepID: `S${accession}`,
    })
    const order = keyed({
      AccessionNumber: accession,
      PatientName: patient,
      PatientID: id,
      PatientBirthDate: '19700101',
      PatientSex: sex,
      StudyInstanceUID: newUid(),
      RequestedProcedureID: `R${accession}`,
      RequestedProcedureDescription: what,
    })
    return order.setItems(tagOf('ScheduledProcedureStepSequence')!, [step])
  })
}

function keyed(values: Readonly<Record<string, string>>): Dataset {
  const dataset = new Dataset()
  for (const [keyword, value] of Object.entries(values)) dataset.set(tagOf(keyword)!, value)
  return dataset
}
