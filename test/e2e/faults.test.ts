import { setTimeout as delay } from 'node:timers/promises'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Attribute } from '../../src/dicom/attributes.ts'
import { Dataset } from '../../src/dicom/dataset.ts'
import type { Gateway } from '../../src/gateway.ts'
import { eventually } from '../support/eventually.ts'
import { gatewayTo } from '../support/gateway-to.ts'
import {
  associateAccept,
  commandSet,
  CT,
  dataPdu,
  findResponse,
  getResponse,
  message as messageBytes,
  pdu,
  pdv,
  Pdv,
  readRequest,
  STUDY_ROOT_FIND,
  STUDY_ROOT_GET,
  storeRequest,
  storeResponse,
  type AcceptBytes,
} from '../support/golden.ts'
import { keeper } from '../support/kept.ts'
import { readParts } from '../support/multipart.ts'
import {
  findAnswer,
  listing,
  ScriptedArchive,
  storeAll,
  uidOf,
  type ArchiveAssociation,
  type ArchiveScript,
  type Cut,
} from '../support/scripted-archive.ts'
import { sliceDataset, sliceFile, sliceUid, SERIES, STUDY, type SliceShape } from '../support/slices.ts'

// Faults of an archive, seen by a web client through a whole gateway (lines 16 to 23 of the list of faults to survive).

const PATIENT = 'P-1'
const SEARCH = `/studies?PatientID=${PATIENT}`
const RETRIEVE = `/studies/${STUDY}`
const INSTANCE = `/studies/${STUDY}/series/${SERIES}/instances/${sliceUid(1)}`

interface Answer {
  readonly status: number
  readonly headers: Response['headers']
  /** Undefined when the connection was cut before the end of the body. */
  readonly body: Buffer | undefined
}

async function request(url: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(url, init)
  const { status, headers } = response
  try {
    return { status, headers, body: Buffer.from(await response.arrayBuffer()) }
  } catch {
    return { status, headers, body: undefined }
  }
}

interface Fixture extends AsyncDisposable {
  readonly archive: ScriptedArchive
  readonly gateway: Gateway
  search(): Promise<Answer>
  retrieve(path?: string): Promise<Answer>
  store(...files: Buffer[]): Promise<Answer>
}

const kept = keeper()

const shortTimeouts = { timeouts: { connect: '300ms', associate: '300ms', response: '300ms' } }
const ON_TIME_MS = 3_000

