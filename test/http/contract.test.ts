import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { contract, describedResponse, faults, type Operation } from '../support/contract.ts'
import { DemoArchive } from '../../src/demo/demo-archive.ts'
import { Attribute } from '../../src/dicom/attributes.ts'
import type { Faults } from '../../src/demo/faults.ts'
import { parseConfig } from '../../src/config/config.ts'
import { startGateway, type Gateway } from '../../src/gateway.ts'
import { MAX_MODEL_BYTES } from '../../src/http/body/model-body.ts'
import { newApiKey } from '../../src/http/auth/api-keys.ts'
import { MAX_TOKEN } from '../../src/http/auth/authenticator.ts'
import { signLink } from '../../src/http/auth/links.ts'
import { CT, E, I, instanceFile, MR, S, seriesFiles, Syntax, type InstanceOptions } from '../support/dicom-files.ts'
import { eventually } from '../support/eventually.ts'
import { startGatewayFor } from '../support/gateway.ts'
import { readParts, type Part } from '../support/multipart.ts'
import { hasPrefix } from '../support/part10.ts'
import { RawClient } from '../support/raw-http.ts'
import { related } from '../support/related.ts'
import { scheduledStep } from '../support/scheduled-steps.ts'
import { ScriptedArchive } from '../support/scripted-archive.ts'
import { parseXml } from '../support/xml.ts'

// Every operation of openapi/dicomweb.yaml, and every status that it describes, against the running service.

/** How a status is brought about; or why no request can do so. */
type Probe = Run | { readonly unprovoked: string }
type Run = (service: Service) => Promise<Response>

const NOT_HERE = 'NO_DICOM'
const APPLICATION_DICOM = 'multipart/related; type="application/dicom"'
const DICOM_XML = 'multipart/related; type="application/dicom+xml"'
const AS_STORED = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
const OCTETS = 'application/octet-stream'
const JXL = 'image/jxl; transfer-syntax=*'

const SERIES = `/studies/${S}/series/${E}`
const INSTANCE = `${SERIES}/instances/${I}`

const PDF = '1.2.840.10008.5.1.4.1.1.104.1'
const DOCUMENT_BYTES = 11

/** A study of what is not plain images, each in a series of its own. */
const K = '1.2.10'
const codestream = (length: number): Buffer => Buffer.concat([Buffer.from('ff0a', 'hex'), Buffer.alloc(length - 2)])
/** A frame of 4x4 pixels of 16 bits: two segments, each a run of 16 zeros (PS3.5 Annex G). */
function rleOfZeros(): Buffer {
  const frame = Buffer.alloc(68)
  frame.writeUInt32LE(2, 0)
  frame.writeUInt32LE(64, 4)
  frame.writeUInt32LE(66, 8)
  frame.set([0xf1, 0, 0xf1, 0], 64)
  return frame
}
const kinds: Readonly<Record<string, InstanceOptions>> = {
  native: {},
  // What there is no decoder for.
  lossy: { syntax: Syntax.jpegXl, fragments: [Buffer.alloc(0), codestream(20)] },
  lossless: { syntax: Syntax.jpegXlLossless, fragments: [Buffer.alloc(0), codestream(20)] },
  // Two frames, the second of two fragments.
  frames: {
    syntax: Syntax.jpegXl,
    fragments: [Buffer.alloc(0), codestream(20), codestream(30), Buffer.alloc(10)],
    change: (dataset) => dataset.set(Attribute.NumberOfFrames, '2'),
  },
  // It would fail the study.
  corrupt: {
    study: '1.2.11',
    syntax: Syntax.jpegBaseline,
    fragments: [Buffer.alloc(0), codestream(20)],
    change: (dataset) => dataset.set(Attribute.NumberOfFrames, '2'),
  },
  // What there is a decoder for; and what it does not decode, which would fail the study.
  decodable: { syntax: Syntax.rle, fragments: [Buffer.alloc(0), rleOfZeros()] },
  damaged: { study: '1.2.11', syntax: Syntax.rle, fragments: [Buffer.alloc(0), rleOfZeros().subarray(0, 66)] },
  video: { syntax: '1.2.840.10008.1.2.4.102', fragments: [Buffer.alloc(0), Buffer.alloc(50), Buffer.alloc(50)] },
  bigEndian: { syntax: Syntax.bigEndian },
  document: {
    sopClass: PDF,
    change: (dataset) => {
      dataset
        .set(Attribute.MIMETypeOfEncapsulatedDocument, 'application/pdf')
        .set(Attribute.EncapsulatedDocumentLength, DOCUMENT_BYTES)
        .put(Attribute.EncapsulatedDocument, { vr: 'OB', value: Buffer.from('%PDF-1.7\n%%\0') })
        .delete(Attribute.PixelData)
    },
  },
}
const seriesOf = (kind: string): string => `${K}.${Object.keys(kinds).indexOf(kind) + 1}`
const pathOf = (kind: string): string =>
  `/studies/${kinds[kind]?.study ?? K}/series/${seriesOf(kind)}/instances/${seriesOf(kind)}.1`

/** A gateway before archives of every kind. */
class Service implements AsyncDisposable {
  readonly #opened: AsyncDisposable[]
  /** What goes with each request. */
  #more: Record<string, string> = {}
  readonly gateway: Gateway
  /** Lets in who has the key SEARCHER, to search. */
  readonly guarded: Gateway
  /** The default archive; other archives have their names in paths. */
  readonly archive: DemoArchive

  private constructor(
    { gateway, guarded }: Record<'gateway' | 'guarded', Gateway>,
    archive: DemoArchive,
    opened: AsyncDisposable[],
  ) {
    this.gateway = gateway
    this.guarded = guarded
    this.archive = archive
    this.#opened = opened
  }

