import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { AuditPatient } from '../../audit/event.ts'
import type { Uid } from '../../dicom/uids.ts'
import type { InstanceUids } from '../../instance/uids.ts'
import type { StudyPatient } from '../auth/study-patients.ts'
import { withoutMark } from './entity-tag.ts'

/** Answers of headers, or of several instances, of which it is remembered what was given; of pixels as many beside. */
export const MAX_ANSWERS = 20_000
/** How long, in ms. */
const MAX_AGE_MS = 24 * 60 * 60 * 1000
/** Instances of one answer: of more it is not remembered. */
export const MAX_GIVEN = 20_000
/** Studies of which it is remembered that something was stored. */
export const MAX_STORED = 10_000

/** An instance that was given, or is held. */
export interface Arrived extends InstanceUids {
  /** Of which of all arrivals it is: the same number is the same bytes. */
  readonly arrival: number
}

/**
 * How an answer may change. `fixed`: pixels and bulk data do not under the UID of their instance (PS3.5 9): they need not
 * be asked for again. `checked`: headers are corrected by some archives, lists grow, pictures may be drawn better one day.
 */
export type Freshness = 'fixed' | 'checked'

/** What an answer was made of. */
export interface Answer {
  /** By its name. */
  readonly archive: string
  readonly study: Uid
  /** What was asked for, and how. */
  readonly key: string
  /** The instances, whichever their order. */
  readonly list: string
  /** The same, as they arrived. */
  readonly arrivals: string
  /** When the first of them was asked for, by performance.now(). */
  readonly askedAt: number
  /** As the first of them has it. */
  readonly patient: StudyPatient
  /** The same as the audit trail has it. */
  readonly told: AuditPatient | undefined
  readonly sopClasses: ReadonlyMap<Uid, number>
  /** What in them it is made of; `chosen`: the pixels of one that stands for all that was asked for. */
  readonly of: 'headers' | 'pixels' | 'chosen'
  readonly freshness: Freshness
}

/** What was given under the tags of answers. */
export class Given {
  readonly #ofHeaders = new LRUCache<string, Answer>({ max: MAX_ANSWERS, ttl: MAX_AGE_MS })
  /** There are many for one answer of headers. */
  readonly #ofPixels = new LRUCache<string, Answer>({ max: MAX_ANSWERS, ttl: MAX_AGE_MS })
  /** When something was stored in studies, by performance.now(). */
  readonly #stored = new LRUCache<string, number>({
    max: MAX_STORED,
    ttl: MAX_AGE_MS,
    // What is not known of one study any more is taken to be so of all.
    dispose: (at, _, reason) => {
      if (reason === 'evict') this.#allStored = Math.max(this.#allStored, at)
    },
  })
  #allStored = -Infinity

  note(tag: string, answer: Answer): void {
    const answers = answer.of === 'headers' ? this.#ofHeaders : this.#ofPixels
    answers.set(withoutMark(tag), answer)
  }

  /** Undefined where nobody knows. */
  under(tag: string): Answer | undefined {
    return this.#ofHeaders.get(withoutMark(tag)) ?? this.#ofPixels.get(withoutMark(tag))
  }

  /** Whether what an answer was made of was asked for so few ms ago, and nothing was stored in its study since. */
  isRecent({ archive, study, askedAt }: Answer, milliseconds: number): boolean {
    const stored = Math.max(this.#allStored, this.#stored.get(studyKey(archive, study)) ?? -Infinity)
    return askedAt > Math.max(stored, performance.now() - milliseconds)
  }

  /** Something was stored in a study: whether what was given of it before is still there is not known. */
  stored(archive: string, study: Uid): void {
    this.#stored.set(studyKey(archive, study), performance.now())
  }
}

function studyKey(archive: string, study: Uid): string {
  return `${archive} ${study}`
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
