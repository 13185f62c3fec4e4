import { worst, type ArchiveReport, type DestinationReport, type Finding, type Level } from './report.ts'

/** A report as text for a person: a line for each finding, and what to ask for below it. */
export function reportText(report: ArchiveReport): string {
  const { name, aeTitle, host, port, callingAeTitle, ourHost, findings } = report
  const from = ourHost === undefined ? '' : ` from ${ourHost}`
  const title = `${aeTitle} (${name}) at ${host}:${port}, called as ${callingAeTitle}${from}`
  return `${title}\n\n${findings.map(findingText).join('')}\n`
}

/** The same of a destination of routes. */
export function destinationText({ name, aeTitle, host, port, url, findings }: DestinationReport): string {
  const where = url ?? `${host}:${port}`
  return `${aeTitle ?? 'DICOMweb'} (${name}) at ${where}, a destination of routes\n\n${findings.map(findingText).join('')}\n`
}

const LABEL_WIDTH = 10

function findingText({ level, code, text, ask }: Finding): string {
  const indent = ' '.repeat(LABEL_WIDTH)
  const label = `  ${level}`.padEnd(LABEL_WIDTH)
  return `${label}${text}  [${code}]\n${ask !== undefined && level !== 'ok' ? `${indent}Ask: ${ask}\n` : ''}`
}

/** The last line: how it stands. */
export function summaryText(reports: readonly Pick<ArchiveReport, 'findings'>[]): string {
  const count = (level: Level): number =>
    reports.flatMap(({ findings }) => findings).filter((finding) => finding.level === level).length
  const many = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`
  return `${many(count('problem'), 'problem')}, ${many(count('note'), 'note')}.\n`
}

/** All reports as one JSON document; its form is described in docs/connecting.md. */
export function reportsJson(
  archives: readonly ArchiveReport[],
  destinations: readonly DestinationReport[],
  version: string,
): string {
  const level = worst([...archives, ...destinations])
  const all = { dimsegate: version, level, archives, ...(destinations.length > 0 && { destinations }) }
  return `${JSON.stringify(all, null, 2)}\n`
}
