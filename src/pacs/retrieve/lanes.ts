import type { ByteStream } from '../../dicom/bytes.ts'
import type { Uid } from '../../dicom/uids.ts'
import { StatusError } from '../../dimse/status.ts'
import type { Call } from '../call.ts'
import { PoolBusyError, PoolFullError } from '../errors.ts'
import type { Instance } from '../instance.ts'
import { IncompleteRetrieveError, NoSuchInstanceError } from './errors.ts'
import type { Received } from './received.ts'
import { Waits } from './waits.ts'

/** Instances that come over one association before there are several: so it is known what each is waited for. */
export const MEASURED = 20
/** An instance whose body takes so long, in ms, leaves the others unread for as long: they are ended. */
export const SLOW_BODY_MS = 1_000

/** What the lanes of one study do. */
interface Task {
  readonly series: readonly Uid[]
  /** Lanes at once, at most. */
  readonly most: number
  /** Fetches a series over one association. */
  readonly retrieve: (series: Uid, call: Call) => AsyncGenerator<Instance>
  readonly call: Call
  /** Instances that came whole are added. */
  readonly received: Received
  /** Not all of a series has come, which has so many instances. */
  readonly lacks: (series: Uid, instances: number) => void
  /** Whether it is worth while to open several, by the waits over one. */
  readonly isWorthIt: (alone: Waits) => boolean
}

/** The series of a study one after the other over one association. */
interface Lane {
  readonly stop: AbortController
  /** Aborted when it is the first from then on. */
  readonly promotion: AbortController
  /** It ends behind the instance under way. */
  isEnding: boolean
}

interface Step {
  readonly lane: Lane
  readonly result: IteratorResult<Instance>
}

/**
 * Fetches series over several associations: one that is waited for as any, and when it is known what each instance is waited
 * for, others in the background. These end where anybody else wants an association, and where instances are read slowly. What
 * fails is left to who looks at what came: nothing is asked for again here but what was not begun, or ended for others.
 */
export class Lanes {
  readonly #task: Task
  readonly #left: Uid[]
  readonly #streams = new Map<Lane, AsyncGenerator<Instance>>()
  readonly #steps = new Map<Lane, Promise<Step>>()
  readonly #closing: Promise<unknown>[] = []
  #first: Lane
  #current: Lane | undefined
  #mayOpen = true
  #isOver = false
  /** The first, which is waited for as any, has failed. */
  #isGivenUp = false
  readonly alone = new Waits()
  readonly together = new Waits()
  /** Associations were wanted elsewhere, or instances read slowly: the waits tell nothing of the archive. */
  isHindered = false
  /** Nobody knows what there is of a series. */
  hasLost = false
  /** An association, or some of what it was to bring, has failed. */
  hasFailed = false

  constructor(task: Task) {
    this.#task = task
    this.#left = [...task.series]
    this.#first = newLane()
  }

