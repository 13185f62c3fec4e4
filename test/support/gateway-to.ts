import { parseConfig, type ArchiveConfig } from '../../src/config/config.ts'
import { startGateway, type Gateway } from '../../src/gateway.ts'
import { Archive } from '../../src/pacs/archive.ts'
import { MoveDestination } from '../../src/pacs/delivery/move-destination.ts'

export interface ArchiveAddress {
  readonly host: string
  readonly port: number
}

/** The configuration of an archive at an address; `settings` as in the file. */
export function archiveAt({ host, port }: ArchiveAddress, settings: object = {}): object {
  return { name: 'main', aeTitle: 'PACS', host, port, ...settings }
}

/** A gateway on a free port before one archive, without a log and a DICOM listener unless `others` has one. */
export function gatewayTo(address: ArchiveAddress, settings: object = {}, others: object = {}): Promise<Gateway> {
  const archives = [archiveAt(address, settings)]
  const defaults = { http: { port: 0 }, dimse: { enabled: false }, log: { level: 'silent' } }
  return startGateway(parseConfig({ ...defaults, archives, ...others }))
}

export function configOf(address: ArchiveAddress, settings: object = {}): ArchiveConfig {
  return parseConfig({ archives: [archiveAt(address, settings)] }).archives[0]!
}

/** An archive as the web layer sees it. */
export function openArchive(address: ArchiveAddress, settings: object = {}): Promise<Archive> {
  const { archives, dimse } = parseConfig({ archives: [archiveAt(address, settings)], dimse: { enabled: false } })
  return Archive.open(archives[0]!, new MoveDestination(dimse))
}
