import { setTimeout as delay } from 'node:timers/promises'
import type { FaultSchedule } from './faults.ts'
import { SHUTDOWN_GRACE_MS, type SoakGateway } from './gateway.ts'
import type { CutRequest } from './session.ts'
import type { Tally } from './tally.ts'
import { RECOVERY_MS, type Weather } from './weather.ts'

/** Between two drains. */
const EVERY_MS = 90_000
/** The last process shall have run for a while when its memory is looked at: no drain in this last part. */
const LAST_PART = 0.3
/** A request that was made so long before the signal has been accepted. */
const ACCEPTED_MS = 250
/** What a drain may take besides the grace: associations are released, and those that do not answer aborted. */
const END_MS = 5_000

export interface DrainOptions {
  readonly gateway: SoakGateway
  readonly schedule: FaultSchedule
  readonly weather: Weather
  readonly tally: Tally
  readonly log: (text: string) => void
  readonly signal: AbortSignal
  /** How long the load lasts. */
  readonly milliseconds: number
}

/** Stops the gateway by SIGTERM under load and starts it again, now and then: in turn with the archives well, and amid faults. */
export class Drains {
  readonly #options: DrainOptions
  readonly #cuts: CutRequest[] = []
  count = 0

  constructor(options: DrainOptions) {
    this.#options = options
  }

  cut(request: CutRequest): void {
    this.#cuts.push(request)
  }

  /** Resolves behind the last one. */
  async run(): Promise<void> {
    const { milliseconds, signal } = this.#options
    const time = milliseconds * (1 - LAST_PART)
    const count = Math.max(1, Math.floor(time / EVERY_MS))
    for (let n = 0; n < count; n++) {
      await delay(time / (count + 1), undefined, { signal }).catch(() => undefined)
      if (signal.aborted) return
      await this.#drain(n % 2 === 0)
    }
  }

  async #drain(well: boolean): Promise<void> {
    const { gateway, schedule, weather, tally, log, signal } = this.#options
    if (well) {
      await schedule.hold()
      await delay(RECOVERY_MS, undefined, { signal }).catch(() => undefined)
    }
    const end = weather.begin()
    const signalled = performance.now()
    this.#cuts.length = 0
    log('gateway: SIGTERM')
    const { milliseconds, ended } = await gateway.drain()
    log(`gateway: ${ended} after ${Math.round(milliseconds)} ms`)
    await gateway.start()
    end()
    if (well) schedule.release()
    this.count++
    tally.fault(well ? 'gateway: drained' : 'gateway: drained amid faults')
    if (ended !== 'exit code 0') tally.isWrong(`the gateway was stopped and ended with ${ended}`)
    if (milliseconds > SHUTDOWN_GRACE_MS + END_MS) tally.isWrong(`the gateway took ${milliseconds} ms to stop`)
    // Requests that were accepted have the grace to end, unless an archive keeps them from it.
    if (!well || milliseconds >= SHUTDOWN_GRACE_MS) return
    const dropped = this.#cuts.filter(({ from, to }) => from < signalled - ACCEPTED_MS && to > signalled)
    for (const { what, from, to } of dropped) {
      tally.isWrong(
        `${what}, made ${Math.round(signalled - from)} ms before SIGTERM, was cut ${Math.round(to - signalled)} ms behind it, ` +
          `though the process ended after ${Math.round(milliseconds)} ms`,
      )
    }
  }
}
