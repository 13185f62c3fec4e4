import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { contract, describedResponse, faults, type Operation } from '../support/contract.ts'
import { DemoArchive } from '../../src/demo/demo-archive.ts'
import { Attribute } from '../../src/dicom/attributes.ts'
import type { Faults } from '../../src/demo/faults.ts'
import type { Gateway } from '../../src/gateway.ts'
import { E, I, instanceFile, MR, S, seriesFiles } from '../support/dicom-files.ts'
import { startGatewayFor } from '../support/gateway.ts'
import { readParts } from '../support/multipart.ts'
import { hasPrefix } from '../support/part10.ts'
import { RawClient } from '../support/raw-http.ts'
import { related } from '../support/related.ts'
import { ScriptedArchive } from '../support/scripted-archive.ts'

// Every operation of openapi/dicomweb.yaml, and every status that it describes, against the running service.

/** How a status is brought about; or why no request can do so. */
type Probe = Run | { readonly unprovoked: string }
type Run = (service: Service) => Promise<Response>

const NOT_HERE = 'NO_DICOM'
const APPLICATION_DICOM = 'multipart/related; type="application/dicom"'

/** A gateway before archives of every kind. */
class Service implements AsyncDisposable {
  readonly #opened: AsyncDisposable[]
  readonly gateway: Gateway
  /** The default archive; other archives have their names in paths. */
  readonly archive: DemoArchive

  private constructor(gateway: Gateway, archive: DemoArchive, opened: AsyncDisposable[]) {
    this.gateway = gateway
    this.archive = archive
    this.#opened = opened
  }

  static async start(): Promise<Service> {
    const archive = await DemoArchive.start()
    for (const file of [...seriesFiles(3), instanceFile()]) await archive.put(file)
    const other = instanceFile({
      study: '1.2.9',
      series: '1.2.9.1',
      instance: '1.2.9.1.1',
      sopClass: MR,
      change: (dataset) =>
        dataset.set(Attribute.PatientName, 'Yamada^Tarou=山田^太郎=やまだ^たろう').set(Attribute.PatientSex, 'O'),
    })
    await archive.put(other)
    // Takes associations, and does nothing else.
    const bare = await DemoArchive.start({
      aeTitle: 'BARE',
      faults: { acceptsClass: (uid) => uid === '1.2.840.10008.1.1' },
    })
    const silent = await ScriptedArchive.start({ associate: () => 'silent' })
    const host = '127.0.0.1'
    const gateway = await startGatewayFor(
      [
        { aeTitle: 'DEMO', host, port: archive.port },
        { aeTitle: 'NARROW', host, port: archive.port, search: { maxParents: 1 } },
        { aeTitle: 'EMPTY', host, port: archive.port, search: { emptyStatus: 204 } },
        { aeTitle: 'BARE', host, port: bare.port },
        { aeTitle: 'DOWN', host, port: 1 },
        { aeTitle: 'SILENT', ...silent.address, timeouts: { associate: '150ms' } },
        { aeTitle: 'HASTY', host, port: archive.port, timeouts: { stall: '150ms' } },
      ],
      { maxBodyBytes: 100_000 },
      // Each probe has an archive that fails in its own way.
      { maxBytes: 0 },
    )
    return new Service(gateway, archive, [gateway, archive, bare, silent])
  }

  async get(path: string, options: { accept?: string; faults?: Faults } = {}): Promise<Response> {
    this.archive.faults = options.faults ?? {}
    const headers = options.accept === undefined ? {} : { accept: options.accept }
    return fetch(this.gateway.url + path, { headers })
  }

  async post(
    path: string,
    parts: readonly Buffer[],
    options: { type?: string; faults?: Faults } = {},
  ): Promise<Response> {
    this.archive.faults = options.faults ?? {}
    const { type, body } = related(parts)
    const headers = { 'Content-Type': options.type ?? type }
    return fetch(this.gateway.url + path, { method: 'POST', body: new Uint8Array(body), headers })
  }

  /** Of the service, not below the base path. */
  root(path: string): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.gateway.port}${path}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of this.#opened) await one[Symbol.asyncDispose]()
  }
}

