import { randomUUID } from 'node:crypto'
import type { Uid } from './uids.ts'

/** A UID that nobody has: of a UUID (PS3.5 B.2). */
export function newUid(): Uid {
  return `2.25.${BigInt(`0x${randomUUID().replaceAll('-', '')}`)}`
}
