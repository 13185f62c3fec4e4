import { Attribute } from '../../src/dicom/attributes.ts'
import type { Dataset } from '../../src/dicom/dataset.ts'
import type { ImageDescription } from '../../src/imaging/image-description.ts'

/** Sets what a data set says of its image (PS3.3 C.7.6.3). */
export function setImage(dataset: Dataset, image: ImageDescription): Dataset {
  if (image.samplesPerPixel > 1) dataset.set(Attribute.PlanarConfiguration, image.planarConfiguration)
  return dataset
    .set(Attribute.SamplesPerPixel, image.samplesPerPixel)
    .set(Attribute.PhotometricInterpretation, image.photometricInterpretation)
    .set(Attribute.Rows, image.rows)
    .set(Attribute.Columns, image.columns)
    .set(Attribute.BitsAllocated, image.bitsAllocated)
    .set(Attribute.BitsStored, image.bitsStored)
    .set(Attribute.HighBit, image.highBit)
    .set(Attribute.PixelRepresentation, image.signed ? 1 : 0)
}

export interface OverlayShape {
  readonly rows: number
  readonly columns: number
  readonly bits: Buffer
  /** 0 is that of 6000, 0x20000 that of 6002. */
  readonly group?: number
  readonly type?: string
  readonly origin?: readonly [row: number, column: number]
}

/** Sets an overlay with data of its own (PS3.3 C.9.2), graphics unless told. */
export function setOverlay(dataset: Dataset, overlay: OverlayShape): Dataset {
  const { rows, columns, bits, group = 0, type = 'G', origin = [1, 1] } = overlay
  return dataset
    .set(Attribute.OverlayRows + group, rows)
    .set(Attribute.OverlayColumns + group, columns)
    .set(Attribute.OverlayType + group, type)
    .set(Attribute.OverlayOrigin + group, origin)
    .set(Attribute.OverlayBitsAllocated + group, 1)
    .set(Attribute.OverlayBitPosition + group, 0)
    .put(Attribute.OverlayData + group, { vr: 'OW', value: bits })
}
