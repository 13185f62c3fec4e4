import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream, existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { pipeline } from 'node:stream/promises'

/** The published build of the OHIF viewer, version and digest as `npm view @ohif/app dist.integrity` tells them. */
export const VIEWER_VERSION = '3.13.2'
const PACKAGE = '@ohif/app'
const INTEGRITY = 'sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=='
const SIZES = '50 MB to fetch, 170 MB on disk'

/** Where the viewer is on the server; what is unpacked is rewritten for it. */
export const VIEWER_PATH = '/viewer'

/** Milliseconds between signs of life while npm is fetching: it tells nothing to a pipe. */
const STILL_HERE_MS = 10_000
/** One retry after 10 s; npm's default would leave a person without a network alone for over a minute. */
const FETCH_RETRIES = 1
/** How much of what a program said is kept. */
const MAX_OUTPUT = 16_384

export type ViewerErrorCode =
  'CACHE_NOT_WRITABLE' | 'NPM_MISSING' | 'NOT_FETCHED' | 'WRONG_DIGEST' | 'TAR_MISSING' | 'NOT_UNPACKED'

/** The viewer cannot be had. The message says what to do about it. */
export class ViewerError extends Error {
  override readonly name = 'ViewerError'
  readonly code: ViewerErrorCode

  constructor(code: ViewerErrorCode, message: string, options?: ErrorOptions) {
    super(`${message}\nWithout --viewer the demo needs none of this.`, options)
    this.code = code
  }
}

export interface FetchOptions {
  /** Told what is going on, a line at a time, when there is something to wait for. */
  readonly report: (text: string) => void
  readonly signal?: AbortSignal | undefined
  /** For XDG_CACHE_HOME, and for npm and tar. */
  readonly env?: NodeJS.ProcessEnv | undefined
}

/**
 * The folder with the viewer's files, made for VIEWER_PATH. The first time they come from the npm registry, into the
 * cache folder of the person; from then on no network is needed.
 * @throws {ViewerError}
 */
