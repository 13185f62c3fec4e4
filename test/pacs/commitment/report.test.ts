import { describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import { amended, requestOf, resultOf } from '../../../src/pacs/commitment/report.ts'
import { CT, MR } from '../../support/dicom-files.ts'

const ONE = { sopClass: CT, sopInstance: '1.1' }
const TWO = { sopClass: CT, sopInstance: '1.2' }

function item(sopInstance: string, sopClass = CT, reason?: number): Dataset {
  const dataset = new Dataset()
    .set(Attribute.ReferencedSOPInstanceUID, sopInstance)
    .set(Attribute.ReferencedSOPClassUID, sopClass)
  return reason === undefined ? dataset : dataset.set(Attribute.FailureReason, reason)
}

const reportOf = (committed: readonly Dataset[], failed: readonly Dataset[] = []) => ({
  eventTypeId: failed.length > 0 ? 2 : 1,
  information: new Dataset()
    .setItems(Attribute.ReferencedSOPSequence, committed)
    .setItems(Attribute.FailedSOPSequence, failed),
})

describe('a request for commitment', () => {
  it('names its Transaction UID and each instance with its class (PS3.4 Table J.3-1)', () => {
    const request = requestOf('2.25.1', [ONE, TWO])
    expect(request.string(Attribute.TransactionUID)).toBe('2.25.1')
    expect(
      request.items(Attribute.ReferencedSOPSequence).map((one) => one.string(Attribute.ReferencedSOPInstanceUID)),
    ).toEqual(['1.1', '1.2'])
    expect(request.items(Attribute.ReferencedSOPSequence)[0]!.string(Attribute.ReferencedSOPClassUID)).toBe(CT)
  })
})

describe('a later report', () => {
  it('takes back what it names as failed, and gives nothing', () => {
    const first = { committed: [ONE], failed: [{ ...TWO, reason: 0x0110 }] }
    const { information } = reportOf([item('1.2')], [item('1.1', CT, 0x0112)])
    expect(amended(first, information)).toEqual({
      committed: [],
      failed: [
        { ...TWO, reason: 0x0110 },
        { ...ONE, reason: 0x0112 },
      ],
    })
    expect(amended(first, new Dataset())).toEqual(first)
  })
})

describe('an instance is committed where the report', () => {
  it('names it, with its class', () => {
    expect(resultOf(reportOf([item('1.1'), item('1.2')]), [ONE, TWO])).toEqual({ committed: [ONE, TWO], failed: [] })
  })

  it.each<[string, ReturnType<typeof reportOf>, number]>([
    ['does not name it', reportOf([item('1.2')]), 0x0110],
    ['has no sequence at all', { eventTypeId: 1, information: new Dataset() }, 0x0110],
    ['says that failures exist, and names none', { ...reportOf([item('1.1')]), eventTypeId: 2 }, 0x0110],
    ['has a failure that names no instance', reportOf([item('1.1')], [new Dataset()]), 0x0110],
    ['names it as failed beside another', reportOf([item('1.1')], [item('1.9\\1.1', CT, 0x0112)]), 0x0112],
    [
      'names it as failed for a reason that is none',
      reportOf([], [item('1.1').set(0x00081197, [0x10110], 'UL')]),
      0x0110,
    ],
    ['names it as failed', reportOf([], [item('1.1', CT, 0x0112)]), 0x0112],
    ['names it as failed without a reason', reportOf([], [item('1.1')]), 0x0110],
    ['names it as committed and as failed', reportOf([item('1.1')], [item('1.1', CT, 0x0213)]), 0x0213],
    ['names it with another class', reportOf([item('1.1', MR)]), 0x0119],
    ['names it without a class', reportOf([new Dataset().set(Attribute.ReferencedSOPInstanceUID, '1.1')]), 0x0119],
    ['names it with two classes', reportOf([item('1.1', MR), item('1.1', CT)]), 0x0119],
  ])('and not where it %s', (_, report, reason) => {
    expect(resultOf(report, [ONE])).toEqual({ committed: [], failed: [{ ...ONE, reason }] })
  })

  it('and what nobody asked about is passed over', () => {
    expect(resultOf(reportOf([item('1.1'), item('9.9')], [item('8.8', CT, 0x0112)]), [ONE])).toEqual({
      committed: [ONE],
      failed: [],
    })
  })
})
