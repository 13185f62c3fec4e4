import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { DemoArchive } from '../../src/demo/demo-archive.ts'
import { encodeDataset } from '../../src/dicom/dataset-codec.ts'
import type { Bytes, ByteStream } from '../../src/dicom/bytes.ts'
import type { Dataset } from '../../src/dicom/dataset.ts'
import { eventually } from '../support/eventually.ts'
import { deflate } from '../support/deflated.ts'
import { transferSyntax } from '../../src/dicom/transfer-syntax.ts'
import type { Archive } from '../../src/pacs/archive.ts'
import type { Instance } from '../../src/pacs/instance.ts'
import type { StoreOutcome } from '../../src/pacs/store.ts'
import { streamOf } from '../support/byte-stream.ts'
import { byteByByte } from '../support/chunking.ts'
import { openArchive } from '../support/gateway-to.ts'
import { CT, EXPLICIT_LE, IMPLICIT_LE, readRequest, storeResponse, type AcceptBytes } from '../support/golden.ts'
import { instanceOf } from '../support/readable.ts'
import { failOnLeaks } from '../support/leaks.ts'
import { ScriptedArchive, uidOf, type ArchiveMessage, type ArchiveScript } from '../support/scripted-archive.ts'
import { sliceDataset, sliceUid, type SliceShape } from '../support/slices.ts'

failOnLeaks()

const C_STORE_RQ = 0x0001
const MR = '1.2.840.10008.5.1.4.1.1.4'
const US = '1.2.840.10008.5.1.4.1.1.6.1'
const EXPLICIT_BE = '1.2.840.10008.1.2.2'
const DEFLATED = '1.2.840.10008.1.2.1.99'
const JPEG_2000 = '1.2.840.10008.1.2.4.90'

const never = { signal: new AbortController().signal }

/** The data set of a slice; an encapsulated one has one fragment of nonsense. */
function dataset(shape: SliceShape, syntax: string): Dataset {
  const slice = sliceDataset(shape)
  if (!transferSyntax(syntax).encapsulated) return slice
  return slice.put(0x7fe00010, { vr: 'OB', value: { fragments: [new Uint8Array(0), Buffer.alloc(64, 0x5a)] } })
}

function bytesOf(shape: SliceShape, syntax: string): Buffer {
  if (syntax === DEFLATED) return deflate(encodeDataset(sliceDataset(shape), transferSyntax(EXPLICIT_LE)))
  return Buffer.from(encodeDataset(dataset(shape, syntax), transferSyntax(syntax)))
}

function instance(shape: SliceShape = {}, syntax = EXPLICIT_LE, body?: ByteStream): Instance {
  const sopInstance = shape.instance ?? sliceUid(shape.number ?? 1)
  const uids = { sopClass: shape.sopClass ?? CT, sopInstance, study: '1.2.3', series: '1.2.3.4' }
  return instanceOf(uids, transferSyntax(syntax), body ?? streamOf([bytesOf(shape, syntax)]))
}

interface Fixture extends AsyncDisposable {
  readonly scripted: ScriptedArchive
  readonly archive: Archive
}

async function start(script: ArchiveScript = {}, settings: object = {}): Promise<Fixture> {
  const scripted = await ScriptedArchive.start(script)
  const archive = await openArchive(scripted.address, settings)
  return {
    scripted,
    archive,
    async [Symbol.asyncDispose]() {
      await archive[Symbol.asyncDispose]()
      await scripted[Symbol.asyncDispose]()
    },
  }
}

async function storeAll(
  archive: Archive,
  instances: readonly Instance[],
  signal = never.signal,
): Promise<StoreOutcome[]> {
  await using batch = archive.storeBatch({ signal })
  const outcomes: StoreOutcome[] = []
  for (const one of instances) outcomes.push(await batch.store(one))
  return outcomes
}

/** Accepts only these syntaxes, of those offered. */
function accepting(...syntaxes: string[]): ArchiveScript {
  return {
    associate: (request): AcceptBytes => {
      const answers = readRequest(request).contexts.map(({ id, transferSyntaxes }) => {
        return [id, transferSyntaxes.find((uid) => syntaxes.includes(uid)) ?? 4] as const
      })
      return { answers: Object.fromEntries(answers) }
    },
  }
}

function storesOf(archive: ScriptedArchive): ArchiveMessage[] {
  return archive.received(C_STORE_RQ)
}

const STORED: StoreOutcome = { kind: 'stored', status: 0 }

