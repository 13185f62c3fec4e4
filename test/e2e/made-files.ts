import { Attribute } from '../../src/dicom/attributes.ts'
import { Dataset } from '../../src/dicom/dataset.ts'
import { encodeDataset } from '../../src/dicom/dataset-codec.ts'
import { part10Header } from '../../src/dicom/part10.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN } from '../../src/dicom/transfer-syntax.ts'

const SECONDARY_CAPTURE = '1.2.840.10008.5.1.4.1.1.7'
const ENCAPSULATED_PDF = '1.2.840.10008.5.1.4.1.1.104.1'
const AMBULATORY_ECG = '1.2.840.10008.5.1.4.1.1.9.1.3'
const ROOT = '1.2.826.0.1.3680043.10.1561.7'

/**
 * What the suite needs whatever published files are there: text of other scripts, requests, private sequences, bulk data
 * that is no image.
 */
export function madeFiles(): Map<string, Buffer> {
  return new Map([
    ['made_utf8.dcm', made(1, 'ISO_IR 192', '山田^太郎', 'MADE-1', 'R-17')],
    ['made_latin1.dcm', made(2, 'ISO_IR 100', 'Søndergård^Åse', 'MADE-2', 'R-18')],
    ['made_greek.dcm', made(3, 'ISO_IR 126', 'Παπαδόπουλος^Νίκος', 'MADE-3', 'R-19')],
    ['made_document.dcm', madeDocument(4)],
    ['made_waveform.dcm', madeWaveform(5)],
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

/** A document of odd length, which its attributes tell (PS3.3 C.24.2). */
function madeDocument(number: number): Buffer {
  const text = Buffer.from(`%PDF-1.4\n${'% nothing to see\n'.repeat(100)}`)
  const length = text.length | 1
  const padded = Buffer.concat([text, Buffer.alloc(length + 1 - text.length)])
  return file(
    ENCAPSULATED_PDF,
    other(number, ENCAPSULATED_PDF, 'DOC')
      .set(0x00420010, 'A document')
      .put(Attribute.EncapsulatedDocument, { vr: 'OB', value: padded })
      .set(Attribute.MIMETypeOfEncapsulatedDocument, 'application/pdf')
      .set(Attribute.EncapsulatedDocumentLength, length),
  )
}

/** Bulk data in the items of a sequence: of two groups of channels, one is of a few bytes only. */
function madeWaveform(number: number): Buffer {
  const group = (samples: number): Dataset =>
    new Dataset()
      .set(0x003a0004, 'ORIGINAL')
      .set(0x003a0005, 1)
      .set(0x003a0010, samples)
      .set(0x003a001a, 500)
      .set(Attribute.WaveformBitsAllocated, 16)
      .set(0x54001006, 'SS')
      .put(Attribute.WaveformData, { vr: 'OW', value: Buffer.alloc(2 * samples, 'ECG.') })
  return file(AMBULATORY_ECG, other(number, AMBULATORY_ECG, 'ECG').setItems(0x54000100, [group(5000), group(4)]))
}

function other(number: number, sopClass: string, modality: string): Dataset {
  return new Dataset()
    .set(Attribute.SOPClassUID, sopClass)
    .set(Attribute.SOPInstanceUID, `${ROOT}.${number}.1.1`)
    .set(Attribute.StudyDate, `2019030${number}`)
    .set(Attribute.StudyTime, `0${number}1500`)
    .set(Attribute.AccessionNumber, `ACC-${number}`)
    .set(Attribute.Modality, modality)
    .set(Attribute.ReferringPhysicianName)
    .set(Attribute.PatientName, `Made^${modality}`)
    .set(Attribute.PatientID, `MADE-${number}`)
    .set(Attribute.PatientBirthDate)
    .set(Attribute.PatientSex, 'O')
    .set(Attribute.StudyInstanceUID, `${ROOT}.${number}`)
    .set(Attribute.SeriesInstanceUID, `${ROOT}.${number}.1`)
    .set(Attribute.StudyID, String(number))
    .set(Attribute.SeriesNumber, '1')
    .set(Attribute.InstanceNumber, '1')
}

function file(sopClass: string, dataset: Dataset): Buffer {
  const header = part10Header(sopClass, dataset.string(Attribute.SOPInstanceUID)!, EXPLICIT_VR_LITTLE_ENDIAN)
  return Buffer.concat([header, encodeDataset(dataset, EXPLICIT_VR_LITTLE_ENDIAN)])
}
