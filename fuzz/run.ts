import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { Coverage } from './coverage.ts'
import { fuzz, nameOf, type Finding, type Report } from './fuzz.ts'
import { LIMITS } from './judge.ts'
import { hashOf } from './random.ts'
import type { Target } from './target.ts'
import { Watchdog } from './watchdog.ts'

const ROOT = resolve(import.meta.dirname, '..')
const SOURCES = new URL('../src/', import.meta.url).href
const DEFAULT_SECONDS = 60

const HELP = `Usage: npm run fuzz -- [options]   Runs what takes bytes from outside with made-up inputs, guided by coverage

Options
  --target NAME     Only this target; may be given more than once
  --seconds N       So long in all, ${DEFAULT_SECONDS} unless told
  --minutes N       The same in minutes
  --runs N          So many inputs for each target, however long it takes
  --seed N          Other inputs; 1 unless told. The same seed and --runs give the same inputs
  --slow-ms N       Work for one input that is too long, ${LIMITS.slowMs} unless told
  --findings DIR    Where inputs with a finding go, artifacts/fuzz unless told
  --corpus DIR      Begin with the inputs in DIR, and put those there that reach something new
  --help            This text
`

const { values } = parseArgs({
  options: {
    target: { type: 'string', multiple: true },
    seconds: { type: 'string' },
    minutes: { type: 'string' },
    runs: { type: 'string' },
    seed: { type: 'string', default: '1' },
    'slow-ms': { type: 'string', default: String(LIMITS.slowMs) },
    findings: { type: 'string', default: join(ROOT, 'artifacts/fuzz') },
    corpus: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

// V8 counts in what is loaded once it has been told to.
const coverage = new Coverage((url) => url.startsWith(SOURCES))
const { targets } = await import('./targets.ts')

if (values.help) {
  process.stdout.write(`${HELP}\nTargets\n${targets.map(({ name }) => `  ${name}\n`).join('')}`)
} else {
  const chosen = targets.filter(({ name }) => values.target?.includes(name) ?? true)
  if (chosen.length === 0 || chosen.length < (values.target?.length ?? 0)) {
    process.stderr.write(`There is no such target; there are: ${targets.map(({ name }) => name).join(', ')}\n`)
    process.exitCode = 2
  } else if (await runAll(chosen)) process.exitCode = 1
}
coverage.stop()

/** Whether there was a finding. */
async function runAll(chosen: readonly Target[]): Promise<boolean> {
  const seconds = Number(values.minutes ?? 0) * 60 + Number(values.seconds ?? 0) || DEFAULT_SECONDS
  const each = values.runs === undefined ? (seconds * 1000) / chosen.length : undefined
  let found = 0
  process.stdout.write(`${row('Target', 'Runs', 'Runs/s', 'Corpus', 'Blocks', 'Findings')}\n`)
  for (const target of chosen) {
    coverage.forget()
    const report = await runOne(target, each)
    found += report.findings.length
    const { runs, milliseconds, corpus, blocks, findings } = report
    const pace = Math.round(runs / (milliseconds / 1000))
    process.stdout.write(`${row(target.name, runs, pace, corpus, blocks, findings.length)}\n`)
  }
  return found > 0
}

async function runOne(target: Target, milliseconds: number | undefined): Promise<Report> {
  const folder = join(values.findings, target.name)
  const corpusFolder = values.corpus === undefined ? undefined : join(values.corpus, target.name)
  const watchdog = new Watchdog(folder)
  let last: Uint8Array = Buffer.alloc(0)
  let stray: Finding | undefined
  const onStray = (error: unknown): void => {
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error)
    stray ??= {
      kind: 'error',
      signature: 'stray',
      message: `Nobody waited for it: ${message}`,
      input: Buffer.from(last),
    }
  }
  process.on('unhandledRejection', onStray)
  process.on('uncaughtException', onStray)
  try {
    const report = await fuzz(target, {
      seed: Number(values.seed),
      runs: values.runs === undefined ? undefined : Number(values.runs),
      milliseconds,
      coverage,
      limits: { ...LIMITS, slowMs: Number(values['slow-ms']) },
      corpus: corpusFolder !== undefined && existsSync(corpusFolder) ? inputsIn(corpusFolder) : [],
      onInput: (input) => {
        last = input
        watchdog.seen(input)
      },
      onFinding: (finding) => save(folder, finding),
      onNew: (input) => {
        if (corpusFolder !== undefined) write(corpusFolder, hashOf(input).toString(16), input)
      },
    })
    if (!stray) return report
    save(folder, stray)
    return { ...report, findings: [...report.findings, stray] }
  } finally {
    process.off('unhandledRejection', onStray)
    process.off('uncaughtException', onStray)
    await watchdog.stop()
  }
}

function inputsIn(folder: string): Buffer[] {
  return readdirSync(folder)
    .sort()
    .map((name) => readFileSync(join(folder, name)))
}

function save(folder: string, finding: Finding): void {
  const name = nameOf(finding)
  write(folder, name, finding.input)
  write(folder, `${name}.txt`, Buffer.from(`${finding.message}\n`))
  process.stdout.write(`${join(folder, name)}\n  ${finding.message.replaceAll('\n', '\n  ')}\n`)
}

function write(folder: string, name: string, bytes: Uint8Array): void {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, name), bytes)
}

function row(name: string, ...cells: readonly (string | number)[]): string {
  return name.padEnd(16) + cells.map((cell) => String(cell).padStart(10)).join('')
}
