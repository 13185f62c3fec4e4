import type { ArchiveConfig } from '../../config/config.ts'
import type { Uid } from '../../dicom/uids.ts'
import type { EventReport } from '../../dimse/event-report.ts'
import { AddressList } from '../../network/address-list.ts'

/** How an archive calls us. */
export interface Deliverer {
  /** What we call it: its moves name it so. */
  readonly aeTitle: string
  /** Where it is reached; it may call from elsewhere. */
  readonly host: string
  /** AE titles that it may call with besides. */
  readonly aeTitles: readonly string[]
  /** Addresses it may call from; undefined for any. */
  readonly addresses: AddressList | undefined
  /** Milliseconds it may be silent within an instance. */
  readonly timeout: number
  /** Transfer syntaxes that it stores instances in beside those of the standard. */
  readonly ownSyntaxes: readonly Uid[]
  /** Takes what it reports. */
  readonly reports?: ReportTaker | undefined
}

/** Who takes the reports of an archive. */
export interface ReportTaker {
  /** Whether that was asked of the archive. */
  isFor(report: EventReport): Promise<boolean>
  /** Comes to the status of the response; undefined where it is for nobody. */
  take(report: EventReport): Promise<number | undefined>
}

/** How an archive of the configuration calls us. */
export function delivererOf(
  { aeTitle, host, delivery, timeouts, quirks }: ArchiveConfig,
  reports?: ReportTaker,
): Deliverer {
  const { aeTitles, addresses } = delivery
  return {
    aeTitle,
    host,
    aeTitles,
    addresses: addresses.length > 0 ? new AddressList(addresses) : undefined,
    timeout: timeouts.response,
    ownSyntaxes: quirks.transferSyntaxes ?? [],
    reports,
  }
}
