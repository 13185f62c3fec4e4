import { DiskTier } from './cache/disk/disk-tier.ts'
import { DiskFolderError } from './cache/disk/own-folder.ts'
import { InstanceCache } from './cache/instance-cache.ts'
import { Cluster } from './cluster/cluster.ts'
import { ConfigError, type Config } from './config/config.ts'
import { networkOf } from './http/client.ts'
import type { Examination } from './http/ops/readiness.ts'
import { signInOf } from './http/auth/auth-config.ts'
import { checkKeyFiles } from './http/auth/key-file.ts'
import type { RefusedConnectionEvent } from './http/tls.ts'
import { startServer, type HttpServer, type ServerOptions } from './http/server.ts'
import { Archive } from './pacs/archive.ts'
import { ImagingPool } from './imaging/pool/imaging-pool.ts'
import type { Call } from './pacs/call.ts'
import { Prefetcher } from './cache/prefetch/prefetcher.ts'
import { watchWorklists } from './cache/prefetch/worklist-watch.ts'
import { LinkedIds } from './http/federation/linked-ids.ts'
import { ofArchive, ofFederation } from './http/surroundings.ts'
import { PriorFinder, type Surroundings } from './pacs/priors/find-priors.ts'
import { Federation } from './pacs/federation/federation.ts'
import { MoveDestination } from './pacs/delivery/move-destination.ts'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Audit } from './audit/audit.ts'
import { AuditFileError } from './audit/file-sink.ts'
import { openAudit } from './audit/open.ts'
import type { RefusedStoreEvent } from './pacs/delivery/events.ts'
import { readClusterFiles, readSyslogTls } from './pacs/tls-files.ts'
import { SparedLines } from './telemetry/spared-lines.ts'
import { deviceTraces } from './http/audit/device-trace.ts'
import { spoolTrace } from './http/audit/spool-trace.ts'
import { Given } from './http/validators/given.ts'
import { decompressed } from './http/store/decompress.ts'
import { outdate } from './http/store/outdate.ts'
import { openRouting, type Routing } from './routing/open-routing.ts'
import { SpoolFolderError } from './routing/spool/lock.ts'
import { settlesWithin } from './network/settles-within.ts'
import { startTelemetry, type Telemetry } from './telemetry/telemetry.ts'
import { renewWhenChanged } from './pacs/tls-renewal.ts'

/** The running service: web server, archives, telemetry. */
export interface Gateway extends AsyncDisposable {
  readonly port: number
  /** URL of the DICOMweb root, as seen from this machine. */
  readonly url: string
  /** Where `ops.listen` is served; undefined where it is not set. */
  readonly opsPort: number | undefined
  readonly archives: readonly Archive[]
  readonly cache: InstanceCache
  /** Where archives deliver what C-MOVE asks for. */
  readonly destination: MoveDestination
  /** The other replicas; undefined where this one is alone. */
  readonly cluster: Cluster | undefined
  readonly telemetry: Telemetry
  /** The audit trail. */
  readonly audit: Audit
  /** Reads the files of certificates anew, as is done when they change. @throws TlsFileError */
  renewTls(): Promise<void>
  /** Ends in order: requests under way have `http.shutdownGrace`, then every association is released. */
  stop(): Promise<void>
}

