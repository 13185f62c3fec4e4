import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import { startSetup, startGatewayFor, type Setup, type SetupOptions } from '../../support/gateway.ts'
import { MAX_HELD_BYTES } from '../../../src/pacs/search/held.ts'
import { commandSet, findResponse, message, STUDY_ROOT_FIND } from '../../support/golden.ts'
import { instanceFile } from '../../support/dicom-files.ts'
import { keeper } from '../../support/kept.ts'
import { RawClient } from '../../support/raw-http.ts'
import { findAnswer, listing, ScriptedArchive, type ArchiveScript } from '../../support/scripted-archive.ts'
import { Field, WireTap } from '../../support/wire-tap.ts'

const kept = keeper()

/** Studies 1.2.1, 1.2.2 … of one instance each. */
function studies(count: number): Buffer[] {
  return Array.from({ length: count }, (_, at) => {
    const study = `1.2.${at + 1}`
    return instanceFile({ study, series: `${study}.1`, instance: `${study}.1.1` })
  })
}

async function started(options: SetupOptions): Promise<Setup> {
  return kept(await startSetup(options))
}

/** A gateway in front of an archive that a script plays. */
async function scripted(
  script: ArchiveScript,
  settings: object = {},
): Promise<{ url: string; archive: ScriptedArchive }> {
  const archive = kept(await ScriptedArchive.start(script))
  const gateway = kept(await startGatewayFor([{ aeTitle: 'PACS', ...archive.address, ...settings }]))
  return { url: gateway.url, archive }
}

interface Answer {
  readonly warning?: string | null
  readonly status: number
  readonly retryAfter: string | null
  readonly type: string | null
  readonly body: unknown
}

async function get(url: string): Promise<Answer> {
  const response = await fetch(url)
  return {
    status: response.status,
    retryAfter: response.headers.get('retry-after'),
    type: response.headers.get('content-type'),
    warning: response.headers.get('warning'),
    body: await response.json(),
  }
}

const study = (uid: string): Dataset => new Dataset().set(Attribute.StudyInstanceUID, uid)

/** C-FIND-RSP with a final status and what a failure may come with (PS3.7 9.1.2.1). */
function finalResponse(messageId: number, contextId: number, status: number, offending?: Buffer): Buffer {
  const command = commandSet({
    '0002': STUDY_ROOT_FIND,
    '0100': 0x8020,
    '0120': messageId,
    '0800': 0x0101,
    '0900': status,
    ...(offending && { '0901': offending }),
    '0902': 'PAT-CANARY is unknown',
  })
  return message(command, undefined, { contextId })
}

