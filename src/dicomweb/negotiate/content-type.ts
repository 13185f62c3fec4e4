export interface ContentType {
  /** Lower-case type/subtype. */
  readonly type: string
  /** Names in lower case, values unquoted. */
  readonly parameters: ReadonlyMap<string, string>
}

export class ContentTypeError extends Error {
  override readonly name = 'ContentTypeError'
  readonly code = 'CONTENT_TYPE_MALFORMED'
  readonly header: string

  constructor(message: string, header: string) {
    super(message)
    this.header = header
  }
}

/**
 * Reads a media type with its parameters (RFC 9110 8.3.1). Unquoted values may hold `/`, `:` and `=`, as clients send
 * them (`type=application/dicom`); a repeated parameter is a fault, since readers would disagree which one counts.
 *
 * @throws ContentTypeError
 */
export function parseContentType(header: string): ContentType {
  const fault = (message: string): ContentTypeError => new ContentTypeError(message, header)
  const [essence = '', ...rest] = splitUnquoted(header, ';')
  const type = essence.trim().toLowerCase()
  if (!isMediaType(type)) throw fault('Not a media type')
  const parameters = new Map<string, string>()
  for (const text of rest) {
    if (text.trim() === '') continue
    const parameter = parseParameter(text)
    if (parameter === undefined) throw fault('A malformed media type parameter')
    if (parameters.has(parameter.name)) throw fault(`The media type parameter ${parameter.name} is given twice`)
    parameters.set(parameter.name, parameter.value)
  }
  return { type, parameters }
}

/** Splits at a separator outside quoted strings; quotes stay in. An unclosed quote runs to the end. */
export function splitUnquoted(text: string, separator: ',' | ';'): string[] {
  const pieces: string[] = []
  let start = 0
  let quoted = false
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at]
    if (char === '"') quoted = !quoted
    else if (quoted && char === '\\') at += 1
    else if (!quoted && char === separator) {
      pieces.push(text.slice(start, at))
      start = at + 1
    }
  }
  pieces.push(text.slice(start))
  return pieces
}

export function isMediaType(text: string): boolean {
  return /^[!#$%&'*+\-.^_`|~\w]+\/[!#$%&'*+\-.^_`|~\w]+$/.test(text)
}

/** One `name=value` or `name="value"`; undefined when it is neither. */
export function parseParameter(text: string): { name: string; value: string } | undefined {
  const equals = text.indexOf('=')
  if (equals < 0) return undefined
  const name = text.slice(0, equals).trim().toLowerCase()
  const raw = text.slice(equals + 1).trim()
  if (!/^[!#$%&'*+\-.^_`|~\w]+$/.test(name)) return undefined
  if (raw.startsWith('"')) {
    if (!/^"(?:[^"\\]|\\.)*"$/.test(raw) || !isPrintable(raw)) return undefined
    return { name, value: raw.slice(1, -1).replace(/\\(.)/g, '$1') }
  }
  return !raw.includes('"') && isPrintable(raw) ? { name, value: raw } : undefined
}

function isPrintable(text: string): boolean {
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(text)
}
