import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { DemoArchive } from '../../../src/demo/demo-archive.ts'
import { Attribute } from '../../../src/dicom/attributes.ts'
import type { Dataset } from '../../../src/dicom/dataset.ts'
import { newApiKey } from '../../../src/http/auth/api-keys.ts'
import { signLink } from '../../../src/http/auth/links.ts'
import { E, instanceFile, S, seriesFiles } from '../../support/dicom-files.ts'
import { eventually } from '../../support/eventually.ts'
import { startSetup, type Setup, type SetupOptions } from '../../support/gateway.ts'
import { keeper } from '../../support/kept.ts'
import { readParts } from '../../support/multipart.ts'

const JSON_TYPE = 'application/dicom+json'
const PARTS = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
const SERIES = `/studies/${S}/series/${E}`
const INSTANCE = `${SERIES}/instances/${E}.1`
const COUNT = 3

const kept = keeper()
let setup: Setup
let finds: string[]

/** Each C-FIND is noted by its level. */
const onFind = (identifier: Dataset): void => void finds.push(identifier.string(Attribute.QueryRetrieveLevel)!)

async function start(options: SetupOptions = {}): Promise<Setup> {
  finds = []
  return kept(await startSetup({ files: seriesFiles(COUNT), archive: { faults: { onFind } }, ...options }))
}

interface Asked {
  readonly status: number
  readonly tag: string
  readonly keeps: string
  readonly body: Buffer
  readonly headers: { get(name: string): string | null }
  /** What of the archive was asked for it. */
  readonly finds: readonly string[]
  readonly retrievals: number
}

async function ask(path: string, headers: Record<string, string> = {}, to: Setup = setup): Promise<Asked> {
  finds.length = 0
  const before = to.archive.retrievals
  const response = await fetch(to.url + path, { headers: { Accept: '*/*', ...headers } })
  const body = Buffer.from(await response.arrayBuffer())
  return {
    status: response.status,
    tag: response.headers.get('etag') ?? '',
    keeps: response.headers.get('cache-control') ?? '',
    body,
    headers: response.headers,
    finds: [...finds],
    retrievals: to.archive.retrievals - before,
  }
}

/** Asks again as a browser does that holds the first answer. */
async function again(path: string, headers: Record<string, string> = {}, to: Setup = setup): Promise<[Asked, Asked]> {
  const first = await ask(path, headers, to)
  expect(first.status).toBe(200)
  expect(first.tag).not.toBe('')
  return [first, await ask(path, { ...headers, 'If-None-Match': first.tag }, to)]
}

const MADE = [
  ['a frame in a part', `${INSTANCE}/frames/1`, PARTS],
  ['a frame', `${INSTANCE}/frames/1`, 'application/octet-stream'],
  ['frames of pixel data', `${INSTANCE}/pixeldata`, PARTS],
  ['a bulk value', `${INSTANCE}/bulkdata/7FE00010`, 'application/octet-stream'],
  ['a picture', `${INSTANCE}/rendered`, 'image/jpeg'],
  ['a picture of a frame', `${INSTANCE}/frames/1/rendered`, 'image/png'],
  ['a thumbnail', `${INSTANCE}/thumbnail`, 'image/jpeg'],
  ['a picture by WADO-URI', `/wado?requestType=WADO&studyUID=${S}&seriesUID=${E}&objectUID=${E}.1`, 'image/jpeg'],
] as const

const GIVEN = [
  ['metadata of a series', `${SERIES}/metadata`, JSON_TYPE],
  ['metadata of a study', `/studies/${S}/metadata`, JSON_TYPE],
  ['metadata of an instance', `${INSTANCE}/metadata`, JSON_TYPE],
  ['metadata as XML', `${SERIES}/metadata`, 'multipart/related; type="application/dicom+xml"'],
  ['files of a study', `/studies/${S}`, 'multipart/related; type="application/dicom"; transfer-syntax=*'],
  ['a file', INSTANCE, 'application/dicom'],
  ['pictures of a series', `${SERIES}/rendered`, 'multipart/related; type="image/jpeg"'],
] as const

