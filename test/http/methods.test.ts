import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { instanceFile, S } from '../support/dicom-files.ts'
import { startSetup, type Setup } from '../support/gateway.ts'
import { RawClient } from '../support/raw-http.ts'

const paths: [string, string][] = [
  ['/studies', 'GET, POST'],
  [`/studies/${S}`, 'GET, POST'],
  [`/studies/${S}/series`, 'GET'],
  [`/studies/${S}/instances`, 'GET'],
  [`/studies/${S}/series/1.2`, 'GET'],
  [`/studies/${S}/series/1.2/instances`, 'GET'],
  [`/studies/${S}/series/1.2/instances/1.3`, 'GET'],
  ['/series', 'GET'],
  ['/instances', 'GET'],
]

describe('methods', () => {
  let setup: Setup

  beforeAll(async () => {
    setup = await startSetup({ files: [instanceFile()], archive: { relational: true } })
  })

  afterAll(async () => {
    await setup[Symbol.asyncDispose]()
  })

  it.each(paths)('%s takes %s, and answers others by 405 and what it takes', async (path, allow) => {
    const methods = ['PUT', 'DELETE', 'PATCH', 'OPTIONS', 'PROPFIND', ...(allow === 'GET' ? ['POST'] : [])]
    for (const root of ['', '/aets/DEMO']) {
      for (const method of methods) {
        const response = await fetch(setup.url + root + path, { method })
        expect(response.status, method).toBe(405)
        expect(response.headers.get('allow'), method).toBe(allow)
        expect(response.headers.get('content-type')).toBe('application/problem+json')
        expect(await response.json()).toMatchObject({ status: 405, code: 'METHOD_NOT_ALLOWED' })
      }
    }
  })

  it.each(paths)('HEAD %s asks the archive for nothing', async (path, allow) => {
    const before = setup.archive.retrievals
    const response = await fetch(setup.url + path, { method: 'HEAD' })
    expect(response.status).toBe(405)
    expect(response.headers.get('allow')).toBe(allow)
    expect(await response.text()).toBe('')
    expect(setup.archive.retrievals).toBe(before)
  })

  it('HEAD has no body behind it that could be taken for the next response', async () => {
    await using client = await RawClient.connect(setup.port)
    await client.request('HEAD', '/dicomweb/studies')
    await client.request('GET', '/livez', { Connection: 'close' })
    await client.closed()
    expect(client.text.match(/HTTP\/1\.1 /g)).toHaveLength(2)
    expect(client.text.split('\r\n\r\n')[1]).toMatch(/^HTTP\/1\.1 200/)
  })

  it.each(['/livez', '/readyz', '/metrics', '/openapi.json'])('HEAD %s is its head', async (path) => {
    const response = await fetch(setup.origin + path, { method: 'HEAD' })
    expect(response.status).toBe(200)
    expect(await response.text()).toBe('')
  })

  it.each([
    '/nothing',
    '/studies/',
    '/Studies',
    `/studies/${S}/`,
    `/studies/${S}/frames`,
    '/series/1.2',
    '/aets',
    '/aets/DEMO',
    '/aets/DEMO/nothing',
  ])('%s is not served: 404', async (path) => {
    const response = await fetch(setup.url + path)
    expect(response.status).toBe(404)
    expect(response.headers.get('content-type')).toBe('application/problem+json')
    expect(await response.json()).toMatchObject({ status: 404, code: 'NO_SUCH_RESOURCE' })
  })

  it.each(['/', '/studies', '/favicon.ico', '/dicom-web/studies'])(
    '%s is not below the base path: 404',
    async (path) => {
      const response = await fetch(setup.origin + path)
      expect(response.status).toBe(404)
      await response.arrayBuffer()
    },
  )

  it.each(paths)('an AE title that is not configured is a 404 of %s', async (path) => {
    for (const title of ['NOBODY', 'demo', 'DEMO%20', 'a%2Fb', 'x'.repeat(200)]) {
      const response = await fetch(`${setup.url}/aets/${title}${path}`)
      expect(response.status, title).toBe(404)
      expect(await response.json()).toMatchObject({ code: 'NO_SUCH_ARCHIVE' })
    }
  })

  it('an AE title may need escapes in its path, and links have them', async () => {
    await using other = await startSetup({
      files: [instanceFile()],
      archive: { aeTitle: 'A B/C' },
      pacs: { name: 'other' },
    })
    const response = await fetch(`${other.url}/aets/A%20B%2FC/studies`)
    expect(response.status).toBe(200)
    const [result] = (await response.json()) as Record<string, { Value: string[] }>[]
    expect(result!['00081190']!.Value).toEqual([`${other.url}/aets/A%20B%2FC/studies/${S}`])
    expect((await fetch(result!['00081190']!.Value[0]!)).status).toBe(200)
  })
})

it('serves URLs of 8 KiB and more (http.md 11)', async () => {
  await using setup = await startSetup({ files: [instanceFile()] })
  const uids = Array.from({ length: 800 }, (_, at) => `1.2.840.113619.2.${at}`).join(',')
  const response = await fetch(`${setup.url}/studies?StudyInstanceUID=${uids},${S}`)
  expect(response.status).toBe(200)
  expect(await response.json()).toHaveLength(1)
  const tooLong = await fetch(`${setup.url}/studies?PatientID=${'x'.repeat(100_000)}`)
  expect([414, 431]).toContain(tooLong.status)
  await tooLong.arrayBuffer()
})
