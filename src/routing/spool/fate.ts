import { formatStatus, Status } from '../../dimse/status.ts'
import type { StoreOutcome } from '../../pacs/store.ts'
import { WebStoreError } from '../web-store-error.ts'
import { DamagedSpoolFileError, SpoolDiskError } from './sealed-file.ts'

/**
 * What comes of a try. `over`: to send it again would not help. `later`: this instance, another time. `rest`: the destination
 * is not there. `full`: it has no room, or does not let us in, maybe with this. `doubt`: it went away, or fell silent, while it was sent something, which
 * may be of that. `again`: it was not tried at all, others were.
 */
export type Fate = 'delivered' | 'over' | 'later' | 'rest' | 'full' | 'doubt' | 'again'

/** `mayBeThere`: it was sent before, and what became of that is not known. */
export function fateOf(outcome: StoreOutcome, mayBeThere: boolean): Fate {
  switch (outcome.kind) {
    case 'stored':
      return 'delivered'
    case 'broken':
      return 'over'
    case 'refused':
      return ofStatus(outcome.status, mayBeThere)
    case 'failed':
      return ofError(outcome.error)
  }
}

/** It may be the destination, which is left alone for a while. */
export function isOfDestination(fate: Fate): boolean {
  return fate === 'rest' || fate === 'full' || fate === 'doubt'
}

/** As the name of a file bears it. */
export function reasonOf(outcome: StoreOutcome): string {
  if ('status' in outcome) return formatStatus(outcome.status)
  const code = codeOf(outcome.error)
  return /^[A-Z0-9_]{1,64}$/.test(code) ? code : 'UNKNOWN'
}

/** PS3.4 B.2.3, PS3.7 C. */
function ofStatus(status: number, mayBeThere: boolean): Fate {
  if (status >>> 8 === 0xa7 || status === Status.resourceLimitation) return 'full'
  if (status === Status.duplicateSopInstance && mayBeThere) return 'delivered'
  return status === Status.processingFailure ? 'later' : 'over'
}

function ofError(error: unknown): Fate {
  if (error instanceof SpoolDiskError) return 'later'
  if (error instanceof DamagedSpoolFileError) return 'over'
  if (error instanceof WebStoreError && error.code === 'WEB_STORE_FAILED') return ofHttp(error.http)
  // Of what nobody knows: others pass it.
  return FATES[codeOf(error)] ?? 'doubt'
}

/** Of a server that is there, or was; others are of what stands before it, or of its address. */
function ofHttp(status: number | undefined): Fate {
  if (status === undefined) return 'later'
  return status >= 500 && ![502, 503, 504].includes(status) ? 'later' : 'full'
}

const FATES: Readonly<Record<string, Fate>> = {
  MALFORMED_DATA_SET: 'over',
  HEAD_TOO_LARGE: 'over',
  POOL_BUSY: 'again',
  POOL_FULL: 'again',
  WEB_STORE_BUSY: 'again',
  IMAGING_BUSY: 'again',
  CONNECT_FAILED: 'rest',
  ASSOCIATION_REJECTED: 'rest',
  ARCHIVE_DOWN: 'rest',
  WEB_STORE_UNREACHABLE: 'rest',
  WEB_STORE_FORBIDDEN: 'full',
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}
