import { performance } from 'node:perf_hooks'
import { setImmediate } from 'node:timers/promises'
import type { Coverage } from './coverage.ts'
import { judge, type Fault, type Limits, LIMITS } from './judge.ts'
import { minimise } from './minimise.ts'
import { mutate } from './mutate.ts'
import { hashOf, Random } from './random.ts'
import { MAX_INPUT_BYTES, type Target } from './target.ts'

export interface Finding extends Fault {
  readonly input: Buffer
}

export interface Plan {
  readonly seed: number
  /** Ends after so many inputs, seeds included. */
  readonly runs?: number | undefined
  /** Ends after so many milliseconds. */
  readonly milliseconds?: number | undefined
  /** Without it nothing is known of the code that is run, and only the seeds are changed. */
  readonly coverage?: Coverage | undefined
  readonly limits?: Limits
  /** Inputs of an earlier run. */
  readonly corpus?: readonly Uint8Array[]
  /** Told before an input is run. */
  readonly onInput?: (input: Uint8Array) => void
  readonly onFinding?: (finding: Finding) => void
  /** Told of an input that has run code which none before it had. */
  readonly onNew?: (input: Uint8Array) => void
}

export interface Report {
  readonly runs: number
  readonly milliseconds: number
  readonly corpus: number
  readonly blocks: number
  /** The first of each kind. */
  readonly findings: readonly Finding[]
}

/** Inputs whose coverage is looked at together: to ask V8 for it takes longer than to run most of them. */
const BATCH = 128

/** Runs a target with inputs that are made of one another, for as long as planned. */
export async function fuzz(target: Target, plan: Plan): Promise<Report> {
  return new Run(target, plan).toItsEnd()
}

class Run {
  readonly #target: Target
  readonly #plan: Plan
  readonly #limits: Limits
  readonly #random: Random
  readonly #maxLength: number
  readonly #start = performance.now()
  readonly #blocksBefore: number
  readonly #corpus: Buffer[] = []
  readonly #findings = new Map<string, Finding>()
  #runs = 0

  constructor(target: Target, plan: Plan) {
    this.#target = target
    this.#plan = plan
    const limits = plan.limits ?? LIMITS
    this.#limits = { ...limits, slowMs: target.slowMs ?? limits.slowMs }
    this.#random = new Random(plan.seed, target.name)
    this.#maxLength = target.maxLength ?? MAX_INPUT_BYTES
    this.#blocksBefore = plan.coverage?.blocks ?? 0
  }

  async toItsEnd(): Promise<Report> {
    const seeds = [...(await this.#target.seeds()), ...(this.#plan.corpus ?? [])]
      .map((seed) => Buffer.from(seed).subarray(0, this.#maxLength))
      .filter((seed, n, all) => all.findIndex((other) => other.equals(seed)) === n)
    for (const seed of [Buffer.alloc(0), ...seeds]) if (!this.#isOver) await this.#alone(seed, true)
    while (!this.#isOver) await this.#batch()
    return {
      runs: this.#runs,
      milliseconds: performance.now() - this.#start,
      corpus: this.#corpus.length,
      blocks: (this.#plan.coverage?.blocks ?? 0) - this.#blocksBefore,
      findings: [...this.#findings.values()],
    }
  }

  get #isOver(): boolean {
    const { runs = Infinity, milliseconds = Infinity } = this.#plan
    return this.#runs >= runs || performance.now() - this.#start >= milliseconds
  }

  async #batch(): Promise<void> {
    const inputs: Buffer[] = []
    while (inputs.length < BATCH && !this.#isOver) {
      const input = this.#next()
      inputs.push(input)
      await this.#judged(input)
    }
    // Timers and the ends of streams have their turn.
    await setImmediate()
    if (this.#plan.coverage?.isNew(false)) await this.#keepNew(inputs)
  }

  /** Finds those that reach something new among inputs of which one does, by halves. */
  async #keepNew(inputs: readonly Buffer[]): Promise<void> {
    if (inputs.length === 1) {
      await this.#alone(inputs[0]!, false)
      return
    }
    const middle = inputs.length >> 1
    for (const half of [inputs.slice(0, middle), inputs.slice(middle)]) {
      for (const input of half) await this.#judged(input)
      if (this.#plan.coverage?.isNew(false)) await this.#keepNew(half)
    }
  }

  #next(): Buffer {
    const corpus = this.#corpus
    // What was found last leads on.
    const recent = this.#random.oneIn(2)
      ? corpus.length - 1 - this.#random.below(Math.ceil(corpus.length / 4))
      : undefined
    const origin = corpus[recent ?? this.#random.below(corpus.length)] ?? Buffer.alloc(0)
    const { dictionary } = this.#target
    return mutate(origin, { random: this.#random, dictionary, corpus, maxLength: this.#maxLength })
  }

  /** Runs an input that is kept if it reaches something new, or in any case. */
  async #alone(input: Buffer, keep: boolean): Promise<void> {
    await this.#judged(input)
    const isNew = this.#plan.coverage?.isNew(true) ?? false
    if (isNew && !keep) this.#plan.onNew?.(input)
    if (isNew || keep) this.#corpus.push(input)
  }

  async #judged(input: Buffer): Promise<void> {
    this.#runs++
    this.#plan.onInput?.(input)
    const fault = await judge(this.#target, input, this.#limits)
    if (!fault || this.#findings.has(fault.signature)) return
    const finding = { ...fault, input: await minimise(this.#target, input, fault, this.#limits) }
    this.#findings.set(fault.signature, finding)
    this.#plan.onFinding?.(finding)
  }
}

/** What a file of a finding is called. */
export function nameOf({ kind, input }: Finding): string {
  return `${kind}-${hashOf(input).toString(16).padStart(8, '0')}`
}
