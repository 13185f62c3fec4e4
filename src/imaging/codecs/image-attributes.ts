import { Attribute } from '../../dicom/attributes.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import { transferSyntax } from '../../dicom/transfer-syntax.ts'
import { CodestreamError } from './codec-error.ts'
import { checkHeader } from './codestream-header.ts'
import type { CodestreamKind } from './codestream-kind.ts'
import { describeImage, type ImageDescription } from '../image-description.ts'
import type { Tag } from '../../dicom/tag.ts'

/** The Image Pixel Module of a description, where the data set does not have an attribute of it (PS3.3 C.7.6.3). */
export function fillImageAttributes(dataset: Dataset, image: ImageDescription): void {
  const { samplesPerPixel } = image
  const values: readonly (readonly [Tag, number | string | undefined])[] = [
    [Attribute.SamplesPerPixel, samplesPerPixel],
    [Attribute.PhotometricInterpretation, image.photometricInterpretation],
    [Attribute.PlanarConfiguration, samplesPerPixel > 1 ? image.planarConfiguration : undefined],
    [Attribute.Rows, image.rows],
    [Attribute.Columns, image.columns],
    [Attribute.BitsAllocated, image.bitsAllocated],
    [Attribute.BitsStored, image.bitsStored],
    [Attribute.HighBit, (dataset.number(Attribute.BitsStored) ?? image.bitsStored) - 1],
    [Attribute.PixelRepresentation, image.signed ? 1 : 0],
  ]
  for (const [tag, value] of values)
    if (value !== undefined && isEmpty(dataset, tag)) dataset.set(tag, value, vrOf(value))
}

/**
 * The same by a codestream that is an image of its own, whose header is held against what the data set has then.
 * @throws CodestreamError, UnusableImageError
 */
export function describeByCodestream(dataset: Dataset, kind: CodestreamKind): ImageDescription {
  const { photometricInterpretation, header } = kind
  const { rows, columns, components, bits, signed } = header
  fillImageAttributes(dataset, {
    ...{ rows, columns, signed, photometricInterpretation, samplesPerPixel: components, planarConfiguration: 0 },
    ...{ bitsAllocated: bits > 8 ? 16 : 8, bitsStored: bits, highBit: bits - 1 },
  })
  const image = describeImage(dataset)
  checkKind(kind, image)
  return image
}

/**
 * Holds a codestream against the attributes of its image, more strictly than one that is stored already: its bits, its
 * colours. @throws CodestreamError
 */
export function checkKind({ header, photometricInterpretation }: CodestreamKind, image: ImageDescription): void {
  checkHeader(header, image)
  const { bits } = header
  // A precision of all that is allocated is a custom of some writers.
  if (bits !== image.bitsStored && !(bits > image.bitsStored && bits === image.bitsAllocated)) {
    throw new CodestreamError(`it has ${bits} bits a sample, the attributes say ${image.bitsStored}`)
  }
  const told = coloursOf(image.photometricInterpretation)
  const own = coloursOf(photometricInterpretation)
  const isContradiction = told === 'grey' ? own !== 'grey' : own === 'grey' || (told !== own && own !== undefined)
  if (isContradiction) throw new CodestreamError('its colours are not those that the attributes say')
}

/** Of which kind; RGB and its transforms within JPEG 2000 are one (PS3.5 8.2.4). */
function coloursOf(photometricInterpretation: string): 'grey' | 'rgb' | 'ycc' | undefined {
  if (/^(MONOCHROME|PALETTE)/.test(photometricInterpretation)) return 'grey'
  if (['RGB', 'YBR_RCT', 'YBR_ICT'].includes(photometricInterpretation)) return 'rgb'
  return photometricInterpretation.startsWith('YBR_') ? 'ycc' : undefined
}

/** That something was lost, and by what (PS3.3 C.7.6.1.1.5); `bytes`: of the one frame there is. */
export function tellLossyCompression(dataset: Dataset, syntax: string, image: ImageDescription, bytes: number): void {
  const method = lossyMethod(syntax)
  if (method === undefined) return
  const whole = (image.rows * image.columns * image.samplesPerPixel * image.bitsStored) / 8
  if (isEmpty(dataset, Attribute.LossyImageCompression)) dataset.set(Attribute.LossyImageCompression, '01')
  // They belong together, in the order of what was done (PS3.3 C.7.6.1.1.5.2).
  const told = [Attribute.LossyImageCompressionMethod, Attribute.LossyImageCompressionRatio]
  if (!told.every((tag) => isEmpty(dataset, tag))) return
  dataset.set(Attribute.LossyImageCompressionMethod, method)
  dataset.set(Attribute.LossyImageCompressionRatio, (whole / Math.max(1, bytes)).toFixed(2))
}

function lossyMethod(uid: string): string | undefined {
  const syntax = transferSyntax(uid)
  if (!syntax.lossy) return undefined
  return syntax.lossyMethod ?? (syntax.media === 'image/jphc' ? 'ISO_15444_15' : 'ISO_15444_1')
}

function isEmpty(dataset: Dataset, tag: Tag): boolean {
  return dataset.string(tag) === undefined
}

function vrOf(value: number | string): 'US' | 'CS' {
  return typeof value === 'number' ? 'US' : 'CS'
}
