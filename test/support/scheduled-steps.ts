import { Dataset } from '../../src/dicom/dataset.ts'

export interface ScheduledStepOptions {
  readonly accession: string
  readonly patient?: string
  readonly station?: string
  readonly date?: string
  readonly modality?: string
}

/** A scheduled procedure step as a worklist has it. */
export function scheduledStep({
  accession,
  patient = 'Müller^Änne',
  station = 'CT1',
  date = '20261130',
  modality = 'CT',
}: ScheduledStepOptions): Dataset {
  const dataset = new Dataset().set(0x00080005, 'ISO_IR 100')
  const step = new Dataset(dataset.characterSet)
    .set(0x00080060, modality)
    .set(0x00400001, station)
    .set(0x00400002, date)
    .set(0x00400003, '0930')
    .set(0x00400007, 'Schädel')
    .set(0x00400009, `S${accession}`)
  return dataset
    .set(0x00080050, accession)
    .set(0x00100010, patient)
    .set(0x00100020, `P${accession}`)
    .set(0x00100030, '19700101')
    .set(0x00100040, 'F')
    .set(0x0020000d, `1.2.3.${accession.replace(/\D/g, '')}`)
    .set(0x00321060, 'CT Schädel')
    .setItems(0x00400100, [step])
    .set(0x00401001, `R${accession}`)
}