describe('a C-FIND that fails is never an empty list', () => {
  it.each([0xa700, 0xa701, 0xfe00])(
    'status %i of a search that nothing narrows is a 413 that says so',
    async (status) => {
      const setup = await started({ archive: { faults: { findStatus: status } } })
      const dicom = { status: status.toString(16).toUpperCase().padStart(4, '0') }
      for (const query of ['', '?limit=5', '?PatientName=*', '?includefield=all']) {
        const answer = await get(`${setup.url}/studies${query}`)
        expect(answer).toMatchObject({ status: 413, body: { code: 'SEARCH_TOO_BROAD', dicom } })
      }
      expect((await get(`${setup.url}/studies?StudyDate=20260101`)).body).toMatchObject({ code: 'DIMSE_STATUS' })
    },
  )

  it.each([
    [0xa700, 503],
    [0xa900, 502],
    [0xc000, 502],
    [0xc001, 502],
    [0x0110, 502],
    [0x0112, 404],
    [0x0117, 502],
    [0x0122, 501],
    [0x0124, 403],
    [0x0210, 502],
    [0x0211, 502],
    [0x0212, 502],
    [0x0213, 503],
    [0xfe00, 502],
    [0x9999, 502],
  ])('status %i is HTTP %i (dimse.md 8)', async (status, http) => {
    const setup = await started({ archive: { faults: { findStatus: status } } })
    const answer = await get(`${setup.url}/studies?PatientID=1`)
    expect(answer).toMatchObject({
      status: http,
      type: 'application/problem+json',
      retryAfter: http === 503 ? (expect.stringMatching(/^\d+$/) as string) : null,
      body: {
        status: http,
        code: 'DIMSE_STATUS',
        dicom: { status: status.toString(16).toUpperCase().padStart(4, '0') },
        instance: '/dicomweb/studies',
      },
    })
  })

  it('is the fault of the request where the archive objects to an attribute of the request (A900)', async () => {
    const offending = Buffer.from('10002000', 'hex')
    const { url } = await scripted({
      find: async ({ peer }, { messageId, contextId }) =>
        peer.send(finalResponse(messageId, contextId, 0xa900, offending)),
    })
    expect(await get(`${url}/studies?PatientID=1`)).toMatchObject({
      status: 400,
      body: { dicom: { status: 'A900', offendingElement: ['00100020'] } },
    })
    expect(await get(`${url}/studies?StudyDate=20240101`)).toMatchObject({
      status: 502,
      body: { dicom: { status: 'A900', offendingElement: ['00100020'] } },
    })
  })

  it('keeps the Error Comment to itself: it may hold patient data', async () => {
    const { url } = await scripted({
      find: async ({ peer }, { messageId, contextId }) => peer.send(finalResponse(messageId, contextId, 0xc001)),
    })
    expect(JSON.stringify(await get(`${url}/studies`))).not.toContain('CANARY')
  })

  it('behind the first matches is the end of a list that says so, as long as none has been sent', async () => {
    const { url } = await scripted({
      find: async (association, { messageId, contextId }) => {
        const data = association.encode(contextId, study('1.2.1'))
        const pending = findResponse({ messageId, contextId, data })
        await association.peer.send(Buffer.concat([pending, pending, finalResponse(messageId, contextId, 0xa700)]))
      },
    })
    expect(await get(`${url}/studies`)).toMatchObject({
      status: 200,
      body: [{}],
      warning: expect.stringMatching(/ended its answer early/) as string,
    })
  })

  it('behind a page that was full before is no fault of the page', async () => {
    const { url } = await scripted(
      {
        find: async (association, { messageId, contextId }) => {
          const pending = ['1.2.1', '1.2.2'].map((uid) =>
            findResponse({ messageId, contextId, data: association.encode(contextId, study(uid)) }),
          )
          await association.peer.send(Buffer.concat([...pending, finalResponse(messageId, contextId, 0xfe00)]))
        },
      },
      { search: { deriveCounts: 'never' } },
    )
    const full = await get(`${url}/studies?limit=1`)
    expect(full).toMatchObject({ status: 200, warning: expect.not.stringMatching(/early/) as string })
    expect(full.body).toHaveLength(1)
    const more = await get(`${url}/studies?limit=3`)
    expect(more).toMatchObject({ status: 200, warning: expect.stringMatching(/early/) as string })
    expect(more.body).toHaveLength(2)
  })

  it.each([0xfe00, 0xa700, 0xa900, 0xc001])('behind what was sent (%i) cuts the list', async (status) => {
    const { url } = await scripted(
      {
        find: async (association, { messageId, contextId }) => {
          const data = association.encode(contextId, study('1.2.1'))
          await association.peer.send(findResponse({ messageId, contextId, data }))
          await delay(600)
          await association.peer.send(finalResponse(messageId, contextId, status))
        },
      },
      { search: { deriveCounts: 'never' } },
    )
    const response = await fetch(`${url}/studies`)
    expect(response.status).toBe(200)
    await expect(response.text()).rejects.toThrow()
  })

  it('when only counts are asked for costs the counts', async () => {
    const { url } = await scripted({
      find: async (association, { messageId, contextId, identifier }) => {
        const isStudy = identifier.string(Attribute.QueryRetrieveLevel) === 'STUDY'
        const data = association.encode(contextId, study('1.2.1'))
        const match = isStudy ? [findResponse({ messageId, contextId, data })] : []
        await association.peer.send(
          Buffer.concat([...match, finalResponse(messageId, contextId, isStudy ? 0 : 0xa900)]),
        )
      },
    })
    for (const path of ['/studies', '/studies?ModalitiesInStudy=MR']) {
      expect(await get(url + path)).toMatchObject({ status: 200, body: [{ '0020000D': { Value: ['1.2.1'] } }] })
    }
  })

  it('is a list cut short, of which no client can think that it is whole, behind the first bytes', async () => {
    const setup = await started({
      files: studies(12),
      archive: { faults: { findDelay: 60, findAbortAfter: 9 } },
    })
    await using client = await RawClient.connect(setup.port)
    await client.request('GET', '/dicomweb/studies')
    await client.closed()
    expect(client.status).toBe(200)
    expect(client.text).toContain('1.2.1')
    expect(client.isWhole).toBe(false)
    expect(client.text).not.toContain(']\r\n')
    await expect(fetch(`${setup.url}/studies`).then((response) => response.text())).rejects.toThrow()
  })

  it.each([
    ['aborts', 'abort', 502, 'ASSOCIATION_ABORTED'],
    ['closes the connection', 'close', 502, 'CONNECTION_LOST'],
  ] as const)('is a 502 where the archive %s', async (_, how, status, code) => {
    const { url } = await scripted({
      find: async ({ peer }) => {
        if (how === 'abort') await peer.abort()
        else peer.close()
      },
    })
    expect(await get(`${url}/studies`)).toMatchObject({ status, body: { code } })
  })

  it('is a 504 where the archive says nothing', async () => {
    const { url } = await scripted({ find: async () => undefined }, { timeouts: { response: '200ms' } })
    expect(await get(`${url}/studies`)).toMatchObject({ status: 504, body: { code: 'PEER_TIMEOUT' } })
  })

  it('is a 504 where the archive falls silent between matches', async () => {
    const { url } = await scripted(
      {
        find: async (association, { messageId, contextId }) => {
          const data = association.encode(contextId, study('1.2.1'))
          await association.peer.send(findResponse({ messageId, contextId, data }))
        },
      },
      { timeouts: { response: '100ms' } },
    )
    expect(await get(`${url}/studies`)).toMatchObject({ status: 504 })
  })
})

