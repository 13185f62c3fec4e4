import type { InstanceUids } from '../instance/uids.ts'
import type { HeldInstance } from './held-instance.ts'
import type { KeptInstance } from './kept-instance.ts'

/** What a flight asks of the cache that it fills. */
export interface Keeper {
  /** Whether there is room for so many more bytes; if so they count. */
  admit(bytes: number): boolean
  /** The bytes do not count any more: the instance is not kept, or counts by itself from here on. */
  dismiss(bytes: number): void
  /** Takes a whole instance. */
  keep(instance: HeldInstance): void
  /** A whole instance has come that is not kept. */
  passed(instance: HeldInstance): void
  /** Has one written to disk as it comes, where there is a disk. */
  spill(instance: HeldInstance): void
  /** What is held already. */
  held(uids: InstanceUids): KeptInstance | undefined
}
