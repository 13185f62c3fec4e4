import { randomUUID } from 'node:crypto'
import type { Uid } from '../../dicom/uids.ts'

/** Who had brought an instance, for the audit trail. */
export interface Sender {
  readonly kind: string
  readonly name: string
  readonly address: string | undefined
}

/** What an instance in the spool is, beside its bytes; sealed with them. */
export interface SpooledInstance {
  /** So that no file passes for another, or goes to somebody else. */
  readonly id: string
  readonly destination: string
  readonly route: string
  readonly sender: Sender
  readonly isChanged: boolean
  readonly sopClass: Uid
  readonly sopInstance: Uid
  readonly study: Uid
  readonly series: Uid
  /** UID of the transfer syntax of its data set. */
  readonly syntax: Uid
}

/** Ids sort by when they were made. */
export function newEntryId(): string {
  return `${String(Date.now()).padStart(13, '0')}-${randomUUID()}`
}

/** When an entry was made, in ms since 1970. */
export function sinceOf(id: string): number {
  return Number(id.slice(0, id.indexOf('-')))
}

/** What the name of a file says: nothing of a patient, nor of an instance. */
export interface EntryName {
  readonly id: string
  /** Why it is given up: a code, or a DIMSE status; undefined where it is to be sent. */
  readonly reason: string | undefined
}

const NAME = /^(\d{13}-[0-9a-f-]{36})\.(?:instance|([A-Z0-9_]{1,64})\.dead)$/

export function fileName({ id, reason }: EntryName): string {
  return reason === undefined ? `${id}.instance` : `${id}.${reason}.dead`
}

/** Undefined where it is no file of the spool. */
export function parseFileName(name: string): EntryName | undefined {
  const [, id, reason] = NAME.exec(name) ?? []
  return id === undefined ? undefined : { id, reason }
}
