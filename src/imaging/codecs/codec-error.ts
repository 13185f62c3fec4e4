/** A compressed frame is damaged, or is not what the attributes of its image say. */
export class CodestreamError extends Error {
  readonly code = 'CORRUPT_CODESTREAM'
  readonly problem: string
  constructor(problem: string, options?: ErrorOptions) {
    super(`The compressed frame cannot be decoded: ${problem}`, options)
    this.name = 'CodestreamError'
    this.problem = problem
  }
}

/** A frame took too long, or more memory than there is for it. */
export class CodecStoppedError extends Error {
  readonly code = 'CODEC_STOPPED'
  constructor(options?: ErrorOptions) {
    super('A frame took too long to decode, encode or draw, or took too much memory', options)
    this.name = 'CodecStoppedError'
  }
}
