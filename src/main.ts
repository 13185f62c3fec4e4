#!/usr/bin/env -S node --max-semi-space-size=4
import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { ConfigError, loadConfig, type Config } from './config/config.ts'
import type * as Configuration from './config/config.ts'
import type * as Demo from './demo/start.ts'
import type { Viewer } from './demo/viewer.ts'
import type * as SpoolCommand from './routing/spool/command.ts'
import type * as SpoolDesk from './routing/spool/desk.ts'
import { startGateway, type Gateway } from './gateway.ts'
import { ListenerError } from './pacs/delivery/listener-error.ts'
import { collectByVolume, setCollectorFlags } from './memory.ts'
import { isLoopback } from './network/loopback.ts'
import { KeyFileError } from './http/auth/key-file.ts'
import { TlsFileError } from './pacs/tls-files.ts'

/**
 * The oldest version of Node that this runs on, as package.json has it in `engines`. Before it, answers that wait behind
 * others were not told that their connection had gone: requests of clients that left went on, and were never noted.
 */
const OLDEST_NODE = { major: 24, minor: 17 } as const
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
// Here, since an older one has no more to say than that a flag is unknown.
if (major < OLDEST_NODE.major || (major === OLDEST_NODE.major && minor < OLDEST_NODE.minor)) {
  const wanted = `${OLDEST_NODE.major}.${OLDEST_NODE.minor}`
  process.stderr.write(`Dimsegate needs Node ${wanted} or later; this is Node ${process.versions.node}.\n`)
  process.exit(1)
}

setCollectorFlags()
collectByVolume()

const HELP = `Usage: dimsegate [serve] --config FILE   DICOMweb in front of the archives (PACS) that FILE names
       dimsegate demo [--port N] [--host ADDRESS] [--dicom PATH] [--viewer]
                                         DICOMweb in front of a small archive in this process, to look around
       dimsegate key                     Makes a key for a machine, and what the configuration holds of it
       dimsegate share --config FILE --study UID [--for 7d] [--archive NAME]
                                         Makes a link that lets whoever has it see one study
       dimsegate doctor --config FILE [--json] [--store-test]
                                         Tries each archive that FILE names, and says what to ask its administrator
       dimsegate route --config FILE [--device NAME] [--archive NAME] FILE...
                                         Says which routes DICOM files take and what is changed in them; sends nothing
       dimsegate spool --config FILE [list | retry ID... | drop ID...]
                                         What best-effort destinations have yet to get; all: what is given up

Options
  --config FILE  YAML file; DIMSEGATE_CONFIG names it too. Every key also by environment: DIMSEGATE_HTTP__PORT=8080
  --port N       demo: port of the web server (default 8080; 0 takes a free one)
  --host ADDRESS demo: address to listen on (default 127.0.0.1; 0.0.0.0 for every interface)
  --dicom PATH   demo: a folder of DICOM files to serve, or one file
  --viewer       demo: serves the OHIF viewer too, which npm fetches the first time
  --study UID    share: Study Instance UID
  --for TIME     share: how long the link is good (default 7d, at most auth.links.maxAge)
  --archive NAME share: the archive that has the study; the first unless told
                 route: the files come by STOW, to the root of this archive
  --device NAME  route: the files come from this device; the first unless told
  --json         doctor: one JSON document in place of text
  --store-test   doctor: also stores one small synthetic image in each archive; without it nothing is stored
  --version      Version
  --help         This text
`

const options = {
  config: { type: 'string' },
  port: { type: 'string' },
  host: { type: 'string' },
  dicom: { type: 'string' },
  viewer: { type: 'boolean' },
  study: { type: 'string' },
  for: { type: 'string' },
  archive: { type: 'string' },
  device: { type: 'string' },
  json: { type: 'boolean' },
  'store-test': { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'v' },
} as const

/** A command line that cannot be understood, for which the usage is shown. */
class UsageError extends Error {}

/** What was asked for cannot be done, for a reason the user can mend; the message says all. */
class StartError extends Error {}

async function main(argv: string[]): Promise<void> {
  const { values, positionals } = parse(argv)
  if (values.help) {
    print(HELP)
    return
  }
  if (values.version) {
    print(`${await version()}\n`)
    return
  }
  const [command = 'serve', ...extra] = positionals
  if (extra.length > 0 && !['route', 'spool'].includes(command))
    throw new UsageError(`Unexpected argument: ${extra.join(' ')}`)
  switch (command) {
    case 'serve':
      return serve(values.config)
    case 'demo':
      return demo(values)
    case 'key':
      return key()
    case 'share':
      return share(values)
    case 'doctor':
      return doctor(values.config, values.json === true, values['store-test'] === true)
    case 'spool':
      return spool(values.config, extra)
    case 'route':
      return route(values, extra)
    default:
      throw new UsageError(`Unknown command: ${command}`)
  }
}

