import { createHash } from 'node:crypto'
import type { CachedInstance } from '../../cache/cached-instance.ts'
import { patientOf, type StudyPatient } from '../auth/study-patients.ts'
import type { HttpContext } from '../context.ts'
import { newTag } from './entity-tag.ts'
import { keptUnder, type Validators } from './freshness.ts'
import { arrivalsDigest, listDigest, MAX_GIVEN, type Arrived } from './given.ts'

/** What is asked for, and how: what else an answer is made by than its instances. A digest: both may be long. */
export function answerKey({ req, var: { archive, base } }: HttpContext): string {
  const { pathname, search } = new URL(req.url)
  const parts = [archive.config.name, base, pathname, search, req.header('accept') ?? '']
  return createHash('sha256').update(parts.join('\n')).digest('base64')
}

/** Remembers what an answer is made of, as it is given. */
export class Giving {
  readonly #c: HttpContext
  readonly #tag = newTag()
  readonly #instances: Arrived[] = []
  #patient: StudyPatient | undefined
  #isOver = false

  constructor(c: HttpContext) {
    this.#c = c
  }

  get validators(): Validators {
    return keptUnder(this.#c, this.#tag)
  }

  /** All of an instance has been given. */
  add(instance: CachedInstance): void {
    // What has come more often than it is remembered, or damaged, is not what will be given the next time.
    if (this.#instances.length >= MAX_GIVEN || instance.isDamaged) this.#isOver = true
    if (this.#isOver) return
    const { study, series, sopInstance, arrival } = instance
    this.#instances.push({ study, series, sopInstance, arrival })
    this.#patient ??= patientOf(instance.index.attributes)
  }

  /** All of the answer has been given. */
  end(): void {
    if (this.#isOver || !this.#patient || this.#c.var.config.http.browserCache === null) return
    const instances = this.#instances
    this.#c.var.given.note(this.#tag, {
      key: answerKey(this.#c),
      list: listDigest(instances),
      arrivals: arrivalsDigest(instances),
      patient: this.#patient,
    })
  }
}
