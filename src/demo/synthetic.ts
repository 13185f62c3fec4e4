import { Attribute } from '../dicom/attributes.ts'
import type { Bytes } from '../dicom/bytes.ts'
import { Dataset } from '../dicom/dataset.ts'
import { encodeDataset } from '../dicom/dataset-codec.ts'
import { part10Header } from '../dicom/part10.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN } from '../dicom/transfer-syntax.ts'
import { STORAGE_ROOT } from '../dicom/uids.ts'

const SLICES = 12
const SIZE = 128

/** A small CT and a small MR study made in code: a ball in a box, seen slice by slice. */
export function* syntheticFiles(): Generator<Bytes> {
  yield* study('CT', '2', '1.2.826.0.1.3680043.10.1561.1', 'Demo^Carla')
  yield* study('MR', '4', '1.2.826.0.1.3680043.10.1561.2', 'Demo^Martin')
}

function* study(modality: string, classSuffix: string, root: string, patient: string): Generator<Bytes> {
  const sopClass = STORAGE_ROOT + classSuffix
  for (let slice = 1; slice <= SLICES; slice++) {
    const sopInstance = `${root}.1.${slice}`
    const dataset = new Dataset()
      .set(Attribute.SpecificCharacterSet, 'ISO_IR 192')
      .set(0x00080008, ['ORIGINAL', 'PRIMARY', 'AXIAL'])
      .set(Attribute.SOPClassUID, sopClass)
      .set(Attribute.SOPInstanceUID, sopInstance)
      .set(Attribute.StudyDate, '20260102')
      .set(Attribute.StudyTime, '101500')
      .set(Attribute.AccessionNumber, `DEMO-${modality}`)
      .set(Attribute.Modality, modality)
      .set(Attribute.ReferringPhysicianName)
      .set(Attribute.StudyDescription, `Synthetic ${modality}`)
      .set(Attribute.SeriesDescription, 'Ball in a box')
      .set(Attribute.PatientName, patient)
      .set(Attribute.PatientID, `DEMO-${modality}`)
      .set(Attribute.PatientBirthDate, '19700101')
      .set(Attribute.PatientSex, 'O')
      .set(0x00180050, '5')
      .set(Attribute.StudyInstanceUID, root)
      .set(Attribute.SeriesInstanceUID, `${root}.1`)
      .set(Attribute.StudyID, '1')
      .set(Attribute.SeriesNumber, '1')
      .set(Attribute.InstanceNumber, String(slice))
      .set(0x00200032, ['0', '0', String(slice * 5)])
      .set(0x00200037, ['1', '0', '0', '0', '1', '0'])
      .set(0x00200052, `${root}.9`)
      .set(0x00280002, 1)
      .set(0x00280004, 'MONOCHROME2')
      .set(Attribute.Rows, SIZE)
      .set(Attribute.Columns, SIZE)
      .set(0x00280030, ['2', '2'])
      .set(Attribute.BitsAllocated, 16)
      .set(0x00280101, 16)
      .set(0x00280102, 15)
      .set(Attribute.PixelRepresentation, 0)
      .set(0x00281050, '1000')
      .set(0x00281051, '2000')
      .put(Attribute.PixelData, { vr: 'OW', value: ball(slice) })
    yield Buffer.concat([
      part10Header(sopClass, sopInstance, EXPLICIT_VR_LITTLE_ENDIAN),
      encodeDataset(dataset, EXPLICIT_VR_LITTLE_ENDIAN),
    ])
  }
}

function ball(slice: number): Bytes {
  const pixels = Buffer.alloc(SIZE * SIZE * 2)
  const z = ((slice - 0.5) / SLICES) * 2 - 1
  for (let row = 0; row < SIZE; row++) {
    for (let column = 0; column < SIZE; column++) {
      const [x, y] = [(column / SIZE) * 2 - 1, (row / SIZE) * 2 - 1]
      const distance = Math.hypot(x, y, z)
      const value = distance < 0.8 ? 1500 - Math.round(distance * 1000) : 100 + 2 * ((row ^ column) & 63)
      pixels.writeUInt16LE(value, (row * SIZE + column) * 2)
    }
  }
  return pixels
}