describe('what a browser holds, asked for again', () => {
  describe('where the gateway holds the instances', () => {
    beforeEach(async () => {
      setup = await start()
    })

    it.each([...MADE, ...GIVEN])('is 304 without a question to the archive: %s', async (_, path, accept) => {
      const [, second] = await again(path, { Accept: accept })
      expect(second).toMatchObject({ status: 304, finds: [], retrievals: 0 })
      expect(second.body).toHaveLength(0)
    })

    it.each([
      ['a frame', `${INSTANCE}/frames/1`, PARTS, 'private, max-age=604800, immutable'],
      ['a bulk value', `${INSTANCE}/bulkdata/7FE00010`, '*/*', 'private, max-age=604800, immutable'],
      ['a picture', `${INSTANCE}/rendered`, 'image/jpeg', 'private, no-cache'],
      ['metadata', `${SERIES}/metadata`, JSON_TYPE, 'private, no-cache'],
      ['a search', `/studies/${S}/series`, JSON_TYPE, 'private, no-cache'],
      ['pixel data of a series', `${SERIES}/pixeldata`, PARTS, 'private, no-cache'],
      ['pixel data of a study', `/studies/${S}/pixeldata`, PARTS, 'private, no-cache'],
      ['bulk data of an instance', `${INSTANCE}/bulkdata`, PARTS, 'private, no-cache'],
    ])('is to be kept for as long as it cannot change: %s', async (_, path, accept, keeps) => {
      const [first, second] = await again(path, { Accept: accept })
      expect(first.keeps).toBe(keeps)
      expect(second).toMatchObject({ status: 304, keeps, tag: first.tag })
    })

    it('is given anew to who asks in another form, or holds another answer', async () => {
      const frame = await ask(`${INSTANCE}/frames/1`, { Accept: PARTS })
      const metadata = await ask(`${SERIES}/metadata`, { Accept: JSON_TYPE })
      const other = { 'If-None-Match': `${frame.tag}, ${metadata.tag}` }
      expect((await ask(`${INSTANCE}/frames/1`, { Accept: 'application/octet-stream', ...other })).status).toBe(200)
      expect((await ask(`${SERIES}/metadata`, { Accept: 'application/json', ...other })).status).toBe(200)
      expect((await ask(`/studies/${S}/metadata`, { Accept: JSON_TYPE, ...other })).status).toBe(200)
      expect((await ask(`${INSTANCE}/rendered?quality=50`, { Accept: 'image/jpeg', ...other })).status).toBe(200)
    })

    it('is 304 where something between has weakened its tag', async () => {
      const { tag } = await ask(`${SERIES}/metadata`, { Accept: JSON_TYPE })
      const again = await ask(`${SERIES}/metadata`, { Accept: JSON_TYPE, 'If-None-Match': `W/${tag}` })
      expect(again.status).toBe(304)
    })

    it('is no answer to what is not there, whatever a client says that it holds', async () => {
      expect((await ask(`${INSTANCE}/frames/9`, { Accept: PARTS, 'If-None-Match': '*' })).status).toBe(404)
      expect((await ask(`${INSTANCE}/frames/0`, { Accept: PARTS, 'If-None-Match': '*' })).status).toBe(400)
    })

    it('is given anew when something was stored', async () => {
      const first = await ask(`${SERIES}/metadata`, { Accept: JSON_TYPE })
      const body = new FormData()
      body.append('file', new Blob([new Uint8Array(instanceFile({ instance: `${E}.9` }))]), 'one.dcm')
      expect((await fetch(`${setup.url}/studies`, { method: 'POST', body })).status).toBe(200)
      const second = await ask(`${SERIES}/metadata`, { Accept: JSON_TYPE, 'If-None-Match': first.tag })
      expect(second.status).toBe(200)
      expect(JSON.parse(second.body.toString())).toHaveLength(COUNT + 1)
    })
  })

  describe('where the gateway holds nothing', () => {
    beforeEach(async () => {
      setup = await start({ cache: { maxBytes: 0 } })
    })

    it.each(MADE)('is 304 after one C-FIND, and no retrieval: %s', async (_, path, accept) => {
      const [, second] = await again(path, { Accept: accept })
      expect(second).toMatchObject({ status: 304, finds: ['IMAGE'], retrievals: 0 })
    })

    it.each(GIVEN)('is 304 when the archive has said whose it is, and what there is: %s', async (_, path, accept) => {
      const [, second] = await again(path, { Accept: accept })
      expect(second).toMatchObject({ status: 304, retrievals: 0 })
      // Of a study the archive lists its series first.
      expect(second.finds.filter((level) => level !== 'SERIES')).toEqual(['STUDY', 'IMAGE'])
    })

    it('is asked about once, however many answers a client holds', async () => {
      const tags: string[] = []
      for (let n = 0; n < 5; n++) tags.push((await ask(`${SERIES}/metadata`, { Accept: JSON_TYPE })).tag)
      expect(new Set(tags).size).toBe(5)
      const again = await ask(`${SERIES}/metadata`, { Accept: JSON_TYPE, 'If-None-Match': tags.join(', ') })
      expect(again).toMatchObject({ status: 304, finds: ['STUDY', 'IMAGE'], retrievals: 0 })
    })

    it('is a header, where it is a value of one: asked about each time, and whose it is', async () => {
      const path = `${INSTANCE}/bulkdata/00100010`
      const [first, second] = await again(path, { Accept: '*/*' })
      expect(first.keeps).toBe('private, no-cache')
      expect(second).toMatchObject({ status: 304, finds: ['STUDY', 'IMAGE'] })
      const change = (dataset: Dataset): unknown => dataset.set(Attribute.PatientName, 'Other^Name')
      for (const file of seriesFiles(COUNT, { change })) await setup.archive.put(file)
      const third = await ask(path, { Accept: '*/*', 'If-None-Match': first.tag })
      expect(third.status).toBe(200)
    })

    it('is given anew where an instance has arrived at the archive', async () => {
      const first = await ask(`${SERIES}/metadata`, { Accept: JSON_TYPE })
      await setup.archive.put(instanceFile({ instance: `${E}.9` }))
      const second = await ask(`${SERIES}/metadata`, { Accept: JSON_TYPE, 'If-None-Match': first.tag })
      expect(second.status).toBe(200)
      expect(JSON.parse(second.body.toString())).toHaveLength(COUNT + 1)
    })

    it.each([
      ['renamed', Attribute.PatientName, 'Other^Name'],
      ['another', Attribute.PatientID, '124'],
    ])('is given anew where the patient is %s at the archive', async (_, tag, value) => {
      // That it was asked lately whose it is does not matter.
      const [first, second] = await again(`${SERIES}/metadata`, { Accept: JSON_TYPE })
      expect(second.status).toBe(304)
      for (const file of seriesFiles(COUNT, { change: (dataset) => dataset.set(tag, value) }))
        await setup.archive.put(file)
      const third = await ask(`${SERIES}/metadata`, { Accept: JSON_TYPE, 'If-None-Match': first.tag })
      expect(third.status).toBe(200)
      expect(third.body.toString()).toContain(value)
    })

    it('is given anew where it has come anew, with another header', async () => {
      // What is listed is forgotten as soon as what is held.
      setup = await start({ cache: { ttl: '50ms' } })
      const first = await ask(`${SERIES}/metadata`, { Accept: JSON_TYPE })
      const change = (dataset: Dataset): unknown => dataset.set(Attribute.SeriesDescription, 'Corrected')
      for (const file of seriesFiles(COUNT, { change })) await setup.archive.put(file)
      await delay(100)
      // Somebody else has it fetched.
      await ask(`${SERIES}/metadata`, { Accept: 'application/json' })
      const second = await ask(`${SERIES}/metadata`, { Accept: JSON_TYPE, 'If-None-Match': first.tag })
      expect(second.body.toString()).toContain('Corrected')
    })

    it.each([
      ['metadata', `${SERIES}/metadata`, JSON_TYPE],
      ['a picture', `${INSTANCE}/rendered`, 'image/png'],
    ])('is given anew when a gateway would not hold it any more: %s', async (_, path, accept) => {
      setup = await start({ cache: { maxBytes: 0, ttl: '3s' } })
      const [first, second] = await again(path, { Accept: accept })
      expect(second.status).toBe(304)
      await delay(3_100)
      const third = await ask(path, { Accept: accept, 'If-None-Match': first.tag })
      expect(third.status).toBe(200)
      // It is no use to ask what there is: not to be told apart from another header.
      expect(third.finds).not.toContain('STUDY')
    })

    it.each([
      ['metadata', `${SERIES}/metadata`, JSON_TYPE],
      ['a frame', `${INSTANCE}/frames/1`, PARTS],
    ])('is given anew by a gateway that has not given it: %s', async (_, path, accept) => {
      const [first] = await again(path, { Accept: accept })
      const { aeTitle, port } = setup.archive
      const other = await start({ pacs: { aeTitle, host: '127.0.0.1', port } })
      expect((await ask(path, { Accept: accept, 'If-None-Match': first.tag }, other)).status).toBe(200)
    })

    it('is 404 where the archive has it no more', async () => {
      const frame = await ask(`${INSTANCE}/frames/1`, { Accept: PARTS })
      const metadata = await ask(`${INSTANCE}/metadata`, { Accept: JSON_TYPE })
      const { port } = setup.archive
      await setup.archive[Symbol.asyncDispose]()
      const emptied = kept(await DemoArchive.start({ port, aeTitle: 'DEMO' }))
      await emptied.put(instanceFile({ study: '1.2.9', series: '1.2.9.1', instance: '1.2.9.1.1' }))
      const headers = { 'If-None-Match': `${frame.tag}, ${metadata.tag}` }
      expect((await ask(`${INSTANCE}/frames/1`, { Accept: PARTS, ...headers })).status).toBe(404)
      expect((await ask(`${INSTANCE}/metadata`, { Accept: JSON_TYPE, ...headers })).status).toBe(404)
    })

    it('is given where the archive does not say what there is', async () => {
      const path = `${INSTANCE}/frames/1`
      const first = await ask(path, { Accept: PARTS })
      setup.archive.faults = { findStatus: 0xa700 }
      const second = await ask(path, { Accept: PARTS, 'If-None-Match': first.tag })
      expect(second.status).not.toBe(304)
    })
  })
})

