import { Attribute } from '../../src/dicom/attributes.ts'
import { Dataset, type Fragments } from '../../src/dicom/dataset.ts'
import { encodeDataset } from '../../src/dicom/dataset-codec.ts'
import { part10Header } from '../../src/dicom/part10.ts'
import { transferSyntax } from '../../src/dicom/transfer-syntax.ts'

export const CT = '1.2.840.10008.5.1.4.1.1.2'
export const MR = '1.2.840.10008.5.1.4.1.1.4'
export const SECONDARY_CAPTURE = '1.2.840.10008.5.1.4.1.1.7'

/** The transfer syntaxes that the conformance cases speak of. */
export const Syntax = {
  implicit: '1.2.840.10008.1.2',
  explicit: '1.2.840.10008.1.2.1',
  bigEndian: '1.2.840.10008.1.2.2',
  deflated: '1.2.840.10008.1.2.1.99',
  jpegBaseline: '1.2.840.10008.1.2.4.50',
  jpegLossless: '1.2.840.10008.1.2.4.70',
  jpeg2000: '1.2.840.10008.1.2.4.90',
  jpegLs: '1.2.840.10008.1.2.4.80',
  rle: '1.2.840.10008.1.2.5',
  /** There is no decoder for JPEG XL here. */
  jpegXlLossless: '1.2.840.10008.1.2.4.110',
  jpegXl: '1.2.840.10008.1.2.4.112',
} as const

export interface InstanceOptions {
  readonly study?: string
  readonly series?: string
  readonly instance?: string
  readonly sopClass?: string
  /** UID; Explicit VR Little Endian unless told. Not deflated. */
  readonly syntax?: string
  /** Bytes of native pixel data; 32 unless told. */
  readonly pixelBytes?: number
  readonly fragments?: Fragments['fragments']
  /** Adds to the data set, or takes away. */
  readonly change?: (dataset: Dataset) => void
}

/** The UIDs of the conformance cases: S, E, I. */
export const S = '1.2.3'
export const E = '1.2.3.4'
export const I = '1.2.3.4.5'

export function instanceDataset(options: InstanceOptions = {}): Dataset {
  const { study = S, series = E, instance = I, sopClass = CT, pixelBytes = 32, fragments, change } = options
  const dataset = new Dataset()
    .set(Attribute.SpecificCharacterSet, 'ISO_IR 192')
    .set(Attribute.SOPClassUID, sopClass)
    .set(Attribute.SOPInstanceUID, instance)
    .set(Attribute.StudyDate, '20240131')
    .set(Attribute.StudyTime, '101500')
    .set(Attribute.AccessionNumber, 'A1')
    .set(Attribute.Modality, sopClass === MR ? 'MR' : 'CT')
    .set(Attribute.ReferringPhysicianName)
    .set(Attribute.PatientName, 'Sample^Case')
    .set(Attribute.PatientID, '123')
    .set(Attribute.PatientBirthDate, '19700101')
    .set(Attribute.StudyInstanceUID, study)
    .set(Attribute.SeriesInstanceUID, series)
    .set(Attribute.StudyID, 'S1')
    .set(Attribute.SeriesNumber, '1')
    .set(Attribute.InstanceNumber, instance.split('.').at(-1))
    .set(Attribute.Rows, 4)
    .set(Attribute.Columns, 4)
    .set(Attribute.BitsAllocated, 16)
    .set(Attribute.PixelRepresentation, 0)
  if (fragments) dataset.put(Attribute.PixelData, { vr: 'OB', value: { fragments } })
  else dataset.put(Attribute.PixelData, { vr: 'OW', value: Buffer.alloc(pixelBytes, '0123456789abcdef') })
  change?.(dataset)
  return dataset
}

/** A PS3.10 file. */
export function instanceFile(options: InstanceOptions = {}): Buffer {
  const syntax = transferSyntax(options.syntax ?? Syntax.explicit)
  const header = part10Header(options.sopClass ?? CT, options.instance ?? I, syntax)
  return Buffer.concat([header, encodeDataset(instanceDataset(options), syntax)])
}

/** Files of one series, instances numbered from 1. */
export function seriesFiles(count: number, options: Omit<InstanceOptions, 'instance'> = {}): Buffer[] {
  const series = options.series ?? E
  return Array.from({ length: count }, (_, at) => instanceFile({ ...options, series, instance: `${series}.${at + 1}` }))
}
