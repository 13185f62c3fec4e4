export type WebStoreFault =
  'WEB_STORE_UNREACHABLE' | 'WEB_STORE_SILENT' | 'WEB_STORE_BUSY' | 'WEB_STORE_FAILED' | 'WEB_STORE_FORBIDDEN'

/** A DICOMweb server that cannot be reached, does not take what it is sent, or says nothing. */
export class WebStoreError extends Error {
  readonly code: WebStoreFault
  /** HTTP status, where there is one. */
  readonly http: number | undefined
  constructor(code: WebStoreFault, problem: string, options: ErrorOptions & { http?: number } = {}) {
    super(problem, options)
    this.name = 'WebStoreError'
    this.code = code
    this.http = options.http
  }
}