  static async start(): Promise<Service> {
    const partner = await DemoArchive.start({ aeTitle: 'PARTNER' })
    const archive = await DemoArchive.start({
      worklist: [scheduledStep({ accession: 'A1' })],
      destinations: { PARTNER: { host: '127.0.0.1', port: partner.port } },
    })
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
    for (const [kind, options] of Object.entries(kinds)) {
      const series = seriesOf(kind)
      await archive.put(instanceFile({ study: K, series, instance: `${series}.1`, ...options }))
    }
    // Takes associations, and does nothing else.
    const bare = await DemoArchive.start({
      aeTitle: 'BARE',
      faults: { acceptsClass: (uid) => uid === '1.2.840.10008.1.1' },
    })
    // Archives that are there, and of no use: one that is not there would be asked three times only.
    const silence = async (): Promise<void> => Promise.resolve()
    const silent = await ScriptedArchive.start({ find: silence, get: silence, store: silence, other: silence })
    const refusing = await ScriptedArchive.start({ associate: () => [1, 1, 3] })
    const host = '127.0.0.1'
    const guarded = await startGateway(
      parseConfig({
        http: { port: 0 },
        dimse: { enabled: false },
        archives: [{ aeTitle: 'DEMO', host, port: archive.port }],
        auth: {
          keys: [{ name: 'searcher', hash: SEARCHER.hash, scopes: ['search'] }],
          links: { key: LINKS.key, viewer: 'https://viewer.example/viewer' },
        },
        log: { level: 'silent' },
      }),
    )
    const destinations = ['partner', 'unknown'].map((name) => ({ name, aeTitle: name.toUpperCase() }))
    const send = { destinations }
    const gateway = await startGatewayFor(
      [
        { aeTitle: 'DEMO', host, port: archive.port, send },
        { aeTitle: 'NARROW', host, port: archive.port, search: { maxParents: 1 } },
        { aeTitle: 'EMPTY', host, port: archive.port, search: { emptyStatus: 204 } },
        { aeTitle: 'BARE', host, port: bare.port, send },
        { aeTitle: 'REFUSING', ...refusing.address },
        { aeTitle: 'SILENT', ...silent.address, timeouts: { response: '150ms' } },
        { aeTitle: 'HASTY', host, port: archive.port, timeouts: { stall: '150ms' }, commitment: { wait: '150ms' } },
      ],
      { maxBodyBytes: 100_000 },
      // Each probe has an archive that fails in its own way.
      { maxBytes: 0 },
      { prefetch: { destination: 'PARTNER' } },
    )
    return new Service({ gateway, guarded }, archive, [gateway, guarded, archive, partner, bare, silent, refusing])
  }

  async get(
    path: string,
    options: { accept?: string; range?: string; faults?: Faults; method?: string } = {},
  ): Promise<Response> {
    const { faults = {}, method = 'GET', ...headers } = options
    this.archive.faults = faults
    return fetch(this.gateway.url + path, {
      method,
      headers: { ...headers, ...this.#more },
    })
  }

  /** What is answered to who holds the answer to the same request. */
  async getAgain(ask: Run): Promise<Response> {
    const first = await ask(this)
    await first.arrayBuffer()
    return this.#asked(ask, { 'If-None-Match': first.headers.get('etag') ?? '' })
  }

  /** What is answered to who does not wait for it. */
  async getLater(ask: Run): Promise<Response> {
    // What is kept for who comes back is kept for this one alone.
    const { aeTitle, port } = this.archive
    await using gateway = await startGatewayFor([{ aeTitle, host: '127.0.0.1', port }])
    const keeping = new Service({ gateway, guarded: this.guarded }, this.archive, [])
    const response = await keeping.#asked(ask, { Prefer: 'respond-async, wait=0' })
    // What goes on is over before something else is asked for.
    await eventually(() => expect(gateway.archives[0]!.stats.leased).toBe(0))
    const body = await response.arrayBuffer()
    return new Response(body, response)
  }

  async #asked(ask: Run, more: Record<string, string>): Promise<Response> {
    this.#more = more
    try {
      return await ask(this)
    } finally {
      this.#more = {}
    }
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

const SEARCHER = newApiKey()
const LINKS = { key: 'k'.repeat(32), maxAge: 60_000, viewer: null }

/** A request to a path of an operation, with headers that fetch does not let set. */
async function request(gateway: Gateway, { path, method }: Place, headers: OutgoingHttpHeaders): Promise<Response> {
  const values: Record<string, string> = {
    study: S,
    series: E,
    instance: I,
    frames: '1',
    path: '7FE00010',
    transaction: '2.25.9',
  }
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => values[name]!)
  const isService = ['/livez', '/readyz', '/metrics', '/openapi.json', '/errors', '/share'].includes(path)
  const url = `http://127.0.0.1:${gateway.port}${isService ? '' : '/dicomweb'}${filled}${path === '/readyz' ? '?verbose' : ''}`
  const sent = httpRequest(url, { method, headers, agent: false })
  sent.end()
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  const body = await buffer(response)
  const told = Object.entries(response.headers).map(([name, value]): [string, string] => [name, String(value)])
  return new Response(new Uint8Array(body), { status: response.statusCode!, headers: told })
}

interface Place {
  readonly path: string
  readonly method: string
}

/** What is the same of every operation that describes it. */
function commonProbes(place: Place): Record<number, Probe> {
  const authorization = `Bearer ${SEARCHER.key}`
  return {
    401: (service) => request(service.guarded, place, {}),
    ...(['/readyz', '/metrics'].includes(place.path) && {
      403: (service: Service) => request(service.guarded, place, { authorization }),
    }),
    421: (service) => request(service.gateway, place, { host: 'rebound.example' }),
  }
}

const JPEG_PARTS = 'multipart/related; type="image/jpeg"'

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
    502: ask('/aets/REFUSING'),
    503: ask('', `${and}PatientID=1`, { faults: { findStatus: 0xa700 } }),
    504: ask('/aets/SILENT'),
  }
}

const nativeOnly = (uid: string): boolean => !uid.includes('.1.2.4.') && uid !== '1.2.840.10008.1.2.5'