describe('an instance', () => {
  test('goes out in its own syntax, byte for byte, named by its UIDs (case 89)', async () => {
    await using fixture = await start()
    const { scripted, archive } = fixture
    expect(await storeAll(archive, [instance()])).toEqual([STORED])
    const [request] = storesOf(scripted)
    expect(uidOf(request!, '0002')).toBe(CT)
    expect(uidOf(request!, '1000')).toBe(sliceUid(1))
    const { contexts } = scripted.associations[0]!
    expect(contexts.find(({ id }) => id === request!.contextId)).toMatchObject({
      abstractSyntax: CT,
      transferSyntaxes: [EXPLICIT_LE],
    })
    expect(request!.data!.equals(bytesOf({}, EXPLICIT_LE))).toBe(true)
  })

  test('goes out whole whatever the chunks it comes in', async () => {
    const bytes = bytesOf({ size: 300 }, EXPLICIT_LE)
    await using fixture = await start()
    const { scripted, archive } = fixture
    await storeAll(archive, [instance({}, EXPLICIT_LE, streamOf(byteByByte(bytes)))])
    expect(storesOf(scripted)[0]!.data!.equals(bytes)).toBe(true)
  })

  test.each([128, 200, 16384, 0])(
    'goes out whole to an archive that takes PDUs of %i bytes (case 119)',
    async (maxLength) => {
      const bytes = bytesOf({ size: 100_000 }, EXPLICIT_LE)
      await using fixture = await start({ associate: () => ({ maxLength }) })
      const { scripted, archive } = fixture
      expect(await storeAll(archive, [instance({}, EXPLICIT_LE, streamOf([bytes]))])).toEqual([STORED])
      expect(storesOf(scripted)[0]!.data!.equals(bytes)).toBe(true)
      const { received } = scripted.connections[0]!
      for (let at = 6 + received.readUInt32BE(2); at + 6 < received.length; at += 6 + received.readUInt32BE(at + 2)) {
        if (received[at] !== 4) continue
        const length = received.readUInt32BE(at + 2)
        if (maxLength > 0) expect(length).toBeLessThanOrEqual(maxLength)
        expect(length % 2).toBe(0)
      }
    },
  )

  test.each([EXPLICIT_LE, EXPLICIT_BE, DEFLATED])(
    'in %s is re-encoded for an archive that takes Implicit VR alone (case 96)',
    async (syntax) => {
      await using fixture = await start(accepting(IMPLICIT_LE))
      const { scripted, archive } = fixture
      expect(await storeAll(archive, [instance({}, syntax)])).toEqual([STORED])
      expect(storesOf(scripted)[0]!.data!.equals(bytesOf({}, IMPLICIT_LE))).toBe(true)
    },
  )

  test('in Implicit VR is re-encoded for an archive that takes Explicit VR alone', async () => {
    await using fixture = await start(accepting(EXPLICIT_LE))
    const { scripted, archive } = fixture
    expect(await storeAll(archive, [instance({}, IMPLICIT_LE)])).toEqual([STORED])
    // Implicit VR does not tell OB of OW: the dictionary does (PS3.5 A.1).
    const pixels = { vr: 'OW', value: sliceDataset().get(0x7fe00010)!.value } as const
    const expected = encodeDataset(sliceDataset().put(0x7fe00010, pixels), transferSyntax(EXPLICIT_LE))
    expect(storesOf(scripted)[0]!.data!.equals(expected)).toBe(true)
  })

  test('in a compressed syntax goes out as it is where the archive takes it', async () => {
    await using fixture = await start()
    const { scripted, archive } = fixture
    expect(await storeAll(archive, [instance({}, JPEG_2000)])).toEqual([STORED])
    expect(storesOf(scripted)[0]!.data!.equals(bytesOf({}, JPEG_2000))).toBe(true)
  })

  test('in a compressed syntax that the archive does not take is refused with C122, and not sent (case 97)', async () => {
    await using fixture = await start(accepting(EXPLICIT_LE, IMPLICIT_LE))
    const { scripted, archive } = fixture
    expect(await storeAll(archive, [instance({}, JPEG_2000)])).toEqual([{ kind: 'refused', status: 0xc122 }])
    expect(storesOf(scripted)).toEqual([])
  })

  test('of a class that the archive does not take is refused with 0122, and not sent (case 98)', async () => {
    await using fixture = await start(accepting())
    const { scripted, archive } = fixture
    expect(await storeAll(archive, [instance()])).toEqual([{ kind: 'refused', status: 0x0122 }])
    expect(storesOf(scripted)).toEqual([])
    // Nothing can be done with it.
    expect(archive.stats).toMatchObject({ leased: 0, idle: 0 })
  })

  test.each([
    [0x0000, 'stored'],
    [0xb000, 'stored'],
    [0xb006, 'stored'],
    [0xb007, 'stored'],
    [0xa700, 'refused'],
    [0xa900, 'refused'],
    [0xc000, 'refused'],
    [0x0110, 'refused'],
    [0x0124, 'refused'],
    [0x1234, 'refused'],
  ])('answered by status %i is %s (cases 90, 91)', async (status, kind) => {
    await using fixture = await start({
      store: async ({ peer }, { contextId, messageId }) => peer.send(storeResponse({ contextId, messageId, status })),
    })
    const { archive } = fixture
    expect(await storeAll(archive, [instance()])).toEqual([{ kind, status }])
    expect(archive.stats).toMatchObject({ leased: 0, idle: 1 })
  })
})

