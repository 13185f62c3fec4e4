import { Attribute } from '../../src/dicom/attributes.ts'
import { Dataset } from '../../src/dicom/dataset.ts'
import { encodeDataset } from '../../src/dicom/dataset-codec.ts'
import { part10Header } from '../../src/dicom/part10.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN } from '../../src/dicom/transfer-syntax.ts'

const SECONDARY_CAPTURE = '1.2.840.10008.5.1.4.1.1.7'
const ROOT = '1.2.826.0.1.3680043.10.1561.7'

/** What the suite needs whatever published files are there: text of other scripts, requests, private sequences. */
export function madeFiles(): Map<string, Buffer> {
  return new Map([
    ['made_utf8.dcm', made(1, 'ISO_IR 192', '山田^太郎', 'MADE-1', 'R-17')],
    ['made_latin1.dcm', made(2, 'ISO_IR 100', 'Søndergård^Åse', 'MADE-2', 'R-18')],
    ['made_greek.dcm', made(3, 'ISO_IR 126', 'Παπαδόπουλος^Νίκος', 'MADE-3', 'R-19')],
  ])
}

function made(number: number, characterSet: string, name: string, patientId: string, request: string): Buffer {
  const instance = `${ROOT}.${number}.1.1`
  const dataset = new Dataset().set(Attribute.SpecificCharacterSet, characterSet)
  const item = (): Dataset => new Dataset(dataset.characterSet)
  dataset
    .set(Attribute.SOPClassUID, SECONDARY_CAPTURE)
    .set(Attribute.SOPInstanceUID, instance)
    .set(Attribute.StudyDate, `2019030${number}`)
    .set(Attribute.StudyTime, `0${number}1500`)
    .set(Attribute.AccessionNumber, `ACC-${number}`)
    .set(Attribute.Modality, 'OT')
    .set(Attribute.ReferringPhysicianName)
    .set(Attribute.StudyDescription, name.slice(0, 4))
    .put(0x00090010, { vr: 'LO', value: Buffer.from('DIMSEGATE TEST') })
    .setItems(0x00091001, [
      item().set(0x00090010, 'DIMSEGATE TEST', 'LO').set(0x00091002, name, 'LO').setItems(0x00091003, [item()]),
      item().put(0x00091004, { vr: 'UN', value: Buffer.from([1, 2, 3, 4, 5, 6]) }),
    ])
    .set(Attribute.PatientName, name)
    .set(Attribute.PatientID, patientId)
    .set(Attribute.PatientBirthDate)
    .set(Attribute.PatientSex, 'O')
    .set(Attribute.StudyInstanceUID, `${ROOT}.${number}`)
    .set(Attribute.SeriesInstanceUID, `${ROOT}.${number}.1`)
    .set(Attribute.StudyID, String(number))
    .set(Attribute.SeriesNumber, '1')
    .set(Attribute.InstanceNumber, '1')
    .set(0x00280002, 1)
    .set(0x00280004, 'MONOCHROME2')
    .set(Attribute.Rows, 2)
    .set(Attribute.Columns, 3)
    .set(Attribute.BitsAllocated, 8)
    .set(0x00280101, 8)
    .set(0x00280102, 7)
    .set(Attribute.PixelRepresentation, 0)
    .setItems(Attribute.RequestAttributesSequence, [
      item().set(Attribute.ScheduledProcedureStepID, `S-${number}`).set(Attribute.RequestedProcedureID, request),
    ])
    .put(Attribute.PixelData, { vr: 'OB', value: Buffer.from([0, 50, 100, 150, 200, 250]) })
  const header = part10Header(SECONDARY_CAPTURE, instance, EXPLICIT_VR_LITTLE_ENDIAN)
  return Buffer.concat([header, encodeDataset(dataset, EXPLICIT_VR_LITTLE_ENDIAN)])
}