/** What a 206 of a resource is: some of its instances, or a range of its bytes. */
type Some = 'instances' | 'range'

function retrieveProbes(path: string, accept: string, some?: Some): Record<number, Probe> {
  const ask =
    (root: string, options = {}) =>
    (service: Service) =>
      service.get(root + path, options)
  const oneFails: Faults = { acceptsSyntax: nativeOnly, getFails: (uid: string) => uid === `${E}.2` }
  return {
    200: ask('', { accept }),
    ...(some === 'instances' && { 206: ask('', { accept, faults: oneFails }) }),
    ...(some === 'range' && { 206: ask('', { accept, range: 'bytes=2-5' }) }),
    400: (service) => service.get(path.replace(S, '1..2')),
    403: ask('', { faults: { findStatus: 0x0124 } }),
    404: (service) => service.get(path.replace(S, '9.9')),
    406: ask('', { accept: 'image/jpeg' }),
    ...(some === 'range' && { 416: ask('', { accept, range: 'bytes=32-' }) }),
    501: ask('/aets/BARE'),
    502: ask('/aets/REFUSING'),
    503: ask('', { faults: { acceptsSyntax: nativeOnly, getFails: () => true } }),
    504: ask('/aets/SILENT'),
  }
}

/** Of pictures: what is different from other retrieves. */
function renderedProbes(
  path: string,
  accept: string,
  kind: 'parts' | 'single' | 'thumbnail' | 'uri',
): Record<number, Probe> {
  const and = path.includes('?') ? '&' : '?'
  const ask =
    (root: string, more = '', options = {}) =>
    (service: Service) =>
      service.get(root + path + more, options)
  const oneFails: Faults = { acceptsSyntax: nativeOnly, getFails: (uid: string) => uid === `${E}.2` }
  const isSingle = kind !== 'parts'
  return {
    200: ask('', '', { accept }),
    206: isSingle ? ask('', '', { accept, range: 'bytes=2-5' }) : ask('', '', { accept, faults: oneFails }),
    400: kind === 'uri' ? ask('', '&rows=many', { accept }) : ask('', `${and}window=40,400`, { accept }),
    403: ask('', '', { accept, faults: { findStatus: 0x0124 } }),
    404: (service) => service.get(path.replaceAll(S, '9.9'), { accept }),
    406: ask('', '', { accept: 'image/tiff' }),
    ...(kind === 'single' && { 413: ask('', `${and}viewport=16384,16384`, { accept }) }),
    ...(kind === 'uri' && { 413: ask('', '&rows=16384&columns=16384', { accept }) }),
    ...(kind === 'parts' && { 413: ask('', `${and}viewport=16384,16384`, { accept: 'image/jpeg' }) }),
    416: ask('', '', { accept: isSingle ? accept : 'image/jpeg', range: 'bytes=99999999-' }),
    501: ask('/aets/BARE', '', { accept }),
    502: ask('/aets/REFUSING', '', { accept }),
    503: ask('', '', { accept, faults: { acceptsSyntax: nativeOnly, getFails: () => true } }),
    504: ask('/aets/SILENT', '', { accept }),
  }
}

const unlimited = { 413: { unprovoked: 'there is no limit on what a retrieve returns' } }

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
    501: ({ gateway }) =>
      fetch(`${gateway.url}/aets/BARE${path}?accession=A1`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/pdf' },
        body: '%PDF-',
      }),
    502: send('/aets/REFUSING', [file]),
    503: send('', [file], answered(0xa700)),
    504: send('/aets/SILENT', [file]),
  }
}

function capabilities({ gateway }: Service, path: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(gateway.url + path, { method: 'OPTIONS', headers })
}

function opened({ guarded }: Service, body: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`http://127.0.0.1:${guarded.port}/share`, { method: 'POST', body, headers })
}

let transactions = 0
/** Of a commitment request that nobody has made. */
const newTransaction = (): string => `/commitment-requests/2.25.${++transactions}`

function stepProbes(): Record<'writePerformedStep' | 'retrievePerformedStep', Record<number, Probe>> {
  const at = (uid: string): string => `/modality-performed-procedure-steps/${uid}`
  const step = { '00400252': { vr: 'CS', Value: ['IN PROGRESS'] }, '00400270': { vr: 'SQ', Value: [{}] } }
  const body = Buffer.from(JSON.stringify(step))
  const type = 'application/dicom+json'
  const write =
    (path: string, more: { readonly faults?: Faults; readonly type?: string; readonly body?: Buffer } = {}) =>
    ({ gateway, archive }: Service) => {
      archive.faults = more.faults ?? {}
      const headers = { 'Content-Type': more.type ?? type }
      return fetch(gateway.url + path, { method: 'POST', headers, body: new Uint8Array(more.body ?? body) })
    }
  const read =
    (path: string, options = {}) =>
    (service: Service) =>
      service.get(path, { accept: type, ...options })
  return {
    writePerformedStep: {
      // It is made first.
      200: async (service) => {
        await write(at('1.2'))(service)
        return write(`${at('1.2')}?update`)(service)
      },
      201: write(at('1.3')),
      400: write(at('1.4'), { body: Buffer.from('{}') }),
      403: write(at('1.4'), { faults: { normalizedStatus: 0x0124 } }),
      404: write(`${at('1.9')}?update`),
      408: (service) => stalled(service, `/aets/HASTY${at('1.4')}`, { type, body }, 10),
      409: write(at('1.3')),
      413: write(at('1.4'), { body: Buffer.alloc(MAX_MODEL_BYTES + 1, ' ') }),
      415: write(at('1.4'), { type: 'text/plain' }),
      501: write(`/aets/BARE${at('1.4')}`),
      502: write(`/aets/REFUSING${at('1.4')}`),
      503: write(at('1.4'), { faults: { normalizedStatus: 0x0213 } }),
      504: write(`/aets/SILENT${at('1.4')}`),
    },
    retrievePerformedStep: {
      200: read(at('1.3')),
      400: read(at('x')),
      403: read(at('1.3'), { faults: { normalizedStatus: 0x0124 } }),
      404: read(at('1.9')),
      406: read(at('1.3'), { accept: 'image/jpeg' }),
      501: read(`/aets/BARE${at('1.3')}`),
      502: read(`/aets/REFUSING${at('1.3')}`),
      503: read(at('1.3'), { faults: { normalizedStatus: 0x0213 } }),
      504: read(`/aets/SILENT${at('1.3')}`),
    },
  }
}

