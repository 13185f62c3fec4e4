/** A query parameter that is malformed, missing or out of range. Names the parameter, never its value. */
export class ParameterError extends Error {
  readonly code = 'INVALID_PARAMETER'
  readonly parameter: string
  constructor(parameter: string, problem: string) {
    super(`The parameter ${parameter} ${problem}`)
    this.name = 'ParameterError'
    this.parameter = parameter
  }
}

/** The value of a parameter; an empty one counts as none. @throws ParameterError where it is given more than once */
export function parameterOf(query: URLSearchParams, name: string): string | undefined {
  const values = query.getAll(name)
  if (values.length > 1) throw new ParameterError(name, 'is given more than once')
  return values[0] === '' ? undefined : values[0]
}

/** A whole number from 1 to `most`, of up to nine digits. @throws ParameterError */
export function wholeNumber(name: string, text: string, most: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : 0
  if (value < 1 || value > most) throw new ParameterError(name, `is no whole number from 1 to ${most}`)
  return value
}

/** A decimal string as in DICOM (PS3.5 6.2, DS), its exponent of up to two digits. */
export function isDecimal(text: string): boolean {
  return /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,2})?$/.test(text) && Number.isFinite(Number(text))
}