/** Starts the service, with other pages beside it. @throws when a TLS file cannot be read, the file of the audit trail cannot be written, the folder of the cache cannot be used or the port is taken */
export async function startGateway(config: Config, { pages }: Pick<ServerOptions, 'pages'> = {}): Promise<Gateway> {
  const signIn = signInOf(config.auth)
  if (signIn) await checkKeyFiles(signIn)
  // Before what would have to be closed again.
  const audit = await auditOf(config)
  const destination = await MoveDestination.open(config.dimse)
  const { cluster: shared } = config
  const cluster = shared ? new Cluster(shared, await readClusterFiles(shared), destination.moves) : undefined
  const archives = await Promise.all(
    config.archives.map((archive) =>
      Archive.open(archive, destination, cluster?.share(archive.name, archive.maxAssociations)),
    ),
  )
  const federation = config.federation ? new Federation(config.federation, archives) : undefined
  const cache = new InstanceCache(config.cache, await diskOf(config.cache))
  const priors = new PriorFinder()
  const links = config.federation?.pixm ? new LinkedIds(config.federation.pixm) : undefined
  const prefetcher = config.prefetch ? new Prefetcher(cache, { ...config.prefetch, ttl: config.cache.ttl }) : undefined
  const imaging = new ImagingPool(config.imaging)
  const given = new Given()
  const routing = await routingOf(config, {
    archives,
    decompress: (instance, decompress, signal) =>
      decompressed(instance, { decompress, imaging: imaging.of('devices'), signal }),
    outdate: (archive, instance) => outdate({ cache, given, federation, prefetcher }, archive, instance),
    trace: deviceTraces(audit, config.dimse),
    toldOfSpooled: spoolTrace(audit, config.dimse),
    isBlocked: () => audit.isBlocked,
  })
  destination.welcome(routing.devices)
  const telemetry = startTelemetry(config.log, {
    archives: () => archives,
    nodes: () => routing.nodes,
    spool: routing.spool,
    cluster,
    cache,
    imaging,
    audit,
    prefetcher,
  })
  const endRefusals = auditRefusals(audit)
  const endWatch = watched({ config, archives, federation, links, priors, prefetcher })
  const release = async (): Promise<void> => {
    endWatch()
    await prefetcher?.[Symbol.asyncDispose]()
    await cache[Symbol.asyncDispose]()
    await routing[Symbol.asyncDispose]()
    await imaging[Symbol.asyncDispose]()
    await Promise.all(archives.map((archive) => archive[Symbol.asyncDispose]()))
    await destination[Symbol.asyncDispose]()
    await cluster?.[Symbol.asyncDispose]()
    endRefusals()
    audit.write({ kind: 'application-stop', outcome: 'success' })
    await audit.close()
    telemetry.stop()
  }
  let server: HttpServer
  try {
    if (cluster) await begun(cluster)
    const moves = config.archives.some(({ retrieve }) => retrieve === 'move')
    if (config.dimse.enabled === true || moves || routing.devices.isExpecting) await destination.listen()
    server = await startServer({
      config,
      archives,
      federation,
      links,
      priors,
      prefetcher,
      cache,
      imaging,
      audit,
      given,
      router: routing.router,
      metrics: () => telemetry.metrics(),
      examine: (archive, signal) => examined(archive, { config, destination, signal }),
      pages,
    })
  } catch (error) {
    await release()
    throw error
  }
  audit.write({ kind: 'application-start', outcome: 'success' })
  routing.spool?.begin()
  const renewal = renewWhenChanged([
    { path: 'http.tls', tls: config.http.tls, renew: () => server.renewTls() },
    { path: 'dimse.tls', tls: config.dimse.tls, renew: () => destination.renewTls() },
    ...(cluster && shared?.tls
      ? [
          {
            path: 'cluster.tls',
            tls: shared.tls,
            renew: async () => cluster.renewTls(await readClusterFiles(shared)),
          },
        ]
      : []),
    // Read for each connection: nothing has to be done.
    { path: 'audit.syslog', tls: config.audit?.syslog ?? null, renew: () => Promise.resolve() },
    ...routing.nodes.map((node) => ({
      path: `destinations.${node.config.name}.tls`,
      tls: node.config.tls,
      renew: () => node.renewTls(),
    })),
    ...archives.map((archive) => ({
      path: `archives.${archive.config.name}.tls`,
      tls: archive.config.tls,
      renew: () => archive.renewTls(),
    })),
  ])
  const stop = async (grace: number): Promise<void> => {
    renewal.stop()
    const devices = async (): Promise<void> => {
      await destination.endDevices(grace)
      await settlesWithin(routing.router.quiet(), grace)
    }
    await Promise.all([server.close(grace), devices()])
    await release()
  }
  const host = config.http.host.includes(':') ? `[${config.http.host}]` : config.http.host
  return {
    port: server.port,
    opsPort: server.opsPort,
    url: `${config.http.tls ? 'https' : 'http'}://${host === '0.0.0.0' ? '127.0.0.1' : host}:${server.port}${config.http.basePath}`,
    archives,
    cache,
    destination,
    cluster,
    telemetry,
    audit,
    renewTls: () => renewal.now(),
    stop: () => stop(config.http.shutdownGrace),
    [Symbol.asyncDispose]: () => stop(0),
  }
}

