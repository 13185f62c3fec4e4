import { isUid, type Uid } from '../../dicom/uids.ts'
import { isDecimal, parameterOf, ParameterError, wholeNumber } from './parameter.ts'
import { MAX_SIDE, type WindowParam } from './rendered-params.ts'

/** The query parameters of the URI service but for UIDs and content types (PS3.18 9.1.2). */
export interface UriParams {
  /** Or `*`: as it is stored. */
  readonly transferSyntax: Uid | undefined
  /** One of them alone keeps the ratio. */
  readonly rows: number | undefined
  readonly columns: number | undefined
  /** Fractions of the image's width and height. */
  readonly region: { left: number; top: number; right: number; bottom: number } | undefined
  readonly window: WindowParam | undefined
  /** 1 to 100. */
  readonly quality: number | undefined
  /** From 1. */
  readonly frameNumber: number | undefined
  readonly annotation: readonly string[]
}

/** It is of the standard, but not done here. */
export class UnsupportedUriParamError extends Error {
  readonly code = 'UNSUPPORTED_PARAMETER'
  readonly parameter: string
  constructor(parameter: string, what: string) {
    super(`${what} (${parameter})`)
    this.name = 'UnsupportedUriParamError'
    this.parameter = parameter
  }
}

/** Reads the parameters. @throws ParameterError, UnsupportedUriParamError */
export function parseUriParams(query: URLSearchParams): UriParams {
  const get = (name: string): string | undefined => parameterOf(query, name)
  if (get('requestType') !== 'WADO') throw new ParameterError('requestType', 'is not WADO')
  // Identified data in its place would be a breach.
  if (get('anonymize') !== undefined) {
    throw new UnsupportedUriParamError('anonymize', 'Instances are not anonymised here')
  }
  refusePresentation(get)
  const side = (name: string): number | undefined => {
    const text = get(name)
    return text === undefined ? undefined : wholeNumber(name, text, MAX_SIDE)
  }
  const [center, width] = pair(get, 'windowCenter', 'windowWidth', decimal)
  if (width !== undefined && width < 1) throw new ParameterError('windowWidth', 'is less than 1')
  const quality = get('imageQuality')
  const frameNumber = get('frameNumber')
  return {
    transferSyntax: syntaxOf(get('transferSyntax')),
    rows: side('rows'),
    columns: side('columns'),
    region: regionOf(get('region')),
    window: center === undefined || width === undefined ? undefined : { center, width, function: 'linear' },
    quality: quality === undefined ? undefined : wholeNumber('imageQuality', quality, 100),
    frameNumber: frameNumber === undefined ? undefined : wholeNumber('frameNumber', frameNumber, 999_999_999),
    annotation: (get('annotation') ?? '').split(',').filter((one) => one !== ''),
  }
}

function refusePresentation(get: (name: string) => string | undefined): void {
  const [uid, series] = [get('presentationUID'), get('presentationSeriesUID')]
  if (uid === undefined && series === undefined) return
  if (uid === undefined || series === undefined) {
    throw new ParameterError('presentationUID', 'and presentationSeriesUID belong together')
  }
  if (get('windowCenter') !== undefined || get('windowWidth') !== undefined) {
    throw new ParameterError('presentationUID', 'has a window of its own')
  }
  throw new UnsupportedUriParamError('presentationUID', 'Presentation states are not applied here')
}

function pair(
  get: (name: string) => string | undefined,
  a: string,
  b: string,
  read: (name: string, text: string) => number,
): readonly [number | undefined, number | undefined] {
  const [first, second] = [get(a), get(b)]
  if ((first === undefined) !== (second === undefined)) throw new ParameterError(a, `and ${b} belong together`)
  if (first === undefined || second === undefined) return [undefined, undefined]
  return [read(a, first), read(b, second)]
}

function decimal(name: string, text: string): number {
  if (!isDecimal(text)) throw new ParameterError(name, 'is no number')
  return Number(text)
}

function regionOf(text: string | undefined): UriParams['region'] {
  if (text === undefined) return undefined
  const [left, top, right, bottom, ...rest] = text.split(',').map((one) => decimal('region', one))
  const isRegion = left !== undefined && top !== undefined && right !== undefined && bottom !== undefined
  const fits = isRegion && left >= 0 && top >= 0 && left < right && top < bottom && right <= 1 && bottom <= 1
  if (!fits || rest.length > 0) throw new ParameterError('region', 'is not xmin,ymin,xmax,ymax from 0.0 to 1.0')
  return { left, top, right, bottom }
}

function syntaxOf(text: string | undefined): UriParams['transferSyntax'] {
  if (text === undefined || text === '*' || isUid(text)) return text
  throw new ParameterError('transferSyntax', 'is no UID')
}
