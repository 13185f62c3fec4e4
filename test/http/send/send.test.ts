import { describe, expect, it } from 'vitest'
import { DemoArchive } from '../../../src/demo/demo-archive.ts'
import type { Faults } from '../../../src/demo/faults.ts'
import { MAX_SENDS_PER_CLIENT } from '../../../src/pacs/send/sends.ts'
import { E, instanceFile, S, seriesFiles } from '../../support/dicom-files.ts'
import { eventually } from '../../support/eventually.ts'
import { startGatewayFor, type Setup } from '../../support/gateway.ts'
import { failOnLeaks } from '../../support/leaks.ts'

failOnLeaks()

type Model = Record<string, { vr: string; Value?: unknown[] }>

/** What an answer says, by the names of its attributes. */
interface Told {
  readonly status: unknown
  readonly comment: unknown
  readonly completed: unknown
  readonly failed: unknown
  readonly remaining: unknown
  readonly failedInstances: unknown[] | undefined
}

let uids = 0
const newUid = (): string => `2.25.${++uids}`

interface Sender extends Setup {
  readonly receiver: DemoArchive
  send(path: string, query?: string, uid?: string, method?: string): Promise<Response>
}

/** An archive that knows another, and a gateway in front of it that may have it send there. */
async function start(faults: Faults = {}, pacs: object = {}): Promise<Sender> {
  const receiver = await DemoArchive.start({ aeTitle: 'PARTNER' })
  const destinations = { PARTNER: { host: '127.0.0.1', port: receiver.port } }
  const archive = await DemoArchive.start({ destinations })
  for (const file of seriesFiles(3)) await archive.put(file)
  await archive.put(instanceFile({ series: '1.2.3.9', instance: '1.2.3.9.1' }))
  archive.faults = faults
  const send = {
    destinations: [
      { name: 'partner hospital', aeTitle: 'PARTNER' },
      { name: 'unknown', aeTitle: 'NOBODY' },
    ],
  }
  const { aeTitle, port } = archive
  const gateway = await startGatewayFor([{ aeTitle, host: '127.0.0.1', port, send, ...pacs }])
  return {
    ...{ archive, receiver, gateway, port: gateway.port, url: gateway.url, origin: `http://127.0.0.1:${gateway.port}` },
    send: (path, query = 'destination=partner%20hospital', uid = newUid(), method = 'POST') =>
      fetch(`${gateway.url}${path}/send-requests/${uid}${query && `?${query}`}`, { method }),
    [Symbol.asyncDispose]: async () => {
      await gateway[Symbol.asyncDispose]()
      await archive[Symbol.asyncDispose]()
      await receiver[Symbol.asyncDispose]()
    },
  }
}

async function told(response: Response, httpStatus = 200): Promise<Told> {
  const text = await response.text()
  expect(response.status, text).toBe(httpStatus)
  const model = JSON.parse(text) as Model
  const first = (tag: string): unknown => model[tag]?.Value?.[0]
  return {
    ...{ status: first('00080417'), comment: first('00080418') },
    ...{ remaining: first('00001020'), completed: first('00001021'), failed: first('00001022') },
    failedInstances: model['00080058']?.Value,
  }
}

/** Instances but the first of a series wait. */
const behind = (gate: Promise<undefined>) => async (uid: string) => {
  if (!uid.endsWith('.1')) await gate
}

async function problem(response: Response): Promise<[number, unknown]> {
  return [response.status, ((await response.json()) as { code?: unknown }).code]
}

const received = ({ receiver }: Sender): string[] => receiver.catalog.files.map(({ sopInstance }) => sopInstance).sort()
const ALL = [`${E}.1`, `${E}.2`, `${E}.3`, '1.2.3.9.1']
const QUERY = 'destination=partner%20hospital'

