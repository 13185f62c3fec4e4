import type { Config } from './config.ts'
import { startServer, type HttpServer } from './http/server.ts'
import { Archive } from './pacs/archive.ts'
import { startTelemetry, type Telemetry } from './telemetry.ts'

/** The running service: web server, archives, telemetry. */
export interface Gateway extends AsyncDisposable {
  readonly port: number
  /** URL of the DICOMweb root, as seen from this machine. */
  readonly url: string
  readonly archives: readonly Archive[]
  readonly telemetry: Telemetry
  /** Ends in order: requests under way have `http.shutdownGrace`, then every association is released. */
  stop(): Promise<void>
}

/** Starts the service. @throws when a TLS file cannot be read or the port is taken */
export async function startGateway(config: Config): Promise<Gateway> {
  const archives = await Promise.all(config.archives.map((archive) => Archive.open(archive)))
  const telemetry = startTelemetry(config.log, () => archives)
  const server: HttpServer = await startServer(config, archives, () => telemetry.metrics())
  const stop = async (grace: number): Promise<void> => {
    await server.close(grace)
    await Promise.all(archives.map((archive) => archive[Symbol.asyncDispose]()))
  }
  const host = config.http.host.includes(':') ? `[${config.http.host}]` : config.http.host
  return {
    port: server.port,
    url: `http://${host === '0.0.0.0' ? '127.0.0.1' : host}:${server.port}${config.http.basePath}`,
    archives,
    telemetry,
    stop: () => stop(config.http.shutdownGrace),
    [Symbol.asyncDispose]: () => stop(0),
  }
}
