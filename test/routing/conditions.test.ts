import { describe, expect, it } from 'vitest'
import type { ConfigError } from '../../src/config/config.ts'
import { Attribute } from '../../src/dicom/attributes.ts'
import { once } from '../../src/dicom/bytes.ts'
import { Dataset } from '../../src/dicom/dataset.ts'
import { encodeDataset } from '../../src/dicom/dataset-codec.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN } from '../../src/dicom/transfer-syntax.ts'
import { meets } from '../../src/routing/conditions.ts'
import { Front } from '../../src/routing/front.ts'
import type { Origin } from '../../src/routing/origin.ts'
import { configWith, KEY } from '../support/changed.ts'
import { CT, instanceDataset } from '../support/dicom-files.ts'

const ORIGIN: Origin = {
  ...{ source: 'device', device: 'ct1', callingAeTitle: 'CT1', calledAeTitle: 'DIMSEGATE', address: '10.0.0.7' },
  transferSyntax: EXPLICIT_VR_LITTLE_ENDIAN.uid,
}

const DATASET = instanceDataset({
  change: (one) =>
    one
      .set(Attribute.ImageType, ['ORIGINAL', 'PRIMARY', 'AXIAL'])
      .set(Attribute.SliceThickness, '1.50')
      .set(Attribute.PatientName, 'Sample^Case^^')
      .set(0x00321032, '  ')
      .setItems(Attribute.RequestAttributesSequence, [
        new Dataset().set(Attribute.AccessionNumber, 'X1'),
        new Dataset().set(Attribute.AccessionNumber, 'X2'),
      ]),
})

async function met(when: object): Promise<boolean> {
  const [route] = configWith({
    devices: [{ aeTitle: 'CT1' }],
    routes: [{ name: 'r', when, to: ['pacs'] }],
  }).routes
  const body = once(encodeDataset(DATASET, EXPLICIT_VR_LITTLE_ENDIAN))
  return meets(route!.when, ORIGIN, await Front.read(body, EXPLICIT_VR_LITTLE_ENDIAN))
}

describe('a condition', () => {
  it.each<[object, boolean]>([
    [{}, true],
    [{ Modality: 'CT' }, true],
    [{ Modality: ['MR', 'CT'] }, true],
    [{ '80060': 'CT' }, true],
    [{ Modality: 'MR' }, false],
    [{ SOPClassUID: CT, Modality: 'CT' }, true],
    [{ SOPClassUID: CT, Modality: 'MR' }, false],
    [{ any: [{ Modality: 'MR' }, { PatientID: '123' }] }, true],
    [{ all: [{ Modality: 'CT' }, { not: { PatientID: '123' } }] }, false],
    [{ ImageType: 'AXIAL' }, true],
    [{ ImageType: 'LOCALIZER' }, false],
    [{ 'RequestAttributesSequence.AccessionNumber': 'X2' }, true],
    [{ 'RequestAttributesSequence.AccessionNumber': { exists: false } }, false],
    [{ PatientName: 'Sample^Case' }, true],
    [{ PatientName: { like: 'Sample*' } }, true],
    [{ PatientName: { like: 'sample*' } }, false],
    [{ SliceThickness: 1.5 }, true],
    [{ SliceThickness: { from: 1, to: 1.5 } }, true],
    [{ SliceThickness: { from: 10 } }, false],
    [{ Rows: { to: 4 } }, true],
    [{ StudyDate: { from: '2024-01-01', to: '2024-01-31' } }, true],
    [{ StudyDate: { from: '20240201' } }, false],
    [{ StudyDate: { to: '2024' } }, true],
    [{ StudyTime: { from: '10:00', to: '10:30' } }, true],
    [{ InstitutionName: { exists: true } }, false],
    [{ ReferringPhysicianName: { exists: true } }, false],
    [{ '00321032': { exists: true } }, false],
    [{ ReferringPhysicianName: '' }, true],
    [{ PatientID: '' }, false],
    [{ PatientID: { like: '*' } }, true],
    [{ InstitutionName: { like: '*' } }, false],
    [{ source: 'device', device: 'ct1', callingAeTitle: { like: 'CT*' }, calledAeTitle: 'DIMSEGATE' }, true],
    [{ source: 'stow' }, false],
    [{ address: '10.0.0.0/24' }, true],
    [{ address: ['10.0.1.0/24', '10.0.0.8'] }, false],
    [{ transferSyntax: '1.2.840.10008.1.2.1' }, true],
    [{ archive: { exists: true } }, false],
  ])('%j is met: %s', async (when, expected) => {
    expect(await met(when)).toBe(expected)
  })
})