describe('a batch', () => {
  test('uses one association for all that its contexts serve', async () => {
    await using fixture = await start()
    const { scripted, archive } = fixture
    const outcomes = await storeAll(
      archive,
      [1, 2, 3, 4].map((number) => instance({ number })),
    )
    expect(outcomes).toEqual([STORED, STORED, STORED, STORED])
    expect(scripted.associations).toHaveLength(1)
    expect(storesOf(scripted).map((request) => uidOf(request, '1000'))).toEqual([1, 2, 3, 4].map((n) => sliceUid(n)))
  })

  test('of several classes and syntaxes stores each where it fits, and the next one needs one association', async () => {
    await using fixture = await start()
    const { scripted, archive } = fixture
    const mixed = (): Instance[] => [
      instance({ number: 1 }),
      instance({ number: 2, sopClass: MR }),
      instance({ number: 3 }, JPEG_2000),
      instance({ number: 4, sopClass: US }, IMPLICIT_LE),
      instance({ number: 5 }),
    ]
    expect(await storeAll(archive, mixed())).toEqual([STORED, STORED, STORED, STORED, STORED])
    const before = scripted.associations.length
    expect(await storeAll(archive, mixed())).toEqual([STORED, STORED, STORED, STORED, STORED])
    expect(scripted.associations.length - before).toBeLessThanOrEqual(1)
    expect(archive.stats.leased).toBe(0)
  })

  test.each([1, 2, 3, 4, 128])(
    'of classes that alternate comes whole to an archive that bears %i contexts',
    async (maxContexts) => {
      await using fixture = await start({}, { quirks: { maxContexts }, maxAssociations: 1 })
      const { scripted, archive } = fixture
      const classes = [CT, MR, CT, US, CT, MR]
      const outcomes = await storeAll(
        archive,
        classes.map((sopClass, index) => instance({ sopClass, number: index + 1 })),
      )
      expect(outcomes).toEqual(classes.map(() => STORED))
      for (const { contexts } of scripted.associations) expect(contexts.length).toBeLessThanOrEqual(maxContexts)
      expect(scripted.mostOpen).toBe(1)
    },
  )

  test('takes one place of the archive while it lasts, and gives it back', async () => {
    await using fixture = await start({}, { maxAssociations: 1 })
    const { archive } = fixture
    const batch = archive.storeBatch(never)
    await batch.store(instance())
    expect(archive.stats).toMatchObject({ leased: 1 })
    await batch[Symbol.asyncDispose]()
    await batch[Symbol.asyncDispose]()
    expect(archive.stats).toMatchObject({ leased: 0, idle: 1 })
  })
})

