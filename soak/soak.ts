import { appendFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { random } from '../test/support/random.ts'
import { startArchives } from './archives.ts'
import { References } from './checks.ts'
import { Drains } from './drains.ts'
import { WebClient } from './exchange.ts'
import { FaultSchedule } from './faults.ts'
import { fixtureOf } from './fixture.ts'
import { SoakGateway, UNBUILT, type Holdings } from './gateway.ts'
import { Link } from './link.ts'
import { Session, type CutRequest, type Ground } from './session.ts'
import { notGivenBack, openConnections, settled } from './settled.ts'
import { Source, store } from './stores.ts'
import { Tally } from './tally.ts'
import { verify, type Verified } from './verify.ts'
import { VISITS } from './visits.ts'
import { FOUND_AGAIN_MS, Weather } from './weather.ts'

export interface SoakOptions {
  /** Of load with faults; the warm-up before and the verification behind come on top. */
  readonly milliseconds: number
  readonly clients: number
  readonly seed: number
  /** The entry point of the gateway; src/main.ts unless told. */
  readonly main?: string
  /** Where logs are kept; nowhere unless told. */
  readonly keep?: string
  /** Told of each line of progress. */
  readonly log: (text: string) => void
}

/** What a soak has come to. */
export interface SoakResult {
  readonly options: Pick<SoakOptions, 'milliseconds' | 'clients' | 'seed'>
  readonly tally: Tally
  readonly drains: number
  readonly verified: readonly Verified[]
  readonly before: Holdings
  readonly after: Holdings
  /** What is not as it was before. */
  readonly leaks: readonly string[]
}

/** How often it is asked whether archives answer. */
const READY_MS = 1_000
/** Without faults, until everything has run once: code is compiled, threads are there. */
const WARM_UP_MS = 20_000
/** Of a short load, at most such a part of its time. */
const WARM_UP_PART = 0.25
const PROGRESS_MS = 10_000
/** Of the visits. */
const STORE_SHARE = 0.1
/** Of the clients, one in so many comes by a way that is disturbed. */
const WAY_EVERY = 3
/** Most milliseconds between two visits of a client, and after one when somebody was refused or cut off. */
const PAUSE_MS = 30
const AWAY_MS = 300

/** Runs load and faults, and tells what came of it. */
export async function soak(options: SoakOptions): Promise<SoakResult> {
  const { milliseconds, clients, seed, main = UNBUILT, keep } = options
  await using resources = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'dimsegate-soak-'))
  resources.defer(() => rm(folder, { recursive: true, force: true }))
  if (keep !== undefined) await mkdir(keep, { recursive: true })
  const tally = new Tally()
  const toFile = (name: string, text: string): void => {
    if (keep !== undefined) appendFileSync(join(keep, name), text)
  }
  const log = (text: string): void => toFile('faults.log', `${tally.seconds.toFixed(1)} ${text}\n`)

  const archives = await startArchives(folder, (name, number) => fixtureOf({ name, number, seed }), resources)
  const onOutput = (text: string): void => toFile('gateway.log', text)
  const gateway = resources.use(await SoakGateway.start(archives, { main, folder, onOutput }))
  const link = resources.use(await Link.open(gateway.port))
  const way = new Weather('way of clients')
  let onCut: (cut: CutRequest) => void = () => undefined
  const ground: Ground = {
    archives,
    tally,
    references: new References(),
    gateway: new Weather('gateway'),
    way,
    onCut: (cut) => onCut(cut),
  }
  const sources = archives.map((archive, at) => new Source(archive, at + 1, seed))
  const load = (signal: AbortSignal, of: number): Promise<unknown> =>
    Promise.all(Array.from({ length: clients }, (_, n) => visit(ground, sources, portOf(n), signal, of + n)))
  const portOf = (n: number): readonly [number, boolean] =>
    n % WAY_EVERY === WAY_EVERY - 1 ? [link.port, false] : [gateway.port, true]
  const progress = setInterval(() => {
    void gateway.rss().then((rss) => options.log(line(tally, rss)))
  }, PROGRESS_MS)
  resources.defer(() => clearInterval(progress))

  await load(AbortSignal.timeout(Math.min(WARM_UP_MS, milliseconds * WARM_UP_PART)), seed * 7)
  const before = await settled(gateway)
  log(`base line ${JSON.stringify(before)}`)

  const end = AbortSignal.timeout(milliseconds)
  const targets = [...archives, { link, weather: way }]
  const schedule = new FaultSchedule({ targets, seed, tally, log, signal: end })
  const drains = new Drains({ gateway, schedule, weather: ground.gateway, tally, log, signal: end, milliseconds })
  onCut = (cut) => drains.cut(cut)
  await Promise.all([load(end, seed * 13), drains.run()])
  await schedule.ended()
  const after = await settled(gateway, before)
  const leaks = [...notGivenBack(before, after), ...openConnections(archives)]
  await allReady(gateway.port)
  const verified: Verified[] = []
  for (const archive of archives) verified.push(await verify(archive, ground, gateway.port))
  return { options: { milliseconds, clients, seed }, tally, drains: drains.count, verified, before, after, leaks }
}

/** Waits until every archive answers, or until each should have been found again. */
async function allReady(port: number): Promise<void> {
  const until = performance.now() + FOUND_AGAIN_MS
  while (performance.now() < until) {
    const response = await fetch(`http://127.0.0.1:${port}/readyz`)
    const { archives } = (await response.json()) as { archives: readonly { ready: boolean }[] }
    if (archives.every(({ ready }) => ready)) return
    await delay(READY_MS)
  }
}

/** One client: visits until it is stopped, each at an archive of its choice. */
async function visit(
  ground: Ground,
  sources: readonly Source[],
  [port, direct]: readonly [number, boolean],
  signal: AbortSignal,
  seed: number,
): Promise<void> {
  const next = random(seed)
  const client = new WebClient(port, direct)
  const total = VISITS.reduce((sum, { weight }) => sum + weight, 0)
  while (!signal.aborted) {
    const at = Math.floor(next() * ground.archives.length)
    const session = new Session(ground, ground.archives[at]!, client, next)
    const away = ground.tally.count('refused', 'cut')
    if (next() < STORE_SHARE) await store(session, sources[at]!)
    else {
      let left = next() * total
      const { visit: go } = VISITS.find(({ weight }) => (left -= weight) < 0) ?? VISITS[0]!
      await go(session)
    }
    await delay(ground.tally.count('refused', 'cut') > away ? AWAY_MS : next() * PAUSE_MS)
  }
  client.close()
}

function line(tally: Tally, rss: number | undefined): string {
  const { requests, wrong, hung, bytes, faults, seconds, unexplained } = tally
  const injected = [...faults.values()].reduce((sum, count) => sum + count, 0)
  const counts = (['whole', 'partial', 'failed', 'cut', 'refused', 'left'] as const).map(
    (ending) => `${ending} ${tally.count(ending)}`,
  )
  const strange = [...unexplained.values()].reduce((sum, count) => sum + count, 0)
  return (
    `${Math.round(seconds)} s: ${requests} requests (${counts.join(', ')}), ${(bytes / 1e9).toFixed(2)} GB, ` +
    `${injected} faults, RSS ${rss === undefined ? 'none' : `${Math.round(rss / 1e6)} MB`}; ` +
    `wrong ${wrong}, hung ${hung}, unexplained ${strange}`
  )
}
