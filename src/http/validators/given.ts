import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { InstanceUids } from '../../instance/uids.ts'
import { withoutMark } from './entity-tag.ts'
import type { StudyPatient } from '../auth/study-patients.ts'

/** Answers of which it is remembered what was given. */
const MAX_ANSWERS = 10_000
/** How long, in ms: a header that was corrected at the archive is seen by then. */
export const MAX_AGE_MS = 24 * 60 * 60 * 1000
/** Instances of one answer: of more it is not remembered. */
export const MAX_GIVEN = 20_000

/** An instance that was given, or is held. */
export interface Arrived extends InstanceUids {
  /** Of which of all arrivals it is: the same number is the same bytes. */
  readonly arrival: number
}

/** What an answer was made of. */
export interface Answer {
  /** What was asked for, and how. */
  readonly key: string
  /** The instances, whichever their order. */
  readonly list: string
  /** The same, as they arrived. */
  readonly arrivals: string
  /** As the first of them has it. */
  readonly patient: StudyPatient
}

/** What was given under the tags of answers that are made of several instances, or of their headers. */
export class Given {
  readonly #answers = new LRUCache<string, Answer>({ max: MAX_ANSWERS, ttl: MAX_AGE_MS })

  note(tag: string, answer: Answer): void {
    this.#answers.set(withoutMark(tag), answer)
  }

  /** Undefined where nobody knows. */
  under(tag: string): Answer | undefined {
    return this.#answers.get(withoutMark(tag))
  }
}

/** Stands for instances, whichever their order. */
export function listDigest(instances: readonly Pick<InstanceUids, 'series' | 'sopInstance'>[]): string {
  return digest(instances.map(({ series, sopInstance }) => `${series} ${sopInstance}`))
}

/** Stands for instances as they arrived, whichever their order. */
export function arrivalsDigest(instances: readonly Arrived[]): string {
  return digest(instances.map(({ series, sopInstance, arrival }) => `${series} ${sopInstance} ${arrival}`))
}

function digest(lines: readonly string[]): string {
  return createHash('sha256').update(lines.toSorted().join('\n')).digest('base64')
}
