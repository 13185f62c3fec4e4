import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { compete, type Result, type Scenario } from './contest.ts'
import { prepareData } from './data.ts'
import { unbuilt } from './gateway.ts'
import { describeMachine } from './machine.ts'
import { Peers } from './peers.ts'
import { imagingScenarios } from './imaging.ts'
import { moveScenarios } from './move.ts'
import { heldFramesScenario } from './held-frames.ts'
import { clusterScenarios } from './cluster.ts'
import { relayScenarios } from './relay.ts'
import { socatScenarios } from './socat.ts'
import { besidePrefetchScenario } from './beside-prefetch.ts'
import { togetherScenario } from './together.ts'
import { table } from './report.ts'
import { retrieveScenarios } from './retrieve.ts'
import { openScenarios } from './open.ts'
import { searchScenarios } from './search.ts'
import { routeScenarios } from './route.ts'
import { storeScenarios } from './store.ts'
import { viewerScenarios } from './viewer.ts'

const scenarios: readonly Scenario[] = [
  ...retrieveScenarios,
  ...moveScenarios,
  ...searchScenarios,
  ...storeScenarios,
  ...routeScenarios,
  ...clusterScenarios,
  ...viewerScenarios,
  ...openScenarios,
  togetherScenario,
  besidePrefetchScenario,
  heldFramesScenario,
  ...imagingScenarios,
  ...relayScenarios,
  ...socatScenarios,
]

const HELP = `Usage: npm run bench -- [options]   Times the gateway against native tools, in turns, on the same peers

Options
  --quick          3 rounds in place of 7, 1 of what takes long
  --rounds N       N rounds
  --only NAME      Only what has NAME in its name; may be given more than once
  --json FILE      Write every figure to FILE
  --main FILE      Start the gateway from FILE, such as dist/main.js; src/main.ts unbuilt takes 30 MB more
  --profile DIR    Write CPU profiles of the gateway to DIR (this slows it)
  --help           This text

Names
${scenarios.map(({ name, work, against }) => `  ${name.padEnd(20)} ${work} against ${against}`).join('\n')}
`

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    only: { type: 'string', multiple: true, default: [] },
    json: { type: 'string' },
    main: { type: 'string', default: unbuilt },
    profile: { type: 'string' },
    help: { type: 'boolean', short: 'h', default: false },
  },
})

async function main(): Promise<void> {
  if (values.help) {
    process.stdout.write(HELP)
    return
  }
  const rounds = Number(values.rounds ?? (values.quick ? 3 : 7))
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds is a number from 1')
  const chosen = scenarios.filter(
    ({ name }) => values.only.length === 0 || values.only.some((part) => name.includes(part)),
  )
  if (chosen.length === 0) throw new Error(`--only ${values.only.join(', ')}: there is no such name; see --help`)
  const nodeOptions = values.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${values.profile}`]
  const machine = await describeMachine()
  await using peers = new Peers(await prepareData())
  const results: Result[] = []
  for (const scenario of chosen) {
    process.stderr.write(`${scenario.name} …\n`)
    const few = values.quick && scenario.maxRounds !== undefined ? 1 : rounds
    try {
      results.push(await compete(scenario, peers, { nodeOptions, main: values.main }, few))
    } catch (error) {
      // The others are measured all the same, but nobody shall take this run for a whole one.
      process.stderr.write(`${scenario.name} FAILED: ${error instanceof Error ? error.message : String(error)}\n`)
      process.exitCode = 1
    }
  }
  process.stdout.write(`${table(results, machine)}\n`)
  if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify({ machine, results }, null, 2)}\n`)
}

try {
  await main()
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