describe('an archive that cannot be had', () => {
  it('and refuses connections is a 502', async () => {
    const gateway = kept(await startGatewayFor([{ aeTitle: 'PACS', host: '127.0.0.1', port: 1 }]))
    expect(await get(`${gateway.url}/studies`)).toMatchObject({ status: 502, body: { code: 'CONNECT_FAILED' } })
  })

  it('and rejects for good is a 502, at the first try (case 122)', async () => {
    const { url, archive } = await scripted({ associate: () => [1, 1, 7] })
    const answer = await get(`${url}/studies`)
    expect(answer).toMatchObject({ status: 502, retryAfter: null, body: { code: 'ASSOCIATION_REJECTED' } })
    expect(archive.associations).toHaveLength(1)
  })

  it('and rejects for want of resources is a 503 in the end, after a few tries (case 122)', async () => {
    const { url, archive } = await scripted({ associate: () => [2, 3, 1] })
    const answer = await get(`${url}/studies`)
    expect(answer).toMatchObject({ status: 503, body: { code: 'ASSOCIATION_REJECTED' } })
    expect(Number(answer.retryAfter)).toBeGreaterThan(0)
    expect(archive.associations.length).toBeGreaterThan(1)
  })

  it('and rejects for want of resources once is served at the next try (case 122)', async () => {
    const { url } = await scripted({
      associate: (_, index) => (index === 0 ? [2, 3, 1] : undefined),
      find: findAnswer(() => [study('1.2.1')]),
    })
    expect(await get(`${url}/studies`)).toMatchObject({ status: 200, body: [{ '0020000D': { Value: ['1.2.1'] } }] })
  })

  it('and never answers the association request is a 504', async () => {
    const { url } = await scripted({ associate: () => 'silent' }, { timeouts: { associate: '200ms' } })
    expect(await get(`${url}/studies`)).toMatchObject({ status: 504 })
  })

  it('and has no Study Root C-FIND is a 501', async () => {
    const setup = await started({ archive: { faults: { acceptsClass: (uid) => uid !== STUDY_ROOT_FIND } } })
    expect(await get(`${setup.url}/studies`)).toMatchObject({ status: 501, body: { code: 'NOT_SUPPORTED_BY_ARCHIVE' } })
  })

  it('because all associations are in use is a 503', async () => {
    const { url, archive } = await scripted(
      { find: async () => undefined },
      { maxAssociations: 1, timeouts: { queue: '150ms', response: '3s' } },
    )
    const abandoned = new AbortController()
    const first = fetch(`${url}/studies`, { signal: abandoned.signal }).catch(() => undefined)
    await vi.waitFor(() => expect(archive.received(Field.find)).toHaveLength(1), { timeout: 5000, interval: 5 })
    const answer = await get(`${url}/studies`)
    expect(answer).toMatchObject({ status: 503, body: { code: 'POOL_BUSY' } })
    expect(Number(answer.retryAfter)).toBeGreaterThan(0)
    abandoned.abort()
    await first
  })
})