  /** What came, as it came. @throws the signal's reason; what fails the body of an instance fails there */
  async *instances(): AsyncGenerator<Instance> {
    try {
      do {
        this.#open(this.#first)
        yield* this.#merged()
        await Promise.allSettled(this.#closing)
        // What others have left.
        this.#first = newLane()
      } while (this.#left.length > 0 && !this.#isGivenUp)
      this.#task.call.signal.throwIfAborted()
    } finally {
      this.#isOver = true
      for (const lane of this.#streams.keys()) this.#end(lane)
      for (const lane of this.#streams.keys()) this.#close(lane)
      await Promise.allSettled(this.#closing)
    }
  }

  async *#merged(): AsyncGenerator<Instance> {
    while (this.#steps.size > 0) {
      const asked = performance.now()
      const { lane, result } = await Promise.race(this.#steps.values())
      // To the end of the line.
      this.#steps.delete(lane)
      if (result.done === true || lane.stop.signal.aborted) {
        this.#close(lane)
        continue
      }
      ;(this.#isAlone ? this.alone : this.together).came(asked)
      this.#current = lane
      yield result.value
      this.#current = undefined
      if (lane.isEnding) this.#close(lane)
      else this.#step(lane)
      if (this.#isAlone && this.alone.instances === MEASURED) this.#openOthers()
    }
  }

  get #isAlone(): boolean {
    return this.together.instances === 0 && this.#streams.size <= 1
  }

  #openOthers(): void {
    const { most, isWorthIt } = this.#task
    if (!this.#mayOpen || !isWorthIt(this.alone)) return
    this.#mayOpen = false
    for (let n = 1; n < most && this.#left.length > 0; n++) this.#open(newLane())
  }

  #open(lane: Lane): void {
    this.#streams.set(lane, this.#run(lane))
    this.#step(lane)
  }

  #step(lane: Lane): void {
    const step = this.#streams
      .get(lane)!
      .next()
      .then((result) => ({ lane, result }))
    this.#steps.set(lane, step)
  }

  /** Nobody waits for the archive to end what was cancelled, but at the end of all. */
  #close(lane: Lane): void {
    const stream = this.#streams.get(lane)!
    this.#streams.delete(lane)
    this.#closing.push(stream.return(undefined))
    if (lane === this.#first) this.#promote([...this.#streams.keys()].find(({ isEnding }) => !isEnding))
  }

  /** One is waited for as any download is; the others are in the background. */
  #promote(lane: Lane | undefined): void {
    if (!lane) return
    this.#first = lane
    lane.promotion.abort()
  }

  /** All but the first. What is being read goes on to its end. */
  #endOthers(): void {
    this.isHindered = true
    this.#mayOpen = false
    for (const lane of this.#streams.keys()) if (lane !== this.#first) this.#end(lane)
  }

  #end(lane: Lane): void {
    lane.isEnding = true
    if (lane !== this.#current) lane.stop.abort(new Error('The association is wanted elsewhere'))
  }

  async *#run(lane: Lane): AsyncGenerator<Instance> {
    const { retrieve, received } = this.#task
    while (!lane.isEnding) {
      const series = this.#left.shift()
      if (series === undefined) return
      let isLeft = true
      try {
        for await (const instance of retrieve(series, this.#callOf(lane))) {
          const body = this.#watched(lane, instance)
          if (received.has(instance)) await passOver(body)
          else yield { ...instance, body }
        }
        isLeft = false
      } catch (error) {
        const isAnswered = isAnswer(error)
        // Of a series that lacks something, or is refused, the others may be whole.
        isLeft = !isAnswered && (lane !== this.#first || lane.isEnding)
        this.#fails(lane, series, error)
        this.hasLost ||= !isLeft && !(error instanceof IncompleteRetrieveError)
        if (!isAnswered) return
      } finally {
        if (isLeft) this.#left.push(series)
      }
    }
  }

  #fails(lane: Lane, series: Uid, error: unknown): void {
    if (lane.stop.signal.aborted) return
    if (error instanceof IncompleteRetrieveError) this.#task.lacks(series, error.delivered + error.missing)
    if (error instanceof PoolBusyError || error instanceof PoolFullError) this.isHindered = true
    else this.hasFailed ||= !(error instanceof IncompleteRetrieveError && error.isDamageOnly)
    if (lane === this.#first && !isAnswer(error)) this.#isGivenUp = true
  }

  #callOf(lane: Lane): Call {
    const { call } = this.#task
    const signal = AbortSignal.any([call.signal, lane.stop.signal])
    const wanted = (): void => {
      this.#endOthers()
      if (lane === this.#first) call.wanted?.()
    }
    const mine = { ...call, signal, wanted }
    // One that was the first from the start has the priority of who asks.
    if (lane === this.#first && !lane.promotion.signal.aborted) return mine
    return { ...mine, priority: 'background', promoted: lane.promotion.signal }
  }

  async *#watched(lane: Lane, { body, index, series, sopInstance }: Instance): ByteStream {
    const slow = setTimeout(() => {
      if (this.#streams.size < 2) return
      this.#promote(lane)
      this.#endOthers()
    }, SLOW_BODY_MS).unref()
    try {
      yield* body
    } catch (error) {
      if (!this.#isOver) this.hasFailed = true
      throw error
    } finally {
      clearTimeout(slow)
    }
    if (!index.damage) this.#task.received.add({ series, sopInstance })
  }
}

/** The archive has answered: nothing is wrong with the association. */
function isAnswer(error: unknown): boolean {
  return (
    error instanceof IncompleteRetrieveError || error instanceof NoSuchInstanceError || error instanceof StatusError
  )
}

function newLane(): Lane {
  return { stop: new AbortController(), promotion: new AbortController(), isEnding: false }
}

async function passOver(body: ByteStream): Promise<void> {
  for await (const _ of body);
}
