import { Attribute } from '../../src/dicom/attributes.ts'
import { Dataset, type Element } from '../../src/dicom/dataset.ts'
import { encodeDataset } from '../../src/dicom/dataset-codec.ts'
import { part10Header } from '../../src/dicom/part10.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN, transferSyntax } from '../../src/dicom/transfer-syntax.ts'
import { CT } from './golden.ts'

/** An instance to be made: what is left out is that of a small CT slice. */
export interface SliceShape {
  readonly study?: string
  readonly series?: string
  readonly instance?: string
  readonly sopClass?: string
  readonly modality?: string
  readonly patientId?: string
  readonly number?: number
  /** Bytes of pixel data. */
  readonly size?: number
}

export const STUDY = '1.2.826.0.1.3680043.10.1561.90'
export const SERIES = `${STUDY}.1`

/** UID of instance n of the series. */
export function sliceUid(n: number, series = SERIES): string {
  return `${series}.${n}`
}

export function sliceDataset(shape: SliceShape = {}): Dataset {
  const { study = STUDY, series = SERIES, number = 1, sopClass = CT, modality = 'CT', patientId = 'P-1' } = shape
  const { instance = sliceUid(number, series), size = 64 } = shape
  return new Dataset()
    .set(Attribute.SOPClassUID, sopClass)
    .put(Attribute.SOPInstanceUID, uidElement(instance))
    .set(Attribute.StudyDate, '20240105')
    .set(Attribute.StudyTime, '101500')
    .set(Attribute.AccessionNumber, 'A-1')
    .set(Attribute.Modality, modality)
    .set(Attribute.ReferringPhysicianName)
    .set(Attribute.StudyDescription, 'Head')
    .set(Attribute.SeriesDescription, `Axial ${series.slice(-1)}`)
    .set(Attribute.PatientName, 'Doe^Jane')
    .set(Attribute.PatientID, patientId)
    .set(Attribute.PatientBirthDate)
    .set(Attribute.PatientSex, 'F')
    .put(Attribute.StudyInstanceUID, uidElement(study))
    .put(Attribute.SeriesInstanceUID, uidElement(series))
    .set(Attribute.StudyID, '1')
    .set(Attribute.SeriesNumber, '1')
    .set(Attribute.InstanceNumber, String(number))
    .set(Attribute.Rows, 1)
    .set(Attribute.Columns, Math.min(size, 0xffff))
    .set(Attribute.BitsAllocated, 8)
    .put(Attribute.PixelData, { vr: 'OB', value: Buffer.alloc(size, number) })
}

/** A UID as some archives hold it: a byte for each character, whatever it is. */
export function uidElement(uid: string): Element {
  return { vr: 'UI', value: Buffer.from(uid.length % 2 === 0 ? uid : `${uid}\0`, 'latin1') }
}

/** A PS3.10 file. Encapsulated syntaxes get one fragment of nonsense. */
export function sliceFile(shape: SliceShape = {}, syntax = EXPLICIT_VR_LITTLE_ENDIAN.uid): Buffer {
  const dataset = sliceDataset(shape)
  const target = transferSyntax(syntax)
  if (target.encapsulated) {
    const fragments = [new Uint8Array(0), Buffer.alloc(shape.size ?? 64, 0x5a)]
    dataset.put(Attribute.PixelData, { vr: 'OB', value: { fragments } })
  }
  const [sopClass, sopInstance] = [Attribute.SOPClassUID, Attribute.SOPInstanceUID].map((t) => dataset.string(t)!)
  return Buffer.concat([part10Header(sopClass!, sopInstance!, target), encodeDataset(dataset, target)])
}
