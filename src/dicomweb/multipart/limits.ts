/** What a multipart body may hold before it is refused, in bytes unless it is a number of parts. */
export interface MultipartLimits {
  /** Text before the first delimiter line. */
  readonly maxPreambleBytes: number
  /** Text after the closing delimiter. */
  readonly maxEpilogueBytes: number
  /** The header block of one part, blank line included. */
  readonly maxHeaderBytes: number
  readonly maxParts: number
  readonly maxPartBytes: number
}

export const defaultMultipartLimits: MultipartLimits = {
  maxPreambleBytes: 64 * 1024,
  maxEpilogueBytes: 64 * 1024,
  // As Node bounds the headers of a whole request; real part headers stay under 1000 bytes.
  maxHeaderBytes: 16 * 1024,
  // The largest studies (thin-slice CT, dynamic MR) have a few thousand instances; a request is one study or less.
  maxParts: 10_000,
  // Twice the largest native Pixel Data value, 2^32-2 bytes (PS3.5 7.1.1): bounds a runaway upload, refuses no instance.
  maxPartBytes: 2 ** 33,
}
