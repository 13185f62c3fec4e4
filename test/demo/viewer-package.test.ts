import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { viewerFolder, VIEWER_VERSION, type ViewerError } from '../../src/demo/viewer-package.ts'
import { freePort } from '../support/ports.ts'

describe('the package of the viewer', () => {
  let home: string
  let said: string[]
  let server: Server | undefined

  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'dimsegate-viewer-'))
    said = []
  })

  afterEach(async () => {
    server?.close()
    server?.closeAllConnections()
    server = undefined
    await rm(home, { recursive: true, force: true })
  })

  const fetchWith = (env: NodeJS.ProcessEnv, signal?: AbortSignal): Promise<string> =>
    viewerFolder({ report: (text) => said.push(text), signal, env: { ...process.env, XDG_CACHE_HOME: home, ...env } })

  const failure = async (env: NodeJS.ProcessEnv): Promise<ViewerError> =>
    fetchWith(env).then(
      () => expect.unreachable(),
      (error: unknown) => error as ViewerError,
    )

  /** npm with a registry on this machine, in a hurry, with a cache of its own. */
  const askingAt = (port: number): NodeJS.ProcessEnv => ({
    npm_config_registry: `http://127.0.0.1:${port}/`,
    npm_config_fetch_retry_mintimeout: '1',
    npm_config_cache: join(home, 'npm'),
  })

  const leftovers = async (): Promise<string[]> => readdir(join(home, 'dimsegate'))

  const listen = async (answer: Parameters<typeof createServer>[1]): Promise<number> => {
    server = createServer(answer as never)
    await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve))
    return (server.address() as AddressInfo).port
  }

  it('is not fetched when it has been before', async () => {
    const folder = join(home, 'dimsegate', `ohif-${VIEWER_VERSION}`)
    await mkdir(folder, { recursive: true })
    expect(await fetchWith({ PATH: '' })).toBe(folder)
    expect(said).toEqual([])
  })

  it('says so when there is no npm', async () => {
    const error = await failure({ PATH: '' })
    expect(error).toMatchObject({ name: 'ViewerError', code: 'NPM_MISSING' })
    expect(error.message).toContain('no npm on PATH. Install it')
    expect(await leftovers()).toEqual([])
  })

  it('says so when the registry cannot be reached, with what npm said', async () => {
    const error = await failure(askingAt(await freePort()))
    expect(error).toMatchObject({ name: 'ViewerError', code: 'NOT_FETCHED' })
    expect(error.message).toContain('ECONNREFUSED')
    expect(error.message).toContain('needs the network')
    expect(said[0]).toMatch(/^Fetching the OHIF viewer .* with npm, this once \(\d+ MB/)
    expect(await leftovers()).toEqual([])
  })

  it('says so when the registry does not have it', async () => {
    const error = await failure(askingAt(await listen((_, response) => response.writeHead(404).end('{}'))))
    expect(error).toMatchObject({ name: 'ViewerError', code: 'NOT_FETCHED' })
    expect(error.message).toContain('npm_config_registry')
  })

  it('is not taken when its digest is another', async () => {
    await mkdir(join(home, 'package'))
    await writeFile(
      join(home, 'package', 'package.json'),
      JSON.stringify({ name: '@ohif/app', version: VIEWER_VERSION }),
    )
    await promisify(execFile)('tar', ['-czf', 'other.tgz', 'package'], { cwd: home })
    const archive = await readFile(join(home, 'other.tgz'))
    const integrity = `sha512-${createHash('sha512').update(archive).digest('base64')}`
    const port = await listen(({ url }, response) => {
      const tarball = `http://127.0.0.1:${port}/other.tgz`
      const version = { name: '@ohif/app', version: VIEWER_VERSION, dist: { tarball, integrity } }
      const document = { name: '@ohif/app', 'dist-tags': {}, versions: { [VIEWER_VERSION]: version } }
      response.end(url === '/other.tgz' ? archive : JSON.stringify(document))
    })
    const error = await failure(askingAt(port))
    expect(error).toMatchObject({ name: 'ViewerError', code: 'WRONG_DIGEST' })
    expect(error.message).toContain(integrity)
    expect(error.message).toContain('npm config get registry')
    expect(await leftovers()).toEqual([])
  })

  it('says so when it cannot be kept', async () => {
    await writeFile(join(home, 'file'), '')
    const error = await failure({ XDG_CACHE_HOME: join(home, 'file') })
    expect(error).toMatchObject({ name: 'ViewerError', code: 'CACHE_NOT_WRITABLE' })
    expect(error.message).toContain('XDG_CACHE_HOME')
  })

  it('is given up when the person wants to stop, and leaves nothing behind', async () => {
    const abort = new AbortController()
    const port = await listen(() => abort.abort())
    await expect(fetchWith(askingAt(port), abort.signal)).rejects.toThrow(/abort/)
    expect(await leftovers()).toEqual([])
  })
})
