/**
 * The header block of a part, its lines without their ends (RFC 2046 5.1): names in lower case, folded lines joined, a
 * repeated field as one comma list. What is wrong with it, as text, where it is none.
 */
export function parsePartHeaders(lines: readonly string[]): ReadonlyMap<string, string> | string {
  const headers = new Map<string, string>()
  let last = ''
  for (const line of lines) {
    if (/^[ \t]/.test(line) && last !== '') {
      headers.set(last, `${headers.get(last)!} ${line.trim()}`.trim())
      continue
    }
    const colon = line.indexOf(':')
    const name = line.slice(0, Math.max(colon, 0)).trimEnd().toLowerCase()
    const value = line.slice(colon + 1).trim()
    if (!/^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name)) return 'A part header line has no field name'
    const before = headers.get(name)
    headers.set(name, before === undefined ? value : `${before}, ${value}`)
    last = name
  }
  for (const value of headers.values()) {
    // A bare CR, a NUL: nothing that may be logged or passed on.
    if (/[^\t\x20-\x7e\x80-\xff]/.test(value)) return 'A part header holds a control character'
  }
  return headers
}
