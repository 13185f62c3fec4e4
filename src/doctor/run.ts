import type { Config } from '../config/config.ts'
import { examine } from './examine.ts'
import { reportsJson, reportText, summaryText } from './print.ts'
import { worst, type ArchiveReport } from './report.ts'

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
 * Examines each archive of a configuration, one after another since they share our listener, and prints what was found.
 * Resolves with whether there is no problem.
 * @throws the signal's reason
 */
export async function runDoctor({ archives, dimse }: Config, options: DoctorOptions): Promise<boolean> {
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
  print(json ? reportsJson(reports, version) : summaryText(reports))
  return worst(reports) !== 'problem'
}
