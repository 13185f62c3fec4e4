import { begin } from './begin.ts'
import { get, type Outcome } from './fetch.ts'
import { fetchNotTried } from './findings-transfer.ts'
import { limit } from './limit.ts'
import { move } from './move.ts'
import type { Probe, ProbeOptions } from './probe.ts'
import { associate, echo } from './reach.ts'
import { worst, type ArchiveReport, type Finding, type Level } from './report.ts'
import { offers } from './services.ts'
import { charset, findSample, relational } from './sample.ts'
import { storable, storeOne } from './store.ts'

/**
 * Looks at one archive from the network up. A step that fails ends only those that cannot do without it; each has a
 * finding, and none holds what the archive knows of a patient.
 * @throws the signal's reason
 */
export async function examine(options: ProbeOptions): Promise<ArchiveReport> {
  const start = performance.now()
  const { probe, isReached } = await begin(options)
  if (isReached && (await associate(probe))) {
    await echo(probe)
    const sample = await findSample(probe)
    if (!probe.findings.some(({ level, code }) => level === 'problem' && code.startsWith('FIND'))) await charset(probe)
    if (sample && !has(probe, 'RELATIONAL_GRANTED')) await relational(probe, sample)
    if (sample) addFetching(probe, await get(probe, sample), await move(probe, sample))
    else probe.add(fetchNotTried())
    await storable(probe)
    await offers(probe)
    if (probe.storeTest) await storeOne(probe)
    // It would take more associations than the service may have.
    if (!probe.service) await limit(probe)
  }
  const { name, aeTitle, host, port, callingAeTitle } = options.config
  const { findings, ourHost } = probe
  return {
    ...{ name, aeTitle, host, port, callingAeTitle },
    ...(ourHost !== undefined && { ourHost }),
    level: worst(findings),
    milliseconds: Math.round(performance.now() - start),
    findings: findings.map(rounded),
  }
}

function has({ findings }: Probe, code: string): boolean {
  return findings.some((one) => one.code === code)
}

/** Times to a tenth of a millisecond. */
function rounded(finding: Finding): Finding {
  if (!finding.facts) return finding
  const facts = Object.entries(finding.facts).map(
    ([name, value]) => [name, typeof value === 'number' ? Math.round(value * 10) / 10 : value] as const,
  )
  return { ...finding, facts: Object.fromEntries(facts) }
}

/** One way to fetch is enough, unless the configuration asks for the other. */
function addFetching(probe: Probe, byGet: Outcome, byMove: Outcome): void {
  const { retrieve } = probe.config
  const levelOf = (way: 'get' | 'move', other: Outcome): Level => {
    if (retrieve === 'auto') return other.works === false ? 'problem' : 'note'
    return retrieve === way ? 'problem' : 'note'
  }
  probe.add(byGet.finding(levelOf('get', byMove)), byMove.finding(levelOf('move', byGet)))
}
