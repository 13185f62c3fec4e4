import { randomBytes } from 'node:crypto'
import type { Bytes } from '../../dicom/bytes.ts'

const BOUNDARY_BYTES = 16
/** The system is asked for random bits of so many boundaries at once: a call for each is a twentieth of what a frame takes. */
const BOUNDARIES_AT_ONCE = 256

let random = Buffer.alloc(0)

/** Spelled as they go on the wire: clients look for exactly `Content-Type:`. */
export interface PartHeaders {
  readonly 'Content-Type': string
  readonly 'Content-Location'?: string | undefined
  readonly 'Content-ID'?: string | undefined
  readonly 'Content-Length'?: number | undefined
}

/** 128 random bits: it occurs in no body (RFC 2046 5.1.1). Token characters, so it stands unquoted in a header. */
export function newBoundary(): string {
  if (random.length === 0) random = randomBytes(BOUNDARIES_AT_ONCE * BOUNDARY_BYTES)
  const boundary = random.toString('hex', 0, BOUNDARY_BYTES)
  random = random.subarray(BOUNDARY_BYTES)
  return boundary
}

/** The Content-Type of a multipart/related body (RFC 2387); `type` is that of its parts. */
export function relatedType(type: string, boundary: string): string {
  return `multipart/related; type="${type}"; boundary=${boundary}`
}

/**
 * The delimiter line, the part's headers and the blank line. The first has no line break before it: there is no
 * preamble, and the break before every other delimiter is not part of the body it follows.
 *
 * @throws TypeError when a value cannot stand in a header (line ends, control characters, beyond ASCII)
 */
export function partHeader(boundary: string, headers: PartHeaders, first: boolean): Bytes {
  let text = `${first ? '' : '\r\n'}--${boundary}\r\n`
  for (const [name, value] of Object.entries(headers) as [string, string | number | undefined][]) {
    if (value === undefined) continue
    const field = `${name}: ${value}`
    // A line end in a value would let it write headers, or a body, of its own.
    if (!/^[\x20-\x7e]*$/.test(field)) throw new TypeError(`The part header ${name} holds a character it must not`)
    text += `${field}\r\n`
  }
  return Buffer.from(`${text}\r\n`, 'latin1')
}

/** The closing delimiter; a body without it is known to be cut short. */
export function closing(boundary: string): Bytes {
  return Buffer.from(`\r\n--${boundary}--\r\n`, 'latin1')
}