function commitmentProbes(): Record<'requestCommitment' | 'commitmentResult', Record<number, Probe>> {
  const JSON_MODEL = 'application/dicom+json'
  const reference = { '00081150': { vr: 'UI', Value: [CT] }, '00081155': { vr: 'UI', Value: [I] } }
  const body = Buffer.from(JSON.stringify({ '00081199': { vr: 'SQ', Value: [reference] } }))
  interface Asked {
    readonly root?: string
    readonly path?: string
    readonly type?: string
    readonly accept?: string
    readonly body?: Buffer
    readonly faults?: Faults
  }
  const ask =
    ({ root = '', path = newTransaction(), type = JSON_MODEL, accept = '*/*', faults = {}, ...more }: Asked = {}) =>
    ({ gateway, archive }: Service) => {
      archive.faults = faults
      const headers = { 'Content-Type': type, Accept: accept }
      const sent = new Uint8Array(more.body ?? body)
      return fetch(gateway.url + root + path, { method: 'POST', headers, body: sent })
    }
  const result =
    (path: string, accept: string, root = '') =>
    (service: Service) =>
      service.get(root + path, { accept })
  const [made, pending] = [newTransaction(), newTransaction()]
  return {
    requestCommitment: {
      200: ask({ path: made }),
      202: ask({ root: '/aets/HASTY', path: pending, faults: { onReport: () => 'none' } }),
      400: ask({ body: Buffer.from('{}') }),
      403: ask({ faults: { actionStatus: 0x0124 } }),
      404: ask({ root: `/aets/${NOT_HERE}` }),
      406: ask({ accept: 'image/jpeg' }),
      408: (service) => stalled(service, `/aets/HASTY${newTransaction()}`, { type: JSON_MODEL, body }, 10),
      409: ask({ path: made }),
      413: ask({ body: Buffer.alloc(MAX_MODEL_BYTES + 1, ' ') }),
      415: ask({ type: 'text/plain' }),
      501: ask({ root: '/aets/BARE' }),
      502: ask({ root: '/aets/REFUSING' }),
      503: ask({ faults: { actionStatus: 0x0213 } }),
      504: ask({ root: '/aets/SILENT' }),
    },
    commitmentResult: {
      200: result(made, 'application/dicom+xml'),
      202: result(pending, JSON_MODEL, '/aets/HASTY'),
      400: result('/commitment-requests/x', JSON_MODEL),
      403: ({ guarded }) =>
        fetch(guarded.url + made, { headers: { Accept: JSON_MODEL, Authorization: `Bearer ${SEARCHER.key}` } }),
      404: result(newTransaction(), JSON_MODEL),
      406: result(made, 'image/jpeg'),
      410: { unprovoked: 'it is kept for a day, and by configuration for less: test/http/commitment' },
    },
  }
}

const SEND_SETS = {
  sendStudies: { path: '/studies', query: `StudyInstanceUID=${S}` },
  sendSeries: { path: `/studies/${S}/series`, query: '' },
  sendStudyInstances: { path: `/studies/${S}/instances`, query: '' },
  sendSeriesInstances: { path: `${SERIES}/instances`, query: '' },
} as const
type Sending = keyof typeof SEND_SETS

function sendProbes(): Record<Sending | `${Sending}Result` | `${Sending}Cancel`, Record<number, Probe>> {
  const all = Object.keys(SEND_SETS).map((name) => Object.entries(sendProbesOf(name as Sending)))
  return Object.fromEntries(all.flat()) as ReturnType<typeof sendProbes>
}

function sendProbesOf(name: Sending): Record<string, Record<number, Probe>> {
  const { path, query } = SEND_SETS[name]
  interface Asked {
    readonly root?: string
    readonly uid?: string
    readonly query?: string
    readonly accept?: string
    readonly faults?: Faults
    readonly method?: string
  }
  const newUid = (): string => `2.25.${++transactions}`
  const to = (destination: string, of: string = query): string => `?destination=${destination}${of && `&${of}`}`
  const ask =
    ({ root = '', uid = newUid(), query = to('partner'), accept = 'application/dicom+json', ...more }: Asked = {}) =>
    ({ gateway, archive }: Service) => {
      archive.faults = more.faults ?? {}
      const url = `${gateway.url}${root}${path}/send-requests/${uid}${query}`
      return fetch(url, { method: more.method ?? 'POST', headers: { Accept: accept } })
    }
  const [made, pending] = [newUid(), newUid()]
  const isFirst = name === 'sendStudies'
  const elsewhere = { unprovoked: 'it takes seconds, and is the same handler as that of sendStudies' }
  const forbidden = (method: string) => (service: Service) =>
    fetch(`${service.guarded.url}${path}/send-requests/${made}${to('partner')}`, {
      method,
      headers: { Authorization: `Bearer ${SEARCHER.key}` },
    })
  const known = (method: string): Record<number, Probe> => ({
    200: ask({ uid: made, query: '', method, accept: 'application/dicom+xml' }),
    202: isFirst ? ask({ uid: pending, query: '', method }) : elsewhere,
    400: ask({ uid: 'x', query: '', method }),
    403: forbidden(method),
    404: ask({ query: '', method }),
    406: ask({ uid: made, query: '', method, accept: 'image/jpeg' }),
  })
  return {
    [name]: {
      200: ask({ uid: made }),
      202: isFirst ? ask({ uid: pending, faults: { onGet: () => new Promise(() => undefined) } }) : elsewhere,
      400: ask({ query: to('elsewhere') }),
      403: forbidden('POST'),
      404: ask({ root: `/aets/${NOT_HERE}` }),
      406: ask({ accept: 'image/jpeg' }),
      409: ask({ uid: made }),
      501: ask({ root: '/aets/BARE' }),
      502: ask({ query: to('unknown') }),
      503: ask({ faults: { moveStatus: 0xa702 } }),
    },
    [`${name}Result`]: known('GET'),
    [`${name}Cancel`]: known('DELETE'),
  }
}

