import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import { Attribute } from '../../src/dicom/attributes.ts'
import { once } from '../../src/dicom/bytes.ts'
import type { Instance } from '../../src/pacs/instance.ts'
import { WebStore } from '../../src/routing/web-store.ts'
import { configWith } from '../support/changed.ts'
import type { Bytes } from '../../src/dicom/bytes.ts'
import { encodeDataset } from '../../src/dicom/dataset-codec.ts'
import { part10Header } from '../../src/dicom/part10.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN, transferSyntax } from '../../src/dicom/transfer-syntax.ts'
import { deflate } from '../support/deflated.ts'
import { CT, instanceDataset, instanceFile, MR, Syntax } from '../support/dicom-files.ts'
import { startSetup } from '../support/gateway.ts'
import { failOnLeaks } from '../support/leaks.ts'
import { freePort } from '../support/ports.ts'
import { published } from '../support/published.ts'
import { heldBy, sendFiles, startRouting } from '../support/routing.ts'

failOnLeaks()
const deliveries = published('dimsegate:delivery')

/** A web server that answers each store request so. */
async function webServer(
  answer: (request: IncomingMessage, body: Buffer, response: ServerResponse) => void,
): Promise<AsyncDisposable & { readonly url: string }> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => answer(request, Buffer.concat(chunks), response))
    request.on('error', () => undefined)
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/dicomweb`,
    [Symbol.asyncDispose]: () =>
      new Promise((closed) => {
        server.closeAllConnections()
        server.close(() => closed())
      }),
  }
}

const cloud = (url: string, more: object = {}): object => ({ type: 'stow', name: 'cloud', url, ...more })
const toCloud = [{ name: 'all', to: ['cloud'] }]

describe('a STOW-RS server that a route leads to', () => {
  it('is sent the same bytes as an archive, and said who asks', async () => {
    await using hospital = await startSetup({ archive: { aeTitle: 'CLOUD' } })
    await using setup = await startRouting({
      archives: { near: {} },
      routes: [{ name: 'both', to: ['near', 'cloud'] }],
      destinations: [cloud(hospital.url)],
    })
    const files = [
      instanceFile({ instance: '1.1', pixelBytes: 3_000_000 }),
      instanceFile({ instance: '1.2', sopClass: MR }),
    ]
    expect(await sendFiles(setup.port, files)).toEqual([0, 0])
    expect(await heldBy(hospital.archive)).toEqual(await heldBy(setup.archives.near))
    expect(hospital.archive.catalog.files).toHaveLength(2)
  })

  it.each([
    ['200 without a word', 200, '', 0x0110],
    ['200 that names it', 200, { '00081199': { Value: [{ '00081155': { Value: ['1.1'] } }] } }, 0],
    ['200 that names another instance', 200, { '00081199': { Value: [{ '00081155': { Value: ['9.9'] } }] } }, 0x0110],
    [
      '200 that has a failure all the same',
      200,
      { '00081198': { Value: [{ '00081197': { Value: [0xa700] } }] } },
      0xa700,
    ],
    [
      '202 with a warning',
      202,
      { '00081199': { Value: [{ '00081155': { Value: ['1.1'] }, '00081196': { Value: [0xb000] } }] } },
      0xb000,
    ],
    ['202 that does not say why', 202, '', 0x0110],
    ['409 with its reason', 409, { '00081198': { Value: [{ '00081197': { Value: [0x0122] } }] } }, 0x0122],
    ['401', 401, '', 0xa700],
    ['404', 404, '', 0xa700],
    ['400', 400, '', 0xc000],
    ['415', 415, '', 0xc122],
    ['503', 503, '', 0xa700],
    ['a redirect', 302, '', 0xa700],
  ])('answers by %s, and the device is told', async (_, status, told, expected) => {
    const headers: (string | undefined)[] = []
    await using server = await webServer((request, __, response) => {
      headers.push(request.headers.authorization)
      const head = {
        'Content-Type': 'application/dicom+json',
        ...(status === 302 && { Location: 'http://127.0.0.1:1/' }),
      }
      response.writeHead(status, head).end(typeof told === 'string' ? told : JSON.stringify(told))
    })
    await using setup = await startRouting({
      archives: { near: {} },
      routes: toCloud,
      destinations: [cloud(server.url, { token: 'secret' })],
    })
    expect(await sendFiles(setup.port, [instanceFile({ instance: '1.1' })])).toEqual([expected])
    expect(headers).toEqual(['Bearer secret'])
  })

  it('is not there: the device is told to come again, at once where that is known', async () => {
    await using setup = await startRouting({
      archives: { near: {} },
      routes: toCloud,
      destinations: [cloud(`http://127.0.0.1:${await freePort()}`)],
    })
    expect(await sendFiles(setup.port, [instanceFile({ instance: '1.1' }), instanceFile({ instance: '1.2' })])).toEqual(
      [0xa700, 0xa700],
    )
    expect(deliveries.map(({ error }) => (error as { code: string }).code)).toEqual([
      'WEB_STORE_UNREACHABLE',
      'WEB_STORE_UNREACHABLE',
    ])
  })

  it('is silent: nothing is acknowledged', async () => {
    await using server = await webServer(() => undefined)
    await using setup = await startRouting({
      archives: { near: {} },
      routes: [{ name: 'both', to: ['near', 'cloud'] }],
      destinations: [cloud(server.url, { timeout: '300ms' })],
    })
    expect(await sendFiles(setup.port, [instanceFile({ instance: '1.1' })])).toEqual([0xa700])
  })

  it('that nobody waits for is sent to behind the answer, and its failure is told of', async () => {
    let answer: (() => void) | undefined
    await using server = await webServer((_, __, response) => (answer = () => void response.writeHead(503).end()))
    await using setup = await startRouting({
      archives: { near: {} },
      routes: [{ name: 'both', to: ['near', { name: 'cloud', delivery: 'best-effort' }] }],
      destinations: [cloud(server.url)],
    })
    expect(await sendFiles(setup.port, [instanceFile({ instance: '1.1', pixelBytes: 2_000_000 })])).toEqual([0])
    await expect.poll(() => answer).toBeDefined()
    answer!()
    await expect.poll(() => deliveries.length).toBe(2)
    expect(deliveries).toMatchObject([
      { destination: 'near', result: 'stored' },
      { destination: 'cloud', result: 'failed', isRequired: false },
    ])
  })
})

