import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { type Bytes } from '../../src/dicom/bytes.ts'
import { encodeDataset } from '../../src/dicom/dataset-codec.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN } from '../../src/dicom/transfer-syntax.ts'
import { Scu } from '../../src/dimse/scu.ts'
import { eventually } from '../support/eventually.ts'
import { CT, instanceDataset, instanceFile, Syntax } from '../support/dicom-files.ts'
import { failOnLeaks } from '../support/leaks.ts'
import { ScriptedArchive } from '../support/scripted-archive.ts'
import { published } from '../support/published.ts'
import { deviceAssociation, heldBy, sendFiles, startRouting, type RoutingSetup } from '../support/routing.ts'

failOnLeaks()
const deliveries = published('dimsegate:delivery')

const MIB = 1024 * 1024
const DATA = encodeDataset(instanceDataset({ instance: '1.1', pixelBytes: 4 * MIB }), EXPLICIT_VR_LITTLE_ENDIAN)

/** Gives the beginning of an instance, and then what `then` gives. */
async function* begun(then: () => Promise<Bytes | undefined>): AsyncGenerator<Bytes> {
  for (let at = 0; at < 3 * MIB; at += 65_536) yield DATA.subarray(at, at + 65_536)
  const rest = await then()
  if (rest) yield rest
}

/** A device that stores what `begun` gives; comes to its status, or to what ended it. */
async function storing(port: number, then: () => Promise<Bytes | undefined>): Promise<number | Error> {
  const association = await deviceAssociation(port, [[CT, Syntax.explicit]])
  const context = [...association.contexts.values()].find((one) => one.abstractSyntax === CT)!
  try {
    const body = begun(then)
    const { status } = await new Scu(association).store(
      context,
      { sopClass: CT, sopInstance: '1.1', body },
      { timeout: 20_000 },
    )
    await association.release(2_000)
    return status
  } catch (error) {
    association.abort()
    return error as Error
  }
}

const both = [
  { name: 'both', set: [{ set: { StudyID: 'X' } }], to: ['near', { name: 'far', delivery: 'best-effort' }] },
]

describe('an instance that does not come whole', () => {
  it.each([
    ['unchanged', [{ name: 'both', to: ['near', 'far'] }]],
    ['changed, to one that nobody waits for', both],
  ])('since its sender has gone is nowhere: %s', async (_, routes) => {
    await using setup = await startRouting({ archives: { near: {}, far: {} }, routes })
    const ended = await storing(setup.port, () => Promise.reject(new Error('gone')))
    expect(ended).toMatchObject({ message: 'gone' })
    await eventually(() => expect(deliveries).toHaveLength(2))
    for (const archive of Object.values(setup.archives)) expect(archive.catalog.files).toEqual([])
    await eventually(() => setup.gateway.archives.forEach(({ stats }) => expect(stats.leased).toBe(0)))
  })

  it('since its data set is cut is refused, and nowhere', async () => {
    await using setup = await startRouting({ archives: { near: {}, far: {} }, routes: both })
    expect(await storing(setup.port, () => Promise.resolve(undefined))).toBe(0xc000)
    await eventually(() => expect(deliveries).toHaveLength(2))
    for (const archive of Object.values(setup.archives)) expect(archive.catalog.files).toEqual([])
  })

  it('has the time that requests have when we are stopped; then it is stored, and its device is told', async () => {
    await using setup = await startRouting({
      ...{ archives: { near: {}, far: {} }, routes: both },
      http: { shutdownGrace: '10s' },
    })
    const { promise, resolve } = Promise.withResolvers<undefined>()
    const stored = storing(setup.port, async () => {
      await promise
      return DATA.subarray(3 * MIB)
    })
    await delay(200)
    const stopped = setup.gateway.stop()
    await delay(100)
    resolve(undefined)
    expect(await stored).toBe(0)
    await stopped
    for (const archive of Object.values(setup.archives)) expect(archive.catalog.files).toHaveLength(1)
  })

  it('since we are stopped is not acknowledged, and nowhere', async () => {
    const setup = await startRouting({ archives: { near: {}, far: {} }, routes: both })
    const { promise, resolve } = Promise.withResolvers<undefined>()
    const stored = storing(setup.port, () => promise)
    await delay(200)
    await setup.gateway[Symbol.asyncDispose]()
    resolve(undefined)
    expect(await stored).toBeInstanceOf(Error)
    for (const archive of Object.values(setup.archives)) {
      expect(archive.catalog.files).toEqual([])
      await archive[Symbol.asyncDispose]()
    }
  })
})

describe('a destination', () => {
  it('that dies while it is sent to fails the instance; the other has it whole, and it may come again', async () => {
    await using setup = await startRouting({
      archives: { near: {}, far: {} },
      routes: [{ name: 'both', to: ['near', 'far'] }],
    })
    const status = await storing(setup.port, async () => {
      await setup.archives.far[Symbol.asyncDispose]()
      return DATA.subarray(3 * MIB)
    })
    expect(status).toBe(0xa700)
    const held = await heldBy(setup.archives.near)
    expect(encodeDataset(held.get('1.1')!, EXPLICIT_VR_LITTLE_ENDIAN).length).toBe(DATA.length)
  })

  it('that need not have it holds nobody up by the worklist that it asks, though that says nothing', async () => {
    await using silent = await ScriptedArchive.start({ associate: () => 'silent' })
    await using setup = await startRouting({
      archives: { near: {}, far: {} },
      archiveConfig: { worklist: { aeTitle: 'RIS', ...silent.address } },
      routes: [
        {
          name: 'research',
          set: [{ fromWorklist: { archive: 'near', attributes: { PatientID: 'PatientID' } } }],
          to: [{ name: 'far', delivery: 'best-effort' }],
        },
        { name: 'clinical', to: ['near'] },
      ],
    })
    expect(await sendFiles(setup.port, [instanceFile({ instance: '1.1' })])).toEqual([0])
    expect(deliveries.find(({ destination }) => destination === 'far')).toMatchObject({
      ...{ result: 'failed', error: { code: 'WORKLIST_FAILED' } },
    })
    expect([...(await heldBy(setup.archives.near)).keys()]).toEqual(['1.1'])
  })

  it('of two that several devices send to, by routes in opposite orders and with one association each, keeps nobody for ever', async () => {
    const setup: RoutingSetup<'near' | 'far'> = await startRouting({
      archives: { near: {}, far: {} },
      archiveConfig: { maxAssociations: 1 },
      routes: [
        { name: 'there', when: { PatientID: '1' }, to: ['near', 'far'] },
        { name: 'back', when: { PatientID: '2' }, to: ['far', 'near'] },
      ],
    })
    await using _ = setup
    const file = (device: number, number: number): Bytes =>
      instanceFile({
        ...{ instance: `1.${device}.${number}`, pixelBytes: 200_000 },
        change: (dataset) => dataset.set(0x00100020, String((device % 2) + 1)),
      })
    const statuses = await Promise.all(
      [1, 2, 3, 4, 5, 6].map((device) => sendFiles(setup.port, [file(device, 1), file(device, 2), file(device, 3)])),
    )
    expect(new Set(statuses.flat())).toEqual(new Set([0]))
    expect(setup.archives.near.catalog.files).toHaveLength(18)
    expect(setup.archives.far.catalog.files).toHaveLength(18)
  })
})