async function start(script: ArchiveScript, settings: object = {}): Promise<Fixture> {
  const archive = await ScriptedArchive.start(script)
  kept(archive)
  // Without a cache: each retrieve meets the fault.
  const cache = { maxBytes: 0 }
  // Nor is there another way than C-GET.
  const dimse = { enabled: false }
  const gateway = await gatewayTo(archive.address, { search: { deriveCounts: 'never' }, ...settings }, { cache, dimse })
  kept(gateway)
  return {
    archive,
    gateway,
    search: () => request(gateway.url + SEARCH),
    retrieve: (path = RETRIEVE) => request(gateway.url + path),
    store: (...files) => request(`${gateway.url}/studies`, related(files)),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}

function related(files: readonly Buffer[]): RequestInit {
  const parts = files.flatMap((file) => [
    Buffer.from('--cut\r\nContent-Type: application/dicom\r\n\r\n'),
    file,
    Buffer.from('\r\n'),
  ])
  return {
    method: 'POST',
    headers: { 'content-type': 'multipart/related; type="application/dicom"; boundary=cut' },
    body: Buffer.concat([...parts, Buffer.from('--cut--\r\n')]),
  }
}

function codeOf({ body }: Answer): unknown {
  return (JSON.parse(body?.toString() ?? '{}') as { code?: unknown }).code
}

/** No request is under way and no association is held. */
async function expectSettled({ gateway }: Fixture): Promise<void> {
  await eventually(() => expect(gateway.archives[0]!.stats).toMatchObject({ leased: 0, waiting: 0 }))
}

const two: readonly SliceShape[] = [{ number: 1 }, { number: 2 }]

/** An archive of two slices that does everything right. */
function good(shapes: readonly SliceShape[] = two): ArchiveScript {
  return {
    find: listing(shapes),
    get: async (association, { contextId, messageId }) => {
      const { ended } = await storeAll(
        association,
        shapes.map((shape) => ({ shape })),
      )
      if (ended) return
      await association.peer.send(
        getResponse({ contextId, messageId, completed: shapes.length, failed: 0, warning: 0 }),
      )
    },
  }
}

function isGetAssociation(request: Buffer): boolean {
  return readRequest(request).contexts[0]?.abstractSyntax === STUDY_ROOT_GET
}

function expectWhole(answer: Answer, count: number): void {
  expect(answer.status).toBe(200)
  expect(readParts(answer.headers.get('content-type')!, answer.body!)).toHaveLength(count)
}

describe('an archive that does not let us in', () => {
  const operations = ['search', 'retrieve', 'store'] as const
  const run = (fixture: Fixture, operation: (typeof operations)[number]): Promise<Answer> =>
    operation === 'store' ? fixture.store(sliceFile()) : fixture[operation]()

  test.each(operations)('%s: a connection refused is 502 (fault 16)', async (operation) => {
    const fixture = await start({})
    await fixture.archive[Symbol.asyncDispose]()
    expect(await run(fixture, operation)).toMatchObject({ status: 502 })
    await expectSettled(fixture)
  })

  test.each(operations)('%s: a permanent rejection is 502, at once (case 122)', async (operation) => {
    const fixture = await start({ associate: () => [1, 1, 7] })
    expect(await run(fixture, operation)).toMatchObject({ status: 502 })
    expect(fixture.archive.connections).toHaveLength(1)
    await expectSettled(fixture)
  })

  test.each(['search', 'store'] as const)(
    '%s: a transient rejection is 503 with Retry-After, after some tries (case 122)',
    async (operation) => {
      const fixture = await start({ associate: () => [2, 3, 1] })
      const answer = await run(fixture, operation)
      expect(answer.status).toBe(503)
      expect(answer.headers.get('retry-after')).toMatch(/^\d+$/)
      expect(fixture.archive.connections).toHaveLength(4)
      await expectSettled(fixture)
    },
  )

  test.each(operations)('%s: a transient rejection that passes is not seen (fault 19)', async (operation) => {
    const fixture = await start({ ...good(), associate: (_, index) => (index === 0 ? [2, 3, 2] : {}) })
    expect(await run(fixture, operation)).toMatchObject({ status: 200 })
    await expectSettled(fixture)
  })

  test.each(operations)('%s: an abort or a closed connection instead of an answer is 502', async (operation) => {
    for (const how of ['abort', 'close'] as const) {
      const fixture = await start({ associate: () => how })
      expect(await run(fixture, operation)).toMatchObject({ status: 502 })
      await expectSettled(fixture)
    }
  })

  test.each(operations)('%s: silence is 504, on time (fault 17)', async (operation) => {
    const fixture = await start({ associate: () => 'silent' }, shortTimeouts)
    const started = performance.now()
    expect(await run(fixture, operation)).toMatchObject({ status: 504 })
    expect(performance.now() - started).toBeLessThan(ON_TIME_MS)
    await expectSettled(fixture)
    await eventually(() => expect(fixture.archive.connections[0]!.received.at(-10)).toBe(7))
  })

  test('a PDU limit below that of any header is 502', async () => {
    const fixture = await start({ associate: () => ({ maxLength: 100 }) })
    const answer = await fixture.search()
    expect(answer.status).toBe(502)
    expect(codeOf(answer)).toBe('PROTOCOL_ERROR')
    await expectSettled(fixture)
  })
})

describe('an archive that falls silent', () => {
  test('before the first match: 504 on time (fault 17)', async () => {
    const fixture = await start({ find: () => Promise.resolve() }, shortTimeouts)
    const started = performance.now()
    const answer = await fixture.search()
    expect(answer.status).toBe(504)
    expect(codeOf(answer)).toBe('PEER_TIMEOUT')
    expect(performance.now() - started).toBeLessThan(ON_TIME_MS)
    await expectSettled(fixture)
  })

  test('between matches: 504 on time, and no list that looks whole (fault 18)', async () => {
    const fixture = await start(
      {
        find: async (association, { contextId, messageId }) => {
          const data = association.encode(contextId, new Dataset().set(Attribute.StudyInstanceUID, '1.2'))
          await association.peer.send(findResponse({ contextId, messageId, data }))
        },
      },
      { timeouts: { ...shortTimeouts.timeouts, response: '150ms' } },
    )
    const started = performance.now()
    const answer = await fixture.search()
    expect(performance.now() - started).toBeLessThan(ON_TIME_MS)
    expect(answer.status).toBe(504)
    await expectSettled(fixture)
  })

  test('between matches, longer than the status line waits: the connection is cut', async () => {
    const fixture = await start(
      {
        find: async (association, { contextId, messageId }) => {
          const data = association.encode(contextId, new Dataset().set(Attribute.StudyInstanceUID, '1.2'))
          await association.peer.send(findResponse({ contextId, messageId, data }))
        },
      },
      { timeouts: { ...shortTimeouts.timeouts, response: '600ms' } },
    )
    const started = performance.now()
    const answer = await fixture.search()
    expect(performance.now() - started).toBeLessThan(600 + ON_TIME_MS)
    if (answer.status === 200) expect(answer.body).toBeUndefined()
    else expect(answer.status).toBe(504)
    await expectSettled(fixture)
  })

  test('in the midst of a match: 504 on time', async () => {
    const fixture = await start(
      {
        find: async (association, { contextId, messageId }) => {
          const data = association.encode(contextId, new Dataset().set(Attribute.StudyInstanceUID, '1.2'))
          const whole = findResponse({ contextId, messageId, data })
          await association.peer.send(whole.subarray(0, whole.length - 3))
        },
      },
      shortTimeouts,
    )
    const started = performance.now()
    expect(await fixture.search()).toMatchObject({ status: 504 })
    expect(performance.now() - started).toBeLessThan(ON_TIME_MS)
    await expectSettled(fixture)
  })

  test('before the first instance: 504 on time', async () => {
    const fixture = await start({ ...good(), get: () => Promise.resolve() }, shortTimeouts)
    const started = performance.now()
    expect(await fixture.retrieve()).toMatchObject({ status: 504 })
    expect(performance.now() - started).toBeLessThan(ON_TIME_MS)
    await expectSettled(fixture)
  })

  test('in the midst of the first instance: 504 on time, or the connection is cut', async () => {
    const fixture = await start(
      {
        ...good(),
        get: async (association) => {
          const { id } = association.context(CT)
          const data = association.encode(id, sliceDataset({ size: 4_000 }))
          const whole = storeRequest({ sopInstance: sliceUid(1), data, contextId: id })
          await association.peer.send(whole.subarray(0, whole.length - 1_000))
        },
      },
      shortTimeouts,
    )
    const started = performance.now()
    const answer = await fixture.retrieve()
    expect(performance.now() - started).toBeLessThan(ON_TIME_MS)
    if (answer.status === 200) expect(answer.body).toBeUndefined()
    else expect(answer.status).toBe(504)
    await expectSettled(fixture)
  })

  test('between instances: never a whole answer', async () => {
    const fixture = await start(
      {
        ...good(),
        get: async (association) => {
          await storeAll(association, [{ shape: { number: 1 } }])
        },
      },
      shortTimeouts,
    )
    const answer = await fixture.retrieve()
    if (answer.status === 200) expect(answer.body).toBeUndefined()
    else expect(answer.status).toBe(504)
    await expectSettled(fixture)
  })

  test('instead of answering a store: 504 on time', async () => {
    const fixture = await start({ store: () => Promise.resolve() }, shortTimeouts)
    const started = performance.now()
    expect(await fixture.store(sliceFile())).toMatchObject({ status: 504 })
    expect(performance.now() - started).toBeLessThan(ON_TIME_MS)
    await expectSettled(fixture)
  })
})

describe('a connection cut at any byte (fault 23)', () => {
  const UID = '1.2.840.10008.1.1.1'
  const tiny = (index: number): Dataset =>
    new Dataset().set(Attribute.StudyInstanceUID, `${UID}.${index}`).set(Attribute.PatientID, PATIENT)

  /** Bytes that the archive sends over one association while all goes well. */
  async function bytesSent(fixture: Fixture, isMeant: (association: ArchiveAssociation) => boolean): Promise<number> {
    const association = fixture.archive.associations.find(isMeant)!
    await eventually(() => expect(association.peer.socket.writableLength).toBe(0))
    return association.peer.socket.bytesWritten
  }

  /** Runs a request with the connection cut behind each number of bytes. */
  async function cutAtEach(
    fixture: Fixture,
    cuts: Iterable<Cut>,
    isMeant: (association: ArchiveAssociation) => boolean,
    run: () => Promise<void>,
  ): Promise<void> {
    const { archive, gateway } = fixture
    let cut: Cut | undefined
    archive.script = { ...archive.script, cut: (association) => (isMeant(association) ? cut : undefined) }
    for (cut of cuts) {
      try {
        await run()
        expect(gateway.archives[0]!.stats).toMatchObject({ leased: 0, waiting: 0 })
      } catch (error) {
        throw new Error(`with the connection cut by ${cut.by} after ${cut.after} bytes`, { cause: error })
      }
    }
    await eventually(() => expect(gateway.archives[0]!.stats.open).toBeLessThanOrEqual(1))
  }

  /**
   * An association that stays: as long as one stands the archive does not count as down, whatever is cut of others. `keep`
   * opens it where it is gone; `isOther` is for cutAtEach.
   */
  function beside({ gateway, archive }: Fixture): {
    keep: () => Promise<void>
    isOther: (association: ArchiveAssociation) => boolean
  } {
    const standing = new Set<ArchiveAssociation>()
    let isKeeping = false
    return {
      isOther: (association) => !isKeeping && !standing.has(association),
      keep: async () => {
        const before = archive.associations.length
        isKeeping = true
        await gateway.archives[0]!.queryOptions(true, { signal: AbortSignal.timeout(ON_TIME_MS) })
        isKeeping = false
        for (const association of archive.associations.slice(before)) standing.add(association)
      },
    }
  }

  /** An orderly end at every byte, a reset at some: what is in flight may go with it. */
  function* everywhere(total: number): Generator<Cut> {
    for (let after = 0; after < total; after++) yield { after, by: 'fin' }
    for (let after = 0; after < total; after += 9) yield { after, by: 'reset' }
  }

  test('of a C-FIND exchange: an error, never a hang, a leak or a list', { timeout: 60_000 }, async () => {
    const fixture = await start({ find: findAnswer(() => [tiny(1), tiny(2)]) }, { timeouts: { idle: '5m' } })
    expect(await fixture.search()).toMatchObject({ status: 200 })
    const total = await bytesSent(fixture, () => true)
    await fixture.archive.associations[0]!.peer.abort()
    await eventually(() => expect(fixture.gateway.archives[0]!.stats.open).toBe(0))
    const { keep, isOther } = beside(fixture)
    await cutAtEach(fixture, everywhere(total), isOther, async () => {
      await keep()
      const answer = await fixture.search()
      expect(answer.status).toBe(502)
      expect(['CONNECTION_LOST', 'PROTOCOL_ERROR']).toContain(codeOf(answer))
    })
    fixture.archive.script = { find: fixture.archive.script.find! }
    expect(await fixture.search()).toMatchObject({ status: 200 })
  })

  test(
    'of a C-GET exchange: an error, never a hang, a leak or a study that looks whole',
    { timeout: 90_000 },
    async () => {
      const shapes: SliceShape[] = [
        { number: 1, size: 8 },
        { number: 2, size: 8 },
      ]
      const fixture = await start(good(shapes), { quirks: { maxContexts: 2 } })
      expectWhole(await fixture.retrieve(), 2)
      const isMeant = ({ contexts }: ArchiveAssociation): boolean => contexts[0]?.abstractSyntax === STUDY_ROOT_GET
      const total = await bytesSent(fixture, isMeant)
      await fixture.archive.associations.find(isMeant)!.peer.abort()
      await eventually(() => expect(fixture.gateway.archives[0]!.stats.open).toBe(1))
      await cutAtEach(fixture, everywhere(total), isMeant, async () => {
        const answer = await fixture.retrieve()
        if (answer.status === 200) expect(answer.body).toBeUndefined()
        else expect(answer.status).toBe(502)
      })
      fixture.archive.script = good(shapes)
      expectWhole(await fixture.retrieve(), 2)
    },
  )

  test('of a C-GET of instances larger than what is held back: the client sees it', { timeout: 60_000 }, async () => {
    const shapes: SliceShape[] = [1, 2, 3].map((number) => ({ number, size: 60_000 }))
    const fixture = await start(good(shapes), { quirks: { maxContexts: 2 } })
    expectWhole(await fixture.retrieve(), 3)
    const isMeant = ({ contexts }: ArchiveAssociation): boolean => contexts[0]?.abstractSyntax === STUDY_ROOT_GET
    const total = await bytesSent(fixture, isMeant)
    await fixture.archive.associations.find(isMeant)!.peer.abort()
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: total - 1 }),
        fc.constantFrom('fin' as const, 'reset' as const),
        async (after, by) => {
          await eventually(() => expect(fixture.gateway.archives[0]!.stats.open).toBeLessThanOrEqual(1))
          await cutAtEach(fixture, [{ after, by }], isMeant, async () => {
            const answer = await fixture.retrieve()
            if (answer.status === 200) expect(answer.body).toBeUndefined()
            else expect(answer.status).toBe(502)
          })
        },
      ),
      { numRuns: 60 },
    )
  })

  test('of a C-STORE exchange: an error, never a stored instance', { timeout: 60_000 }, async () => {
    const fixture = await start({}, { timeouts: { idle: '5m' } })
    expect(await fixture.store(sliceFile())).toMatchObject({ status: 200 })
    const total = await bytesSent(fixture, () => true)
    await fixture.archive.associations[0]!.peer.abort()
    await eventually(() => expect(fixture.gateway.archives[0]!.stats.open).toBe(0))
    const { keep, isOther } = beside(fixture)
    await cutAtEach(fixture, everywhere(total), isOther, async () => {
      await keep()
      expect(await fixture.store(sliceFile())).toMatchObject({ status: 502 })
    })
    fixture.archive.script = {}
    expect(await fixture.store(sliceFile())).toMatchObject({ status: 200 })
  })
})

