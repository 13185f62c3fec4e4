import { auditPatientOf } from '../audit/audit-patient.ts'
import { MAX_SOP_CLASSES } from '../../audit/bounded.ts'
import type { AuditPatient } from '../../audit/event.ts'
import type { CachedInstance } from '../../cache/cached-instance.ts'
import type { Uid } from '../../dicom/uids.ts'
import { patientOf, type StudyPatient } from '../auth/study-patients.ts'
import type { HttpContext } from '../context.ts'
import { digestOf, newTag, tagOf, weakened } from './entity-tag.ts'
import { keptUnder, type Validators } from './freshness.ts'
import { arrivalsDigest, listDigest, MAX_GIVEN, type Answer, type Arrived, type Freshness } from './given.ts'
import type { Kept } from './kept.ts'

/** Of this process: arrivals are counted anew in each. */
const PROCESS = newTag()

/** What is asked for, and how: what else an answer is made by than its instances. */
export function answerKey({ req, var: { archive, base } }: HttpContext): string {
  const { pathname, search } = new URL(req.url)
  return digestOf(archive.config.name, base, pathname, search, req.header('accept') ?? '')
}

/** Remembers what an answer is made of, as it is given: several instances, or headers. */
export class Giving implements Kept {
  readonly #c: HttpContext
  readonly #tag = newTag()
  readonly #made = new Made()
  #isOver = false

  constructor(c: HttpContext) {
    this.#c = c
  }

  get validators(): Validators {
    return keptUnder(this.#c, this.#tag, 'checked')
  }

  add(instance: CachedInstance): void {
    // What has come more often than it is remembered, or damaged, is not what will be given the next time.
    if (this.#made.isFull || instance.isDamaged || instance.isMixed) this.#isOver = true
    if (!this.#isOver) this.#made.add(instance)
  }

  end(): void {
    if (this.#isOver || this.#made.size === 0) return
    note(this.#c, this.#tag, { ...this.#made.answer(this.#c), of: 'headers', freshness: 'checked' })
  }
}

/** How what is made of one instance is kept. */
interface OfOne {
  /** As of an Answer; the pixels unless told. */
  readonly of?: Answer['of'] | undefined
  readonly freshness: Freshness
  /** The bytes around it differ each time. */
  readonly isWeak?: boolean
}

/**
 * Of an answer that is made of one instance and of nothing else. Its tag is strong, and the same for as long as that arrival of
 * the instance is here; weak and new where its bytes may be those of several arrivals.
 */
export function ofInstance(
  c: HttpContext,
  instance: CachedInstance,
  { of = 'pixels', freshness, isWeak = false }: OfOne,
): Kept {
  const isSure = instance.isOfOneArrival
  const tag = isSure ? tagOf(PROCESS, answerKey(c), String(instance.arrival)) : newTag()
  return {
    validators: keptUnder(c, isWeak || !isSure ? weakened(tag) : tag, freshness),
    add: () => undefined,
    end: () => {
      if (instance.isDamaged || instance.isMixed) return
      const made = new Made()
      made.add(instance)
      note(c, tag, { ...made.answer(c), of, freshness })
    },
  }
}

function note(c: HttpContext, tag: string, answer: Answer): void {
  if (c.var.config.http.browserCache !== null) c.var.given.note(tag, answer)
}

/** Instances that an answer is made of. */
class Made {
  readonly #arrived: Arrived[] = []
  readonly #sopClasses = new Map<Uid, number>()
  #patient: StudyPatient | undefined
  #told: AuditPatient | undefined
  #askedAt = Infinity

  get size(): number {
    return this.#arrived.length
  }

  get isFull(): boolean {
    return this.#arrived.length >= MAX_GIVEN || this.#sopClasses.size > MAX_SOP_CLASSES
  }

  add({ study, series, sopInstance, sopClass, arrival, askedAt, index }: CachedInstance): void {
    if (this.size === 0) {
      this.#patient = patientOf(index.attributes)
      this.#told = auditPatientOf(index.attributes)
    }

    this.#arrived.push({ study, series, sopInstance, arrival })
    this.#sopClasses.set(sopClass, (this.#sopClasses.get(sopClass) ?? 0) + 1)
    this.#askedAt = Math.min(this.#askedAt, askedAt)
  }

  answer(c: HttpContext): Omit<Answer, 'of' | 'freshness'> {
    return {
      archive: c.var.archive.config.name,
      study: this.#arrived[0]!.study,
      key: answerKey(c),
      list: listDigest(this.#arrived),
      arrivals: arrivalsDigest(this.#arrived),
      askedAt: this.#askedAt,
      patient: this.#patient!,
      told: this.#told,
      sopClasses: this.#sopClasses,
    }
  }
}
