import { setTimeout as delay } from 'node:timers/promises'
import { random } from '../test/support/random.ts'
import type { Link } from './link.ts'
import type { Restartable } from '../test/support/restartable.ts'
import type { Tally } from './tally.ts'
import type { Weather } from './weather.ts'

/** What may be disturbed: an archive with the way to it, or only a way. */
export interface Target {
  readonly link: Link
  readonly weather: Weather
  /** What may be frozen, and killed if it keeps what it has. */
  readonly program?: Restartable
  readonly keeps?: boolean
}

export const FAULTS = ['kill', 'freeze', 'cut', 'cut in transfer', 'stall', 'slow', 'refuse'] as const

export type Fault = (typeof FAULTS)[number]

/** Milliseconds between two faults of one target; the greater is enough for calm in between. */
const GAP = [3_000, 22_000] as const
/** Milliseconds that a freeze or a stall takes: shorter and longer than the time limits of the gateway. */
const PAUSE = [500, 16_000] as const

export interface FaultOptions {
  readonly targets: readonly Target[]
  readonly seed: number
  readonly tally: Tally
  readonly log: (text: string) => void
  readonly signal: AbortSignal
}

/** Disturbs each target now and then, in an order that the seed fixes, until it is stopped. */
export class FaultSchedule {
  readonly #options: FaultOptions
  readonly #done: Promise<unknown>
  #held: PromiseWithResolvers<undefined> | undefined
  /** Ends the faults under way. */
  #healing = new AbortController()

  constructor(options: FaultOptions) {
    this.#options = options
    this.#done = Promise.all(options.targets.map((target, at) => this.#disturb(target, options.seed * 31 + at)))
  }

  /** Ends the faults under way and lets no other begin; resolves when none is left. */
  async hold(): Promise<void> {
    this.#held ??= Promise.withResolvers<undefined>()
    this.#healing.abort()
    while (this.#options.targets.some(({ weather }) => weather.isStormy)) await delay(50)
  }

  release(): void {
    this.#held?.resolve(undefined)
    this.#held = undefined
    this.#healing = new AbortController()
  }

  /** Resolves when all is healed, behind the abort of its signal. */
  async ended(): Promise<void> {
    this.release()
    await this.#done
  }

  async #disturb(target: Target, seed: number): Promise<void> {
    const { signal, tally, log } = this.#options
    const next = random(seed)
    const kinds = FAULTS.filter((kind) => canSuffer(target, kind))
    let deck: Fault[] = []
    for (;;) {
      await delay(between(next, GAP), undefined, { signal }).catch(() => undefined)
      // Each kind once, in any order, before one comes again.
      if (deck.length === 0) deck = [...kinds]
      const [[kind], amount] = [deck.splice(Math.floor(next() * deck.length), 1), next()]
      await this.#held?.promise
      if (signal.aborted || kind === undefined) return
      const end = target.weather.begin()
      tally.fault(`${target.weather.name}: ${kind}`)
      log(`${target.weather.name}: ${kind}`)
      try {
        await inject(target, kind, amount, AbortSignal.any([signal, this.#healing.signal]))
      } finally {
        end()
        log(`${target.weather.name}: healed`)
      }
    }
  }
}

function canSuffer({ program, keeps }: Target, kind: Fault): boolean {
  if (kind === 'kill') return program !== undefined && keeps === true
  return kind === 'freeze' ? program !== undefined : true
}

/** One fault, from its begin to its end; it is ended early by the signal. `amount` is from 0 to 1. */
async function inject({ link, program }: Target, kind: Fault, amount: number, signal: AbortSignal): Promise<void> {
  const pause = PAUSE[0] + amount * (PAUSE[1] - PAUSE[0])
  const wait = (milliseconds: number): Promise<void> =>
    delay(milliseconds, undefined, { signal }).catch(() => undefined)
  switch (kind) {
    case 'kill':
      await program!.kill()
      await wait(pause / 4)
      return program!.restart()
    case 'freeze':
      program!.freeze()
      await wait(pause)
      {
        program!.thaw()
        return
      }
    case 'cut': {
      link.cut()
      return
    }
    case 'cut in transfer':
      link.cutAfter(Math.floor(2 ** (8 + 14 * amount)))
      await wait(5_000)
      {
        link.heal()
        return
      }
    case 'stall':
      link.stall()
      await wait(pause)
      {
        link.heal()
        return
      }
    case 'slow':
      link.bytesPerSecond = 2 ** (16 + 4 * amount)
      await wait(pause)
      {
        link.heal()
        return
      }
    case 'refuse':
      link.refuse()
      await wait(pause / 2)
      return link.accept()
  }
}

function between(next: () => number, [least, most]: readonly [number, number]): number {
  return least + next() * (most - least)
}