describe('an archive that ignores keys', () => {
  it('of ModalitiesInStudy has its matches looked through (case 49)', async () => {
    const { url } = await scripted({
      find: findAnswer(() => [
        study('1.2.1').set(Attribute.ModalitiesInStudy, ['CT']),
        study('1.2.2').set(Attribute.ModalitiesInStudy, ['MR']),
        study('1.2.3').set(Attribute.ModalitiesInStudy, ['MR', 'CT']),
      ]),
    })
    const { body } = await get(`${url}/studies?ModalitiesInStudy=CT`)
    expect((body as Record<string, { Value: string[] }>[]).map((one) => one['0020000D']!.Value[0])).toEqual([
      '1.2.1',
      '1.2.3',
    ])
  })

  it.each(['/studies', '/series?PatientID=P-1', '/instances?PatientID=P-1'])(
    'and has UIDs that are none, for keys or not, has all that it has listed by %s',
    async (path) => {
      const odd = { study: '1.2.\xe4\xdfB 7', series: '1.2.\xe4/../"', instance: '1.2.\xe4' }
      const shapes = [{ study: '1.2.3', series: '1.2.3.1', instance: '1.2.3.1.1' }, odd]
      const { url } = await scripted({ find: listing(shapes) })
      const { status, body } = await get(url + path)
      expect(status).toBe(200)
      const list = body as Record<string, { Value: string[] }>[]
      expect(list.map((one) => one['0020000D']!.Value[0])).toEqual(['1.2.3', odd.study])
      const [plain, strange] = list.map((one) => one['00081190']?.Value[0])
      expect(plain).toMatch(/\/studies\/1\.2\.3(\/series\/1\.2\.3\.1(\/instances\/1\.2\.3\.1\.1)?)?$/)
      // It cannot be named in a URL.
      expect(strange).toBeUndefined()
    },
  )

  it('and sends matches twice, and some of another level, has each once', async () => {
    const { url } = await scripted({
      find: findAnswer(() => [
        study('1.2.1'),
        study('1.2.1'),
        new Dataset().set(Attribute.PatientID, '1'),
        study('1.2.2'),
      ]),
    })
    const { body } = await get(`${url}/studies`)
    expect((body as Record<string, { Value: string[] }>[]).map((one) => one['0020000D']!.Value[0])).toEqual([
      '1.2.1',
      '1.2.2',
    ])
  })
})