describe('what is stored anew', () => {
  /** The same instance, with pixels of another value. */
  async function replace(): Promise<void> {
    const change = (dataset: Dataset): unknown => {
      dataset.put(Attribute.PixelData, { vr: 'OW', value: Buffer.alloc(32, 9) })
      return dataset.set(Attribute.SeriesDescription, 'Corrected')
    }
    const body = new FormData()
    body.append('file', new Blob([new Uint8Array(instanceFile({ instance: `${E}.1`, change }))]), 'one.dcm')
    expect((await fetch(`${setup.url}/studies`, { method: 'POST', body })).status).toBe(200)
  }

  describe.each([
    ['held', {}],
    ['not held', { maxBytes: 0 }],
  ])('where it is %s', (_, cache) => {
    it.each([...MADE, ...GIVEN])('is given anew, under another tag: %s', async (_, path, accept) => {
      setup = await start({ cache })
      const [first, second] = await again(path, { Accept: accept })
      expect(second.status).toBe(304)
      await replace()
      const third = await ask(path, { Accept: accept, 'If-None-Match': first.tag })
      expect(third.status).toBe(200)
      expect(third.tag).not.toBe(first.tag)
      const fourth = await ask(path, { Accept: accept, 'If-None-Match': third.tag })
      expect(fourth.status).toBe(304)
    })
  })

  it.each([
    ['held', {}],
    ['not held', { maxBytes: 0 }],
  ])('is given anew though the retrieval of what it replaces was under way then: %s', async (_, cache) => {
    const gate = Promise.withResolvers<undefined>()
    const onGet = async (): Promise<void> => {
      await gate.promise
    }
    setup = await start({ cache, archive: { faults: { onFind, onGet } } })
    const path = `${SERIES}/metadata`
    const before = ask(path, { Accept: JSON_TYPE })
    await eventually(() => expect(setup.archive.retrievals).toBe(1))
    await replace()
    gate.resolve(undefined)
    const { tag } = await before
    expect(tag).not.toBe('')
    expect(await ask(path, { Accept: JSON_TYPE, 'If-None-Match': tag })).toMatchObject({ status: 200 })
  })

  it('is given anew while its request goes on', async () => {
    setup = await start({ cache: { maxBytes: 0 } })
    const path = `${INSTANCE}/frames/1`
    const { tag } = await ask(path, { Accept: PARTS })
    const goesOn = Promise.withResolvers<undefined>()
    async function* body(): AsyncGenerator<Uint8Array> {
      const type = 'Content-Type: application/dicom\r\n\r\n'
      yield Buffer.concat([
        Buffer.from(`--b\r\n${type}`),
        instanceFile({ instance: `${E}.1` }),
        Buffer.from('\r\n--b\r\n'),
      ])
      await goesOn.promise
      yield Buffer.concat([Buffer.from(type), instanceFile({ instance: `${E}.8` }), Buffer.from('\r\n--b--')])
    }
    const stored = fetch(`${setup.url}/studies`, {
      method: 'POST',
      headers: { 'Content-Type': 'multipart/related; type="application/dicom"; boundary=b' },
      body: ReadableStream.from(body()),
      duplex: 'half',
    })
    await eventually(async () =>
      expect(await ask(path, { Accept: PARTS, 'If-None-Match': tag })).toMatchObject({ status: 200 }),
    )
    goesOn.resolve(undefined)
    expect((await stored).status).toBe(200)
  })

  it('is no part of what a client holds: no range of it fits', async () => {
    setup = await start()
    const path = `${INSTANCE}/frames/1`
    const first = await ask(path, { Accept: PARTS })
    await replace()
    const whole = await ask(path, { Accept: PARTS, Range: 'bytes=0-9', 'If-Range': first.tag })
    expect(whole.status).toBe(200)
    expect(readParts(whole.headers.get('content-type')!, whole.body)[0]!.body).toEqual(Buffer.alloc(32, 9))
    const part = await ask(path, { Accept: PARTS, Range: 'bytes=0-9', 'If-Range': whole.tag })
    expect(part).toMatchObject({ status: 206, body: whole.body.subarray(0, 10) })
  })
})