describe('a turn at a STOW-RS server', () => {
  it('is one for each instance, and given back when it is over, waited for or not', async () => {
    let under = 0
    await using server = await webServer((_, __, response) => {
      under++
      const told = { '00081199': { Value: [{ '00081155': { Value: ['1.1'] } }] } }
      const head = { 'Content-Type': 'application/dicom+json' }
      setTimeout(() => response.writeHead(200, head).end(JSON.stringify(told)), 50)
    })
    const { destinations } = configWith({
      destinations: [{ type: 'stow', name: 'cloud', url: server.url, maxRequests: 1 }],
    })
    const store = new WebStore(destinations[0] as Extract<(typeof destinations)[number], { type: 'stow' }>)
    const call = { signal: new AbortController().signal }
    const one = (): Instance =>
      ({
        sopClass: CT,
        sopInstance: '1.1',
        syntax: EXPLICIT_VR_LITTLE_ENDIAN,
        body: once(new Uint8Array(8)),
      }) as unknown as Instance
    const first = store.open(call)
    await first.reach(one())
    // It waits for the first, and is given up meanwhile; another is asked to store while it waits.
    const [left, waiting] = [store.open(call), store.open(call)]
    const reaching = left.reach(one()).catch((error: unknown) => error)
    await left[Symbol.asyncDispose]()
    await reaching
    void waiting.reach(one())
    const outcome = waiting.store(one())
    expect(await first.store(one())).toEqual({ kind: 'stored', status: 0 })
    await first[Symbol.asyncDispose]()
    expect(await outcome).toEqual({ kind: 'stored', status: 0 })
    await waiting[Symbol.asyncDispose]()
    const last = store.open(call)
    expect(await last.store(one())).toEqual({ kind: 'stored', status: 0 })
    await last[Symbol.asyncDispose]()
    expect(under).toBe(3)
  })
})

describe('what is stored by STOW-RS', () => {
  const store = async (
    url: string,
    files: readonly Bytes[],
  ): Promise<{ status: number; body: Record<string, { Value?: Record<string, { Value: unknown[] }>[] }> }> => {
    const form = new FormData()
    for (const [index, file] of files.entries()) form.append('file', new Blob([Buffer.from(file)]), `${index}.dcm`)
    const response = await fetch(`${url}/studies`, { method: 'POST', body: form })
    return { status: response.status, body: (await response.json()) as never }
  }

  it('goes where the routes lead; what none takes goes to the archive of the URL', async () => {
    await using setup = await startRouting({
      archives: { near: {}, far: {} },
      devices: [],
      routes: [
        {
          name: 'mr',
          when: { source: 'stow', archive: 'near', Modality: 'MR' },
          set: [{ set: { StudyID: 'Z' } }],
          to: ['far'],
        },
      ],
      others: { dimse: { enabled: false } },
    })
    const files = [
      instanceFile({ instance: '1.1', pixelBytes: 100_000 }),
      instanceFile({ instance: '1.2', sopClass: MR }),
    ]
    const { status, body } = await store(setup.gateway.url, files)
    expect(status).toBe(200)
    const items = body['00081199']!.Value!
    // It cannot be had here.
    expect(items.map((item) => item['00081190'] !== undefined)).toEqual([true, false])
    const { near, far } = setup.archives
    expect([...(await heldBy(near)).keys()]).toEqual(['1.1'])
    expect((await heldBy(far)).get('1.2')?.string(Attribute.StudyID)).toBe('Z')
  })

  it('may be deflated, whether a route takes it or not', async () => {
    await using setup = await startRouting({
      archives: { near: {}, far: {} },
      devices: [],
      routes: [{ name: 'far', when: { PatientID: '123' }, set: [{ set: { PatientID: '9' } }], to: ['far'] }],
      others: { dimse: { enabled: false } },
    })
    const deflatedFile = (instance: string, id: string): Bytes => {
      const dataset = instanceDataset({ instance, change: (one) => one.set(Attribute.PatientID, id) })
      const syntax = transferSyntax(Syntax.deflated)
      return Buffer.concat([
        part10Header(CT, instance, syntax),
        deflate(encodeDataset(dataset, EXPLICIT_VR_LITTLE_ENDIAN)),
      ])
    }
    expect((await store(setup.gateway.url, [deflatedFile('1.1', '123'), deflatedFile('1.2', '124')])).status).toBe(200)
    expect((await heldBy(setup.archives.far)).get('1.1')?.string(Attribute.PatientID)).toBe('9')
    expect([...(await heldBy(setup.archives.near)).keys()]).toEqual(['1.2'])
  })

  it('is told the worst of the destinations that are required', async () => {
    await using setup = await startRouting({
      archives: { near: {}, full: { faults: { storeStatus: () => 0xa700 } } },
      devices: [],
      routes: [{ name: 'all', to: ['near', 'full'] }],
      others: { dimse: { enabled: false } },
    })
    const { body } = await store(setup.gateway.url, [instanceFile({ instance: '1.1' })])
    expect(body['00081198']!.Value![0]!['00081197']!.Value).toEqual([0xa700])
  })
})
