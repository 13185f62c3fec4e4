/**
 * A data set in DICOM JSON (PS3.18 F.2) or the Native DICOM Model (PS3.19 A.1) is not one. It says where by `path`: tags,
 * with item numbers from 0 between them, joined by `/`. Values stay out of it: they may be patient data.
 */
export class ModelError extends Error {
  readonly code = 'INVALID_MODEL'
  readonly path: string
  readonly problem: string
  constructor(path: string, problem: string, options?: ErrorOptions) {
    super(path === '' ? `The data set ${problem}` : `Element ${path} ${problem}`, options)
    this.name = 'ModelError'
    this.path = path
    this.problem = problem
  }
}

/** The text of a data set in JSON or XML. @throws ModelError for what is not in UTF-8 */
export function utf8Of(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new ModelError('', 'is not in UTF-8', { cause })
  }
}