function parse(argv: string[]): ReturnType<typeof parseArgs<{ options: typeof options; allowPositionals: true }>> {
  try {
    return parseArgs({ args: argv, options, allowPositionals: true })
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : 'The command line cannot be read')
  }
}

/** What the command line asks for, also where it cannot be understood as a whole. */
function commandOf(argv: string[]): string | undefined {
  return parseArgs({ args: argv, options, allowPositionals: true, strict: false }).positionals[0]
}

const OPEN =
  'auth is open: everybody who can reach this service may search, retrieve and store. Set auth to say who may.'

const IN_CLEAR =
  'Others reach this service by plain HTTP: tokens, keys and images can be read on the way. Set http.tls, or have a proxy in front that has a certificate, and http.publicUrl to its address.'

/** Nothing says that it is encrypted on its way. */
function isInClear({ http }: Config): boolean {
  return (
    !isLoopback(http.host) && http.tls === null && !http.trustProxy && http.publicUrl?.startsWith('https:') !== true
  )
}

async function serve(file: string | undefined): Promise<void> {
  const stop = stopSignal()
  const config = await loadConfig({ file, env: process.env })
  const gateway = await started(startGateway(config), (error) => portKey(error, config))
  const { log } = gateway.telemetry
  if (config.auth === 'open') log.warn(OPEN)
  if (isInClear(config)) log.warn(IN_CLEAR)
  for (const { name, aeTitle, host, port } of config.archives) {
    log.info({ name, aeTitle, host, port }, 'archive')
  }
  if (config.federation) log.info({ name: config.federation.name }, 'federation')
  // As daemons do it; what is wrong with a file is logged.
  process.on('SIGHUP', () => void gateway.renewTls().catch(() => undefined))
  log.info({ url: gateway.url, version: await version() }, 'listening')
  const { listen } = config.ops
  if (listen) log.info({ host: listen.host, port: gateway.opsPort }, 'listening for operators')
  await stop
  log.info('stopping')
  await gateway.stop()
}

async function key(): Promise<void> {
  const { newApiKey } = await import('./http/auth/api-keys.ts')
  const made = newApiKey()
  print(`${made.key}\n\nGive it to the machine that is to use it: it is shown this once. The configuration has\n\n`)
  print(`auth:\n  keys:\n    - name: NAME\n      hash: ${made.hash}\n      scopes: [search, retrieve]\n`)
}

async function share(values: ReturnType<typeof parse>['values']): Promise<void> {
  const config = await loadConfig({ file: values.config, env: process.env })
  const { shareLink, ShareError } = await import('./share.ts')
  try {
    print(await shareLink(config, { study: values.study, time: values.for, archive: values.archive }))
  } catch (error) {
    throw error instanceof ShareError ? new StartError(error.message) : error
  }
}

async function spool(file: string | undefined, args: readonly string[]): Promise<void> {
  const config = await loadConfig({ file, env: process.env })
  const [{ spoolCommand }, { SpoolCommandError }] = await spoolModules()
  try {
    await spoolCommand(config, args, print)
  } catch (error) {
    throw error instanceof SpoolCommandError ? new StartError(error.message) : error
  }
}

/** Ends the process: 0 where every file is taken by a route, 1 where one is not. */
async function route(values: ReturnType<typeof parse>['values'], files: readonly string[]): Promise<void> {
  const config = await loadConfig({ file: values.config, env: process.env })
  if (files.length === 0) throw new UsageError('route needs files: dimsegate route --config FILE image.dcm')
  if (config.routes.length === 0)
    throw new StartError('The configuration has no routes: write routes to say what goes where.')
  const { originOf, dryRun } = await import('./routing/dry-run.ts')
  const origin = originOf(config, values)
  if (typeof origin === 'string') throw new StartError(origin)
  if (!(await dryRun(config, { files, origin, print }))) process.exitCode = 1
}

async function demo(values: {
  host?: string | undefined
  port?: string | undefined
  dicom?: string | undefined
  viewer?: boolean | undefined
}): Promise<void> {
  const port = values.port === undefined ? 8080 : Number(values.port)
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new StartError('--port is a number from 0 to 65535.')
  const stop = stopSignal()
  const viewer = values.viewer === true ? await viewerFor(stop) : undefined
  const [{ startDemo }, { parseConfig }] = await demoModules()
  await using archive = await startDemo(values.dicom).catch((error: unknown) => {
    throw new StartError(`--dicom: ${error instanceof Error ? error.message : 'cannot be read'}`)
  })
  const config = parseConfig({
    http: { port, host: values.host ?? '127.0.0.1' },
    archives: [{ aeTitle: archive.aeTitle, host: '127.0.0.1', port: archive.port }],
    // It is there to be looked at.
    cache: { prefetch: 'study' },
    // Who names an address to listen on means others to reach it; what there is to see is made up.
    auth: values.host === undefined || isLoopback(values.host) ? null : 'open',
    log: { level: 'warn', format: 'pretty' },
  })
  const pages = viewer?.pages(config.http.basePath)
  const gateway = await started(startGateway(config, { pages }), () => '--port')
  print(archive.introduction(gateway.url, viewer))
  await stop
  print('\nStopping.\n')
  await gateway.stop()
}

