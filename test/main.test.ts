import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { dimsegate } from './support/command-line.ts'
import { freePort } from './support/ports.ts'
import { temporaryFolder } from './support/temporary-folder.ts'

/** What the usage begins with. */
const USAGE = 'Usage: dimsegate'

const archives = [{ aeTitle: 'PACS', host: '127.0.0.1', port: 104 }]
const STUDY = '1.2.840.1'

/** Runs a command with these settings in a file. */
async function withSettings(
  settings: object,
  args: readonly string[],
  interruptAfter?: RegExp,
): ReturnType<typeof dimsegate> {
  await using folder = await temporaryFolder()
  const file = join(folder.path, 'config.json')
  await writeFile(file, JSON.stringify({ archives, dimse: { enabled: false }, ...settings }))
  return await dimsegate([...args, '--config', file], interruptAfter && { interruptAfter })
}

/** A port that somebody listens on. */
async function takenPort(): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const close = () => new Promise<void>((resolve) => server.close(() => resolve()))
  return { port, [Symbol.asyncDispose]: close }
}

test.each([
  { args: ['--no-such-option'], message: "Unknown option '--no-such-option'" },
  { args: ['serv'], message: 'Unknown command: serv' },
  { args: ['serve', 'more'], message: 'Unexpected argument: more' },
])('a command line that is not understood is answered with the usage: $args', async ({ args, message }) => {
  const { code, stderr } = await dimsegate(args)
  expect(code).toBe(1)
  expect(stderr).toContain(message)
  expect(stderr).toContain(USAGE)
})

test('what cannot be done is told in a line, without the usage', async () => {
  const links = { auth: { links: { key: 'k'.repeat(44) } } }
  const ended = await Promise.all([
    withSettings({}, ['share', '--study', STUDY]),
    withSettings(links, ['share', '--study', 'x']),
    withSettings(links, ['share', '--study', STUDY, '--archive', 'OTHER']),
    dimsegate(['demo', '--port', 'many']),
  ])
  for (const { code, stdout, stderr } of ended) {
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(/^.+\.\n$/)
  }
  expect(ended.map(({ stderr }) => /auth\.links\.key|--[a-z]+/.exec(stderr)?.[0])).toEqual([
    'auth.links.key',
    '--study',
    '--archive',
    '--port',
  ])
})

test('a port in use is told of with the key that chooses another', async () => {
  await using taken = await takenPort()
  const { port } = taken
  const free = await freePort()
  const told = (key: string) => ({ code: 1, stderr: `Port ${port} is in use. Choose another: ${key}.\n` })
  const serve = (settings: object) => withSettings({ log: { level: 'silent' }, ...settings }, ['serve'])
  expect(await serve({ http: { port } })).toMatchObject(told('http.port'))
  const ops = { listen: `127.0.0.1:${port}` }
  expect(await serve({ http: { port: free }, ops })).toMatchObject(told('ops.listen'))
  expect(await serve({ http: { port }, ops: { listen: `127.0.0.1:${free}` } })).toMatchObject(told('http.port'))
  expect(await dimsegate(['demo', '--port', String(port)])).toMatchObject(told('--port'))
})

test('the log tells of ops.listen', async () => {
  const settings = { http: { port: 0 }, ops: { listen: '127.0.0.1:0' } }
  const { code, stdout } = await withSettings(settings, ['serve'], /listening for operators/)
  expect(code).toBe(0)
  const lines = stdout.trim().split('\n')
  const logged = lines.map((line) => JSON.parse(line) as { msg: string; host?: string; port?: number })
  const line = logged.find(({ msg }) => msg === 'listening for operators')
  expect(line).toMatchObject({ host: '127.0.0.1' })
  expect(line?.port).toBeGreaterThan(0)
})

test('an older Node is told of in a sentence', async () => {
  const { engines } = JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8')) as {
    engines: { node: string }
  }
  const oldest = /^>=(\d+\.\d+)$/.exec(engines.node)![1]!
  const [major = 0, minor = 0] = oldest.split('.').map(Number)
  const runUnder = (version: string) => {
    const pretend = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${version}' } })`
    return dimsegate(['--version'], {
      nodeOptions: ['--import', `data:text/javascript,${encodeURIComponent(pretend)}`],
    })
  }
  for (const older of [`${major - 1}.99.0`, `${major}.${minor - 1}.9`]) {
    const stderr = `Dimsegate needs Node ${oldest} or later; this is Node ${older}.\n`
    expect(await runUnder(older)).toEqual({ code: 1, stdout: '', stderr })
  }
  for (const good of [`${oldest}.0`, `${major + 1}.0.0`]) {
    expect(await runUnder(good)).toMatchObject({ code: 0, stderr: '' })
  }
})
