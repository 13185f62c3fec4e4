import type { Uid } from '../../dicom/uids.ts'
import type { Selection } from '../../instance/uids.ts'
import { statusClass } from '../../dimse/status.ts'
import { storedSyntaxes, syntaxRuns } from '../contexts.ts'
import type { Instance } from '../instance.ts'
import { climb } from './climb.ts'
import { attemptGet, isComplete, type GetEnd, type Offer } from './get-attempt.ts'
import { GET_LADDER, type GetRung } from './ladder.ts'
import { classesOfSeries, classOfInstance } from './learn.ts'
import { isLeft, type Batch, type MissingOfSeries } from './missing.ts'
import type { Retrieval } from './retrieval.ts'

/**
 * Instances of a selection by C-GET, each once, checked to belong to it. SOP classes are learnt by C-FIND, so that
 * the contexts fit what is there; what the archive could not send is asked for again with precise contexts.
 * `compressed`: objects may come in their stored encapsulated syntax; otherwise the archive is asked to decompress.
 * @throws NoSuchInstanceError; IncompleteRetrieveError at the end, behind what did come; StatusError;
 *   NotSupportedByArchiveError; and whatever ends an association
 */
export async function* retrieveByGet(retrieval: Retrieval, compressed: boolean): AsyncGenerator<Instance> {
  const { selection } = retrieval
  const classes = selection.instance === undefined ? await classesOfSeries(retrieval) : await classOfInstance(retrieval)
  const offer = { classes, compressed, others: selection.instance === undefined || classes.length === 0 }
  const climber = {
    all: (of: Selection) => attemptGet(retrieval, { selection: of, instances: [] }, offer),
    isComplete: (end: GetEnd) => isComplete(end, retrieval.received),
    unseen: ({ counted, arrived, foreign, malformed }: GetEnd) => counted - arrived - foreign - malformed,
    batch: (batch: Batch, rungs: readonly GetRung[]) =>
      new BatchClimb(retrieval, unmoved(batch, retrieval), compressed).climb(rungs),
  }
  yield* climb(GET_LADDER, climber, retrieval)
}

/** What of a batch may yet come by C-GET: the first one has asked for all. */
function unmoved({ of, instances }: Batch, { moved }: Retrieval): Batch {
  return { of, instances: instances.filter((uid) => !moved.has(of.instances.get(uid))) }
}

/** Instances of a batch that are asked for in one C-GET, and the classes to propose for some of them. */
interface Group {
  readonly instances: readonly Uid[]
  classesOf(instances: readonly Uid[]): readonly Uid[]
}

/** One batch of what is missing on its way up the rungs. */
class BatchClimb {
  readonly #retrieval: Retrieval
  readonly #batch: Batch
  readonly #compressed: boolean
  /** Encapsulated syntaxes that the archive accepted for the classes together: tried, each. */
  #accepted: readonly Uid[] = []
  #last: GetEnd | undefined

  constructor(retrieval: Retrieval, batch: Batch, compressed: boolean) {
    this.#retrieval = retrieval
    this.#batch = batch
    this.#compressed = compressed
  }

  async *climb(rungs: readonly GetRung[]): AsyncGenerator<Instance, GetEnd | undefined> {
    for (const rung of rungs) {
      if (this.#left().length === 0 || !this.#isDue(rung)) continue
      const before = this.#left().length
      yield* this.#try(rung)
      const hasBrought = this.#left().length < before
      if (hasBrought && rung.after === 'nothing of several together') this.#retrieval.source.habits.learn('single-uids')
    }
    return this.#last
  }

  #isDue({ after }: GetRung): boolean {
    switch (after) {
      case 'anything':
        return true
      case 'wish for uncompressed':
        return !this.#compressed
      case 'failure of several together':
        return (
          this.#last !== undefined && statusClass(this.#last.status) === 'failure' && this.#batch.instances.length > 1
        )
      case 'nothing of several together':
        return this.#batch.instances.length > 1 && this.#left().length === this.#batch.instances.length
    }
  }

  async *#try(rung: GetRung): AsyncGenerator<Instance> {
    const before = this.#left().length
    let tries = 0
    const isVain = (): boolean => tries === rung.patience && this.#left().length === before
    for (const syntaxes of this.#runsOf(rung)) {
      for (const group of this.#groupsOf(rung)) {
        const offered = syntaxes?.filter((uid) => !this.#accepted.includes(uid))
        const left = this.#leftOf(group.instances)
        if (left.length === 0 || offered?.length === 0) continue
        if (isVain()) return
        tries++
        const offer = {
          compressed: rung.syntaxes !== 'uncompressed',
          others: rung.classes === 'frequent',
          ...(offered && { syntaxes: offered }),
        }
        const { accepted } = yield* this.#attempt(left, { ...offer, classes: group.classesOf(left) })
        if (rung.classes === 'together') this.#accepted = accepted
        for (const only of rung.thenEachAlone ? accepted : []) {
          const missed = this.#leftOf(left)
          if (missed.length > 0) yield* this.#attempt(missed, { ...offer, classes: group.classesOf(missed), only })
        }
      }
    }
  }

  #runsOf({ syntaxes }: GetRung): readonly (readonly Uid[] | undefined)[] {
    const { contexts, ownSyntaxes } = this.#retrieval.source
    return syntaxes === 'stored, in runs' ? syntaxRuns(storedSyntaxes(ownSyntaxes), contexts.size) : [undefined]
  }

  #groupsOf({ asks, classes }: GetRung): Group[] {
    const { of } = this.#batch
    const left = this.#left()
    const asked = asks === 'all of no known class' ? left.filter((uid) => of.instances.get(uid) === undefined) : left
    if (classes === 'frequent') return [{ instances: asked, classesOf: () => [] }]
    if (classes === 'one by one') {
      return [...byClass(asked, of)].map(([sopClass, instances]) => ({ instances, classesOf: () => [sopClass] }))
    }
    const groups = asks === 'each' ? asked.map((uid) => [uid]) : [asked]
    return groups.map((instances) => ({ instances, classesOf: (some) => classesOf(some, of) }))
  }

  async *#attempt(instances: readonly Uid[], offer: Offer): AsyncGenerator<Instance, GetEnd> {
    const selection = { study: this.#retrieval.selection.study, series: this.#batch.of.series }
    this.#last = yield* attemptGet(this.#retrieval, { selection, instances }, offer)
    return this.#last
  }

  #left(): readonly Uid[] {
    return this.#leftOf(this.#batch.instances)
  }

  #leftOf(instances: readonly Uid[]): readonly Uid[] {
    return instances.filter((uid) => isLeft(this.#retrieval, this.#batch.of.series, uid))
  }
}

/** Classes of instances together, with each that is likely for one whose class is not told. */
function classesOf(instances: readonly Uid[], of: MissingOfSeries): Uid[] {
  return [...new Set(instances.flatMap((uid) => of.instances.get(uid) ?? of.likely))]
}

/** Instances by their class, or by each that is likely for one whose class is not told. */
function byClass(instances: readonly Uid[], of: MissingOfSeries): Map<Uid, Uid[]> {
  const found = new Map<Uid, Uid[]>()
  for (const uid of instances) {
    for (const sopClass of classesOf([uid], of)) {
      const others = found.get(sopClass)
      if (others) others.push(uid)
      else found.set(sopClass, [uid])
    }
  }
  return found
}