/** Whose worklists are looked at, and where. */
interface Watched {
  readonly config: Config
  readonly archives: readonly Archive[]
  readonly federation: Federation | undefined
  readonly links: LinkedIds | undefined
  readonly priors: PriorFinder
  readonly prefetcher: Prefetcher | undefined
}

/** Looks at the worklists, where that is configured. What is returned ends it. */
function watched({ config, archives, federation, links, priors: finder, prefetcher }: Watched): () => void {
  const { worklist } = config.prefetch ?? {}
  if (!prefetcher || !worklist) return () => undefined
  const around = (archive: Archive): Surroundings =>
    federation?.archives.includes(archive) ? ofFederation(federation, links) : ofArchive(archive)
  return watchWorklists({ archives, finder, prefetcher, around, ...worklist })
}

/** @throws ConfigError where its file cannot be written, TlsFileError */
async function auditOf({ audit, dimse }: Config): Promise<Audit> {
  try {
    return await openAudit(audit, { aeTitle: dimse.aeTitle, readTls: readSyslogTls, alerts: new SparedLines() })
  } catch (cause) {
    if (!(cause instanceof AuditFileError)) throw cause
    throw new ConfigError([{ path: 'audit.file', message: cause.message }], { cause })
  }
}

/** @throws ConfigError where it cannot listen */
async function begun(cluster: Cluster): Promise<void> {
  try {
    await cluster.begin()
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'no reason is told'
    throw new ConfigError([{ path: 'cluster.listen', message: `cannot be listened on (${code})` }], { cause })
  }
}

/** @throws ConfigError where the folder of the spool cannot be used, TlsFileError */
async function routingOf(...args: Parameters<typeof openRouting>): Promise<Routing> {
  try {
    return await openRouting(...args)
  } catch (cause) {
    if (!(cause instanceof SpoolFolderError)) throw cause
    throw new ConfigError([{ path: 'spool.dir', message: cause.reason }], { cause })
  }
}

/** @throws ConfigError where its folder cannot be used */
async function diskOf({ disk, ttl }: Config['cache']): Promise<DiskTier | undefined> {
  if (disk === null) return undefined
  try {
    return await DiskTier.open(disk, ttl)
  } catch (cause) {
    if (!(cause instanceof DiskFolderError)) throw cause
    const message = `${cause.reason}; expected a folder that is there and can be written`
    throw new ConfigError([{ path: 'cache.disk.dir', message }], { cause })
  }
}

/** What the doctor finds at an archive that is being served. */
async function examined(
  archive: Archive,
  { config, destination, signal }: { config: Config; destination: MoveDestination; signal: AbortSignal },
): Promise<Examination> {
  const { examine } = await import('./doctor/examine.ts')
  const service = { reserve: (call: Call) => archive.reserve(call), destination }
  const examinedAt = new Date().toISOString()
  const report = await examine({ config: archive.config, dimse: config.dimse, signal, service })
  const { name: _, aeTitle: __, findings, ...rest } = report
  return { examinedAt, ...rest, findings: findings as Examination['findings'] }
}

/** What our DICOM listener and TLS refuse is an alert. What is returned ends it. */
function auditRefusals(audit: Audit): () => void {
  const noteConnection = (message: unknown): void => {
    const { address } = message as RefusedConnectionEvent
    audit.alert({ reason: 'tls-failed', address, resource: 'http' }, address && networkOf(address))
  }
  const note = (message: unknown): void => {
    const { reason, address, callingAeTitle } = message as RefusedStoreEvent
    const user = callingAeTitle === undefined ? undefined : { kind: 'dicom', name: callingAeTitle }
    audit.alert({ reason, address, user, resource: 'dimse' }, address && networkOf(address))
  }
  if (audit.isOff) return () => undefined
  subscribe('dimsegate:refused-store', note)
  subscribe('dimsegate:refused-connection', noteConnection)
  return () => {
    unsubscribe('dimsegate:refused-store', note)
    unsubscribe('dimsegate:refused-connection', noteConnection)
  }
}
