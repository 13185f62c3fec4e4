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
