/** RFC 2046: transport padding is added by gateways, a blank or two. */
export const maxPaddingBytes = 256

const CR = 0x0d
const LF = 0x0a
const SPACE = 0x20
const TAB = 0x09
const DASH = 0x2d

/**
 * What stands at a place where a delimiter may stand. `open`: the bytes end before it is decided; `padded`: a delimiter
 * with more padding than is borne.
 */
export type Sighting =
  | { readonly kind: 'delimiter'; readonly end: number; readonly closing: boolean; readonly lf: boolean }
  | { readonly kind: 'open'; readonly closing: boolean }
  | { readonly kind: 'data' }
  | { readonly kind: 'padded' }

const data: Sighting = { kind: 'data' }

/** Looks for a whole delimiter line at `at`. */
export function sight(buffer: Buffer, at: number, delimiter: Buffer): Sighting {
  const seen = Math.min(delimiter.length, buffer.length - at)
  if (buffer.compare(delimiter, 0, seen, at, at + seen) !== 0) return data
  return seen < delimiter.length ? { kind: 'open', closing: false } : sightLineEnd(buffer, at + seen)
}

/** RFC 2046 5.1.1, after the boundary: "--" when closing, padding, line end. Anything else on the line makes it data. */
export function sightLineEnd(buffer: Buffer, at: number): Sighting {
  let next = at
  let closing = false
  if (buffer[next] === DASH) {
    if (next + 1 >= buffer.length) return { kind: 'open', closing: false }
    if (buffer[next + 1] !== DASH) return data
    closing = true
    next += 2
  }
  const padding = next
  while (buffer[next] === SPACE || buffer[next] === TAB) next += 1
  if (next - padding > maxPaddingBytes) return { kind: 'padded' }
  if (next >= buffer.length) return { kind: 'open', closing }
  if (buffer[next] === LF) return { kind: 'delimiter', end: next + 1, closing, lf: true }
  if (buffer[next] !== CR) return data
  if (next + 1 >= buffer.length) return { kind: 'open', closing }
  if (buffer[next + 1] !== LF) return data
  return { kind: 'delimiter', end: next + 2, closing, lf: false }
}