const endless = 'the archive would have to answer with 100,000 matches before the first result is sent'

function searchProbes(path: string, query: string, broad: string | undefined): Record<number, Probe> {
  const ask =
    (root: string, more = '', options = {}) =>
    (service: Service) =>
      service.get(`${root}${path}${query}${more}`, options)
  const and = query === '' ? '?' : '&'
  return {
    200: ask('', `${and}includefield=all&fuzzymatching=true&limit=1`),
    204: ask('/aets/EMPTY', `${and}offset=100`),
    400: ask('', `${and}limit=many`),
    403: ask('', '', { faults: { findStatus: 0x0124 } }),
    404: ask(`/aets/${NOT_HERE}`),
    406: ask('', '', { accept: 'image/jpeg' }),
    413: broad === undefined ? { unprovoked: endless } : (service) => service.get(`/aets/NARROW${broad}`),
    501: ask('/aets/BARE'),
    502: ask('/aets/DOWN'),
    503: ask('', '', { faults: { findStatus: 0xa700 } }),
    504: ask('/aets/SILENT'),
  }
}

const nativeOnly = (uid: string): boolean => !uid.includes('.1.2.4.') && uid !== '1.2.840.10008.1.2.5'

function retrieveProbes(path: string, partial: boolean): Record<number, Probe> {
  const ask =
    (root: string, options = {}) =>
    (service: Service) =>
      service.get(root + path, options)
  return {
    200: ask('', { accept: APPLICATION_DICOM }),
    ...(partial && {
      206: ask('', { faults: { acceptsSyntax: nativeOnly, getFails: (uid: string) => uid === `${E}.2` } }),
    }),
    400: (service) => service.get(path.replace(S, '1..2')),
    403: ask('', { faults: { findStatus: 0x0124 } }),
    404: (service) => service.get(path.replace(S, '9.9')),
    406: ask('', { accept: 'image/jpeg' }),
    413: { unprovoked: 'there is no limit on what a retrieve returns' },
    501: ask('/aets/BARE'),
    502: ask('/aets/DOWN'),
    503: ask('', { faults: { acceptsSyntax: nativeOnly, getFails: () => true } }),
    504: ask('/aets/SILENT'),
  }
}

function storeProbes(path: string): Record<number, Probe> {
  const file = instanceFile({ instance: `${E}.3` })
  const send =
    (root: string, parts: Buffer[], options = {}) =>
    (service: Service) =>
      service.post(root + path, parts, options)
  const answered = (status: number): { faults: Faults } => ({ faults: { storeStatus: () => status } })
  return {
    200: send('', [file]),
    202: send('', [file, Buffer.from('garbage')]),
    400: send('', [file], { type: 'multipart/related; type="application/dicom"' }),
    403: send('', [file], answered(0x0124)),
    404: send(`/aets/${NOT_HERE}`, [file]),
    408: (service) => stalled(service, `/aets/HASTY${path}`),
    409: send('', [file], answered(0x0122)),
    413: send('', [instanceFile({ pixelBytes: 200_000 })]),
    415: send('', [file], { type: 'text/plain' }),
    502: send('/aets/DOWN', [file]),
    503: send('', [file], answered(0xa700)),
    504: send('/aets/SILENT', [file]),
  }
}

/** A store whose body stops in its middle. */
async function stalled(service: Service, path: string): Promise<Response> {
  const { type, body } = related([instanceFile()])
  await using client = await RawClient.connect(service.gateway.port)
  const head = `POST /dicomweb${path} HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n`
  await client.send(Buffer.concat([Buffer.from(head), body.subarray(0, 300)]))
  await client.closed()
  const [top = '', text = ''] = client.text.split('\r\n\r\n')
  const headers = top
    .split('\r\n')
    .slice(1)
    .map((line): [string, string] => [line.split(': ')[0]!, line.split(': ')[1]!])
  return new Response(text, { status: client.status!, headers })
}

