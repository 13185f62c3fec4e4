import type { CachedInstance } from '../../cache/cached-instance.ts'
import type { Uid } from '../../dicom/uids.ts'
import { patientOf, type StudyPatient } from '../auth/study-patients.ts'
import type { HttpContext } from '../context.ts'
import { digestOf, newTag, tagOf, weakened } from './entity-tag.ts'
import { keptUnder, type Validators } from './freshness.ts'
import { arrivalsDigest, listDigest, MAX_GIVEN, type Answer, type Arrived, type Freshness } from './given.ts'

/** Of this process: arrivals are counted anew in each. */
const PROCESS = newTag()

/** What is asked for, and how: what else an answer is made by than its instances. */
export function answerKey({ req, var: { archive, base } }: HttpContext): string {
  const { pathname, search } = new URL(req.url)
  return digestOf(archive.config.name, base, pathname, search, req.header('accept') ?? '')
}

/** Remembers what an answer is made of, as it is given. */
export class Giving {
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

  /** All of an instance has been given. */
  add(instance: CachedInstance): void {
    // What has come more often than it is remembered, or damaged, is not what will be given the next time.
    if (this.#made.size >= MAX_GIVEN || instance.isDamaged) this.#isOver = true
    if (!this.#isOver) this.#made.add(instance)
  }

  /** All of the answer has been given. */
  end(): void {
    if (this.#isOver || this.#made.size === 0) return
    note(this.#c, this.#tag, { ...this.#made.answer(this.#c), of: 'headers', freshness: 'checked' })
  }
}

/**
 * What lets a browser keep an answer that is made of the pixels, or bulk data, of one instance and of nothing else. Its tag is
 * strong, and the same for as long as that arrival of the instance is here; `isWeak` where the bytes around it differ.
 */
export function ofInstance(
  c: HttpContext,
  instance: CachedInstance,
  {
    of = 'pixels',
    freshness,
    isWeak = false,
  }: { readonly of?: Answer['of'] | undefined; readonly freshness: Freshness; readonly isWeak?: boolean },
): Validators {
  const tag = tagOf(PROCESS, answerKey(c), String(instance.arrival))
  const made = new Made()
  made.add(instance)
  if (!instance.isDamaged) note(c, tag, { ...made.answer(c), of, freshness })
  return keptUnder(c, isWeak ? weakened(tag) : tag, freshness)
}

function note(c: HttpContext, tag: string, answer: Answer): void {
  if (c.var.config.http.browserCache !== null) c.var.given.note(tag, answer)
}

/** Instances that an answer is made of. */
class Made {
  readonly #arrived: Arrived[] = []
  readonly #sopClasses = new Map<Uid, number>()
  #patient: StudyPatient | undefined
  #newest = 0
  #cameAt = Infinity

  get size(): number {
    return this.#arrived.length
  }

  add({ study, series, sopInstance, sopClass, arrival, cameAt, index }: CachedInstance): void {
    this.#arrived.push({ study, series, sopInstance, arrival })
    this.#sopClasses.set(sopClass, (this.#sopClasses.get(sopClass) ?? 0) + 1)
    this.#patient ??= patientOf(index.attributes)
    this.#newest = Math.max(this.#newest, arrival)
    this.#cameAt = Math.min(this.#cameAt, cameAt)
  }

  answer(c: HttpContext): Omit<Answer, 'of' | 'freshness'> {
    return {
      archive: c.var.archive.config.name,
      study: this.#arrived[0]!.study,
      key: answerKey(c),
      list: listDigest(this.#arrived),
      arrivals: arrivalsDigest(this.#arrived),
      newest: this.#newest,
      cameAt: this.#cameAt,
      patient: this.#patient!,
      sopClasses: this.#sopClasses,
    }
  }
}