/** A request whose body stops behind some bytes. */
function stalled(
  { gateway }: Service,
  path: string,
  { type, body } = related([instanceFile()]),
  at = 300,
): Promise<Response> {
  const head = `POST /dicomweb${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n`
  return stopped(gateway, Buffer.concat([Buffer.from(head), body.subarray(0, at)]))
}

/** What is answered to a request that does not go on. */
async function stopped({ port }: Gateway, sent: Buffer | string): Promise<Response> {
  await using client = await RawClient.connect(port)
  await client.send(sent)
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
  searchPriors: {
    ...searchProbes(`/studies/${S}/priors`, '', undefined),
    204: (service) => service.get(`/aets/EMPTY/studies/${S}/priors?limit=0`),
    503: (service) => service.get(`/studies/${S}/priors`, { faults: { findStatus: 0xa700 } }),
  },
  requestPrefetch: {
    202: (service) => service.get(`/prefetch?StudyInstanceUID=${S}`, { method: 'POST' }),
    400: (service) => service.get('/prefetch', { method: 'POST' }),
    403: (service) =>
      service.get(`/prefetch?StudyInstanceUID=${S}`, { method: 'POST', faults: { findStatus: 0x0124 } }),
    404: (service) => service.get('/prefetch?StudyInstanceUID=9.9.9', { method: 'POST' }),
    413: { unprovoked: endless },
    501: (service) => service.get(`/aets/BARE/prefetch?StudyInstanceUID=${S}`, { method: 'POST' }),
    502: (service) => service.get(`/aets/REFUSING/prefetch?StudyInstanceUID=${S}`, { method: 'POST' }),
    503: (service) =>
      service.get(`/prefetch?StudyInstanceUID=${S}`, { method: 'POST', faults: { findStatus: 0xa700 } }),
    504: (service) => service.get(`/aets/SILENT/prefetch?StudyInstanceUID=${S}`, { method: 'POST' }),
  },
  searchStudySeries: searchProbes(`/studies/${S}/series`, '', undefined),
  searchSeriesInstances: searchProbes(`/studies/${S}/series/${E}/instances`, '', undefined),
  searchStudyInstances: searchProbes(`/studies/${S}/instances`, '', `/studies/${S}/instances?PatientID=123`),
  searchAllSeries: searchProbes('/series', `?StudyInstanceUID=${S}`, '/series?PatientID=123&SeriesNumber=4711'),
  searchAllInstances: searchProbes(
    '/instances',
    `?StudyInstanceUID=${S}&SeriesInstanceUID=${E}`,
    '/instances?PatientID=123',
  ),
  retrieveStudy: { ...retrieveProbes(`/studies/${S}`, APPLICATION_DICOM, 'instances'), ...unlimited },
  retrieveSeries: { ...retrieveProbes(SERIES, APPLICATION_DICOM, 'instances'), ...unlimited },
  retrieveInstance: { ...retrieveProbes(INSTANCE, APPLICATION_DICOM), ...unlimited },
  retrieveStudyMetadata: retrieveProbes(`/studies/${S}/metadata`, 'application/dicom+json', 'instances'),
  retrieveSeriesMetadata: retrieveProbes(`${SERIES}/metadata`, DICOM_XML, 'instances'),
  retrieveInstanceMetadata: retrieveProbes(`${INSTANCE}/metadata`, 'application/json'),
  retrieveFrames: retrieveProbes(`${INSTANCE}/frames/1`, OCTETS, 'range'),
  retrieveStudyBulkData: retrieveProbes(`/studies/${S}/bulkdata`, AS_STORED, 'instances'),
  retrieveSeriesBulkData: retrieveProbes(`${SERIES}/bulkdata`, AS_STORED, 'instances'),
  retrieveInstanceBulkData: retrieveProbes(`${INSTANCE}/bulkdata`, AS_STORED),
  retrieveBulkDataElement: retrieveProbes(`${INSTANCE}/bulkdata/7FE00010`, OCTETS, 'range'),
  retrieveStudyPixelData: retrieveProbes(`/studies/${S}/pixeldata`, AS_STORED, 'instances'),
  retrieveSeriesPixelData: retrieveProbes(`${SERIES}/pixeldata`, AS_STORED, 'instances'),
  retrieveInstancePixelData: retrieveProbes(`${INSTANCE}/pixeldata`, OCTETS, 'range'),
  renderStudy: renderedProbes(`/studies/${S}/rendered`, JPEG_PARTS, 'parts'),
  renderSeries: renderedProbes(`${SERIES}/rendered`, JPEG_PARTS, 'parts'),
  renderInstance: renderedProbes(`${INSTANCE}/rendered`, 'image/jpeg', 'single'),
  renderFrames: renderedProbes(`${INSTANCE}/frames/1/rendered`, 'image/png', 'single'),
  thumbnailOfStudy: renderedProbes(`/studies/${S}/thumbnail`, 'image/jpeg', 'thumbnail'),
  thumbnailOfSeries: renderedProbes(`${SERIES}/thumbnail`, 'image/gif', 'thumbnail'),
  thumbnailOfInstance: renderedProbes(`${INSTANCE}/thumbnail`, 'image/png', 'thumbnail'),
  thumbnailOfFrames: renderedProbes(`${INSTANCE}/frames/1/thumbnail`, 'image/jpeg', 'thumbnail'),
  retrieveByUri: renderedProbes(
    `/wado?requestType=WADO&studyUID=${S}&seriesUID=${E}&objectUID=${I}`,
    'image/jpeg',
    'uri',
  ),
  storeInstances: storeProbes('/studies'),
  storeStudyInstances: storeProbes(`/studies/${S}`),
  searchWorklist: {
    ...searchProbes('/modality-scheduled-procedure-steps', '', undefined),
  },
  ...stepProbes(),
  ...commitmentProbes(),
  ...sendProbes(),
  capabilities: {
    200: (service) => capabilities(service, '/'),
    404: (service) => capabilities(service, `/aets/${NOT_HERE}/`),
    406: (service) => capabilities(service, '/', { Accept: 'image/png' }),
  },
  live: { 200: (service) => service.root('/livez') },
  ready: { 200: (service) => service.root('/readyz'), 503: () => notReady() },
  metrics: { 200: (service) => service.root('/metrics') },
  openapi: { 200: (service) => service.root('/openapi.json') },
  errors: { 200: (service) => service.root('/errors') },
  sharePage: {
    200: (service) => request(service.guarded, { path: '/share', method: 'get' }, {}),
    404: (service) => service.root('/share'),
  },
  openLink: {
    200: async (service) => opened(service, (await signLink({ study: S, archive: 'demo' }, 60_000, LINKS)).token),
    401: (service) => opened(service, 'x'),
    403: (service) => opened(service, 'x', { Origin: 'https://elsewhere.example' }),
    404: async (service) => opened(service, (await signLink({ study: S, archive: 'gone' }, 60_000, LINKS)).token),
    408: (service) => stopped(service.guarded, 'POST /share HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx'),
    413: (service) => opened(service, 'x'.repeat(MAX_TOKEN + 1)),
  },
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
    .map(([method, operation]) => ({ title: `${method.toUpperCase()} ${path}`, operation, place: { method, path } })),
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
  const isShown = /^(render|thumbnail|retrieveByUri)/.test(operation.operationId)
  return [...found, ...bodyFaults(type!, pointer, body, isShown)]
}