describe('what has come anew', () => {
  it('is given where the archive cannot be asked any more', async () => {
    setup = await start({ cache: { ttl: '2s' } })
    const first = await ask(`${SERIES}/metadata`, { Accept: JSON_TYPE })
    await delay(2_100)
    // Somebody else has it fetched.
    await ask(`${SERIES}/metadata`, { Accept: 'application/json' })
    await setup.archive[Symbol.asyncDispose]()
    const second = await ask(`${SERIES}/metadata`, { Accept: JSON_TYPE, 'If-None-Match': first.tag })
    expect(second).toMatchObject({ status: 200, body: first.body })
  })
})

describe('a search', () => {
  beforeEach(async () => {
    setup = await start()
  })

  it('is asked of the archive each time, and given where it finds something else', async () => {
    const path = `/studies/${S}/series`
    const [first, second] = await again(path, { Accept: JSON_TYPE })
    expect(second).toMatchObject({ status: 304, finds: ['SERIES'] })
    await setup.archive.put(instanceFile({ instance: `${E}.9` }))
    const third = await ask(path, { Accept: JSON_TYPE, 'If-None-Match': first.tag })
    expect(third.status).toBe(200)
    expect(third.tag).not.toBe(first.tag)
  })

  it('tells with a 304 what it would have told', async () => {
    const path = `${SERIES}/instances?limit=1`
    const [first, second] = await again(path, { Accept: JSON_TYPE })
    expect(second.status).toBe(304)
    expect(second.headers.get('warning')).toBe(first.headers.get('warning'))
    expect(second.headers.get('warning')).toContain('additional results')
  })

  it('has another tag below another address: its links differ', async () => {
    const one = await ask('/studies', { Accept: JSON_TYPE })
    const url = setup.url.replace('127.0.0.1', 'localhost')
    const other = await fetch(`${url}/studies`, { headers: { Accept: JSON_TYPE } })
    expect(other.headers.get('etag')).not.toBe(one.tag)
  })
})

