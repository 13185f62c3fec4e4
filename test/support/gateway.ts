import { parseConfig } from '../../src/config/config.ts'
import { DemoArchive, type DemoArchiveOptions } from '../../src/demo/demo-archive.ts'
import type { Bytes } from '../../src/dicom/bytes.ts'
import { startGateway, type Gateway } from '../../src/gateway.ts'

export interface Setup extends AsyncDisposable {
  readonly archive: DemoArchive
  readonly gateway: Gateway
  readonly port: number
  /** `http://127.0.0.1:port` */
  readonly origin: string
  /** URL of the DICOMweb root. */
  readonly url: string
}

export interface SetupOptions {
  readonly archive?: DemoArchiveOptions
  readonly files?: readonly Bytes[]
  /** As in the configuration file; they go over the defaults of the tests. */
  readonly http?: object
  readonly cache?: object
  /** Of the whole configuration: auth, ops and others. */
  readonly others?: object
  readonly pacs?: object
  readonly timeouts?: object
  readonly search?: object
}

/** A demo archive with the files, and a gateway in front of it, both on free ports of loopback. */
export async function startSetup(options: SetupOptions = {}): Promise<Setup> {
  const archive = await DemoArchive.start(options.archive)
  try {
    for (const file of options.files ?? []) await archive.put(file)
    const { aeTitle, port } = archive
    const gateway = await startGatewayFor(
      [{ aeTitle, host: '127.0.0.1', port, ...archiveConfig(options) }],
      options.http,
      options.cache,
      options.others,
    )
    return {
      archive,
      gateway,
      port: gateway.port,
      origin: `http://127.0.0.1:${gateway.port}`,
      url: gateway.url,
      [Symbol.asyncDispose]: async () => {
        await gateway[Symbol.asyncDispose]()
        await archive[Symbol.asyncDispose]()
      },
    }
  } catch (error) {
    await archive[Symbol.asyncDispose]()
    throw error
  }
}

function archiveConfig({ pacs = {}, timeouts, search }: SetupOptions): object {
  return { ...pacs, ...(timeouts && { timeouts }), ...(search && { search }) }
}

/** A gateway in front of archives that may not be there; it logs nothing, and has no DICOM listener. */
export function startGatewayFor(
  archives: readonly object[],
  http: object = {},
  cache: object = {},
  others: object = {},
): Promise<Gateway> {
  const dimse = { enabled: false }
  const log = { level: 'silent' }
  return startGateway(parseConfig({ http: { port: 0, ...http }, dimse, archives, cache, log, ...others }))
}
