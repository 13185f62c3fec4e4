import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer, Server as TlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TlsOptions } from 'node:tls'
import { getRequestListener } from '@hono/node-server'
import type { ListenerTls } from '../network/listener.ts'
import { settlesWithin } from '../network/settles-within.ts'
import { withFewAnswersWaiting } from './answers-waiting.ts'
import { createApp, type AppOptions } from './app.ts'
import { Connections } from './connections.ts'
import { createOpsApp } from './ops/ops-app.ts'
import { tellRefusals, tlsOptions } from './tls.ts'
import { readContract } from './contract.ts'
import { readErrorPage } from './ops/error-page.ts'
import { ReadinessCheck, type ReadinessOptions } from './ops/readiness.ts'

/** How long a client may take to send its headers, in ms. */
const HEADERS_TIMEOUT_MS = 30_000
/** Longer than the idle time of common load balancers, so that it is they who close. */
const KEEP_ALIVE_MS = 75_000
/** Long lists of UIDs travel in URLs. */
const MAX_HEADER_BYTES = 65_536
/** How long a stop waits for the ends of requests whose connections are closed, in ms: they come at once. */
const QUIET_MS = 2_000
/** What is read of a request's body ahead of its use: Node's own 64 KiB stop the socket at every read. */
const READ_AHEAD_BYTES = 262_144

export interface HttpServer extends AsyncDisposable {
  readonly port: number
  /** Where `ops.listen` is served; undefined where it is not set. */
  readonly opsPort: number | undefined
  /** Reads the files of http.tls anew; connections that stand stay. @throws TlsFileError, and keeps what it has */
  renewTls(): Promise<void>
  /** Takes no more connections, lets requests under way end within `grace` ms, then cuts what is left. */
  close(grace: number): Promise<void>
}

/** What is served. */
export type ServerOptions = Omit<AppOptions, 'readiness' | 'contract' | 'errorPage' | 'stop'> &
  Pick<ReadinessOptions, 'examine'>

/** Starts the web server in front of the archives. @throws TlsFileError; when the port is taken */
export async function startServer(options: ServerOptions): Promise<HttpServer> {
  const { config, archives, examine } = options
  const stop = new AbortController()
  const readiness = new ReadinessCheck({ archives, cache: config.http.readyCache, examine })
  const [contract, errorPage] = await Promise.all([readContract(), readErrorPage()])
  const app = createApp({ ...options, readiness, contract, errorPage, stop: stop.signal })
  const { tls } = config.http
  let secured = tls ? await tlsOptions(tls) : undefined
  const { server, connections } = serverOf(app, secured)
  await listening(server, config.http)
  const ops = config.ops.listen
    ? serverOf(createOpsApp(config, { readiness, metrics: options.metrics }), undefined).server
    : undefined
  try {
    if (ops) await listening(ops, config.ops.listen!)
  } catch (error) {
    server.close()
    throw error
  }
  const close = async (grace: number): Promise<void> => {
    readiness.stop()
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    connections.closeIdle()
    const timer = setTimeout(() => {
      stop.abort(new Error('The service is stopping'))
      server.closeAllConnections()
    }, grace)
    await closed
    clearTimeout(timer)
    // What requests leave behind, as events of the audit trail, comes with their ends.
    await settlesWithin(connections.quiet(), QUIET_MS)
    // Last, so that probes see to the end that it is stopping.
    ops?.close()
    ops?.closeAllConnections()
  }
  const renewTls = async (): Promise<void> => {
    if (!tls || !(server instanceof TlsServer)) return
    const renewed = await tlsOptions(tls)
    server.setSecureContext(renewed)
    // Who was let in by authorities that are trusted no more is to come again.
    if (String(renewed.ca) !== String(secured?.ca)) connections.closeIdle()
    secured = renewed
  }
  const opsPort = ops && portOf(ops)
  return { port: portOf(server), opsPort, renewTls, close, [Symbol.asyncDispose]: () => close(0) }
}

type Fetch = Parameters<typeof getRequestListener>[0]

interface Served {
  readonly server: Server
  readonly connections: Connections
}

function serverOf({ fetch }: { readonly fetch: unknown }, tls: (ListenerTls & TlsOptions) | undefined): Served {
  const options = {
    // A study may take as long to upload as its client's line needs: there is no limit on a whole request.
    requestTimeout: 0,
    headersTimeout: HEADERS_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    maxHeaderSize: MAX_HEADER_BYTES,
    highWaterMark: READ_AHEAD_BYTES,
  }
  // The globals stay Node's own: nothing of ours is to depend on who starts a server.
  const answer = getRequestListener(fetch as Fetch, { overrideGlobalObjects: false }) as RequestListener
  const listener = withFewAnswersWaiting(answer)
  const server = tls
    ? createTlsServer({ ...options, ...tls, handshakeTimeout: HEADERS_TIMEOUT_MS }, listener)
    : createServer(options, listener)
  if (server instanceof TlsServer) tellRefusals(server)
  return { server, connections: new Connections(server) }
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}

async function listening(
  server: Server,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<undefined>()
  server.once('error', reject)
  server.listen(port, host, () => resolve(undefined))
  await promise
  server.off('error', reject)
}
