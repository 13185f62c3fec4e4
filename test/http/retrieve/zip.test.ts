import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { E, instanceFile, S, seriesFiles } from '../../support/dicom-files.ts'
import { startSetup, type Setup, type SetupOptions } from '../../support/gateway.ts'
import { readParts } from '../../support/multipart.ts'
import { RawClient } from '../../support/raw-http.ts'

const opened: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
})

async function started(options: SetupOptions): Promise<Setup> {
  const setup = await startSetup(options)
  opened.push(async () => setup[Symbol.asyncDispose]())
  return setup
}

const get = (setup: Setup, path: string, accept: string): Promise<Response> =>
  fetch(setup.url + path, { headers: { Accept: accept } })

const bytesOf = async (response: Response): Promise<Buffer> => Buffer.from(await response.arrayBuffer())

/** What unzip makes of an archive: each file, by its path. */
async function unzipped(archive: Buffer): Promise<Map<string, Buffer>> {
  const folder = await mkdtemp(join(tmpdir(), 'dimsegate-zip-'))
  opened.push(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'a.zip')
  await writeFile(file, archive)
  execFileSync('unzip', ['-q', file, '-d', folder], { stdio: 'pipe' })
  const names = execFileSync('unzip', ['-Z1', file]).toString().trim().split('\n')
  return new Map(await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name))] as const)))
}

const hasUnzip = ((): boolean => {
  try {
    execFileSync('unzip', ['-v'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()

describe.skipIf(!hasUnzip)('a ZIP of', () => {
  it.each([
    ['a study', `/studies/${S}`, 3],
    ['a series', `/studies/${S}/series/${E}`, 3],
    ['an instance', `/studies/${S}/series/${E}/instances/${E}.1`, 1],
  ])('%s has the files that its parts are', async (_, path, count) => {
    const setup = await started({ files: seriesFiles(3) })
    const related = await get(setup, path, 'multipart/related; type="application/dicom"; transfer-syntax=*')
    const parts = readParts(related.headers.get('content-type')!, await bytesOf(related)).map(({ body }) => body)
    const response = await get(setup, path, 'application/zip; transfer-syntax=*')
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/zip'])
    expect(response.headers.get('content-disposition')).toBe(`attachment; filename="${path.split('/').at(-1)!}.zip"`)
    const files = await unzipped(await bytesOf(response))
    expect(files.size).toBe(count)
    const digests = (all: Iterable<Buffer>): string[] => [...all].map((one) => one.toString('base64')).sort()
    expect(digests(files.values())).toEqual(digests(parts))
    for (const name of files.keys()) expect(name).toMatch(/^[\d.]+\/[\d.]+\/[\d.]+\.dcm$/)
  })

  it('a study is had by a link, and by no wildcard', async () => {
    const setup = await started({ files: seriesFiles(2) })
    const link = await fetch(`${setup.url}/studies/${S}?accept=application/zip`)
    expect((await unzipped(await bytesOf(link))).size).toBe(2)
    for (const accept of ['*/*', 'application/*']) {
      const { headers, body } = await get(setup, `/studies/${S}`, accept)
      await body?.cancel()
      expect(headers.get('content-type')).toMatch(/^multipart\/related/)
    }
    expect((await get(setup, `/studies/${S}`, 'application/zip; transfer-syntax=1.2.3')).status).toBe(406)
  })

  it('what UIDs of archives make of paths leads nowhere else', async () => {
    const odd = { study: 'a:b', series: '..', instance: '1.2~3' }
    const setup = await started({ files: [instanceFile(odd)] })
    const response = await get(setup, `/studies/${encodeURIComponent(odd.study)}`, 'application/zip; transfer-syntax=*')
    const names = response.status === 200 ? [...(await unzipped(await bytesOf(response))).keys()] : []
    expect(names).toEqual(['a_b/__/1.2_3.dcm'])
  })

  it('what the archive ends in the middle is cut, and no ZIP', async () => {
    const setup = await started({ files: seriesFiles(5), archive: { faults: { endAfterBytes: 300 } } })
    const client = await RawClient.connect(setup.port)
    opened.push(async () => client[Symbol.asyncDispose]())
    await client.request('GET', `/dicomweb/studies/${S}`, { Accept: 'application/zip', Connection: 'close' })
    await client.closed()
    expect(client.status === 200 && client.isWhole).toBe(false)
  })
})
