import { cpus, loadavg, totalmem } from 'node:os'
import { requireProgram } from '../test/support/peers.ts'
import { timed } from './timed.ts'

/** What the figures were measured on; nothing that tells whose it is. Under load of others the ratios grow: we take one process more. */
export async function describeMachine(): Promise<string[]> {
  const all = cpus()
  return [
    `${all[0]?.model.trim() ?? 'unknown processor'}, ${all.length} cores, ${Math.round(totalmem() / 1024 ** 3)} GiB`,
    `Node ${process.versions.node}`,
    await version('getscu', /v([\d.]+)/, 'DCMTK'),
    await version('Orthanc', /Orthanc ([\d.]+)/, 'Orthanc'),
    await version('curl', /curl ([\d.]+)/, 'curl'),
    `load ${loadavg()[0]!.toFixed(1)} before the start`,
  ]
}

async function version(program: string, pattern: RegExp, name: string): Promise<string> {
  const { output } = await timed(requireProgram(program), ['--version'], true)
  return `${name} ${pattern.exec(output)?.[1] ?? '?'}`
}
