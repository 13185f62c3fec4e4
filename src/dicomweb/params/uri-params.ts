import { isUid, type Uid } from '../../dicom/uids.ts'
import { MAX_SIDE, type WindowParam } from './rendered-params.ts'

/** The query parameters of the URI service but for UIDs and content types (PS3.18 9.1.2). */
export interface UriParams {
  readonly transferSyntax: Uid | undefined
  /** Both or neither. */
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

export class UriParamError extends Error {
  readonly code = 'INVALID_PARAMETER'
  readonly parameter: string
  constructor(parameter: string, problem: string) {
    super(`The parameter ${parameter} ${problem}`)
    this.name = 'UriParamError'
    this.parameter = parameter
  }
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

/** Reads the parameters. @throws UriParamError, UnsupportedUriParamError */
export function parseUriParams(query: URLSearchParams): UriParams {
  const get = (name: string): string | undefined => {
    const values = query.getAll(name)
    if (values.length > 1) throw new UriParamError(name, 'is given more than once')
    return values[0] === '' ? undefined : values[0]
  }
  if (get('requestType') !== 'WADO') throw new UriParamError('requestType', 'is not WADO')
  // Identified data in its place would be a breach.
  if (get('anonymize') !== undefined) {
    throw new UnsupportedUriParamError('anonymize', 'Instances are not anonymised here')
  }
  refusePresentation(get)
  const [rows, columns] = pair(get, 'rows', 'columns', (name, text) => whole(name, text, MAX_SIDE))
  const [center, width] = pair(get, 'windowCenter', 'windowWidth', decimal)
  if (width !== undefined && width < 1) throw new UriParamError('windowWidth', 'is less than 1')
  const quality = get('imageQuality')
  const frameNumber = get('frameNumber')
  return {
    transferSyntax: syntaxOf(get('transferSyntax')),
    rows,
    columns,
    region: regionOf(get('region')),
    window: center === undefined || width === undefined ? undefined : { center, width, function: 'linear' },
    quality: quality === undefined ? undefined : whole('imageQuality', quality, 100),
    frameNumber: frameNumber === undefined ? undefined : whole('frameNumber', frameNumber, 999_999_999),
    annotation: (get('annotation') ?? '').split(',').filter((one) => one !== ''),
  }
}

function refusePresentation(get: (name: string) => string | undefined): void {
  const [uid, series] = [get('presentationUID'), get('presentationSeriesUID')]
  if (uid === undefined && series === undefined) return
  if (uid === undefined || series === undefined) {
    throw new UriParamError('presentationUID', 'and presentationSeriesUID belong together')
  }
  if (get('windowCenter') !== undefined || get('windowWidth') !== undefined) {
    throw new UriParamError('presentationUID', 'has a window of its own')
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
  if ((first === undefined) !== (second === undefined)) throw new UriParamError(a, `and ${b} belong together`)
  if (first === undefined || second === undefined) return [undefined, undefined]
  return [read(a, first), read(b, second)]
}

function whole(name: string, text: string, most: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : 0
  if (value < 1 || value > most) throw new UriParamError(name, `is no whole number from 1 to ${most}`)
  return value
}

function decimal(name: string, text: string): number {
  if (!/^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,2})?$/.test(text)) throw new UriParamError(name, 'is no number')
  return Number(text)
}

function regionOf(text: string | undefined): UriParams['region'] {
  if (text === undefined) return undefined
  const [left, top, right, bottom, ...rest] = text.split(',').map((one) => decimal('region', one))
  const isRegion = left !== undefined && top !== undefined && right !== undefined && bottom !== undefined
  const fits = isRegion && left >= 0 && top >= 0 && left < right && top < bottom && right <= 1 && bottom <= 1
  if (!fits || rest.length > 0) throw new UriParamError('region', 'is not xmin,ymin,xmax,ymax from 0.0 to 1.0')
  return { left, top, right, bottom }
}

function syntaxOf(text: string | undefined): Uid | undefined {
  if (text === undefined || isUid(text)) return text
  throw new UriParamError('transferSyntax', 'is no UID')
}
