import { describe, expect, it } from 'vitest'
import { fuzz } from '../../fuzz/fuzz.ts'
import { LIMITS } from '../../fuzz/judge.ts'
import { targets } from '../../fuzz/targets.ts'
import { CI_RUNS } from '../../fuzz/ci-runs.ts'

// Others use the machine meanwhile.
const limits = { ...LIMITS, hangMs: 10_000 }

describe('a short run', () => {
  it.each(targets.map((target) => [target.name, target] as const))('of %s finds nothing', async (_, target) => {
    const { runs, findings } = await fuzz(target, { seed: 1, runs: CI_RUNS, limits })
    expect(findings.map(({ message, input }) => `${message}\n${input.toString('hex')}`)).toEqual([])
    expect(runs).toBe(CI_RUNS)
  })
})
