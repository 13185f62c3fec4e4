import { Attribute } from '../../dicom/attributes.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import { formatTag, type Tag } from '../../dicom/tag.ts'
import { fillImageAttributes } from '../../imaging/codecs/image-attributes.ts'
import { UnusableVideoError, type VideoHeader } from '../../imaging/codecs/mp4-header.ts'

/**
 * What the header of a video says of it, where the data set does not have it, against which that is held otherwise (PS3.3
 * C.7.6.3, C.7.6.5, C.7.6.6). @throws UnusableVideoError
 */
export function describeByVideo(dataset: Dataset, { rows, columns, frames, frameTime, bitsStored }: VideoHeader): void {
  const told: readonly (readonly [Tag, number])[] = [
    [Attribute.Rows, rows],
    [Attribute.Columns, columns],
    [Attribute.NumberOfFrames, frames],
    [Attribute.SamplesPerPixel, 3],
    [Attribute.BitsStored, bitsStored],
  ]
  for (const [tag, value] of told) {
    const stated = dataset.number(tag)
    if (stated !== undefined && stated !== value) throw new UnusableVideoError('it is not what its attributes say')
  }
  fillImageAttributes(dataset, {
    ...{ rows, columns, samplesPerPixel: 3, photometricInterpretation: 'YBR_PARTIAL_420', planarConfiguration: 0 },
    ...{ bitsAllocated: bitsStored > 8 ? 16 : 8, bitsStored, highBit: bitsStored - 1, signed: false },
  })
  dataset.set(Attribute.NumberOfFrames, String(frames))
  if (dataset.has(Attribute.FrameTime)) return
  dataset.set(Attribute.FrameTime, frameTime.toPrecision(8))
  dataset.set(Attribute.CineRate, String(Math.max(1, Math.round(1000 / frameTime))))
  dataset.set(Attribute.FrameIncrementPointer, formatTag(Attribute.FrameTime), 'AT')
}
