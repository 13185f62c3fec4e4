import { mkdirSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { workerData } from 'node:worker_threads'
import type { Watched } from './watchdog.ts'

const { counts, input, folder, stuckMs } = workerData as Watched
const STEPS = 10

let [last, still] = [-1, 0]
for (;;) {
  await delay(stuckMs / STEPS)
  const count = Atomics.load(counts, 0)
  still = count === last ? still + 1 : 0
  last = count
  if (still < STEPS) continue
  mkdirSync(folder, { recursive: true })
  const file = join(folder, `stuck-${count}`)
  writeFileSync(file, input.subarray(0, Atomics.load(counts, 1)))
  writeSync(2, `An input goes on for ever: ${file}\n`)
  process.kill(process.pid, 'SIGKILL')
}