describe('an archive that numbers badly', () => {
  test.each([0, 7, 65_535])('message id %i in every response is passed over', async (messageId) => {
    const fixture = await start({
      find: async (association, { contextId }) => {
        const data = association.encode(contextId, new Dataset().set(Attribute.StudyInstanceUID, '1.2'))
        await association.peer.send(
          findResponse({ contextId, messageId, data }),
          findResponse({ contextId, messageId }),
        )
      },
    })
    const answer = await fixture.search()
    expect(answer.status).toBe(200)
    expect(JSON.parse(answer.body!.toString())).toHaveLength(1)
  })

  test('message ids of a C-GET and its instances are passed over', async () => {
    const fixture = await start({
      ...good(),
      get: async (association, { contextId }) => {
        await storeAll(
          association,
          two.map((shape) => ({ shape })),
        )
        await association.peer.send(getResponse({ contextId, messageId: 999, completed: 2, failed: 0 }))
      },
    })
    expectWhole(await fixture.retrieve(), 2)
  })

  test('a response in another context that was agreed on is taken', async () => {
    const fixture = await start({
      find: async (association, { messageId }) => {
        // Verification stands in context 1.
        await association.peer.send(findResponse({ contextId: 1, messageId }))
      },
    })
    expect(await fixture.search()).toMatchObject({ status: 200 })
  })

  test.each([0, 2, 99, 255])('a response in context %i, which nobody agreed on, is 502', async (contextId) => {
    const fixture = await start({
      find: async (association, { messageId }) => association.peer.send(findResponse({ contextId, messageId })),
    })
    const answer = await fixture.search()
    expect(answer.status).toBe(502)
    expect(codeOf(answer)).toBe('PROTOCOL_ERROR')
    await expectSettled(fixture)
  })

  test('an instance in a context that nobody agreed on is 502', async () => {
    const script: ArchiveScript = {
      ...good(),
      get: async (association) => {
        const data = association.encode(association.context(CT).id, sliceDataset())
        await association.peer.send(storeRequest({ sopInstance: sliceUid(1), data, contextId: 255 }))
      },
    }
    // With all of them number 255 would stand.
    const fixture = await start(script, { quirks: { maxContexts: 64 } })
    const answer = await fixture.retrieve()
    expect(answer.status).toBe(502)
    expect(codeOf(answer)).toBe('PROTOCOL_ERROR')
    await expectSettled(fixture)
  })
})

