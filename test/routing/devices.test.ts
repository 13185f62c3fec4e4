import { describe, expect, it } from 'vitest'
import { Attribute } from '../../src/dicom/attributes.ts'
import { encodeDataset } from '../../src/dicom/dataset-codec.ts'
import { part10Header } from '../../src/dicom/part10.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN } from '../../src/dicom/transfer-syntax.ts'
import { Dataset } from '../../src/dicom/dataset.ts'
import { SopClass } from '../../src/dicom/uids.ts'
import { Scu } from '../../src/dimse/scu.ts'
import { scheduledStep } from '../support/scheduled-steps.ts'
import { AssociationRejectedError } from '../../src/network/errors.ts'
import { CT, instanceDataset, instanceFile, MR, Syntax } from '../support/dicom-files.ts'
import { KEY } from '../support/changed.ts'
import { eventually } from '../support/eventually.ts'
import { ScriptedArchive } from '../support/scripted-archive.ts'
import { failOnLeaks } from '../support/leaks.ts'
import { published } from '../support/published.ts'
import { deviceAssociation, heldBy, sendFiles, startRouting } from '../support/routing.ts'

failOnLeaks()
const refusals = published('dimsegate:refused-store')

describe('what a device stores', () => {
  it('is at every archive that its route leads to, byte for byte, before it is told that it is stored', async () => {
    await using setup = await startRouting({
      archives: { near: {}, far: {} },
      routes: [{ name: 'all', to: ['near', 'far'] }],
    })
    const statuses = await sendFiles(setup.port, [
      instanceFile({ instance: '1.2.3.1', pixelBytes: 300_000 }),
      instanceFile({ instance: '1.2.3.2', syntax: Syntax.implicit }),
      instanceFile({
        instance: '1.2.3.3',
        sopClass: MR,
        fragments: [new Uint8Array(0), Buffer.alloc(70_000, 7)],
        syntax: Syntax.jpegLossless,
      }),
    ])
    expect(statuses).toEqual([0, 0, 0])
    for (const archive of Object.values(setup.archives)) {
      const held = await heldBy(archive)
      expect([...held.keys()].sort()).toEqual(['1.2.3.1', '1.2.3.2', '1.2.3.3'])
      const sent = instanceDataset({ instance: '1.2.3.1', pixelBytes: 300_000 })
      const bytes = encodeDataset(held.get('1.2.3.1')!, EXPLICIT_VR_LITTLE_ENDIAN)
      expect(Buffer.from(bytes).equals(encodeDataset(sent, EXPLICIT_VR_LITTLE_ENDIAN))).toBe(true)
    }
  })

  it('goes to all routes that take it, up to one that says stop; what none takes is refused', async () => {
    await using setup = await startRouting({
      archives: { ct: {}, mr: {}, rest: {} },
      routes: [
        { name: 'ct', when: { Modality: 'CT' }, to: ['ct'], stop: true },
        { name: 'mr', when: { Modality: 'MR', AccessionNumber: 'A1' }, to: ['mr'] },
        { name: 'rest', when: { not: { AccessionNumber: 'NONE' } }, to: ['rest'] },
      ],
    })
    const statuses = await sendFiles(setup.port, [
      instanceFile({ instance: '1.1' }),
      instanceFile({ instance: '1.2', sopClass: MR }),
      instanceFile({
        instance: '1.3',
        change: (d) => d.set(Attribute.AccessionNumber, 'NONE').set(Attribute.Modality, 'US'),
      }),
    ])
    expect(statuses).toEqual([0, 0, 0x0124])
    const { ct, mr, rest } = setup.archives
    expect([...(await heldBy(ct)).keys()]).toEqual(['1.1'])
    expect([...(await heldBy(mr)).keys()]).toEqual(['1.2'])
    expect([...(await heldBy(rest)).keys()]).toEqual(['1.2'])
  })

  it('is refused with the worst that a required destination says; one that is not required does not count', async () => {
    await using setup = await startRouting({
      archives: {
        good: {},
        full: { faults: { storeStatus: () => 0xa700 } },
        warns: { faults: { storeStatus: () => 0xb000 } },
      },
      routes: [
        { name: 'a', when: { PatientID: '1' }, to: ['good', 'full'] },
        { name: 'b', when: { PatientID: '2' }, to: ['good', { name: 'full', delivery: 'best-effort' }] },
        { name: 'c', when: { PatientID: '3' }, to: ['good', 'warns'] },
        { name: 'd', when: { PatientID: '4' }, to: [{ name: 'full', delivery: 'best-effort' }] },
      ],
    })
    const files = ['1', '2', '3', '4'].map((id) =>
      instanceFile({ instance: `1.${id}`, change: (dataset) => dataset.set(Attribute.PatientID, id) }),
    )
    expect(await sendFiles(setup.port, files)).toEqual([0xa700, 0, 0xb000, 0xa700])
  })

  it('is not kept from one destination by what another route refuses', async () => {
    await using setup = await startRouting({
      archives: { main: {}, research: {} },
      routes: [
        { name: 'research', set: [{ profile: 'basic' }], to: [{ name: 'research', delivery: 'best-effort' }] },
        { name: 'clinical', to: ['main'] },
      ],
      others: { pseudonyms: { key: KEY } },
    })
    const screen = instanceFile({ instance: '1.2', change: (one) => one.set(Attribute.BurnedInAnnotation, 'YES') })
    expect(await sendFiles(setup.port, [instanceFile({ instance: '1.1' }), screen])).toEqual([0, 0])
    const { main, research } = setup.archives
    expect([...(await heldBy(main)).keys()]).toEqual(['1.1', '1.2'])
    await eventually(() => expect(research.catalog.files).toHaveLength(1))
  })

  it('does not wait for a destination that need not have it', async () => {
    await using silent = await ScriptedArchive.start({ associate: () => 'silent' })
    await using setup = await startRouting({
      archives: { main: {} },
      destinations: [{ type: 'dicom', name: 'silent', aeTitle: 'SILENT', ...silent.address }],
      routes: [{ name: 'all', to: ['main', { name: 'silent', delivery: 'best-effort' }] }],
    })
    const began = performance.now()
    const files = Array.from({ length: 10 }, (_, number) => instanceFile({ instance: `1.${number}` }))
    expect(await sendFiles(setup.port, files)).toEqual(files.map(() => 0))
    // A guard against a second for each.
    expect(performance.now() - began).toBeLessThan(6_000)
  })

  it('is not acknowledged where its data set has another UID, or none of its study', async () => {
    await using setup = await startRouting({ archives: { near: {} }, routes: [{ name: 'all', to: ['near'] }] })
    const data = encodeDataset(instanceDataset({ instance: '9.9' }), EXPLICIT_VR_LITTLE_ENDIAN)
    const odd = Buffer.concat([part10Header(CT, '1.1', EXPLICIT_VR_LITTLE_ENDIAN), data])
    const lacking = instanceFile({ instance: '1.2', change: (dataset) => dataset.delete(Attribute.StudyInstanceUID) })
    expect(await sendFiles(setup.port, [odd, lacking])).toEqual([0xa900, 0xc000])
    expect(setup.archives.near.catalog.files).toEqual([])
  })
})

