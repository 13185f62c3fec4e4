/** Our DICOM listener cannot be opened. */
export class ListenerError extends Error {
  readonly code = 'LISTENER_FAILED'
  constructor(aeTitle: string, port: number, options: ErrorOptions) {
    super(`The DICOM listener ${aeTitle} cannot be opened at port ${port}`, options)
    this.name = 'ListenerError'
  }
}