describe('a long search', () => {
  it('gives its first results before the archive has found the last', async () => {
    let made = 0
    const setup = await started({
      files: studies(15),
      archive: { faults: { findDelay: 60, onMatch: (count) => (made = count) } },
    })
    const response = await fetch(`${setup.url}/studies`)
    const reader = response.body!.getReader()
    const first = await reader.read()
    expect(made).toBeLessThan(15)
    let text = Buffer.from(first.value).toString()
    expect(text).toContain('"1.2.1"')
    for (let next = await reader.read(); !next.done; next = await reader.read())
      text += Buffer.from(next.value).toString()
    expect(made).toBe(15)
    expect(JSON.parse(text)).toHaveLength(15)
  })

  /** A gateway that reaches its archive through a tap. */
  async function tapped(options: SetupOptions): Promise<{ setup: Setup; tap: WireTap; url: string; port: number }> {
    const setup = await started(options)
    const tap = kept(await WireTap.before(setup.archive.port))
    const gateway = kept(
      await startGatewayFor([
        { aeTitle: 'DEMO', host: '127.0.0.1', port: tap.port, maxAssociations: 1, search: options.search ?? {} },
      ]),
    )
    const { url, port } = gateway
    return { setup, tap, url, port }
  }

  it('is cancelled when the page is full, and its association goes on to be used (case 41)', async () => {
    let made = 0
    const { setup, tap, url } = await tapped({
      files: studies(60),
      archive: { faults: { findDelay: 5, onMatch: (count) => (made = count) } },
      search: { countWindow: 0 },
    })
    const answer = await get(`${url}/studies?limit=2`)
    expect(answer.body).toHaveLength(2)
    expect(made).toBeLessThan(60)
    const [find, cancel, ...others] = tap.commands
    expect(find).toMatchObject({ field: Field.find })
    expect(cancel).toMatchObject({ field: Field.cancel, messageId: find!.messageId })
    expect(others).toEqual([])
    setup.archive.faults = {}
    expect((await get(`${url}/studies`)).body).toHaveLength(60)
    expect(tap.connections).toBe(1)
    expect(tap.aborts).toBe(0)
  })

  it('is cancelled when the client leaves, and its association goes on to be used', async () => {
    let made = 0
    const { setup, tap, url, port } = await tapped({
      files: studies(80),
      archive: { faults: { findDelay: 20, onMatch: (count) => (made = count) } },
    })
    const client = await RawClient.connect(port)
    await client.request('GET', '/dicomweb/studies')
    await client.until(({ text }) => text.includes('1.2.1'))
    client.socket.destroy()
    await vi.waitFor(() => expect(tap.count(Field.cancel)).toBe(1), { timeout: 5000, interval: 5 })
    expect(made).toBeLessThan(80)
    setup.archive.faults = {}
    expect((await get(`${url}/studies`)).body).toHaveLength(80)
    expect(tap.connections).toBe(1)
    expect(tap.aborts).toBe(0)
  })

  it('whose client leaves before the first match is given up too', async () => {
    const { url, archive } = await scripted(
      {
        find: async () => undefined,
        other: async ({ peer }, { contextId, command }) => {
          await peer.send(finalResponse(command.get('0120')!.readUInt16LE(0), contextId, 0xfe00))
        },
      },
      { maxAssociations: 1 },
    )
    const leaving = new AbortController()
    const gone = fetch(`${url}/studies`, { signal: leaving.signal })
    await vi.waitFor(() => expect(archive.received(Field.find)).toHaveLength(1), { timeout: 5000, interval: 5 })
    leaving.abort()
    await expect(gone).rejects.toThrow()
    await vi.waitFor(() => expect(archive.received(Field.cancel)).toHaveLength(1), { timeout: 5000, interval: 5 })
    archive.script = { find: findAnswer(() => [study('1.2.1')]) }
    expect(await get(`${url}/studies`)).toMatchObject({ status: 200 })
  })
})

describe('rows of megabytes', () => {
  const TEXT = 0x0040a160
  const MIB = 1024 * 1024
  /** An archive that does not know what is in its studies, and says a MiB of each. */
  async function answering(count: number): Promise<{ url: string; archive: ScriptedArchive }> {
    const rows = Array.from({ length: count }, (_, n) => study(`1.2.${n + 1}`).set(TEXT, 'x'.repeat(MIB), 'UT'))
    const isStudy = (identifier: Dataset): boolean => identifier.string(Attribute.QueryRetrieveLevel) === 'STUDY'
    const framing = { fragments: [100_000] }
    return scripted({ find: findAnswer((identifier) => (isStudy(identifier) ? rows : []), framing) })
  }

  it.each(['/studies', '/studies?ModalitiesInStudy=CT', '/series'])(
    'that have to be held are an error at some point, never a shorter answer: %s',
    async (path) => {
      const { url } = await answering(MAX_HELD_BYTES / MIB)
      expect(await get(url + path)).toMatchObject({ status: 413, body: { code: 'RESULTS_TOO_LARGE' } })
    },
  )

  it('are given where fewer of them are asked for', async () => {
    const { url } = await answering(4)
    const { status, body } = await get(`${url}/studies`)
    expect(status).toBe(200)
    expect(body).toHaveLength(4)
  })
})
