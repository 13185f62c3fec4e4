export interface Part {
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>
  readonly body: Buffer
}

/**
 * The parts of a multipart body (RFC 2046 5.1.1), read on purpose without the reader of src, and strictly: no preamble,
 * no epilogue, the closing delimiter there.
 * @throws when the body is anything else
 */
export function readParts(contentType: string, body: Buffer): Part[] {
  const boundary = /;\s*boundary="?([^";]+)"?/i.exec(contentType)?.[1]
  if (boundary === undefined) throw new Error(`No boundary in ${contentType}`)
  const delimiter = Buffer.from(`\r\n--${boundary}`, 'latin1')
  // The first delimiter has no line end before it.
  const text = Buffer.concat([Buffer.from('\r\n'), body])
  if (text.indexOf(delimiter) !== 0) throw new Error('Something comes before the first boundary')
  const parts: Part[] = []
  for (let at = delimiter.length; ;) {
    const rest = text.toString('latin1', at, at + 4)
    if (rest === '--\r\n' && at + 4 === text.length) return parts
    if (!rest.startsWith('\r\n')) throw new Error(`A boundary is followed by ${JSON.stringify(rest)}`)
    const end = text.indexOf(delimiter, at)
    if (end < 0) throw new Error('The body is cut short')
    parts.push(readPart(text.subarray(at + 2, end)))
    at = end + delimiter.length
  }
}

function readPart(bytes: Buffer): Part {
  const blank = bytes.indexOf('\r\n\r\n')
  if (blank < 0) throw new Error('A part has no blank line')
  const lines = bytes.toString('latin1', 0, blank).split('\r\n')
  const headers = new Map(
    lines.map((line) => {
      const [, name, value] = /^([!-9;-~]+): (.*)$/.exec(line) ?? []
      if (name === undefined || value === undefined) throw new Error(`Not a part header: ${JSON.stringify(line)}`)
      return [name.toLowerCase(), value] as const
    }),
  )
  return { headers, body: bytes.subarray(blank + 4) }
}