const probes: Record<string, Record<number, Probe>> = {
  searchStudies: searchProbes('/studies', '', undefined),
  searchStudySeries: searchProbes(`/studies/${S}/series`, '', undefined),
  searchSeriesInstances: searchProbes(`/studies/${S}/series/${E}/instances`, '', undefined),
  searchStudyInstances: searchProbes(`/studies/${S}/instances`, '', `/studies/${S}/instances?PatientID=123`),
  searchAllSeries: searchProbes('/series', `?StudyInstanceUID=${S}`, '/series?PatientID=123'),
  searchAllInstances: searchProbes(
    '/instances',
    `?StudyInstanceUID=${S}&SeriesInstanceUID=${E}`,
    '/instances?PatientID=123',
  ),
  retrieveStudy: retrieveProbes(`/studies/${S}`, true),
  retrieveSeries: retrieveProbes(`/studies/${S}/series/${E}`, true),
  retrieveInstance: retrieveProbes(`/studies/${S}/series/${E}/instances/${I}`, false),
  storeInstances: storeProbes('/studies'),
  storeStudyInstances: storeProbes(`/studies/${S}`),
  live: { 200: (service) => service.root('/livez') },
  ready: { 200: (service) => service.root('/readyz'), 503: () => notReady() },
  metrics: { 200: (service) => service.root('/metrics') },
  openapi: { 200: (service) => service.root('/openapi.json') },
}

async function notReady(): Promise<Response> {
  await using gateway = await startGatewayFor([{ aeTitle: 'DOWN', host: '127.0.0.1', port: 1 }])
  const response = await fetch(`http://127.0.0.1:${gateway.port}/readyz`)
  const text = await response.text()
  return new Response(text, { status: response.status, headers: response.headers })
}

const operations = Object.entries(contract().paths).flatMap(([path, item]) =>
  Object.entries(item)
    .filter(([method]) => method !== 'parameters' && method !== 'servers')
    .map(([method, operation]) => ({ title: `${method.toUpperCase()} ${path}`, operation })),
)

/** What is wrong with a response by the contract; nothing when it keeps to it. */
async function violations(operation: Operation, response: Response): Promise<string[]> {
  const { status, headers } = response
  const body = Buffer.from(await response.arrayBuffer())
  const described = describedResponse(operation, status)
  if (!described) return [`${status} is not described`]
  const found: string[] = []
  for (const [name, { required, pointer }] of Object.entries(described.headers)) {
    const value = headers.get(name)
    if (value === null) {
      if (required) found.push(`${name} is missing`)
      continue
    }
    found.push(...faults(pointer, /^\d+$/.test(value) ? Number(value) : value).map((fault) => `${name}${fault}`))
  }
  const type = headers.get('content-type')
  if (described.content.size === 0) {
    if (type !== null || body.length > 0) found.push(`a body of ${type ?? 'no type'}, and none is described`)
    return found
  }
  const pointer = [...described.content].find(([name]) => isOfType(type ?? '', name))?.[1]
  if (pointer === undefined) return [...found, `${type ?? 'no Content-Type'} is not described`]
  return [...found, ...bodyFaults(type!, pointer, body)]
}

/** Whether a Content-Type is the media type described: its essence, and the parameters that the description has. */
function isOfType(type: string, described: string): boolean {
  const parts = (text: string): string[] =>
    text
      .toLowerCase()
      .split(';')
      .map((part) => part.trim())
  const [essence, ...parameters] = parts(described)
  return parts(type)[0] === essence && parameters.every((parameter) => parts(type).includes(parameter))
}

function bodyFaults(type: string, pointer: string, body: Buffer): string[] {
  if (type.startsWith('multipart/related')) {
    const parts = readParts(type, body)
    const syntax = /^application\/dicom; transfer-syntax=[0-9.]+$/
    const bad = parts.filter((part) => !hasPrefix(part.body) || !syntax.test(part.headers.get('content-type') ?? ''))
    return parts.length === 0 ? ['no part'] : bad.map(() => 'a part that is no DICOM file')
  }
  if (type === 'application/dicom') return hasPrefix(body) ? [] : ['not a DICOM file']
  const text = body.toString('utf8')
  return faults(pointer, type.includes('json') ? (JSON.parse(text) as unknown) : text)
}