describe('an archive that cuts its messages oddly', () => {
  const shapes: SliceShape[] = [{ number: 1, size: 2_000 }]

  test.each([128, 200, 1_000])('PDUs of at most %i bytes, both ways', async (maxLength) => {
    const fixture = await start(
      { ...good(shapes), associate: () => ({ maxLength }) },
      { search: { deriveCounts: 'auto' } },
    )
    expect(await fixture.search()).toMatchObject({ status: 200 })
    expectWhole(await fixture.retrieve(), 1)
    expect(await fixture.store(sliceFile({ size: 20_000 }))).toMatchObject({ status: 200 })
    for (const { received } of fixture.archive.connections) {
      for (let at = 6 + received.readUInt32BE(2); at + 6 <= received.length; at += 6 + received.readUInt32BE(at + 2)) {
        if (received[at] === 4) expect(received.readUInt32BE(at + 2)).toBeLessThanOrEqual(maxLength)
      }
    }
  })

  test('no limit on PDUs', async () => {
    const fixture = await start({ ...good(shapes), associate: () => ({ maxLength: 0 }) })
    expect(await fixture.search()).toMatchObject({ status: 200 })
    expectWhole(await fixture.retrieve(), 1)
    expect(await fixture.store(sliceFile({ size: 500_000 }))).toMatchObject({ status: 200 })
  })

  test.each([
    ['fragments of one byte', { fragments: [1] }],
    ['odd fragments', { fragments: [3, 5, 7] }],
    ['all fragments in one PDU', { fragments: [11], onePdu: true }],
    ['an empty last PDV', { emptyLast: true }],
    ['one byte a fragment and an empty last PDV', { fragments: [1], emptyLast: true }],
  ])('%s (case 124)', async (_what, framing) => {
    const fixture = await start({
      find: async (association, { contextId, messageId, identifier }) => {
        const level = identifier.string(Attribute.QueryRetrieveLevel)
        const match = sliceDataset(shapes[0])
        match.delete(Attribute.PixelData)
        const data = association.encode(
          contextId,
          level === 'STUDY' ? new Dataset().set(Attribute.StudyInstanceUID, STUDY) : match,
        )
        await association.peer.send(findResponse({ contextId, messageId, data, ...framing }))
        await association.peer.send(findResponse({ contextId, messageId, ...framing }))
      },
      get: async (association, { contextId, messageId }) => {
        await storeAll(association, [{ shape: shapes[0]!, framing }])
        await association.peer.send(getResponse({ contextId, messageId, completed: 1, failed: 0, ...framing }))
      },
      store: async ({ peer }, { contextId, messageId }) =>
        peer.send(storeResponse({ contextId, messageId, ...framing })),
    })
    expect(await fixture.search()).toMatchObject({ status: 200 })
    expectWhole(await fixture.retrieve(), 1)
    expect(await fixture.store(sliceFile())).toMatchObject({ status: 200 })
  })

  test('every byte in a segment of its own', async () => {
    const fixture = await start({
      find: async (association, { contextId, messageId }) => {
        const data = association.encode(contextId, new Dataset().set(Attribute.StudyInstanceUID, '1.2'))
        const bytes = Buffer.concat([
          findResponse({ contextId, messageId, data }),
          findResponse({ contextId, messageId }),
        ])
        await association.peer.sendSlowly(
          Array.from(bytes, (byte) => Buffer.of(byte)),
          0,
        )
      },
    })
    expect(await fixture.search()).toMatchObject({ status: 200 })
  })
})