describe('a picture of what stands for a series', () => {
  beforeEach(async () => {
    setup = await start()
  })

  it.each([
    ['thumbnail', `${SERIES}/thumbnail`],
    ['thumbnail of a study', `/studies/${S}/thumbnail`],
    ['single picture', `${SERIES}/rendered`],
  ])('is 304 as long as it is the same instance: %s', async (_, path) => {
    const [first, second] = await again(path, { Accept: 'image/jpeg' })
    expect(second).toMatchObject({ status: 304, retrievals: 0 })
    // The one in the middle is another then.
    for (const n of [0, 7, 8]) await setup.archive.put(instanceFile({ instance: `${E}.${n}` }))
    for (const n of [9, 10, 11]) await setup.archive.put(instanceFile({ instance: `${E}.${n}` }))
    const third = await ask(path, { Accept: 'image/jpeg', 'If-None-Match': first.tag })
    expect(third.status).toBe(200)
    expect(third.tag).not.toBe(first.tag)
  })

  it('is not kept where words of the header are in it', async () => {
    const { status, tag, keeps } = await ask(`${INSTANCE}/rendered?annotation=patient`, { Accept: 'image/jpeg' })
    expect({ status, tag, keeps }).toEqual({ status: 200, tag: '', keeps: 'private, no-store' })
  })
})