function spoolModules(): Promise<[typeof SpoolCommand, typeof SpoolDesk]> {
  return Promise.all([import('./routing/spool/command.ts'), import('./routing/spool/desk.ts')])
}

// Not within a function that disposes of something: there TypeScript 5.9 does not rewrite the names of what is imported.
function demoModules(): Promise<[typeof Demo, typeof Configuration]> {
  return Promise.all([import('./demo/start.ts'), import('./config/config.ts')])
}

/** Ends the process: 0 without a problem, 1 with one; a faulty command line or configuration ends it with 2. */
async function doctor(file: string | undefined, json: boolean, storeTest: boolean): Promise<void> {
  const interrupted = new AbortController()
  void stopSignal().then(() => interrupted.abort())
  const config = await loadConfig({ file, env: process.env })
  const { runDoctor } = await import('./doctor/run.ts')
  // The line is written over each time, and cleared at last.
  const progress = (text: string | undefined): void => {
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text === undefined ? '' : `${text} ...`}`)
  }
  const { signal } = interrupted
  try {
    const isWell = await runDoctor(config, { json, storeTest, version: await version(), signal, print, progress })
    if (!isWell) process.exitCode = 1
  } catch (error) {
    if (!signal.aborted) throw error
    process.exitCode = INTERRUPTED
  }
}

/** What a shell gives for a process that was ended by Ctrl-C. */
const INTERRUPTED = 130

/** The viewer of the demo, which may have to be fetched. */
async function viewerFor(stop: Promise<void>): Promise<Viewer> {
  const { prepareViewer, ViewerError } = await import('./demo/viewer.ts')
  const interrupted = new AbortController()
  void stop.then(() => interrupted.abort())
  try {
    return await prepareViewer({ report: (text) => print(`${text}\n`), signal: interrupted.signal })
  } catch (error) {
    if (interrupted.signal.aborted) throw new StartError('Stopped before the viewer was there.')
    if (error instanceof ViewerError) throw new StartError(error.message)
    throw error
  }
}

/** What a start comes to; `choice` names what another port is chosen by. */
async function started(
  starting: Promise<Gateway>,
  choice: (error: NodeJS.ErrnoException & Partial<Address>) => string,
): Promise<Gateway> {
  try {
    return await starting
  } catch (error) {
    if (error instanceof TlsFileError || error instanceof KeyFileError) throw new StartError(`${error.message}.`)
    if (error instanceof ListenerError) {
      const code = (error.cause as NodeJS.ErrnoException | undefined)?.code ?? 'unknown reason'
      throw new StartError(`${error.message} (${code}). Choose another: dimse.port, or switch it off by dimse.enabled.`)
    }
    if (isFaultOfSystem(error) && error.code === 'EADDRINUSE') {
      const { port } = error as Partial<Address>
      throw new StartError(`Port ${port ?? 'asked for'} is in use. Choose another: ${choice(error)}.`)
    }
    throw error
  }
}

interface Address {
  readonly address: string
  readonly port: number
}

/** The key of the configuration that has the port which an error is of. */
function portKey({ address, port }: Partial<Address>, { http, ops }: Configuration.Config): string {
  const isOps = ops.listen?.port === port && (http.port !== port || http.host !== address)
  return isOps ? 'ops.listen' : 'http.port'
}

/** A terminal's Ctrl-C reaches npm and us, and npm passes it on: what comes so soon after the first is the same one. */
const REPEAT_MS = 1_000

/** Resolves at SIGINT or SIGTERM; one more, later, ends the process at once. */
function stopSignal(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<undefined>()
  let first: number | undefined
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      const now = performance.now()
      first ??= now
      if (now - first > REPEAT_MS) process.exit(1)
      resolve(undefined)
    })
  }
  return promise
}

async function version(): Promise<string> {
  const text = await readFile(new URL('../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

/** A file that cannot be read, an address that is not ours: no stack is needed to tell that. */
function isFaultOfSystem(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error && 'code' in error
}

function print(text: string): void {
  process.stdout.write(text)
}

// Who reads it has had enough: `| head`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit()
})

try {
  await main(process.argv.slice(2))
  process.exit()
} catch (error) {
  if (error instanceof UsageError) process.stderr.write(`${error.message}\n\n${HELP}`)
  else if (error instanceof ConfigError || error instanceof StartError) process.stderr.write(`${error.message}\n`)
  else if (isFaultOfSystem(error))
    process.stderr.write(`${error.message}. Check the address or file that the configuration names.\n`)
  else process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
  const isFaultOfUser = error instanceof UsageError || error instanceof ConfigError
  process.exit(isFaultOfUser && commandOf(process.argv.slice(2)) === 'doctor' ? 2 : 1)
}