describe('the contract', () => {
  let service: Service

  beforeAll(async () => {
    service = await Service.start()
  })

  afterEach(() => {
    service.archive.faults = {}
  })

  afterAll(async () => {
    await service[Symbol.asyncDispose]()
  })

  it('describes what is tested here, and nothing else', () => {
    expect(Object.keys(probes).sort()).toEqual(operations.map(({ operation }) => operation.operationId).sort())
  })

  describe.each(operations)('$title', ({ operation }) => {
    const tested = probes[operation.operationId] ?? {}

    it('has a test for each status that it describes', () => {
      expect(Object.keys(tested)).toEqual(Object.keys(operation.responses))
    })

    const provoked = Object.entries(tested).filter((one): one is [string, Run] => typeof one[1] === 'function')
    it.each(provoked)('keeps to it with %s', async (status, probe) => {
      const response = await probe(service)
      const { status: got } = response
      expect(await violations(operation, response)).toEqual([])
      expect(String(got)).toBe(status)
    })
  })

  it.each([
    [
      'an instance as a single file',
      'retrieveInstance',
      `/studies/${S}/series/${E}/instances/${I}`,
      'application/dicom',
    ],
    ['studies as plain JSON', 'searchStudies', '/studies', 'application/json'],
    ['studies of a named archive', 'searchStudies', '/aets/DEMO/studies', '*/*'],
    ['a study of a named archive', 'retrieveStudy', `/aets/DEMO/studies/${S}`, '*/*'],
    ['series with everything', 'searchStudySeries', '/studies/1.2.9/series?includefield=PatientName,PatientSex', '*/*'],
    ['a study as it is stored', 'retrieveStudy', `/studies/${S}`, `${APPLICATION_DICOM}; transfer-syntax=*`],
  ])('is kept to by %s', async (_, operationId, path, accept) => {
    const { operation } = operations.find((one) => one.operation.operationId === operationId)!
    const response = await service.get(path, { accept })
    expect(response.status).toBe(200)
    expect(await violations(operation, response)).toEqual([])
  })

  it.each([
    ['warnings', 202, { storeStatus: () => 0xb000 }, [instanceFile({ instance: `${E}.3` })]],
    ['another study', 409, {}, [instanceFile({ study: '1.2.9', series: '1.2.9.1', instance: '1.2.9.1.1' })]],
    ['nothing that is DICOM', 400, {}, [Buffer.from('garbage')]],
  ])('is kept to by the answer to a store of %s', async (_, status, faulty, parts) => {
    const { operation } = operations.find((one) => one.operation.operationId === 'storeStudyInstances')!
    const response = await service.post(`/studies/${S}`, parts, { faults: faulty })
    expect(response.status).toBe(status)
    expect(await violations(operation, response)).toEqual([])
  })

  it('is kept to by the examples in it', () => {
    let count = 0
    for (const { operation } of operations) {
      for (const status of Object.keys(operation.responses)) {
        for (const { schema, example } of describedResponse(operation, Number(status))!.examples) {
          expect(faults(schema, example), `${operation.operationId} ${status}`).toEqual([])
          count++
        }
      }
    }
    expect(count).toBeGreaterThan(10)
  })

  it('would be seen to be broken', async () => {
    const { operation } = operations.find((one) => one.operation.operationId === 'searchStudies')!
    const json = { 'Content-Type': 'application/dicom+json' }
    const broken: Response[] = [
      new Response('[{}]', { headers: json }),
      new Response('[{"00080020":{"vr":"DA","Value":[]}}]', { headers: json }),
      new Response('[]', { headers: { 'Content-Type': 'text/html' } }),
      new Response('[]', { headers: { ...json, Warning: '199 something' } }),
      new Response('{}', { status: 418, headers: json }),
      new Response('{"status":503}', { status: 503, headers: { 'Content-Type': 'application/problem+json' } }),
      new Response(null, { status: 204, headers: json }),
    ]
    for (const response of broken) expect(await violations(operation, response)).not.toEqual([])
  })
})
