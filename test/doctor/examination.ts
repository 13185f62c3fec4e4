import { parseConfig } from '../../src/config/config.ts'
import { examine } from '../../src/doctor/examine.ts'
import type { ProbeOptions } from '../../src/doctor/probe.ts'
import type { ArchiveReport, Finding } from '../../src/doctor/report.ts'
import { archiveAt, type ArchiveAddress } from '../support/gateway-to.ts'
import { freePort } from '../support/ports.ts'

/** Examines the archive at an address; `settings` as in the file, `dimse` too. */
export async function examined(
  address: ArchiveAddress,
  settings: object = {},
  { dimse, ...others }: { dimse?: object } & Omit<Partial<ProbeOptions>, 'config' | 'dimse'> = {},
): Promise<Examined> {
  const config = parseConfig({
    archives: [archiveAt(address, { maxAssociations: 2, ...settings })],
    dimse: { port: await freePort(), ...dimse },
  })
  const signal = new AbortController().signal
  return new Examined(await examine({ config: config.archives[0]!, dimse: config.dimse, signal, ...others }))
}

export class Examined {
  readonly report: ArchiveReport
  constructor(report: ArchiveReport) {
    this.report = report
  }

  get codes(): string[] {
    return this.report.findings.map(({ code }) => code)
  }

  /** The codes of a level. */
  at(level: Finding['level']): string[] {
    return this.report.findings.filter((finding) => finding.level === level).map(({ code }) => code)
  }

  /** The only finding of a code. */
  finding(code: string): Finding {
    const [one, ...others] = this.report.findings.filter((finding) => finding.code === code)
    if (!one || others.length > 0)
      throw new Error(`${others.length + (one ? 1 : 0)} findings ${code}: ${this.codes.join(' ')}`)
    return one
  }
}