/** Whether a Content-Type is the media type described: its essence, and the parameters that the description has. */
function isOfType(type: string, described: string): boolean {
  if (described === '*/*') return type !== ''
  const parts = (text: string): string[] =>
    text
      .toLowerCase()
      .split(';')
      .map((part) => part.trim())
  const [essence, ...parameters] = parts(described)
  return parts(type)[0] === essence && parameters.every((parameter) => parts(type).includes(parameter))
}

function bodyFaults(type: string, pointer: string, body: Buffer, isShown: boolean): string[] {
  if (type.startsWith('multipart/related')) {
    const parts = readParts(type, body)
    if (type.includes('application/dicom+xml')) return parts.flatMap(xmlFaults)
    if (parts.length === 0) return ['no part']
    if (isShown) return parts.flatMap(pictureFaults)
    return parts.flatMap(type.includes('application/dicom') ? fileFaults : valueFaults)
  }
  if (type === 'application/dicom') return hasPrefix(body) ? [] : ['not a DICOM file']
  if (pointer.endsWith('json/schema')) return faults(pointer, JSON.parse(body.toString('utf8')))
  return [...(isShown ? [] : typeFaults(type)), ...faults(pointer, body.toString('utf8'))]
}

function fileFaults({ headers, body }: Part): string[] {
  const isTyped = /^application\/dicom; transfer-syntax=[0-9.]+$/.test(headers.get('content-type') ?? '')
  return isTyped && hasPrefix(body) ? [] : ['a part that is no DICOM file']
}

function xmlFaults({ headers, body }: Part): string[] {
  const isModel = parseXml(body.toString('utf8')).name === 'NativeDicomModel'
  return isModel && headers.get('content-type') === 'application/dicom+xml' ? [] : ['a part that is no DICOM XML']
}

/** A value or a frame in a part. */
function valueFaults({ headers, body }: Part): string[] {
  const location = headers.get('content-location') ?? ''
  return [
    ...typeFaults(headers.get('content-type') ?? ''),
    ...(headers.get('content-length') === String(body.length) ? [] : ['a part of another length than it says']),
    ...(/^http.*\/instances\/[0-9.]+\/(bulkdata\/[0-9A-F/]+|frames\/\d+)$/.test(location)
      ? []
      : [`a part at ${location || 'no place'}`]),
  ]
}

/** A picture in a part: it has no transfer syntax (PS3.18 8.7.4). */
function pictureFaults({ headers, body }: Part): string[] {
  const isTyped = /^image\/(jpeg|png|gif)$/.test(headers.get('content-type') ?? '')
  const isPlaced = /\/instances\/[0-9.]+(\/frames\/\d+)?\/rendered$/.test(headers.get('content-location') ?? '')
  return isTyped && isPlaced && body.length > 0 ? [] : ['a part that is no picture']
}