describe('a body', () => {
  const truncated = (): ByteStream => streamOf([bytesOf({ number: 2, size: 50_000 }, EXPLICIT_LE).subarray(0, 40_000)])

  test('that ends in the midst of an element is broken: the archive stores nothing of it, the rest goes on', async () => {
    await using demo = await DemoArchive.start()
    await using archive = await openArchive({ host: '127.0.0.1', port: demo.port }, { aeTitle: 'DEMO' })
    const outcomes = await storeAll(archive, [
      instance({ number: 1 }),
      instance({ number: 2 }, EXPLICIT_LE, truncated()),
      instance({ number: 3 }),
    ])
    expect(outcomes).toMatchObject([STORED, { kind: 'broken', error: { code: 'MALFORMED_DATA_SET' } }, STORED])
    expect(demo.catalog.size).toBe(2)
    expect(archive.stats).toMatchObject({ leased: 0, waiting: 0 })
  })

  test('that is broken ends the association by an abort, with no last fragment', async () => {
    await using fixture = await start()
    const { scripted, archive } = fixture
    const outcomes = await storeAll(archive, [
      instance({ number: 2 }, EXPLICIT_LE, truncated()),
      instance({ number: 3 }),
    ])
    expect(outcomes).toMatchObject([{ kind: 'broken' }, STORED])
    const [first, second] = scripted.associations
    await eventually(() => expect(first!.ended).toBe('aborted'))
    expect(second).toBeDefined()
    expect(storesOf(scripted).map(({ data }) => data !== undefined)).toEqual([false, true])
  })

  test.each([
    ['is no data set', [Buffer.alloc(200, 0xff)]],
    ['is re-encoded and ends early', [bytesOf({ number: 2, size: 50_000 }, EXPLICIT_LE).subarray(0, 40_000)]],
  ])('that %s is broken for an archive that takes Implicit VR alone', async (_what, chunks) => {
    await using fixture = await start(accepting(IMPLICIT_LE))
    const { scripted, archive } = fixture
    const outcomes = await storeAll(archive, [instance({}, EXPLICIT_LE, streamOf(chunks)), instance({ number: 3 })])
    expect(outcomes).toMatchObject([{ kind: 'broken' }, STORED])
    expect(storesOf(scripted).filter(({ data }) => data !== undefined)).toHaveLength(1)
  })

  test('that is no deflated data set is broken', async () => {
    await using fixture = await start()
    const outcomes = await storeAll(fixture.archive, [
      instance({}, DEFLATED, streamOf([Buffer.alloc(200, 0xff)])),
      instance({ number: 3 }),
    ])
    expect(outcomes).toMatchObject([{ kind: 'broken' }, STORED])
  })

  test('that its source fails to give is broken, with the reason', async () => {
    await using fixture = await start()
    const failure = new Error('the upload ended')
    const body = streamOf([bytesOf({}, EXPLICIT_LE).subarray(0, 300)], failure)
    const outcomes = await storeAll(fixture.archive, [instance({}, EXPLICIT_LE, body), instance({ number: 3 })])
    expect(outcomes).toEqual([{ kind: 'broken', error: failure }, STORED])
    expect(body.closed).toBe(true)
  })

  test('that is refused is let go of', async () => {
    await using fixture = await start(accepting())
    const body = streamOf([bytesOf({}, EXPLICIT_LE)])
    await storeAll(fixture.archive, [instance({}, EXPLICIT_LE, body)])
    // Nothing was read of it: who gave it reads on.
    expect(body.taken).toBe(0)
  })

  test('larger than any memory goes through at the pace of the archive', async () => {
    const size = 256 * 1024 * 1024
    const chunk = Buffer.alloc(65_536)
    let taken = 0
    async function* endless(): AsyncGenerator<Bytes> {
      const head = Buffer.from(bytesOf({ size: 0 }, EXPLICIT_LE))
      head.writeUInt32LE(size, head.length - 4)
      yield head
      for (; taken < size; taken += chunk.length) yield chunk
    }
    await using fixture = await start({ associate: () => ({ maxLength: 131_072 }) })
    const { scripted, archive } = fixture
    const controller = new AbortController()
    const storing = storeAll(archive, [instance({}, EXPLICIT_LE, endless())], controller.signal)
    storing.catch(() => undefined)
    await eventually(() => expect(scripted.connections[0]?.received.length ?? 0).toBeGreaterThan(1000))
    scripted.connections[0]!.stall()
    for (let before = -1; before !== taken;) {
      before = taken
      await delay(100)
    }
    // What was read of it has gone out, but for what the buffers hold at both ends.
    expect(taken - scripted.connections[0]!.received.length).toBeLessThan(16 * 1024 * 1024)
    expect(taken).toBeLessThan(size)
    const reason = new Error('gone')
    controller.abort(reason)
    await expect(storing).rejects.toBe(reason)
    expect(archive.stats.leased).toBe(0)
    scripted.connections[0]!.reset()
  })
})