describe('a range', () => {
  beforeEach(async () => {
    setup = await start()
  })

  it.each<[what: string, path: string, accept: string, type?: string]>([
    ['a frame', `${INSTANCE}/frames/1`, 'application/octet-stream'],
    ['the body around a frame in a part', `${INSTANCE}/frames/1`, PARTS],
    ['a frame that is encoded each time', `${INSTANCE}/frames/1?accept=image/jphc`, '*/*', 'image/jphc'],
    [
      'the same in a part',
      `${INSTANCE}/frames/1`,
      'multipart/related; type="image/jphc"; transfer-syntax=1.2.840.10008.1.2.4.202',
    ],
  ])('of %s is of what the tag names, wherever it begins and ends', async (_, path, accept, type = '') => {
    const whole = await ask(path, { Accept: accept })
    expect(whole.headers.get('content-type')).toContain(type)
    expect(Number(whole.headers.get('content-length'))).toBe(whole.body.length)
    const step = 37
    const pieces: Buffer[] = []
    for (let at = 0; at < whole.body.length; at += step) {
      const range = { Range: `bytes=${at}-${at + step - 1}`, 'If-Range': whole.tag }
      const piece = await ask(path, { Accept: accept, ...range })
      expect(piece).toMatchObject({ status: 206, tag: whole.tag, keeps: whole.keeps })
      expect(piece.headers.get('content-range')).toBe(
        `bytes ${at}-${Math.min(at + step, whole.body.length) - 1}/${whole.body.length}`,
      )
      expect(piece.headers.get('content-type')).toBe(whole.headers.get('content-type'))
      pieces.push(piece.body)
    }
    expect(Buffer.concat(pieces).equals(whole.body)).toBe(true)
    if (accept === PARTS) {
      const [part] = readParts(whole.headers.get('content-type')!, whole.body)
      expect(part!.body).toHaveLength(32)
    }
  })

  it('is the whole where the client holds something else', async () => {
    const path = `${INSTANCE}/frames/1`
    const whole = await ask(path, { Accept: PARTS })
    for (const condition of [`"${'0'.repeat(32)}"`, `W/${whole.tag}`, new Date().toUTCString()]) {
      const answer = await ask(path, { Accept: PARTS, Range: 'bytes=0-9', 'If-Range': condition })
      expect(answer.status).toBe(200)
      expect(answer.body.equals(whole.body)).toBe(true)
    }
  })

  it('behind the end is 416', async () => {
    expect((await ask(`${INSTANCE}/frames/1`, { Accept: PARTS, Range: 'bytes=99999-' })).status).toBe(416)
  })
})

