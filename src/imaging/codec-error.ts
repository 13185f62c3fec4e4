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