export async function viewerFolder({ report, signal, env = process.env }: FetchOptions): Promise<string> {
  const cache = join(cacheHome(env), 'dimsegate')
  // There is such a folder only when all of it is there. Its content depends on REWRITES too: another name if they change.
  const folder = join(cache, `ohif-${VIEWER_VERSION}`)
  if (existsSync(folder)) return folder
  const work = await workFolder(cache, folder)
  try {
    report(`Fetching the OHIF viewer ${VIEWER_VERSION} with npm, this once (${SIZES}).`)
    const file = await fetched(work, { report, signal, env })
    report('Unpacking it.')
    const unpacked = await unpack(file, work, { signal, env })
    await rewrite(unpacked)
    await moveTo(folder, unpacked)
    report(`It is kept in ${folder}`)
    return folder
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

/** XDG Base Directory Specification: a relative path is to be ignored. */
function cacheHome(env: NodeJS.ProcessEnv): string {
  const home = env['XDG_CACHE_HOME']
  return home !== undefined && isAbsolute(home) ? home : join(homedir(), '.cache')
}

/** In the cache itself: a rename does not cross file systems. */
async function workFolder(cache: string, folder: string): Promise<string> {
  try {
    await mkdir(cache, { recursive: true })
    return await mkdtemp(`${folder}-`)
  } catch (cause) {
    const message = `The viewer cannot be kept in ${cache}: ${textOf(cause)}. Let XDG_CACHE_HOME name a folder that can be written.`
    throw new ViewerError('CACHE_NOT_WRITABLE', message, { cause })
  }
}

type Run = Required<Pick<FetchOptions, 'env'>> & Pick<FetchOptions, 'signal'>

/** The package's archive, checked. */
async function fetched(work: string, { report, ...run }: FetchOptions & Run): Promise<string> {
  const started = performance.now()
  const timer = setInterval(() => {
    report(`Still fetching, ${Math.round((performance.now() - started) / 1000)} s so far. Ctrl-C stops it.`)
  }, STILL_HERE_MS)
  const args = ['pack', `${PACKAGE}@${VIEWER_VERSION}`, '--loglevel=error', `--fetch-retries=${FETCH_RETRIES}`]
  const { code, output } = await finished('npm', args, work, run)
    .catch((cause: unknown) => {
      if (!isMissing(cause)) throw cause
      const message = `npm fetches the viewer, and there is no npm on PATH. Install it (https://nodejs.org brings it) and start again.`
      throw new ViewerError('NPM_MISSING', message, { cause })
    })
    .finally(() => clearInterval(timer))
  const file = (await readdir(work)).find((name) => name.endsWith('.tgz'))
  if (code !== 0 || file === undefined) throw notFetched(code, output)
  const path = join(work, file)
  const digest = createHash('sha512')
  await pipeline(createReadStream(path), digest)
  const integrity = `sha512-${digest.digest('base64')}`
  if (integrity === INTEGRITY) return path
  throw new ViewerError(
    'WRONG_DIGEST',
    `What npm brought is not ${PACKAGE} ${VIEWER_VERSION} as it was published, and is not used:
  ${integrity} came,
  ${INTEGRITY} was expected.
Something on the way to the registry changes packages. "npm config get registry" says which one npm asks; try another, after "npm cache clean --force".`,
  )
}

/** The codes are npm's and Node's. */
function notFetched(exitCode: number | null, output: string): ViewerError {
  const code = /npm (?:error|ERR!) code (\w+)/.exec(output)?.[1]
  const advice =
    code === 'E404' || code === 'ETARGET'
      ? `The registry that npm asks ("npm config get registry") does not have this package. Name one that has it by npm_config_registry.`
      : `The first start with --viewer needs the network. Look whether this machine has one, and whether npm knows the proxy ("npm config get proxy"), then start again.`
  const said =
    output.trim() === '' ? ` npm ended with ${exitCode ?? 'a signal'}.` : ` npm said:\n\n${indented(output)}\n`
  return new ViewerError('NOT_FETCHED', `${PACKAGE} ${VIEWER_VERSION} could not be fetched.${said}\n${advice}`)
}

/** Unpacks what is served, without the source maps; returns the folder. */
async function unpack(file: string, work: string, run: Run): Promise<string> {
  const args = ['-x', '-z', '-f', file, '--exclude=*.map', 'package/dist', 'package/LICENSE']
  const { code, output } = await finished('tar', args, work, run).catch((cause: unknown) => {
    if (!isMissing(cause)) throw cause
    throw new ViewerError('TAR_MISSING', 'tar unpacks the viewer, and there is no tar on PATH. Install it.', { cause })
  })
  if (code !== 0) {
    const message = `The viewer could not be unpacked into ${work}. Is there room (${SIZES})? tar said:\n\n${indented(output)}\n`
    throw new ViewerError('NOT_UNPACKED', message)
  }
  const folder = join(work, 'package', 'dist')
  await rename(join(work, 'package', 'LICENSE'), join(folder, 'LICENSE'))
  return folder
}

/**
 * The build is for the root of a server: webpack has written its public path "/" into index.html, into the style sheet and
 * into each bundle with a runtime of its own (the application and its workers), and one library is imported by an absolute
 * path. No setting moves them, so that these places are rewritten, once; routerBasename moves the rest, the application's
 * routes. (Serving the files at the root too would need no rewriting, but hand some 250 paths beside the API to somebody
 * else's build.)
 */
const REWRITES: readonly { file: RegExp; from: RegExp; to: string }[] = [
  { file: /\.bundle\.\w+\.js$/, from: /(__webpack_require__\.p = ")\/(?=")/g, to: `$1${VIEWER_PATH}/` },
  { file: /^app\.bundle\.\w+\.js$/, from: /(browserImportFunction\(')(?=\/)/g, to: `$1${VIEWER_PATH}` },
  { file: /^index\.html$/, from: /((?:href|src|content|PUBLIC_URL)=")(?=\/)/g, to: `$1${VIEWER_PATH}` },
  { file: /\.css$/, from: /(url\()(?=\/)/g, to: `$1${VIEWER_PATH}` },
  { file: /^manifest\.json$/, from: /("src": ")(?=\/)/g, to: `$1${VIEWER_PATH}` },
]

async function rewrite(folder: string): Promise<void> {
  const names = await readdir(folder)
  for (const { file, from, to } of REWRITES) {
    let changed = 0
    for (const name of names.filter((candidate) => file.test(candidate))) {
      const before = await readFile(join(folder, name), 'utf8')
      const after = before.replaceAll(from, to)
      if (after === before) continue
      await writeFile(join(folder, name), after)
      changed++
    }
    // Only when VIEWER_VERSION has been changed: what is unpacked has the digest that is expected.
    if (changed === 0) throw new Error(`OHIF ${VIEWER_VERSION} is built in another way: ${file} have no ${from}`)
  }
}

/** Another process may have been quicker. */
async function moveTo(folder: string, unpacked: string): Promise<void> {
  try {
    await rename(unpacked, folder)
  } catch (error) {
    if (!existsSync(folder)) throw error
  }
}

/** Runs a program to its end. @throws when it cannot be started, or when aborted */
async function finished(
  program: string,
  args: readonly string[],
  cwd: string,
  { env, signal }: Run,
): Promise<{ code: number | null; output: string }> {
  // On Windows npm is a batch file, which only a shell starts.
  const shell = process.platform === 'win32'
  const child = spawn(program, args, { cwd, env, shell, stdio: ['ignore', 'pipe', 'pipe'], ...(signal && { signal }) })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-MAX_OUTPUT)
    })
  }
  const { promise, resolve, reject } = Promise.withResolvers<number | null>()
  child.once('error', reject)
  child.once('close', resolve)
  return { code: await promise, output }
}

function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT'
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Without stack traces, and what else npm moves in or leaves empty. */
function indented(output: string): string {
  const lines = output.split('\n').filter((line) => !/^(npm \S+)?(\s{2,}.*|\s*[{}]?)$/.test(line))
  return lines.map((line) => `  ${line}`).join('\n')
}
