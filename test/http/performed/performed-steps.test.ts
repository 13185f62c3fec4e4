import { describe, expect, it } from 'vitest'
import { DemoArchive } from '../../../src/demo/demo-archive.ts'
import type { Faults } from '../../../src/demo/faults.ts'
import { encodeXml } from '../../../src/dicomweb/encode/xml.ts'
import { newApiKey } from '../../../src/http/auth/api-keys.ts'
import { startSetup, type Setup, type SetupOptions } from '../../support/gateway.ts'
import { failOnLeaks } from '../../support/leaks.ts'
import { ScriptedArchive } from '../../support/scripted-archive.ts'
import { gatewayTo } from '../../support/gateway-to.ts'

failOnLeaks()

const UID = '1.2.3.4711'
const JSON_TYPE = 'application/dicom+json'
const status = (value: string) => ({ '00400252': { vr: 'CS', Value: [value] } })
const STEP = {
  '00100010': { vr: 'PN', Value: [{ Alphabetic: 'Müller^Änne' }] },
  ...status('IN PROGRESS'),
  '00400253': { vr: 'SH', Value: ['P1'] },
  '00400270': { vr: 'SQ', Value: [{ '0020000D': { vr: 'UI', Value: ['1.2.3'] } }] },
}

const start = (faults: Faults = {}, options: SetupOptions = {}): Promise<Setup> =>
  startSetup({ ...options, archive: { faults } })

function write(url: string, body: unknown, query = '', headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${url}/modality-performed-procedure-steps/${UID}${query}`, {
    method: 'POST',
    headers: { 'Content-Type': JSON_TYPE, ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
}

const read = (url: string, headers: Record<string, string> = { Accept: JSON_TYPE }): Promise<Response> =>
  fetch(`${url}/modality-performed-procedure-steps/${UID}`, { headers })

describe('a performed procedure step (PS3.18 15)', () => {
  it('is created, changed, completed and retrieved', async () => {
    await using setup = await start()
    const created = await write(setup.url, STEP)
    expect([created.status, created.headers.get('location'), await created.text()]).toEqual([
      ...[201, `${setup.url}/modality-performed-procedure-steps/${UID}`, ''],
    ])
    expect((await write(setup.url, { '00400254': { vr: 'LO', Value: ['Schädel'] } }, '?update')).status).toBe(200)
    expect((await write(setup.url, status('COMPLETED'), '?update')).status).toBe(200)
    expect(await (await read(setup.url)).json()).toMatchObject({
      ...STEP,
      ...status('COMPLETED'),
      '00400254': { vr: 'LO', Value: ['Schädel'] },
    })
  })

  it('is sent in the character set of the system', async () => {
    await using setup = await start({}, { pacs: { charset: { query: 'ISO_IR 100' } } })
    expect((await write(setup.url, STEP)).status).toBe(201)
    const step = setup.archive.steps.get(UID)!
    expect(step.string(0x00080005)).toBe('ISO_IR 100')
    expect(Buffer.from(step.get(0x00100010)!.value as Uint8Array).toString('latin1')).toBe('Müller^Änne ')
  })

  it('is taken and given in XML', async () => {
    await using setup = await start()
    await write(setup.url, STEP)
    const xml = await (await read(setup.url, { Accept: 'application/dicom+xml' })).text()
    expect(xml).toBe(encodeXml(setup.archive.steps.get(UID)!))
    await using other = await start()
    expect((await write(other.url, xml, '', { 'Content-Type': 'application/dicom+xml' })).status).toBe(201)
    expect(encodeXml(other.archive.steps.get(UID)!)).toBe(xml)
  })

  it.each(['COMPLETED', 'DISCONTINUED'])(
    'that is %s does not change any more, and the system is not asked',
    async (end) => {
      await using setup = await start()
      await write(setup.url, STEP)
      await write(setup.url, status(end), '?update')
      setup.archive.faults = { normalizedStatus: 0x0110 }
      const response = await write(setup.url, status('IN PROGRESS'), '?update')
      expect([response.status, await response.json()]).toMatchObject([409, { code: 'STEP_FINAL' }])
    },
  )

  it('that was ended elsewhere is a conflict as well', async () => {
    await using setup = await start()
    await write(setup.url, STEP)
    setup.archive.steps.get(UID)!.set(0x00400252, 'COMPLETED')
    const response = await write(setup.url, status('DISCONTINUED'), '?update')
    expect([response.status, await response.json()]).toMatchObject([
      409,
      { code: 'DIMSE_STATUS', dicom: { status: '0110' } },
    ])
  })

  it.each<[string, object, string]>([
    ['that begins as completed', { ...STEP, ...status('COMPLETED') }, ''],
    ['that begins without a status', { '00400270': STEP['00400270'] }, ''],
    ['that is changed to a status that is none', status('DONE'), '?update'],
  ])('%s is refused, and the system is not asked', async (_, body, query) => {
    await using setup = await start()
    const response = await write(setup.url, body, query)
    expect([response.status, await response.json()]).toMatchObject([400, { code: 'STEP_STATUS' }])
    expect(setup.archive.steps.get(UID)).toBeUndefined()
  })

  it.each([
    ['is missing', 0x0120, 400],
    ['has a value that is wrong', 0x0106, 400],
    ['is there already', 0x0111, 409],
    ['is of a class that is not there', 0x0118, 501],
    ['may not be reported by us', 0x0124, 403],
    ['is too much', 0x0213, 503],
    ['cannot be processed', 0x0110, 502],
  ])('of which something %s is told by its status', async (_, normalizedStatus, expected) => {
    await using setup = await start({ normalizedStatus })
    expect((await write(setup.url, STEP)).status).toBe(expected)
  })

  it('is taken with a warning where the system warns', async () => {
    await using setup = await start({ normalizedStatus: 0x0116 })
    const response = await write(setup.url, STEP)
    expect([response.status, response.headers.get('warning')]).toEqual([201, expect.stringContaining('0116') as string])
  })

  it('is 404 where it is not known, changed or retrieved', async () => {
    await using setup = await start()
    expect((await write(setup.url, status('COMPLETED'), '?update')).status).toBe(404)
    expect((await read(setup.url)).status).toBe(404)
  })

  it('goes to the system that manages them, to that of the worklist, or to the archive', async () => {
    await using ris = await DemoArchive.start({ aeTitle: 'RIS' })
    const at = { aeTitle: 'RIS', host: '127.0.0.1', port: ris.port }
    for (const pacs of [{ performedSteps: at }, { worklist: at }]) {
      await using setup = await start({}, { pacs })
      await write(setup.url, STEP)
      expect([ris.steps.get(UID) === undefined, setup.archive.steps.get(UID)]).toEqual([false, undefined])
    }
  })

  it('is not sent again where nobody knows whether it was taken', async () => {
    let asked = 0
    await using archive = await ScriptedArchive.start({
      other: ({ peer }) => {
        asked++
        peer.reset()
        return Promise.resolve()
      },
    })
    await using gateway = await gatewayTo(archive.address)
    const response = await write(gateway.url, STEP)
    expect([response.status, asked]).toEqual([502, 1])
  })

  it('is not for who may see one patient only', async () => {
    const key = newApiKey()
    const auth = { keys: [{ name: 'bound', hash: key.hash, scopes: ['store', 'search'], patient: 'P1' }] }
    await using setup = await start({}, { others: { auth } })
    const headers = { Authorization: `Bearer ${key.key}` }
    expect((await write(setup.url, STEP, '', headers)).status).toBe(403)
    expect((await read(setup.url, headers)).status).toBe(403)
  })
})