describe('an answer that is cut', () => {
  it.each([
    ['held', undefined],
    ['not held', { maxBytes: 0 }],
  ])('is never what a browser holds: %s', async (_, cache) => {
    const pixelBytes = 8 * 1024 * 1024
    setup = await start({
      files: [instanceFile({ instance: `${E}.1`, series: E, pixelBytes })],
      ...(cache && { cache }),
    })
    setup.archive.faults = { onFind, endAfterBytes: pixelBytes / 2 }
    const path = `${INSTANCE}/bulkdata/7FE00010`
    const cut = await fetch(setup.url + path, { headers: { Accept: 'application/octet-stream' } })
    const tag = cut.headers.get('etag')!
    expect(cut.status).toBe(200)
    await expect(cut.arrayBuffer()).rejects.toThrow()
    const again = await fetch(setup.url + path, {
      headers: { Accept: 'application/octet-stream', 'If-None-Match': tag },
    })
    expect(again.status).not.toBe(304)
    await again.arrayBuffer().catch(() => undefined)
  })
})

describe('an answer that lacks something', () => {
  it('has no tag, is not kept, and is never what a browser holds', async () => {
    setup = await start()
    setup.archive.faults = { onFind, getFails: (uid) => uid === `${E}.2` }
    const path = `${SERIES}/metadata`
    const partial = await ask(path, { Accept: JSON_TYPE })
    expect(partial).toMatchObject({ status: 206, tag: '', keeps: 'private, no-store' })
    setup.archive.faults = { onFind }
    const [whole, second] = await again(path, { Accept: JSON_TYPE })
    expect(JSON.parse(whole.body.toString())).toHaveLength(COUNT)
    expect(second.status).toBe(304)
  })
})

describe('who may not see it any more', () => {
  const [ONE, OTHER] = [newApiKey(), newApiKey()]
  const LINKS = { key: 'k'.repeat(32), maxAge: 60_000, viewer: null }

  beforeEach(async () => {
    const keys = [
      { name: 'one', hash: ONE.hash, scopes: ['retrieve'] },
      { name: 'other', hash: OTHER.hash, scopes: ['search'] },
    ]
    setup = await start({ others: { auth: { keys, links: { key: LINKS.key } } } })
  })

  it('is told so, whatever his browser holds', async () => {
    const path = `${INSTANCE}/frames/1`
    const mine = { Authorization: `Bearer ${ONE.key}`, Accept: PARTS }
    const [first] = await again(path, mine)
    const held = { Accept: PARTS, 'If-None-Match': first.tag }
    expect(first.headers.get('vary')).toContain('Authorization')
    expect((await ask(path, held)).status).toBe(401)
    expect((await ask(path, { ...held, Authorization: `Bearer ${OTHER.key}` })).status).toBe(403)
    const { token } = await signLink({ study: '1.2.9', archive: 'demo' }, 60_000, LINKS)
    expect((await ask(path, { ...held, Authorization: `Bearer ${token}` })).status).toBe(404)
  })

  it('is asked about each time where a link let him in', async () => {
    const { token } = await signLink({ study: S, archive: 'demo' }, 60_000, LINKS)
    const [first, second] = await again(`${INSTANCE}/frames/1`, { Authorization: `Bearer ${token}`, Accept: PARTS })
    expect(first.keeps).toBe('private, no-cache')
    expect(second.status).toBe(304)
  })
})

describe('where browsers are to keep nothing', () => {
  it.each([
    ['a frame', `${INSTANCE}/frames/1`, PARTS],
    ['metadata', `${SERIES}/metadata`, JSON_TYPE],
    ['a search', '/studies', JSON_TYPE],
    ['a picture', `${INSTANCE}/rendered`, 'image/jpeg'],
  ])('there is no tag, and nothing is 304: %s', async (_, path, accept) => {
    setup = await start({ http: { browserCache: null } })
    const first = await ask(path, { Accept: accept, 'If-None-Match': '*' })
    expect(first).toMatchObject({ status: 200, tag: '', keeps: 'private, no-store' })
  })
})

afterEach(() => {
  finds = []
})
