import type { Dataset } from './dataset.ts'
import type { Value } from './value.ts'
import type { Vr } from './vr.ts'

/** Who reserves the block of private attributes (PS3.5 7.8.1). */
export const PRIVATE_CREATOR = 'DIMSEGATE'
const CREATOR_TAG = 0x00090010

/** Private attributes of search results, in the block of PRIVATE_CREATOR. */
const own = {
  /** PROBABLE: by name, birth date and sex it may be of the patient that was searched for. */
  PatientMatch: { tag: 0x00091001, vr: 'CS' },
  /** Of an earlier study: what it is worth beside the current one, from 0 to 100. */
  PriorScore: { tag: 0x00091002, vr: 'DS' },
  /** Why, a reason a value. */
  PriorReasons: { tag: 0x00091003, vr: 'LO' },
} as const satisfies Readonly<Record<string, { tag: number; vr: Vr }>>

/** Adds a private attribute to a result. */
export function setOwn(row: Dataset, name: keyof typeof own, values: Value | readonly Value[]): void {
  const { tag, vr } = own[name]
  row.set(CREATOR_TAG, PRIVATE_CREATOR, 'LO').set(tag, values, vr)
}
