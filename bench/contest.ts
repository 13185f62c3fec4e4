import type { GatewayProgram, MeasuredProcess } from './gateway.ts'
import type { Peers } from './peers.ts'

/** A piece of work that the gateway and a native tool both do, on the same peers, in turns. */
export interface Scenario {
  /** For `--only`. */
  readonly name: string
  readonly work: string
  readonly against: string
  /** None: it tells what can be had. */
  readonly target: Target | undefined
  /** Fewer rounds than asked for, where one takes long. */
  readonly maxRounds?: number
  /** Starts what it needs, and makes sure that both sides do the whole work rightly. @throws when they do not */
  prepare(peers: Peers, resources: AsyncDisposableStack, program: GatewayProgram): Promise<Contest>
}

/** What design/performance.md wants: of the ratio of the times, or of our time itself in ms. */
export interface Target {
  readonly of: 'ratio' | 'milliseconds'
  readonly reach: number
  readonly aim: number
}

export interface Contest {
  readonly gateway: MeasuredProcess
  /** Of images that one turn moves, where its processor time is to be told for each GB of them. */
  readonly bytes?: number
  /** @throws when less came than should */
  readonly ours: () => Promise<Turn>
  /** Seconds. @throws as `ours` */
  readonly theirs: () => Promise<number>
}

export interface Turn {
  readonly seconds: number
  readonly firstByteSeconds: number
  /** Of bodies, where that is what it is about. */
  readonly wireBytes?: number
}

export interface Result {
  readonly scenario: Pick<Scenario, 'name' | 'work' | 'against' | 'target'>
  readonly ours: readonly Turn[]
  readonly theirs: readonly number[]
  /** Of each pair. */
  readonly ratios: readonly number[]
  /** Of the gateway in each of its turns. */
  readonly cpuSeconds: readonly number[]
  /** As Contest has it. */
  readonly bytes: number | undefined
  /** Bytes. */
  readonly peakRss: number | undefined
}

/** A gateway runs for months: what is compiled in its first seconds is no part of what it takes. */
const WARM_UP_TURNS = 6

/** Takes turns, A/B/A/B: what else the machine does falls on both alike. The first of ours warm up and do not count. */
export async function compete(
  scenario: Scenario,
  peers: Peers,
  program: GatewayProgram,
  rounds: number,
): Promise<Result> {
  await using resources = new AsyncDisposableStack()
  const { gateway, bytes, ours, theirs } = await scenario.prepare(peers, resources, program)
  const result = { ours: [] as Turn[], theirs: [] as number[], ratios: [] as number[], cpuSeconds: [] as number[] }
  for (let turn = 0; turn < (scenario.maxRounds === undefined ? WARM_UP_TURNS : 1); turn++) await ours()
  await theirs()
  for (let round = 0; round < Math.min(rounds, scenario.maxRounds ?? rounds); round++) {
    const before = await gateway.cpuSeconds()
    const turn = await ours()
    const after = await gateway.cpuSeconds()
    const seconds = await theirs()
    result.ours.push(turn)
    result.theirs.push(seconds)
    result.ratios.push(turn.seconds / seconds)
    if (before !== undefined && after !== undefined) result.cpuSeconds.push(after - before)
  }
  const { name, work, against, target } = scenario
  return { scenario: { name, work, against, target }, ...result, bytes, peakRss: await gateway.peakRss() }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
