import { performance } from 'node:perf_hooks'
import { getHeapStatistics } from 'node:v8'
import { collectGarbage } from '../test/support/garbage.ts'
import { BrokenPropertyError, type Target } from './target.ts'

export interface Limits {
  /** Synchronous work for one input, in ms of the processor. */
  readonly slowMs: number
  /** Until a promise settles, in ms. */
  readonly hangMs: number
  /** Bytes that one input may make the memory grow by, garbage included. */
  readonly growth: number
}

export const LIMITS: Limits = { slowMs: 200, hangMs: 2_000, growth: 64 * 1024 * 1024 }

export interface Fault {
  readonly kind: 'error' | 'property' | 'slow' | 'memory' | 'hang'
  readonly message: string
  /** The same for faults that are likely to be one. */
  readonly signature: string
}

/** Times that a slow or greedy input is run again, since others use the machine too. */
const CONFIRMATIONS = 3

/** Runs a target with an input; undefined where nothing is wrong with what it does. */
export async function judge(target: Target, input: Uint8Array, limits: Limits): Promise<Fault | undefined> {
  const first = await measured(target, input, limits)
  if (first.fault) return first.fault
  const { milliseconds, growth } = first
  if (milliseconds <= limits.slowMs && growth <= limits.growth) return undefined
  let [least, leastGrowth] = [milliseconds, growth]
  for (let n = 0; n < CONFIRMATIONS; n++) {
    await collectGarbage()
    const again = await measured(target, input, limits)
    if (again.fault) return again.fault
    least = Math.min(least, again.milliseconds)
    leastGrowth = Math.min(leastGrowth, again.growth)
  }
  if (least > limits.slowMs) {
    return fault('slow', `${Math.round(least)} ms for ${input.length} bytes`)
  }
  if (leastGrowth > limits.growth) {
    return fault('memory', `${Math.round(leastGrowth / 1024 / 1024)} MiB for ${input.length} bytes`)
  }
  return undefined
}

function fault(kind: Fault['kind'], message: string, signature: string = kind): Fault {
  return { kind, message, signature }
}

interface Measured {
  readonly fault?: Fault | undefined
  readonly milliseconds: number
  readonly growth: number
}

async function measured(target: Target, input: Uint8Array, limits: Limits): Promise<Measured> {
  // A copy of its own: what is written into an input, or read beside it, shows.
  const copy = Buffer.from(Uint8Array.from(input).buffer)
  const [memory, start, cpu] = [memoryUsed(), performance.now(), process.threadCpuUsage()]
  let found: Fault | undefined
  try {
    const running = target.run(copy)
    if (running) found = await settled(running, limits.hangMs)
  } catch (error) {
    found = faultOf(target, error)
  }
  const elapsed = performance.now() - start
  // Cheaper than to ask for the processor's time of each.
  if (elapsed <= limits.slowMs) return { fault: found, milliseconds: elapsed, growth: memoryUsed() - memory }
  const { user, system } = process.threadCpuUsage(cpu)
  return { fault: found, milliseconds: (user + system) / 1000, growth: memoryUsed() - memory }
}

function memoryUsed(): number {
  const { used_heap_size: heap, external_memory: external } = getHeapStatistics()
  return heap + external
}

async function settled(running: Promise<void>, hangMs: number): Promise<Fault | undefined> {
  let timer: NodeJS.Timeout | undefined
  const hang = new Promise<Fault>((resolve) => {
    timer = setTimeout(() => resolve(fault('hang', `Not settled after ${hangMs} ms`)), hangMs)
  })
  try {
    return (await Promise.race([running, hang])) ?? undefined
  } finally {
    clearTimeout(timer)
  }
}

/** Undefined of what a target may throw. */
export function faultOf({ errors }: Pick<Target, 'errors'>, error: unknown): Fault | undefined {
  if (error instanceof BrokenPropertyError) {
    return fault('property', error.message, `property ${error.message.split(':')[0]!}`)
  }
  if (errors.some((documented) => error instanceof documented)) return undefined
  if (!(error instanceof Error)) return fault('error', `Thrown: ${String(error)}`, 'error')
  const stack = error.stack ?? error.message
  const place = /[\w.-]+\.ts:\d+/.exec(stack.slice(error.message.length))?.[0] ?? ''
  return fault('error', stack, `${error.name} ${place}`)
}