describe('an archive that goes', () => {
  test('in the midst of a batch fails what is left, and is called once more at most', async () => {
    let stored = 0
    await using fixture = await start({
      store: async ({ peer }, { contextId, messageId }) => {
        if (stored++ < 2) return peer.send(storeResponse({ contextId, messageId }))
        peer.close()
      },
      associate: (_, index) => (index === 0 ? {} : [1, 1, 1]),
    })
    const { scripted, archive } = fixture
    const outcomes = await storeAll(
      archive,
      [1, 2, 3, 4, 5, 6].map((number) => instance({ number })),
    )
    expect(outcomes.map(({ kind }) => kind)).toEqual(['stored', 'stored', 'failed', 'failed', 'failed', 'failed'])
    expect(outcomes[2]).toMatchObject({ error: { code: 'CONNECTION_LOST' } })
    expect(outcomes[3]).toMatchObject({ error: { code: 'ASSOCIATION_REJECTED' } })
    expect(scripted.connections).toHaveLength(2)
    expect(archive.stats.leased).toBe(0)
  })

  test('is not there at all: every instance fails, with one attempt to connect (case 101)', async () => {
    const scripted = await ScriptedArchive.start()
    const archive = await openArchive(scripted.address)
    await scripted[Symbol.asyncDispose]()
    const outcomes = await storeAll(
      archive,
      [1, 2, 3].map((number) => instance({ number })),
    )
    expect(outcomes).toMatchObject(outcomes.map(() => ({ kind: 'failed', error: { code: 'CONNECT_FAILED' } })))
    expect(archive.stats).toMatchObject({ open: 0, leased: 0, idle: 0, waiting: 0 })
    await archive[Symbol.asyncDispose]()
  })

  test('while an association is idle: a store over it fails, and is not sent twice', async () => {
    let stored = 0
    await using fixture = await start({
      store: async ({ peer }, { contextId, messageId }) => {
        if (stored++ === 0) return peer.send(storeResponse({ contextId, messageId }))
        if (stored === 2) peer.close()
        else await peer.send(storeResponse({ contextId, messageId }))
      },
    })
    const { scripted, archive } = fixture
    expect(await storeAll(archive, [instance({ number: 1 })])).toEqual([STORED])
    expect(await storeAll(archive, [instance({ number: 2 })])).toMatchObject([{ kind: 'failed' }])
    expect(storesOf(scripted)).toHaveLength(2)
    expect(await storeAll(archive, [instance({ number: 3 })])).toEqual([STORED])
    expect(scripted.associations).toHaveLength(2)
  })

  test('silent fails the instance on time', async () => {
    await using fixture = await start({ store: () => Promise.resolve() }, { timeouts: { response: '100ms' } })
    const started = performance.now()
    expect(await storeAll(fixture.archive, [instance()])).toMatchObject([
      { kind: 'failed', error: { code: 'PEER_TIMEOUT' } },
    ])
    expect(performance.now() - started).toBeLessThan(2_000)
    expect(fixture.archive.stats.leased).toBe(0)
  })

  test('with an answer before it has the whole instance is believed', async () => {
    const bytes = bytesOf({ size: 400_000 }, EXPLICIT_LE)
    const early = Promise.withResolvers<undefined>()
    async function* body(): AsyncGenerator<Bytes> {
      yield bytes.subarray(0, 300_000)
      await early.promise
      yield bytes.subarray(300_000)
    }
    await using fixture = await start()
    const { scripted, archive } = fixture
    const storing = storeAll(archive, [instance({}, EXPLICIT_LE, body())])
    await eventually(() => expect(scripted.connections[0]?.received.length ?? 0).toBeGreaterThan(200_000))
    const { id } = scripted.associations[0]!.context(CT, EXPLICIT_LE)
    scripted.script = { store: () => Promise.resolve() }
    await scripted.connections[0]!.send(storeResponse({ contextId: id, messageId: 1, status: 0xb000 }))
    early.resolve(undefined)
    expect(await storing).toEqual([{ kind: 'stored', status: 0xb000 }])
  })
})

describe('a client that goes', () => {
  test('in the midst of an instance ends the batch, and the place is free', async () => {
    const controller = new AbortController()
    const reason = new Error('gone')
    async function* body(): AsyncGenerator<Bytes> {
      yield bytesOf({ size: 300_000 }, EXPLICIT_LE).subarray(0, 200_000)
      controller.abort(reason)
      throw reason
    }
    await using fixture = await start()
    const { scripted, archive } = fixture
    await expect(storeAll(archive, [instance({}, EXPLICIT_LE, body())], controller.signal)).rejects.toBe(reason)
    expect(archive.stats).toMatchObject({ leased: 0, waiting: 0 })
    await eventually(() => expect(scripted.associations[0]!.ended).toBe('aborted'))
  })

  test('while the response is awaited ends the batch', async () => {
    const controller = new AbortController()
    const reason = new Error('gone')
    await using fixture = await start({
      store: async () => {
        await Promise.resolve()
        controller.abort(reason)
      },
    })
    await expect(storeAll(fixture.archive, [instance()], controller.signal)).rejects.toBe(reason)
    expect(fixture.archive.stats).toMatchObject({ leased: 0, waiting: 0 })
  })
})
