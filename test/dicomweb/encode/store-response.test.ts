import { describe, expect, it } from 'vitest'
import { FailureReason, StoreResponse } from '../../../src/dicomweb/encode/store-response.ts'
import { schemaOf } from '../../support/contract.ts'

const BASE = 'http://localhost/dicomweb'
const CT = '1.2.840.10008.5.1.4.1.1.2'
const valid = schemaOf('StoreResponse')

const stored = (instance: string, study = '1.2.3'): Parameters<StoreResponse['addStored']>[0] => ({
  sopClass: CT,
  sopInstance: instance,
  study,
  series: `${study}.4`,
})
const failed = (instance: string, reason: number): Parameters<StoreResponse['addFailed']>[0] => ({
  sopClass: CT,
  sopInstance: instance,
  reason,
})

/** The module, checked by the schema of the contract. */
function module(response: StoreResponse): Record<string, { vr: string; Value?: unknown[] }> {
  const json = JSON.parse(response.toJson(BASE)) as Record<string, { vr: string; Value?: unknown[] }>
  expect(valid(json)).toEqual([])
  return json
}

describe('the store response module (PS3.18 Table I.1-1)', () => {
  it('names what was stored with its retrieve URL, and has no Failed SOP Sequence then (case 89)', () => {
    const response = new StoreResponse()
    response.addStored(stored('1.2.3.4.5'))
    expect(response.status).toBe(200)
    expect(module(response)).toEqual({
      '00081190': { vr: 'UR', Value: [`${BASE}/studies/1.2.3`] },
      '00081199': {
        vr: 'SQ',
        Value: [
          {
            '00081150': { vr: 'UI', Value: [CT] },
            '00081155': { vr: 'UI', Value: ['1.2.3.4.5'] },
            '00081190': { vr: 'UR', Value: [`${BASE}/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5`] },
          },
        ],
      },
    })
  })

  it('gives a Failure Reason as a decimal number, beside what was stored (case 90)', () => {
    const response = new StoreResponse()
    response.addStored(stored('1.2.3.4.5'))
    response.addFailed(failed('1.2.3.4.6', 0xa700))
    expect(response.status).toBe(202)
    expect(module(response)['00081198']).toEqual({
      vr: 'SQ',
      Value: [
        {
          '00081150': { vr: 'UI', Value: [CT] },
          '00081155': { vr: 'UI', Value: ['1.2.3.4.6'] },
          '00081197': { vr: 'US', Value: [42752] },
        },
      ],
    })
  })

  it('gives a Warning Reason with what was stored (case 91)', () => {
    const response = new StoreResponse()
    response.addStored({ ...stored('1.2.3.4.5'), warning: 0xb000 })
    expect(response.status).toBe(202)
    expect(module(response)['00081199']!.Value).toMatchObject([{ '00081196': { vr: 'US', Value: [45056] } }])
  })

  it('is a conflict when nothing was stored (case 92)', () => {
    const response = new StoreResponse()
    response.addFailed(failed('1.2.3.4.5', 0x0122))
    expect(response.status).toBe(409)
    expect(response.failureReasons).toEqual([290])
    const json = module(response)
    expect(json['00081190']).toEqual({ vr: 'UR' })
    expect(json).not.toHaveProperty('00081199')
    expect(json['00081198']!.Value).toMatchObject([{ '00081197': { vr: 'US', Value: [290] } }])
  })

  it('says that an instance is of another study by A901H (case 93)', () => {
    expect(FailureReason.otherStudy).toBe(43265)
  })

  it('counts parts without identity in Other Failures, by their reason alone (case 95)', () => {
    const response = new StoreResponse()
    response.addStored(stored('1.2.3.4.5'))
    response.addOther(FailureReason.cannotUnderstand)
    expect(response.status).toBe(202)
    expect(module(response)['0008119A']).toEqual({ vr: 'SQ', Value: [{ '00081197': { vr: 'US', Value: [49152] } }] })
  })

  it('has the statuses of the archive as they are (cases 97, 98)', () => {
    const response = new StoreResponse()
    response.addFailed(failed('1.2.3.4.5', 0xc122))
    response.addFailed(failed('1.2.3.4.6', 0x0122))
    expect(response.failureReasons).toEqual([49442, 290])
    expect(response.status).toBe(409)
    expect(module(response)['00081198']!.Value).toMatchObject([
      { '00081197': { Value: [49442] } },
      { '00081197': { Value: [290] } },
    ])
  })

  it('gives no URL of a study when the instances are of several', () => {
    const response = new StoreResponse()
    response.addStored(stored('1.2.3.4.5', '1.2.3'))
    response.addStored(stored('1.2.9.4.5', '1.2.9'))
    expect(response.status).toBe(200)
    expect(module(response)['00081190']).toEqual({ vr: 'UR' })
  })

  it('has its keys in ascending order', () => {
    const response = new StoreResponse()
    response.addOther(FailureReason.cannotUnderstand)
    response.addStored({ ...stored('1.2.3.4.5'), warning: 0xb006 })
    response.addFailed(failed('1.2.3.4.6', 0x0110))
    const keys = Object.keys(module(response))
    expect(keys).toEqual(['00081190', '00081198', '00081199', '0008119A'])
  })

  it('counts', () => {
    const response = new StoreResponse()
    expect([response.stored, response.total, response.status]).toEqual([0, 0, 409])
    response.addOther(FailureReason.cannotUnderstand)
    response.addStored(stored('1'))
    response.addFailed(failed('2', 0x0110))
    expect([response.stored, response.total]).toEqual([1, 3])
    expect(response.failureReasons).toEqual([0x0110, 0xc000])
  })
})