describe('what is wrong with routes', () => {
  const faultsOf = (others: object): readonly string[] => {
    try {
      configWith(others)
      return []
    } catch (error) {
      return (error as ConfigError).faults.map(({ path, message }) => `${path}: ${message}`)
    }
  }
  const route = (more: object): object => ({ pseudonyms: { key: KEY }, routes: [{ name: 'r', to: ['pacs'], ...more }] })

  it.each<[object, string]>([
    [route({ when: { Modalty: 'CT' } }), 'routes[0].when.Modalty: is no attribute'],
    [route({ when: { any: [{ Rows: { form: 1 } }] } }), 'routes[0].when.any[0].Rows: asks for form, which is unknown'],
    [route({ when: { PixelData: { exists: true } } }), 'routes[0].when.PixelData: cannot be looked at'],
    [route({ when: { '00020010': '1.2' } }), 'routes[0].when.00020010: cannot be looked at'],
    [
      route({ when: { StudyDate: { from: 'May' } } }),
      'routes[0].when.StudyDate: is "May", which is no value of its VR, DA',
    ],
    [route({ when: { Rows: 'many' } }), 'routes[0].when.Rows: is "many", which is no value of its VR, US'],
    [route({ when: { device: 'ct9' } }), 'routes[0].when.device: names ct9, which is none'],
    [
      route({ when: { not: { archive: ['pacs', 'other'] } } }),
      'routes[0].when.archive: names other, which is none; expected: pacs',
    ],
    [
      route({ when: { PatientID: 12 } }),
      'routes[0].when.PatientID: has a number, where LO is text; write it in quotes',
    ],
    [route({ when: { StudyDate: { from: '2024', to: '2023' } } }), 'routes[0].when.StudyDate: begins behind its end'],
    [route({ when: { address: 'here' } }), 'routes[0].when.address: is "here"; expected IP addresses'],
    [
      route({ set: [{ set: { PatientID: 'a' }, remove: ['private'] }] }),
      'routes[0].set[0]: has 2 keys; expected one a step',
    ],
    [route({ set: [{ set: { PatientBirthDate: 'May' } }] }), 'has a value that cannot be of its VR, DA'],
    [route({ set: [{ set: { StudyInstanceUID: '' } }] }), 'cannot be empty'],
    [route({ set: [{ set: { SOPInstanceUID: '1.2' } }] }), 'is told apart by it'],
    [route({ set: [{ set: { PixelData: 'x' } }] }), 'cannot be changed'],
    [route({ set: [{ set: { RequestAttributesSequence: 'x' } }] }), 'is a sequence'],
    [route({ set: [{ copy: { PatientID: 'PixelData' } }] }), 'cannot be looked at'],
    [route({ set: [{ hash: ['PatientBirthDate'] }] }), 'expected an attribute with text or UIDs'],
    [route({ set: [{ remove: ['xxxxxxxx'] }] }), 'would take away what an instance cannot be without'],
    [route({ set: [{ remove: ['0020000x'] }] }), 'would take away what an instance cannot be without'],
    [route({ set: [{ remove: ['SOPInstanceUID'] }] }), 'cannot be removed'],
    [route({ set: [{ map: { attribute: 'StudyInstanceUID', table: {}, otherwise: 'remove' } }] }), 'cannot be removed'],
    [
      route({ set: [{ profile: { name: 'basic', retain: ['full-dates', 'modified-dates'] } }] }),
      'full-dates or modified-dates, not both',
    ],
    [
      route({ set: [{ fromWorklist: { archive: 'ris', attributes: { PatientID: 'PatientID' } } }] }),
      'names ris, which is none; expected: pacs',
    ],
    [route({ to: ['pcas'] }), 'routes[0].to[0]: names pcas, which is neither archive nor destination; expected: pacs'],
    [route({ to: ['pacs', { name: 'pacs', delivery: 'best-effort' }] }), 'routes[0].to[1]: is there already'],
    [
      { routes: [{ name: 'r', to: ['pacs'], set: [{ hash: ['PatientID'] }] }] },
      'makes pseudonyms; expected pseudonyms.key',
    ],
    [{ devices: [{ aeTitle: 'CT1' }] }, 'devices: bring instances that nothing takes; expected routes'],
    [{ ...route({}), devices: [{ aeTitle: 'CT1', worklist: 'ris' }] }, 'devices[0].worklist: names ris, which is none'],
    [
      { ...route({}), dimse: { enabled: false }, devices: [{ aeTitle: 'CT1' }] },
      'devices: call our listener, while dimse.enabled is false',
    ],
    [
      { ...route({}), devices: [{ aeTitle: 'PACS' }] },
      'devices[0].calledAeTitle: is that by which an archive with this aeTitle delivers',
    ],
    [
      { ...route({}), destinations: [{ type: 'stow', name: 'pacs', url: 'https://a.example' }] },
      'is that of an archive',
    ],
    [{ ...route({}), destinations: [{ type: 'stow', name: 'c', url: 'http://a.example' }] }, 'expected an https URL'],
  ])('%j', (others, fault) => {
    expect(faultsOf(others).join('\n')).toContain(fault)
  })

  it('is told without the key of pseudonyms, or the token of a destination', () => {
    const text = faultsOf({
      pseudonyms: { key: 'short secret' },
      destinations: [{ type: 'stow', name: 'c', url: 'https://a.example', token: ['secret'] }],
    }).join('\n')
    expect(text).toContain('pseudonyms.key')
    expect(text).not.toContain('secret')
  })
})
