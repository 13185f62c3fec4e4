import { isDecimal, parameterOf, ParameterError, wholeNumber } from './parameter.ts'

/** A window asked for (PS3.18 8.3.5.1.4). */
export interface WindowParam {
  readonly center: number
  readonly width: number
  readonly function: 'linear' | 'linear-exact' | 'sigmoid'
}

/** Into how many pixels the picture is to fit, and the region of the image that is shown (PS3.18 8.3.5.1.3). */
export interface ViewportParam {
  readonly width: number
  readonly height: number
  /** Of the image, in its pixels; to the other end where there is no size. */
  readonly left: number
  readonly top: number
  readonly regionWidth: number | undefined
  readonly regionHeight: number | undefined
  /** The sign of a size of the region. */
  readonly flipHorizontally: boolean
  readonly flipVertically: boolean
}

/** What a client says of how something is to be rendered (PS3.18 8.3.5). */
export interface RenderedParams {
  readonly annotation: { readonly patient: boolean; readonly technique: boolean }
  /** Keywords of annotation that nobody knows. */
  readonly unknownAnnotations: readonly string[]
  /** 1 to 100. */
  readonly quality: number | undefined
  readonly viewport: ViewportParam | undefined
  readonly window: WindowParam | undefined
  readonly iccProfile: 'no' | 'yes' | 'srgb'
}

/** Pixels of a side of a picture. */
export const MAX_SIDE = 16_384
/** Pixels of a picture: what is drawn is at most so much, whatever is asked for. */
export const MAX_PIXELS = 64 * 1024 * 1024
/** Pixels of a picture that is larger than what it shows of the image: a screen of 5120 x 2880 has less. */
export const MAX_ENLARGED_PIXELS = 16 * 1024 * 1024

/**
 * Reads the query parameters of a rendered resource, or of a thumbnail, whose viewport has a size only.
 * @throws ParameterError
 */
export function parseRenderedParams(query: URLSearchParams, { thumbnail }: { thumbnail: boolean }): RenderedParams {
  const keywords = (parameterOf(query, 'annotation') ?? '').split(',').filter((one) => one !== '')
  return {
    annotation: { patient: keywords.includes('patient'), technique: keywords.includes('technique') },
    unknownAnnotations: keywords.filter((one) => one !== 'patient' && one !== 'technique'),
    quality: readQuality(parameterOf(query, 'quality')),
    viewport: readViewport(parameterOf(query, 'viewport'), thumbnail),
    window: readWindow(parameterOf(query, 'window')),
    iccProfile: readIccProfile(parameterOf(query, 'iccprofile')),
  }
}

function readQuality(text: string | undefined): number | undefined {
  return text === undefined ? undefined : wholeNumber('quality', text, 100)
}

function readViewport(text: string | undefined, thumbnail: boolean): ViewportParam | undefined {
  if (text === undefined) return undefined
  const fault = (problem: string): ParameterError => new ParameterError('viewport', problem)
  const [width, height, ...region] = text.split(',')
  const sizes = [width, height].map((one) => (one !== undefined && /^\d{1,6}(\.0*)?$/.test(one) ? Number(one) : NaN))
  if (!sizes.every((size) => size >= 1 && size <= MAX_SIDE)) {
    throw fault(`has no width and height from 1 to ${MAX_SIDE}`)
  }
  if (region.length > 0 && thumbnail) throw fault('of a thumbnail is a width and a height only')
  if (region.length !== 0 && region.length !== 4) throw fault('is neither width,height nor width,height,left,top,w,h')
  const [left, top, regionWidth, regionHeight] = region.map((one) => {
    if (one === '') return undefined
    if (!/^-?\d{1,6}(\.\d+)?$/.test(one)) throw fault('has a region that is not of numbers')
    return Number(one)
  })
  if ((left ?? 0) < 0 || (top ?? 0) < 0 || regionWidth === 0 || regionHeight === 0) throw fault('has an empty region')
  return {
    width: sizes[0]!,
    height: sizes[1]!,
    left: left ?? 0,
    top: top ?? 0,
    regionWidth: regionWidth === undefined ? undefined : Math.abs(regionWidth),
    regionHeight: regionHeight === undefined ? undefined : Math.abs(regionHeight),
    flipHorizontally: (regionWidth ?? 1) < 0,
    flipVertically: (regionHeight ?? 1) < 0,
  }
}

function readWindow(text: string | undefined): WindowParam | undefined {
  if (text === undefined) return undefined
  const [center = '', width = '', kind = '', ...rest] = text.split(',')
  if (!isDecimal(center) || !isDecimal(width) || rest.length > 0 || !isFunction(kind)) {
    throw new ParameterError('window', 'is not center,width,function with linear, linear-exact or sigmoid')
  }
  const wide = Number(width)
  // PS3.3 C.11.2.1.2: at least 1 for linear, more than 0 for the others.
  if (kind === 'linear' ? wide < 1 : wide <= 0) throw new ParameterError('window', 'is too narrow')
  return { center: Number(center), width: wide, function: kind }
}

function isFunction(text: string): text is WindowParam['function'] {
  return text === 'linear' || text === 'linear-exact' || text === 'sigmoid'
}

function readIccProfile(text: string | undefined): RenderedParams['iccProfile'] {
  if (text === undefined) return 'no'
  if (text !== 'no' && text !== 'yes' && text !== 'srgb') {
    throw new ParameterError('iccprofile', 'is none that is supported: no, yes, srgb')
  }
  return text
}
