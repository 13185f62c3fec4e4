import { Status, StatusError } from '../../dimse/status.ts'

/**
 * Whether a C-FIND has ended as it does at an archive that bounds its answers, or that cannot answer a query of the kind
 * (PS3.4 C.4.1.1.4): cancelled though nobody did (FE00), out of resources (A7xx), not understood (A9xx), unable to process
 * (Cxxx). What it had answered by then holds.
 */
export function isCapped(error: unknown): error is StatusError {
  if (!(error instanceof StatusError)) return false
  const { status } = error
  return status === Status.cancel || status >>> 8 === 0xa7 || status >>> 8 === 0xa9 || status >>> 12 === 0xc
}
