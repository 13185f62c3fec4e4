import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { describeMachine } from '../bench/machine.ts'
import { UNBUILT } from './gateway.ts'
import { isClean, report, reportJson } from './report.ts'
import { soak } from './soak.ts'

const HELP = `Usage: npm run soak -- [options]   Load on the gateway in front of dcmqrscp, Orthanc and the demo archive, amid faults

Every answer that looks whole is held against what is stored. Ends with 1 unless nothing was lost, wrong, hung, failed
without a fault, or left behind.

Options
  --minutes N   Of load with faults (default 30); some two minutes come on top
  --clients N   Web clients at once (default 12)
  --seed N      Of faults and load (default 1)
  --json FILE   Write the result to FILE
  --keep DIR    Write the log of the gateway and the times of the faults to DIR
  --main FILE   Start the gateway from FILE, such as dist/main.js
  --help        This text
`

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    clients: { type: 'string', default: '12' },
    seed: { type: 'string', default: '1' },
    json: { type: 'string' },
    keep: { type: 'string' },
    main: { type: 'string', default: UNBUILT },
    help: { type: 'boolean', short: 'h', default: false },
  },
})

async function main(): Promise<void> {
  if (values.help) {
    process.stdout.write(HELP)
    return
  }
  const minutes = Number(values.minutes)
  if (!(minutes > 0)) throw new Error('--minutes is a number above 0')
  const clients = countOf('clients', values.clients)
  const seed = countOf('seed', values.seed)
  const machine = await describeMachine()
  const result = await soak({
    milliseconds: minutes * 60_000,
    clients,
    seed,
    main: values.main,
    ...(values.keep !== undefined && { keep: values.keep }),
    log: (text) => process.stderr.write(`${text}\n`),
  })
  process.stdout.write(`${report(result, machine)}\n`)
  if (values.json !== undefined) await writeFile(values.json, reportJson(result, machine))
  if (!isClean(result)) process.exitCode = 1
}

function countOf(name: string, text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1) throw new Error(`--${name} is a whole number from 1`)
  return value
}

try {
  await main()
} catch (error) {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
  process.exitCode = 1
}