describe('an archive that breaks the protocol', () => {
  const nonsense: [string, Buffer][] = [
    ['an unknown PDU', pdu(9, [Buffer.alloc(4)])],
    ['a PDU longer than any', pdu(4, [Buffer.alloc(10)], 0xfffffff0)],
    ['a second A-ASSOCIATE-AC', associateAccept(Buffer.concat([Buffer.from('0100', 'hex'), Buffer.alloc(200)]))],
    ['a data set without a command', dataPdu(pdv(3, Pdv.lastData, Buffer.alloc(8)))],
    ['a PDV that does not fit its PDU', pdu(4, [Buffer.from('00001000', 'hex'), Buffer.of(3, 3), Buffer.alloc(8)])],
    ['a command that is none', dataPdu(pdv(3, Pdv.lastCommand, Buffer.alloc(40, 0xff)))],
    ['a command without a field', messageBytes(commandSet({ '0900': 0 }), undefined, { contextId: 3 })],
    ['a response to another operation', storeResponse({ contextId: 3 })],
    ['text', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
    ['an A-ABORT', pdu(7, [Buffer.of(0, 0, 2, 0)])],
    ['an A-RELEASE-RQ', pdu(5, [Buffer.alloc(4)])],
  ]

  /** Closes when the other side does, as who has released does. */
  async function sayAndClose({ peer }: ArchiveAssociation, bytes: Buffer): Promise<void> {
    await peer.send(bytes)
    await peer.next()
    peer.close()
  }

  test.each(nonsense)('by %s instead of a match: 502', async (_what, bytes) => {
    const fixture = await start({ find: (association) => sayAndClose(association, bytes) })
    expect(await fixture.search()).toMatchObject({ status: 502 })
    await expectSettled(fixture)
  })

  test.each(nonsense)('by %s between instances: never a whole answer', async (_what, bytes) => {
    const fixture = await start({
      ...good(),
      get: async (association) => {
        await storeAll(association, [{ shape: { number: 1 } }])
        await sayAndClose(association, bytes)
      },
    })
    const answer = await fixture.retrieve()
    if (answer.status === 200) expect(answer.body).toBeUndefined()
    else expect(answer.status).toBe(502)
    await expectSettled(fixture)
  })

  test('by a match that is no data set: 502', async () => {
    const fixture = await start({
      find: async (association, { contextId, messageId }) => {
        // Study Instance UID of 32 bytes, of which there are two.
        const data = Buffer.from('20000d0055492000312e', 'hex')
        await association.peer.send(
          findResponse({ contextId, messageId, data }),
          findResponse({ contextId, messageId }),
        )
      },
    })
    const answer = await fixture.search()
    expect(answer.status).toBe(502)
    expect(codeOf(answer)).toBe('MALFORMED_DATA_SET')
    await expectSettled(fixture)
  })

  /** Stores slices, and in the place of one of them what is no data set. */
  const spoilt = (numbers: readonly number[]): ArchiveScript => ({
    ...good(),
    get: async (association, { contextId, messageId }) => {
      for (const number of numbers) await storeAll(association, [{ shape: { number } }])
      const { id } = association.context(CT)
      const data = Buffer.from('080018005549200031322e33', 'hex')
      await association.peer.send(storeRequest({ data, sopInstance: sliceUid(2), contextId: id }))
      await association.next()
      const completed = numbers.length + 1
      await association.peer.send(getResponse({ contextId, messageId, completed, failed: 0 }))
    },
  })

  test('by nothing but an instance that is no data set: 502', async () => {
    const fixture = await start(spoilt([]))
    const answer = await fixture.retrieve()
    expect(answer.status).toBe(502)
    expect(codeOf(answer)).toBe('INCOMPLETE_RETRIEVE')
    await expectSettled(fixture)
  })

  test('by an instance that is no data set beside others: 206 with those', async () => {
    const fixture = await start(spoilt([1]))
    const answer = await fixture.retrieve()
    expect(answer.status).toBe(206)
    await expectSettled(fixture)
  })

  test('by another instance than the one asked for, which it lists: 502, and nothing of it', async () => {
    const other = sliceDataset({ study: '9.9', series: '9.9.9' })
    const fixture = await start({
      ...good(),
      get: async (association, { contextId, messageId }) => {
        const { id } = association.context(CT)
        const data = association.encode(id, other)
        await association.peer.send(storeRequest({ sopInstance: sliceUid(1), data, contextId: id }))
        await association.next()
        await association.peer.send(getResponse({ contextId, messageId, completed: 1, failed: 0 }))
      },
    })
    const answer = await fixture.retrieve(INSTANCE)
    expect(answer.status).toBe(502)
    expect(answer.body!.includes('9.9.9')).toBe(false)
    await expectSettled(fixture)
  })
})

describe('an archive that answers without end', () => {
  test('is stopped behind the page that was asked for (fault 20, case 41)', async () => {
    let cancelled = false
    const fixture = await start(
      {
        find: async (association, { contextId, messageId }) => {
          for (let index = 1; !cancelled; index++) {
            const data = association.encode(contextId, new Dataset().set(Attribute.StudyInstanceUID, `1.2.${index}`))
            await association.peer.send(findResponse({ contextId, messageId, data }))
            await delay(0)
            if (association.peer.received.includes(Buffer.from('0000000102000000ff0f', 'hex'))) cancelled = true
          }
          await association.peer.send(findResponse({ contextId, messageId, status: 0xfe00 }))
        },
      },
      { search: { deriveCounts: 'never', countWindow: 10 } },
    )
    const answer = await request(`${fixture.gateway.url}/studies?limit=5`)
    expect(answer.status).toBe(200)
    expect(JSON.parse(answer.body!.toString())).toHaveLength(5)
    expect(cancelled).toBe(true)
    await expectSettled(fixture)
    expect(fixture.gateway.archives[0]!.stats.idle).toBe(1)
  })
})

describe('a client that goes (fault 21)', () => {
  test('while the archive is silent frees the place within the grace time', async () => {
    const fixture = await start({ ...good(), get: () => Promise.resolve() }, { maxAssociations: 1 })
    const controller = new AbortController()
    const answer = fetch(fixture.gateway.url + RETRIEVE, { signal: controller.signal })
    answer.catch(() => undefined)
    await eventually(() => expect(fixture.archive.received(0x0010)).toHaveLength(1))
    controller.abort()
    await expect(answer).rejects.toThrow()
    await expectSettled(fixture)
    fixture.archive.script = good()
    expectWhole(await fixture.retrieve(), 2)
  })

  test('in the midst of a study: the archive gets a C-CANCEL or an abort, and the next client is served', async () => {
    const many: SliceShape[] = Array.from({ length: 40 }, (_, index) => ({ number: index + 1, size: 60_000 }))
    const fixture = await start(good(many), { maxAssociations: 1 })
    const controller = new AbortController()
    const response = await fetch(fixture.gateway.url + RETRIEVE, { signal: controller.signal })
    const reader = response.body!.getReader()
    await reader.read()
    controller.abort()
    await expect(reader.read()).rejects.toThrow()
    await expectSettled(fixture)
    expectWhole(await fixture.retrieve(), 40)
  })

  test('while it waits for a place leaves the queue', async () => {
    const fixture = await start({ find: () => Promise.resolve() }, { maxAssociations: 1 })
    const first = new AbortController()
    const second = new AbortController()
    const answers = [first, second].map(({ signal }) => fetch(fixture.gateway.url + SEARCH, { signal }))
    for (const answer of answers) answer.catch(() => undefined)
    await eventually(() => expect(fixture.gateway.archives[0]!.stats).toMatchObject({ leased: 1, waiting: 1 }))
    second.abort()
    await eventually(() => expect(fixture.gateway.archives[0]!.stats).toMatchObject({ leased: 1, waiting: 0 }))
    first.abort()
    await expectSettled(fixture)
  })
})

describe('more requests than places', () => {
  test('wait their turn, and those that wait too long are told 503', async () => {
    const fixture = await start(
      { find: () => Promise.resolve() },
      {
        maxAssociations: 1,
        timeouts: { queue: '300ms', response: '2s' },
      },
    )
    const controller = new AbortController()
    const first = fetch(fixture.gateway.url + SEARCH, { signal: controller.signal })
    first.catch(() => undefined)
    await eventually(() => expect(fixture.gateway.archives[0]!.stats.leased).toBe(1))
    const answer = await fixture.search()
    expect(answer.status).toBe(503)
    expect(codeOf(answer)).toBe('POOL_BUSY')
    expect(answer.headers.get('retry-after')).not.toBeNull()
    controller.abort()
    await expectSettled(fixture)
  })

  test('of which none is lost in a storm of failures', { timeout: 30_000 }, async () => {
    let count = 0
    const ways = ['fine', 'close', 'abort', 'reject', 'cutMatch'] as const
    const fixture = await start(
      {
        associate: (_, index) => (index % 7 === 3 ? [1, 1, 2] : index % 11 === 5 ? 'abort' : {}),
        find: async (association, message) => {
          const way = ways[count++ % ways.length]!
          if (way === 'fine')
            return findAnswer(() => [new Dataset().set(Attribute.StudyInstanceUID, '1.2')])(association, message)
          if (way === 'abort') return association.peer.abort()
          if (way === 'reject') {
            const { contextId, messageId } = message
            return association.peer.send(findResponse({ contextId, messageId, status: 0xc000 }))
          }
          if (way === 'cutMatch') await association.peer.send(Buffer.from('0400000000ff', 'hex'))
          association.peer.close()
        },
      },
      { maxAssociations: 2 },
    )
    const answers = await Promise.all(Array.from({ length: 200 }, () => fixture.search()))
    for (const { status, body } of answers) {
      expect([200, 502]).toContain(status)
      expect(body).toBeDefined()
    }
    expect(fixture.archive.mostOpen).toBeLessThanOrEqual(2)
    await expectSettled(fixture)
  })
})

test('an archive that accepts other syntaxes than were offered is told to lack the service', async () => {
  const associate = (request: Buffer): AcceptBytes => {
    const { contexts } = readRequest(request)
    return { answers: Object.fromEntries(contexts.map(({ id }) => [id, '1.2.840.10008.1.2.4.70'])) }
  }
  const fixture = await start({ ...good(), associate })
  expect(await fixture.search()).toMatchObject({ status: 501 })
  expect(await fixture.store(sliceFile())).toMatchObject({ status: 409 })
  await expectSettled(fixture)
})

test('an archive that gives up C-GET but not C-FIND is told to lack it', async () => {
  const associate = (request: Buffer): AcceptBytes => (isGetAssociation(request) ? { answers: { 1: 3 } } : {})
  const fixture = await start({ ...good(), associate })
  const answer = await fixture.retrieve()
  expect(answer.status).toBe(501)
  expect(codeOf(answer)).toBe('NOT_SUPPORTED_BY_ARCHIVE')
  expect(uidOf(fixture.archive.log[0]!.message, '0002')).toBe(STUDY_ROOT_FIND)
  await expectSettled(fixture)
})