describe('Send: what the archive sends to others', () => {
  it.each([
    ['a study', '/studies', `${QUERY}&StudyInstanceUID=${S}`, ALL],
    ['all series of a study', `/studies/${S}/series`, QUERY, ALL],
    ['one series', `/studies/${S}/series`, `${QUERY}&SeriesInstanceUID=${E}`, ALL.slice(0, 3)],
    ['series by their tag', `/studies/${S}/series`, `${QUERY}&0020000E=${E},1.2.3.9`, ALL],
    ['all instances of a study', `/studies/${S}/instances`, QUERY, ALL],
    ['all instances of a series', `/studies/${S}/series/${E}/instances`, QUERY, ALL.slice(0, 3)],
    ['one instance', `/studies/${S}/series/${E}/instances`, `${QUERY}&SOPInstanceUID=${E}.2`, [`${E}.2`]],
    [
      'some instances',
      `/studies/${S}/series/${E}/instances`,
      `${QUERY}&SOPInstanceUID=${E}.2,${E}.3`,
      [`${E}.2`, `${E}.3`],
    ],
  ])('sends %s by C-MOVE, and no byte through the gateway', async (_, path, query, expected) => {
    await using setup = await start()
    const answer = await told(await setup.send(path, query))
    expect(answer).toEqual({
      ...{ status: 'COMPLETE', comment: undefined, completed: expected.length, failed: 0, remaining: 0 },
      failedInstances: undefined,
    })
    expect(received(setup)).toEqual([...expected].sort())
    // One for each study and series that is named.
    const moves = path.endsWith('/series') && query.includes(',') ? 2 : 1
    expect([setup.archive.moves, setup.archive.retrievals]).toEqual([moves, 0])
  })

  it('sends what is named one by one where the archive cannot match lists of UIDs', async () => {
    await using setup = await start({}, { quirks: { singleUidLists: true } })
    const query = `${QUERY}&SOPInstanceUID=${E}.1,${E}.3`
    const answer = await told(await setup.send(`/studies/${S}/series/${E}/instances`, query))
    expect(answer).toMatchObject({ status: 'COMPLETE', completed: 2 })
    expect(received(setup)).toEqual([`${E}.1`, `${E}.3`])
    expect(setup.archive.moves).toBe(2)
  })

  it('answers in XML to who asks for that', async () => {
    await using setup = await start()
    const response = await fetch(`${setup.url}/studies/${S}/series/send-requests/2.25.7?${QUERY}`, {
      method: 'POST',
      headers: { Accept: 'application/dicom+xml' },
    })
    expect(await response.text()).toMatch(/<Value number="1">COMPLETE<\/Value>/)
  })

  it('tells how far it is, while the client may leave, and the end', async () => {
    const gate = Promise.withResolvers<undefined>()
    await using setup = await start({ onGet: behind(gate.promise) })
    const uid = newUid()
    const response = await setup.send(`/studies/${S}/series`, QUERY, uid)
    const location = response.headers.get('location')
    expect(location).toBe(`${setup.url}/studies/send-requests/${uid}`)
    expect(response.headers.get('retry-after')).toBe('2')
    expect(await told(response, 202)).toMatchObject({ status: 'SENDING', completed: 1, remaining: 3 })
    expect(await told(await fetch(location!), 202)).toMatchObject({ status: 'SENDING', completed: 1 })
    gate.resolve(undefined)
    await eventually(async () =>
      expect(await told(await setup.send(`/studies/${S}/series`, '', uid, 'GET'))).toMatchObject({
        status: 'COMPLETE',
        completed: 4,
      }),
    )
    expect(received(setup)).toEqual([...ALL].sort())
  })

  it('says what was not sent, and is no success for it', async () => {
    await using setup = await start({ getFails: (uid) => uid === `${E}.2` })
    expect(await told(await setup.send(`/studies/${S}/series`))).toMatchObject({
      ...{ status: 'PARTLY', completed: 3, failed: 1 },
      failedInstances: [`${E}.2`],
    })
    expect(received(setup)).toEqual(ALL.filter((uid) => uid !== `${E}.2`).sort())
  })

  it('is a failure where nothing could be sent', async () => {
    await using setup = await start({ getFails: () => true })
    expect(await problem(await setup.send(`/studies/${S}/series`))).toEqual([503, 'DIMSE_STATUS'])
    expect(received(setup)).toEqual([])
  })

  it('is 404 for what the archive does not have, though it calls that a success', async () => {
    await using setup = await start()
    const uid = newUid()
    expect(await problem(await setup.send('/studies/9.9/series', QUERY, uid))).toEqual([404, 'NOTHING_TO_SEND'])
    // Nothing was begun: the UID may be used again.
    expect(await problem(await setup.send('/studies/9.9/series', '', uid, 'GET'))).toEqual([404, 'NO_SUCH_SEND'])
    expect((await setup.send(`/studies/${S}/series`, QUERY, uid)).status).toBe(200)
  })

  it('says what to do where the archive does not know the destination', async () => {
    await using setup = await start()
    const response = await setup.send(`/studies/${S}/series`, 'destination=unknown')
    expect(response.status).toBe(502)
    expect(await response.json()).toMatchObject({
      code: 'DESTINATION_UNKNOWN',
      detail: expect.stringContaining('administrator') as unknown,
      dicom: { status: 'A801' },
    })
  })

  it.each([
    [{ moveStatus: 0xa702 }, 503, 'DIMSE_STATUS'],
    [{ moveStatus: 0x0124 }, 403, 'DIMSE_STATUS'],
    [{ moveStatus: 0xa900 }, 502, 'DIMSE_STATUS'],
    [{ acceptsClass: (uid: string) => !uid.endsWith('2.2.2') }, 501, 'NOT_SUPPORTED_BY_ARCHIVE'],
  ])('maps the refusal of an archive: %o to %i %s', async (faults, status, code) => {
    await using setup = await start(faults)
    expect(await problem(await setup.send(`/studies/${S}/series`))).toEqual([status, code])
  })

  it('ends on request, and tells what was sent by then', async () => {
    const gate = Promise.withResolvers<undefined>()
    await using setup = await start({ onGet: behind(gate.promise) })
    const uid = newUid()
    await told(await setup.send(`/studies/${S}/series`, QUERY, uid), 202)
    const cancelled = await setup.send(`/studies/${S}/series`, '', uid, 'DELETE')
    expect([200, 202]).toContain(cancelled.status)
    gate.resolve(undefined)
    await eventually(async () =>
      expect(await told(await setup.send(`/studies/${S}/series`, '', uid, 'GET'))).toMatchObject({
        status: 'CANCELED',
        comment: expect.stringContaining('SEND_CANCELLED') as unknown,
      }),
    )
    expect(received(setup).length).toBeLessThan(4)
  })

  it('takes its turn behind others, which is bounded for each client', async () => {
    const gate = Promise.withResolvers<undefined>()
    await using setup = await start({ onGet: () => gate.promise }, { maxAssociations: 2 })
    const asked = Array.from({ length: MAX_SENDS_PER_CLIENT }, () => setup.send(`/studies/${S}/series`))
    await eventually(() => expect(setup.archive.moves).toBe(1))
    await eventually(async () =>
      expect(await problem(await setup.send(`/studies/${S}/series`))).toEqual([503, 'TOO_MANY_SENDS']),
    )
    // One at a time, where two associations are open at most: a search still gets through.
    expect((await fetch(`${setup.url}/studies`)).status).toBe(200)
    expect(setup.archive.moves).toBe(1)
    gate.resolve(undefined)
    for (const response of await Promise.all(asked)) expect([200, 202]).toContain(response.status)
    await eventually(() => expect(setup.archive.moves).toBe(MAX_SENDS_PER_CLIENT))
  }, 30_000)

  it.each([
    ['no destination', '/studies/1.2/series', '', 400, 'UNKNOWN_DESTINATION'],
    ['one that is not configured', '/studies/1.2/series', 'destination=elsewhere', 400, 'UNKNOWN_DESTINATION'],
    ['two', '/studies/1.2/series', `${QUERY}&${QUERY}`, 400, 'UNKNOWN_DESTINATION'],
    ['an AE title', '/studies/1.2/series', 'destination=PARTNER', 400, 'UNKNOWN_DESTINATION'],
    ['all studies', '/studies', QUERY, 400, 'INVALID_PARAMETER'],
    ['an empty UID', '/studies/1.2/series', `${QUERY}&SeriesInstanceUID=`, 400, 'INVALID_PARAMETER'],
    ['a search', '/studies', `${QUERY}&PatientID=1`, 400, 'INVALID_PARAMETER'],
    ['the UID of another level', '/studies/1.2/series', `${QUERY}&SOPInstanceUID=1`, 400, 'INVALID_PARAMETER'],
    ['instances without their series', '/studies/1.2/instances', `${QUERY}&SOPInstanceUID=1`, 400, 'INVALID_PARAMETER'],
    ['a wildcard', '/studies', `${QUERY}&StudyInstanceUID=1.*`, 400, 'INVALID_SEARCH_PARAMETER'],
    ['a misspelt parameter', '/studies/1.2/series', `${QUERY}&SeriesUID=1.2`, 400, 'INVALID_SEARCH_PARAMETER'],
    ['a limit', '/studies/1.2/series', `${QUERY}&limit=1`, 400, 'INVALID_SEARCH_PARAMETER'],
    [
      'a UID that is an empty value',
      '/studies',
      `${QUERY}&StudyInstanceUID=%22%22&emptyvaluematching=true`,
      400,
      'INVALID_SEARCH_PARAMETER',
    ],
    ['no UID of a transaction', '/studies/1.2/series', QUERY, 400, 'INVALID_UID', 'abc'],
  ])('refuses %s', async (_, path, query, status, code, uid = '2.25.1') => {
    await using setup = await start()
    expect(await problem(await setup.send(path, query, uid))).toEqual([status, code])
    expect(setup.archive.moves).toBe(0)
  })

  it('is not whole where one of what is named is not there', async () => {
    await using setup = await start()
    const query = `${QUERY}&SeriesInstanceUID=${E},9.9.9,${E}`
    const answer = await told(await setup.send(`/studies/${S}/series`, query))
    expect(answer).toMatchObject({
      status: 'PARTLY',
      completed: 3,
      comment: expect.stringContaining('NOTHING_TO_SEND') as unknown,
    })
  })

  it('is not to be found at another study', async () => {
    await using setup = await start()
    const uid = newUid()
    expect((await setup.send(`/studies/${S}/series`, QUERY, uid)).status).toBe(200)
    expect(await problem(await setup.send('/studies/7.7/series', '', uid, 'GET'))).toEqual([404, 'NO_SUCH_SEND'])
    expect((await setup.send('/studies', '', uid, 'GET')).status).toBe(200)
  })

  it('refuses a Transaction UID that is in use', async () => {
    await using setup = await start()
    expect((await setup.send(`/studies/${S}/series`, QUERY, '2.25.5')).status).toBe(200)
    expect(await problem(await setup.send(`/studies/${S}/series`, QUERY, '2.25.5'))).toEqual([
      409,
      'TRANSACTION_IN_USE',
    ])
    expect(setup.archive.moves).toBe(1)
  })

  it('is not offered where the archive has no destinations', async () => {
    await using setup = await start({}, { send: {} })
    expect(await problem(await setup.send(`/studies/${S}/series`))).toEqual([501, 'NO_DESTINATIONS'])
  })
})
