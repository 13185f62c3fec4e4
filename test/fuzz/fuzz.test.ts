import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { Coverage } from '../../fuzz/coverage.ts'
import { fuzz } from '../../fuzz/fuzz.ts'
import { judge, LIMITS } from '../../fuzz/judge.ts'
import { BrokenPropertyError, same, type Target } from '../../fuzz/target.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'

const ROOT = join(import.meta.dirname, '../..')

class DocumentedError extends Error {}

function targetOf(run: Target['run'], more: Partial<Target> = {}): Target {
  return {
    ...{ name: 'planted', errors: [DocumentedError], dictionary: [], maxLength: 8, run },
    seeds: async () => [Buffer.alloc(3)],
    ...more,
  }
}

describe('a run', () => {
  const RUNS = 25_000

  it('finds what is behind bytes that have to be right one after another, and makes the input small', async () => {
    const coverage = new Coverage((url) => url.endsWith('fuzz/planted.ts'))
    try {
      const { behindThreeBytes } = await import('./planted.ts')
      const { findings, blocks, corpus } = await fuzz(targetOf(behindThreeBytes), { seed: 1, runs: RUNS, coverage })
      expect(findings.map(({ kind, input }) => `${kind} ${input.toString('hex')}`)).toEqual(['error 46555a'])
      expect(findings[0]?.message).toContain('Planted')
      expect(blocks).toBeGreaterThan(3)
      expect(corpus).toBeGreaterThan(3)
    } finally {
      coverage.stop()
    }
  })

  it('does not find it without knowing what code is run', async () => {
    const { behindThreeBytes } = await import('./planted.ts')
    expect((await fuzz(targetOf(behindThreeBytes), { seed: 1, runs: RUNS })).findings).toEqual([])
  })

  it('has the same inputs with the same seed, and others with another', async () => {
    const inputs = async (seed: number): Promise<string[]> => {
      const seen: string[] = []
      await fuzz(
        targetOf((input) => void seen.push(input.toString('hex'))),
        { seed, runs: 200 },
      )
      return seen
    }
    const first = await inputs(1)
    expect(first.length).toBe(200)
    expect(await inputs(1)).toEqual(first)
    expect(await inputs(2)).not.toEqual(first)
  })

  it('has no input that is longer than its target takes', async () => {
    let longest = 0
    const seeds = async (): Promise<Buffer[]> => [Buffer.alloc(200, 'a')]
    const target = targetOf((input) => void (longest = Math.max(longest, input.length)), { seeds, maxLength: 100 })
    await fuzz(target, { seed: 1, runs: 5_000 })
    expect(longest).toBe(100)
  })

  it('tells a fault once, however often it is met', async () => {
    const target = targetOf((input) => {
      if (input.length > 0) throw new TypeError(`Of ${input.length} bytes`)
    })
    const { findings } = await fuzz(target, { seed: 1, runs: 100 })
    expect(findings.map(({ input }) => input.toString('hex'))).toEqual(['00'])
  })
})

describe('a finding', () => {
  const kindOf = async (run: Target['run'], limits = LIMITS): Promise<string | undefined> =>
    (await judge(targetOf(run), Buffer.from('x'), limits))?.kind

  it('is an error that is not documented, thrown or of a promise', async () => {
    expect(await kindOf(() => undefined)).toBeUndefined()
    expect(await kindOf(fails(new DocumentedError()))).toBeUndefined()
    expect(await kindOf(fails(new RangeError()))).toBe('error')
    expect(await kindOf(() => Promise.reject(new DocumentedError()))).toBeUndefined()
    expect(await kindOf(() => Promise.reject(new RangeError()))).toBe('error')
  })

  it('is a property that does not hold', async () => {
    expect(await kindOf(fails(new BrokenPropertyError('It is another')))).toBe('property')
    expect(await kindOf(() => same('It is another', 'a', 'a'))).toBeUndefined()
    expect(await kindOf(() => same('It is another', 'a', 'ab'))).toBe('property')
  })

  it('is work that is too long', async () => {
    const busy = (milliseconds: number) => () => {
      const start = process.threadCpuUsage().user
      while (process.threadCpuUsage().user - start < milliseconds * 1000);
    }
    const limits = { ...LIMITS, slowMs: 50 }
    expect(await kindOf(busy(5), limits)).toBeUndefined()
    expect(await kindOf(busy(80), limits)).toBe('slow')
  })

  it('is memory out of proportion', async () => {
    const kept: Buffer[] = []
    expect(await kindOf(() => void kept.push(Buffer.alloc(LIMITS.growth / 2)))).toBeUndefined()
    expect(await kindOf(() => void kept.push(Buffer.alloc(2 * LIMITS.growth)))).toBe('memory')
  })

  it('is a promise that does not settle in time', async () => {
    const limits = { ...LIMITS, hangMs: 50 }
    expect(await kindOf(() => delay(1), limits)).toBeUndefined()
    expect(await kindOf(() => new Promise<void>(() => undefined), limits)).toBe('hang')
  })
})

describe('a loop without an end', () => {
  it('ends the process, and leaves its input', async () => {
    await using folder = await temporaryFolder()
    const script = `
      const { Watchdog } = await import(${JSON.stringify(join(ROOT, 'fuzz/watchdog.ts'))})
      new Watchdog(${JSON.stringify(folder.path)}, 500).seen(Buffer.from('for ever'))
      await new Promise((resolve) => setTimeout(resolve, 200))
      for (;;);`
    const { signal } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], { timeout: 20_000 })
    expect(signal).toBe('SIGKILL')
    const files = readdirSync(folder.path)
    expect(files.map((file) => readFileSync(join(folder.path, file), 'utf8'))).toEqual(['for ever'])
  })
})

describe('npm run fuzz', () => {
  const run = (...options: string[]) =>
    spawnSync(process.execPath, [join(ROOT, 'fuzz/run.ts'), ...options], { encoding: 'utf8', timeout: 25_000 })

  it('tells runs and blocks of a target, and ends in order without a finding', () => {
    const { status, stdout } = run('--target', 'wildcard', '--runs', '100')
    expect(stdout).toMatch(/^wildcard +\d{3} +\d+ +\d+ +[1-9]\d+ +0$/m)
    expect(status).toBe(0)
  })

  it('ends with 1 where there is a finding, which it writes', async () => {
    await using folder = await temporaryFolder()
    const options = ['--target', 'rle', '--runs', '20', '--slow-ms', '0', '--findings', folder.path]
    expect(run(...options).status).toBe(1)
    expect(readdirSync(join(folder.path, 'rle')).some((name) => /^slow-[0-9a-f]{8}$/.test(name))).toBe(true)
  })

  it('refuses a target that there is not', () => {
    const { status, stderr } = run('--target', 'wildcards')
    expect(stderr).toContain('wildcard,')
    expect(status).toBe(2)
  })
})

function fails(error: Error): () => void {
  return () => {
    throw error
  }
}