/** Pixel data tells its transfer syntax; documents have none. */
function typeFaults(type: string): string[] {
  const isPixels = /^(application\/octet-stream|image\/|video\/)/.test(type)
  return isPixels && !/; transfer-syntax=[0-9.]+$/.test(type) ? [`${type} without a transfer syntax`] : []
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

  describe.each(operations)('$title', ({ operation, place }) => {
    const described = Object.keys(operation.responses)
    const common = Object.entries(commonProbes(place)).filter(([status]) => described.includes(status))
    const own = probes[operation.operationId]!
    const whole = own[200]
    const ofRetrieval = (run: Run): Record<number, Probe> => ({
      ...('202' in operation.responses && !(202 in own) && { 202: (to: Service) => to.getLater(run) }),
      ...('304' in operation.responses && { 304: (to: Service) => to.getAgain(run) }),
    })
    const tested: Record<string, Probe> = {
      ...own,
      ...Object.fromEntries(common),
      ...(typeof whole === 'function' && ofRetrieval(whole)),
    }

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
    ['studies in XML', 'searchStudies', '/studies?includefield=all', DICOM_XML],
    ['series of a study in XML', 'searchStudySeries', `/studies/${S}/series`, DICOM_XML],
    ['instances of a series in XML', 'searchSeriesInstances', `${SERIES}/instances`, DICOM_XML],
    ['instances of a study in XML', 'searchStudyInstances', `/studies/${S}/instances`, DICOM_XML],
    ['all series in XML', 'searchAllSeries', `/series?StudyInstanceUID=${S}`, DICOM_XML],
    ['all instances in XML', 'searchAllInstances', `/instances?StudyInstanceUID=${S}`, DICOM_XML],
    ['no studies in XML', 'searchStudies', '/studies?PatientID=nobody', DICOM_XML],
    ['metadata of a named archive', 'retrieveStudyMetadata', `/aets/DEMO/studies/${S}/metadata`, '*/*'],
    ['metadata of all kinds', 'retrieveStudyMetadata', `/studies/${K}/metadata`, '*/*'],
    ['metadata of all kinds in XML', 'retrieveStudyMetadata', `/studies/${K}/metadata`, DICOM_XML],
    ['metadata of an instance in XML', 'retrieveInstanceMetadata', `${INSTANCE}/metadata`, 'application/dicom+xml'],
    ['a frame in a part', 'retrieveFrames', `${INSTANCE}/frames/1`, '*/*'],
    ['a frame of Big Endian', 'retrieveFrames', `${pathOf('bigEndian')}/frames/1`, OCTETS],
    ['compressed frames', 'retrieveFrames', `${pathOf('frames')}/frames/2,1`, '*/*'],
    ['compressed frames as bytes', 'retrieveFrames', `${pathOf('frames')}/frames/2%2C1`, AS_STORED],
    ['a compressed frame', 'retrieveFrames', `${pathOf('frames')}/frames/2`, JXL],
    ['a frame that is only there with loss', 'retrieveFrames', `${pathOf('lossy')}/frames/1`, 'image/jxl'],
    ['a frame that cannot be decompressed', 'retrieveFrames', `${pathOf('lossy')}/frames/1`, OCTETS],
    ['a frame that is decompressed', 'retrieveFrames', `${pathOf('decodable')}/frames/1`, OCTETS],
    ['a frame that is compressed', 'retrieveFrames', `${INSTANCE}/frames/1`, 'image/dicom-rle'],
    ['an instance that is decompressed', 'retrieveInstance', pathOf('decodable'), 'application/dicom'],
    [
      'an instance that is compressed',
      'retrieveInstance',
      INSTANCE,
      `${APPLICATION_DICOM}; transfer-syntax=${Syntax.rle}`,
    ],
    ['pixel data that is decompressed', 'retrieveInstancePixelData', `${pathOf('decodable')}/pixeldata`, OCTETS],
    ['bulk data of an image', 'retrieveInstanceBulkData', `${pathOf('native')}/bulkdata`, '*/*'],
    ['bulk data of a document', 'retrieveInstanceBulkData', `${pathOf('document')}/bulkdata`, '*/*'],
    ['bulk data of frames', 'retrieveSeriesBulkData', `/studies/${K}/series/${seriesOf('frames')}/bulkdata`, '*/*'],
    ['a value in a part', 'retrieveBulkDataElement', `${INSTANCE}/bulkdata/7FE00010`, '*/*'],
    ['a document', 'retrieveBulkDataElement', `${pathOf('document')}/bulkdata/00420011`, 'application/pdf'],
    ['a document as bytes', 'retrieveBulkDataElement', `${pathOf('document')}/bulkdata/00420011`, OCTETS],
    ['a value of compressed frames', 'retrieveBulkDataElement', `${pathOf('frames')}/bulkdata/7FE00010`, AS_STORED],
    ['pixel data of compressed frames', 'retrieveInstancePixelData', `${pathOf('frames')}/pixeldata`, '*/*'],
    ['pixel data of a compressed image', 'retrieveInstancePixelData', `${pathOf('lossless')}/pixeldata`, 'image/jxl'],
    ['a video', 'retrieveInstancePixelData', `${pathOf('video')}/pixeldata`, 'video/mp4'],
    ['a video in a part', 'retrieveInstancePixelData', `${pathOf('video')}/pixeldata`, '*/*'],
  ])('is kept to by %s', async (_, operationId, path, accept) => {
    const { operation } = operations.find((one) => one.operation.operationId === operationId)!
    const response = await service.get(path, { accept })
    expect(response.status).toBe(200)
    expect(await violations(operation, response)).toEqual([])
  })

  it.each([
    ['bytes of what nothing decompresses', 406, 'retrieveFrames', `${pathOf('lossless')}/frames/1`, OCTETS],
    ['a frame of a video', 406, 'retrieveFrames', `${pathOf('video')}/frames/1`, '*/*'],
    ['several frames without parts', 406, 'retrieveFrames', `${pathOf('frames')}/frames/1,2`, JXL],
    ['frames without parts', 406, 'retrieveInstancePixelData', `${pathOf('frames')}/pixeldata`, JXL],
    ['bulk data without parts', 406, 'retrieveInstanceBulkData', `${INSTANCE}/bulkdata`, OCTETS],
    ['another type of document', 406, 'retrieveBulkDataElement', `${pathOf('document')}/bulkdata/00420011`, 'text/xml'],
    [
      'images as they are not',
      406,
      'retrieveSeriesPixelData',
      `${SERIES}/pixeldata`,
      'multipart/related; type=image/jls; transfer-syntax=1.2.840.10008.1.2.4.81',
    ],
    [
      'a study of which no image can be made that',
      406,
      'retrieveStudyPixelData',
      `/studies/${K}/pixeldata`,
      'multipart/related; type=image/jls; transfer-syntax=1.2.840.10008.1.2.4.81',
    ],
    [
      'a study of which some images can be made that',
      206,
      'retrieveStudyPixelData',
      `/studies/${K}/pixeldata`,
      'multipart/related; type=image/dicom-rle',
    ],
    [
      'a study that is bytes in part',
      206,
      'retrieveStudyPixelData',
      `/studies/${K}/pixeldata`,
      `multipart/related; type="${OCTETS}"`,
    ],
    ['its bulk data', 206, 'retrieveStudyBulkData', `/studies/${K}/bulkdata`, `multipart/related; type="${OCTETS}"`],
  ])('is kept to where the client asks for %s', async (_, status, operationId, path, accept) => {
    const { operation } = operations.find((one) => one.operation.operationId === operationId)!
    const response = await service.get(path, { accept })
    expect(await violations(operation, response)).toEqual([])
    expect(response.status).toBe(status)
  })

  it.each([
    ['INVALID_FRAME_LIST', 400, 'retrieveFrames', `${INSTANCE}/frames/0`],
    ['INVALID_FRAME_LIST', 400, 'retrieveFrames', `${INSTANCE}/frames/1,1`],
    ['NO_SUCH_FRAME', 404, 'retrieveFrames', `${INSTANCE}/frames/1,2`],
    ['NO_PIXEL_DATA', 404, 'retrieveFrames', `${pathOf('document')}/frames/1`],
    ['NO_PIXEL_DATA', 404, 'retrieveInstancePixelData', `${pathOf('document')}/pixeldata`],
    ['NO_SUCH_BULK_DATA', 404, 'retrieveSeriesPixelData', `/studies/${K}/series/${seriesOf('document')}/pixeldata`],
    ['NO_SUCH_BULK_DATA', 404, 'retrieveBulkDataElement', `${INSTANCE}/bulkdata/00420011`],
    ['NO_SUCH_BULK_DATA', 404, 'retrieveBulkDataElement', `${INSTANCE}/bulkdata/pixels`],
    ['NO_SUCH_BULK_DATA', 404, 'retrieveBulkDataElement', `${INSTANCE}/bulkdata/00400275/0/00400009`],
    ['CORRUPT_FRAGMENTS', 502, 'retrieveFrames', `${pathOf('corrupt')}/frames/1`],
    ['CORRUPT_FRAGMENTS', 502, 'retrieveInstancePixelData', `${pathOf('corrupt')}/pixeldata`],
    ['CORRUPT_FRAGMENTS', 502, 'retrieveInstanceBulkData', `${pathOf('corrupt')}/bulkdata`],
    ['CORRUPT_CODESTREAM', 502, 'retrieveFrames', `${pathOf('damaged')}/frames/1`, OCTETS],
    ['CORRUPT_CODESTREAM', 502, 'retrieveInstancePixelData', `${pathOf('damaged')}/pixeldata`, OCTETS],
  ] as const)('is kept to by %s', async (code, status, operationId, path, accept?: string) => {
    const { operation } = operations.find((one) => one.operation.operationId === operationId)!
    const response = await service.get(path, accept === undefined ? {} : { accept })
    expect(await violations(operation, response.clone())).toEqual([])
    expect(response.status).toBe(status)
    expect(await response.json()).toMatchObject({ code, status })
  })

  it.each([
    ['the first bytes', 'bytes=0-3', 'bytes 0-3/32'],
    ['the last bytes', 'bytes=-4', 'bytes 28-31/32'],
    ['more bytes than there are', 'bytes=30-99', 'bytes 30-31/32'],
  ])('is kept to by %s of a frame', async (_, range, answered) => {
    const { operation } = operations.find((one) => one.operation.operationId === 'retrieveFrames')!
    const response = await service.get(`${INSTANCE}/frames/1`, { accept: OCTETS, range })
    expect(response.headers.get('content-range')).toBe(answered)
    expect(await violations(operation, response)).toEqual([])
    expect(response.status).toBe(206)
  })

  it.each([
    ['several ranges', OCTETS, 'bytes=0-3,8-11'],
    ['another unit', OCTETS, 'frames=1-2'],
    ['a range of a multipart body', '*/*', 'bytes=0-3'],
  ])('is kept to by the whole where the client asks for %s', async (_, accept, range) => {
    const { operation } = operations.find((one) => one.operation.operationId === 'retrieveInstancePixelData')!
    const response = await service.get(`${INSTANCE}/pixeldata`, { accept, range })
    expect(response.status).toBe(200)
    expect(response.headers.get('content-range')).toBeNull()
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

  it('would be seen to be broken by values and frames', async () => {
    const { operation } = operations.find((one) => one.operation.operationId === 'retrieveFrames')!
    const multipart = { 'Content-Type': `multipart/related; type="${OCTETS}"; boundary=b` }
    const type = `${OCTETS}; transfer-syntax=1.2`
    const at = 'http://x/instances/1.2/frames/1'
    const part = (...headers: string[]): string => `--b\r\n${headers.join('\r\n')}\r\n\r\nAB\r\n--b--\r\n`
    const whole = part(`Content-Type: ${type}`, 'Content-Length: 2', `Content-Location: ${at}`)
    expect(await violations(operation, new Response(whole, { headers: multipart }))).toEqual([])
    const broken: Response[] = [
      new Response('--b--\r\n', { headers: multipart }),
      new Response(part(`Content-Type: ${OCTETS}`, 'Content-Length: 2', `Content-Location: ${at}`), {
        headers: multipart,
      }),
      new Response(part(`Content-Type: ${type}`, 'Content-Length: 3', `Content-Location: ${at}`), {
        headers: multipart,
      }),
      new Response(part(`Content-Type: ${type}`, 'Content-Length: 2'), { headers: multipart }),
      new Response('AB', { headers: { 'Content-Type': OCTETS } }),
      new Response('AB', { status: 206, headers: { 'Content-Type': type } }),
      new Response('AB', { status: 206, headers: { 'Content-Type': type, 'Content-Range': 'bytes 0-1' } }),
      new Response('AB', { headers: { 'Content-Type': 'text/plain' } }),
    ]
    for (const response of broken) expect(await violations(operation, response)).not.toEqual([])
  })
})