describe('who calls our listener', () => {
  it('is verified as a device, by its own title for us where it has one; others are refused', async () => {
    await using setup = await startRouting({
      archives: { near: {} },
      routes: [{ name: 'all', to: ['near'] }],
      devices: [
        { aeTitle: 'CT1', calledAeTitle: 'ROUTER' },
        { aeTitle: 'CT2', addresses: ['192.0.2.1'] },
      ],
    })
    const file = instanceFile()
    expect(await sendFiles(setup.port, [file], { calledAeTitle: 'ROUTER' })).toEqual([0])
    for (const options of [{}, { callingAeTitle: 'CT2' }, { callingAeTitle: 'CT3' }]) {
      await expect(sendFiles(setup.port, [file], options)).rejects.toThrow(AssociationRejectedError)
    }
    expect(refusals.map(({ reason }) => reason)).toEqual(['unknown-caller', 'unknown-caller', 'unknown-caller'])
  })

  it('has no more associations than its device may have', async () => {
    await using setup = await startRouting({
      archives: { near: {} },
      routes: [{ name: 'all', to: ['near'] }],
      devices: [{ aeTitle: 'CT1', maxAssociations: 2 }],
    })
    const pairs = [[CT, Syntax.explicit]] as const
    const open = [await deviceAssociation(setup.port, pairs), await deviceAssociation(setup.port, pairs)]
    await expect(deviceAssociation(setup.port, pairs)).rejects.toThrow(AssociationRejectedError)
    await open[0]!.release(2_000)
    const again = await deviceAssociation(setup.port, pairs)
    for (const association of [open[1]!, again]) await association.release(2_000)
  })
})

describe('a device that asks for the worklist', () => {
  it('is told the steps of the archive that it may ask, by its own query; others may not ask', async () => {
    await using setup = await startRouting({
      archives: { ris: { worklist: ['1', '2', '3'].map((accession) => scheduledStep({ accession })) } },
      routes: [{ name: 'all', to: ['ris'] }],
      devices: [{ aeTitle: 'CT1', worklist: 'ris' }, { aeTitle: 'CT2' }],
    })
    const pairs = [[SopClass.modalityWorklistFind, Syntax.implicit]] as const
    const association = await deviceAssociation(setup.port, pairs)
    const context = [...association.contexts.values()].find(
      (one) => one.abstractSyntax === SopClass.modalityWorklistFind,
    )!
    const query = new Dataset()
      .setEmpty(Attribute.PatientName)
      .set(Attribute.PatientID, '*')
      .setEmpty(Attribute.AccessionNumber)
    const found: (string | undefined)[] = []
    for await (const step of new Scu(association).find(context, query, { timeout: 5_000 })) {
      found.push(step.string(Attribute.AccessionNumber))
    }
    expect(found).toHaveLength(3)
    await association.release(2_000)
    const other = await deviceAssociation(setup.port, pairs, { callingAeTitle: 'CT2' })
    expect([...other.contexts.values()].map((one) => one.abstractSyntax)).not.toContain(SopClass.modalityWorklistFind)
    await other.release(2_000)
  })

  it('is answered by a failure where the worklist cannot be asked', async () => {
    await using setup = await startRouting({
      archives: { ris: { faults: { findStatus: 0xc001 } } },
      routes: [{ name: 'all', to: ['ris'] }],
      devices: [{ aeTitle: 'CT1', worklist: 'ris' }],
    })
    const association = await deviceAssociation(setup.port, [[SopClass.modalityWorklistFind, Syntax.implicit]])
    const context = [...association.contexts.values()].find(
      (one) => one.abstractSyntax === SopClass.modalityWorklistFind,
    )!
    const asked = new Scu(association).find(context, new Dataset().set(Attribute.PatientID, '1'), { timeout: 5_000 })
    await expect(asked.next()).rejects.toMatchObject({ code: 'DIMSE_STATUS', status: 0xc001 })
    await association.release(2_000)
  })
})
