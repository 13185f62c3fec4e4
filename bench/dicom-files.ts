import { Attribute } from '../src/dicom/attributes.ts'
import type { Bytes } from '../src/dicom/bytes.ts'
import { Dataset } from '../src/dicom/dataset.ts'
import { encodeDataset } from '../src/dicom/dataset-codec.ts'
import { part10Header } from '../src/dicom/part10.ts'
import type { Tag } from '../src/dicom/tag.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN } from '../src/dicom/transfer-syntax.ts'
import { STORAGE_ROOT, type Uid } from '../src/dicom/uids.ts'
import type { Value } from '../src/dicom/value.ts'

/** Of everything made here; studies, series and instances are numbered below it. */
export const UID_ROOT = '1.2.826.0.1.3680043.10.1561.77'

export const CT_IMAGE = `${STORAGE_ROOT}2`
export const ENHANCED_CT_IMAGE = `${STORAGE_ROOT}2.1`
export const MR_IMAGE = `${STORAGE_ROOT}4`

export interface ImageOptions {
  readonly sopClass: Uid
  readonly modality: string
  /** Numbers from 1; together they are the UIDs. */
  readonly study: number
  readonly series: number
  readonly instance: number
  readonly rows: number
  readonly columns: number
  /** None: a header only. */
  readonly frames: number
}

export function patientId(study: number): string {
  return `BENCH${study}`
}

export function studyUid(study: number): Uid {
  return `${UID_ROOT}.${study}`
}

/** A Part 10 file in Explicit VR Little Endian, the same for the same options; its end is the pixel data. */
export function imageFile(options: ImageOptions): Bytes[] {
  const { sopClass, study, series, instance, rows, columns, frames } = options
  const sopInstance = `${studyUid(study)}.${series}.${instance}`
  const head = [part10Header(sopClass, sopInstance, EXPLICIT_VR_LITTLE_ENDIAN)]
  if (frames === 0) return [...head, encodeDataset(header(options, sopInstance), EXPLICIT_VR_LITTLE_ENDIAN)]
  const dataset = header(options, sopInstance)
    .set(0x00280002, 1)
    .set(0x00280004, 'MONOCHROME2')
    .set(Attribute.Rows, rows)
    .set(Attribute.Columns, columns)
    .set(0x00280030, ['0.7', '0.7'])
    .set(Attribute.BitsAllocated, 16)
    .set(0x00280101, 12)
    .set(0x00280102, 11)
    .set(Attribute.PixelRepresentation, 0)
    .set(0x00281050, '40')
    .set(0x00281051, '400')
    .set(0x00281052, '-1024')
    .set(0x00281053, '1')
  if (frames > 1) dataset.set(Attribute.NumberOfFrames, String(frames))
  const length = rows * columns * 2
  // PS3.5 7.1.2: tag, VR, two reserved bytes, length.
  const element = Buffer.from('e07f10004f57000000000000', 'hex')
  element.writeUInt32LE(length * frames, 8)
  const pixels = Array.from({ length: frames }, (_, frame) => noise(length, instance * 1000 + frame))
  return [...head, encodeDataset(dataset, EXPLICIT_VR_LITTLE_ENDIAN), element, ...pixels]
}

/** About as many elements as a scanner writes. */
function header({ sopClass, modality, study, series, instance }: ImageOptions, sopInstance: Uid): Dataset {
  const dataset = new Dataset()
  for (const [t, value] of constant) dataset.set(t, value)
  return dataset
    .set(Attribute.SOPClassUID, sopClass)
    .set(Attribute.SOPInstanceUID, sopInstance)
    .set(Attribute.StudyDate, `2025${two(1 + (study % 12))}${two(1 + (study % 28))}`)
    .set(Attribute.AccessionNumber, `A${study}`)
    .set(Attribute.Modality, modality)
    .set(Attribute.PatientName, `Bench^Number${study}`)
    .set(Attribute.PatientID, patientId(study))
    .set(Attribute.StudyInstanceUID, studyUid(study))
    .set(Attribute.SeriesInstanceUID, `${studyUid(study)}.${series}`)
    .set(Attribute.StudyID, String(study))
    .set(Attribute.SeriesNumber, String(series))
    .set(Attribute.InstanceNumber, String(instance))
    .set(0x00200032, ['-179.6', '-350.2', String(instance * 2.5)])
    .set(0x00201041, String(instance * 2.5))
    .setItems(0x00081140, [
      new Dataset()
        .set(Attribute.ReferencedSOPClassUID, sopClass)
        .set(Attribute.ReferencedSOPInstanceUID, `${studyUid(study)}.99.1`),
    ])
}

const constant: readonly (readonly [Tag, Value | readonly Value[]])[] = [
  [Attribute.SpecificCharacterSet, 'ISO_IR 100'],
  [0x00080008, ['ORIGINAL', 'PRIMARY', 'AXIAL']],
  [0x00080021, '20250102'],
  [0x00080022, '20250102'],
  [0x00080023, '20250102'],
  [Attribute.StudyTime, '101500'],
  [0x00080031, '101612.250'],
  [0x00080032, '101702.500'],
  [0x00080033, '101709.125'],
  [0x00080070, 'Bench Works'],
  [0x00080080, 'General Hospital'],
  [Attribute.ReferringPhysicianName, 'Referring^Rita'],
  [0x00081010, 'STATION1'],
  [Attribute.StudyDescription, 'Thorax without contrast'],
  [Attribute.SeriesDescription, 'Thorax 2.5 soft'],
  [0x00081070, 'Operator^Olaf'],
  [0x00081090, 'Model 64'],
  [Attribute.PatientBirthDate, '19700101'],
  [Attribute.PatientSex, 'O'],
  [0x00101010, '055Y'],
  [0x00101030, '71'],
  [0x00180015, 'CHEST'],
  [0x00180050, '2.5'],
  [0x00180060, '120'],
  [0x00180090, '500'],
  [0x00181000, '00123'],
  [0x00181020, '7.1'],
  [0x00181030, 'Thorax routine'],
  [0x00181100, '360'],
  [0x00181110, '949.1'],
  [0x00181120, '0'],
  [0x00181130, '151'],
  [0x00181140, 'CW'],
  [0x00181150, '500'],
  [0x00181151, '240'],
  [0x00181152, '120'],
  [0x00181160, 'BODY FILTER'],
  [0x00181190, '1.2'],
  [0x00181210, 'SOFT'],
  [0x00185100, 'FFS'],
  [0x00200012, '1'],
  [0x00200037, ['1', '0', '0', '0', '1', '0']],
  [0x00200052, `${UID_ROOT}.0.1`],
  [0x00201040, 'XY'],
  [Attribute.PerformedProcedureStepStartDate, '20250102'],
  [Attribute.PerformedProcedureStepStartTime, '101500'],
  [0x00400253, 'PPS1'],
]

/** Pixels of 12 bits that look alike to no compressor, the same for the same seed (xorshift32). */
function noise(length: number, seed: number): Bytes {
  const words = new Uint32Array(length / 4)
  let state = (seed * 2_654_435_761) >>> 0 || 1
  for (let at = 0; at < words.length; at++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    words[at] = state & 0x0fff0fff
  }
  return new Uint8Array(words.buffer)
}

function two(n: number): string {
  return String(n).padStart(2, '0')
}
