import { isMediaType, parseParameter, splitUnquoted } from './content-type.ts'

/** One element of an Accept list (RFC 9110 12.5.1). */
export interface MediaRange {
  /** Lower case; `*` for any. */
  readonly type: string
  /** Lower case; `*` for any. */
  readonly subtype: string
  /** Names in lower case, values unquoted; without `q`. */
  readonly parameters: ReadonlyMap<string, string>
  /** 0 (refused) to 1. */
  readonly q: number
  /** Place in its list, from 0. */
  readonly index: number
}

/** What the client takes: first what the `accept` query parameter says, then the header (PS3.18 8.7.8.1). */
export interface Accept {
  readonly query: readonly MediaRange[]
  readonly header: readonly MediaRange[]
}

export class AcceptError extends Error {
  override readonly name = 'AcceptError'
  readonly code = 'ACCEPT_MALFORMED'
  /** The media range at fault, as received. */
  readonly range: string

  constructor(message: string, range: string) {
    super(message)
    this.range = range
  }
}

/** Clients send a dozen at most; choosing among them is quadratic. */
const maxRanges = 100

/**
 * Joins the values of the `accept` query parameter, as decoded, and the Accept header. A missing header accepts anything
 * (RFC 9110 12.5.1).
 *
 * @throws AcceptError
 */
export function acceptOf(queryValues: readonly string[], header: string | undefined): Accept {
  // A `+` not percent-encoded in the URL was decoded to a blank: application/dicom json.
  const query = queryValues.join(',').replace(/([\w.-]\/[\w.-]+) (?=(?:json|xml)\b)/gi, '$1+')
  return { query: parseList(query), header: parseAccept(header) }
}

/**
 * Reads an Accept list leniently: values quoted or not, `*` alone, empty elements, a `q` out of range (clamped) or
 * unreadable (1). No header, or a blank one, is any type.
 *
 * @throws AcceptError for an unclosed quote, what is no media range, a repeated parameter (PS3.18 8.7.3.5.2: exactly one
 *   transfer-syntax) or more than 100 ranges
 */
export function parseAccept(header: string | undefined): MediaRange[] {
  const ranges = parseList(header ?? '')
  return ranges.length > 0 ? ranges : [parseRange('*/*', 0)]
}

function parseList(list: string): MediaRange[] {
  const ranges: MediaRange[] = []
  for (const text of splitUnquoted(list, ',')) {
    if (text.trim() === '') continue
    if (ranges.length === maxRanges) throw new AcceptError(`More than ${maxRanges} media ranges`, text)
    ranges.push(parseRange(text, ranges.length))
  }
  return ranges
}

function parseRange(text: string, index: number): MediaRange {
  const [essence = '', ...rest] = splitUnquoted(text, ';')
  const name = essence.trim().toLowerCase()
  // java.net.URLConnection sends `*; q=.2`.
  const full = name === '*' ? '*/*' : name
  if (!isMediaType(full)) throw new AcceptError('Not a media range', text)
  const slash = full.indexOf('/')
  const parameters = new Map<string, string>()
  for (const piece of rest) {
    if (piece.trim() === '') continue
    const parameter = parseParameter(piece)
    if (parameter === undefined) throw new AcceptError('A malformed media range parameter', text)
    if (parameters.has(parameter.name)) {
      throw new AcceptError(`The parameter ${parameter.name} is given twice in one media range`, text)
    }
    parameters.set(parameter.name, parameter.value)
  }
  const q = qualityOf(parameters.get('q'))
  parameters.delete('q')
  return { type: full.slice(0, slash), subtype: full.slice(slash + 1), parameters, q, index }
}

function qualityOf(value: string | undefined): number {
  if (value === undefined || !/^[+-]?(?:\d+(?:\.\d*)?|\.\d+)$/.test(value)) return 1
  return Math.min(1, Math.max(0, Number(value)))
}
