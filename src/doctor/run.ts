import type { Config } from '../config/config.ts'
import { examine } from './examine.ts'
import { examineDestination } from './destination.ts'
import { destinationText, reportsJson, reportText, summaryText } from './print.ts'
import { worst, type ArchiveReport, type DestinationReport } from './report.ts'

export interface DoctorOptions {
  readonly json: boolean
  readonly storeTest: boolean
  readonly version: string
  /** Ends it at once. */
  readonly signal: AbortSignal
  readonly print: (text: string) => void
  /** Told what is being done; undefined when nothing is any more. */
  readonly progress: (text: string | undefined) => void
  /** Milliseconds a step may take, where it is not STEP_MS. */
  readonly stepTimeout?: number
}

/**
 * Examines each archive of a configuration, one after another since they share our listener, and each destination of its
 * routes; prints what was found.
 * Resolves with whether there is no problem.
 * @throws the signal's reason
 */
export async function runDoctor({ archives, dimse, destinations }: Config, options: DoctorOptions): Promise<boolean> {
  const { json, storeTest, version, signal, print, progress, stepTimeout } = options
  const reports: ArchiveReport[] = []
  for (const config of archives) {
    const report = await examine({
      config,
      dimse,
      signal,
      storeTest,
      ...(stepTimeout !== undefined && { stepTimeout }),
      progress: (step) => progress(`${config.name}: ${step}`),
    }).finally(() => progress(undefined))
    reports.push(report)
    if (!json) print(reportText(report))
  }
  const others: DestinationReport[] = []
  for (const destination of destinations) {
    const { name } = destination
    const report = await examineDestination({
      ...{ destination, like: archives[0]!, dimse, signal, storeTest },
      ...(stepTimeout !== undefined && { stepTimeout }),
      progress: (step) => progress(`${name}: ${step}`),
    }).finally(() => progress(undefined))
    others.push(report)
    if (!json) print(destinationText(report))
  }
  print(json ? reportsJson(reports, others, version) : summaryText([...reports, ...others]))
  return worst([...reports, ...others]) !== 'problem'
}
