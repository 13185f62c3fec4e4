import { describe, expect, it } from 'vitest'
import { Audit } from '../../../src/audit/audit.ts'
import { MAX_SOP_CLASSES } from '../../../src/audit/bounded.ts'
import type { AuditEvent } from '../../../src/audit/event.ts'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import { MAX_STUDIES, Trail, type Asked, type Ended, type Noted } from '../../../src/http/audit/trail.ts'

/** A trail of a store, and what it has written. */
function trailOf(): { trail: Trail; written: AuditEvent[] } {
  const written: AuditEvent[] = []
  const audit = new Audit([], 'drop')
  audit.write = (event) => void written.push({ at: '', ...event })
  const asked = {
    ...{ principal: { kind: 'key', name: 'robot', may: () => true }, address: '192.0.2.1', verb: 'store' },
    ...{ archive: { name: 'main', aeTitle: 'PACS', host: 'pacs.example' }, resource: '/studies', query: '' },
    study: undefined,
  } as unknown as Asked
  return { trail: new Trail(audit, asked), written }
}

const attributes = new Dataset().set(Attribute.PatientID, 'P')
const instance = (study: string, sopClass = '1.2'): Noted => ({ study, sopClass, index: { attributes } })
const whole: Ended = { status: 200, cut: false, isRange: false, code: undefined, bytes: 10 }

describe('a request of many studies', () => {
  it.each([MAX_STUDIES, MAX_STUDIES + 1, 2 * MAX_STUDIES + 1])('%i leaves an event of each', (count) => {
    const { trail, written } = trailOf()
    for (let n = 0; n < count; n++) trail.note(instance(`1.${n}`))
    expect(written).toHaveLength(count - (count % MAX_STUDIES || MAX_STUDIES))
    trail.end({ ...whole, status: 202 })
    expect(written.map(({ study }) => study!.uid)).toEqual(Array.from({ length: count }, (_, n) => `1.${n}`))
    expect(written.at(-1)).toMatchObject({ outcome: 'minor-failure', patient: { id: 'P' } })
    expect(written.some(({ bytes }) => bytes !== undefined)).toBe(false)
  })

  it.each([MAX_SOP_CLASSES, MAX_SOP_CLASSES + 1])('that has %i SOP classes leaves all of them', (count) => {
    const { trail, written } = trailOf()
    for (let n = 0; n < 2 * count; n++) trail.note(instance('1', `1.2.${n % count}`))
    trail.end(whole)
    expect(written.length).toBe(count > MAX_SOP_CLASSES ? 3 : 1)
    for (const { study } of written) expect(Object.keys(study!.instances).length).toBeLessThanOrEqual(MAX_SOP_CLASSES)
    const all = written.flatMap(({ study }) => Object.values(study!.instances))
    expect(all.reduce((sum, one) => sum + one, 0)).toBe(2 * count)
  })

  it('has its size only where it is that of one', () => {
    const { trail, written } = trailOf()
    trail.note(instance('1'))
    trail.note(instance('1', '__proto__'))
    trail.end(whole)
    expect(written).toMatchObject([{ bytes: 10, outcome: 'success' }])
    expect(Object.entries(written[0]!.study!.instances)).toEqual([
      ['1.2', 1],
      ['__proto__', 1],
    ])
  })

  it('tells what was refused from what was stored', () => {
    const { trail, written } = trailOf()
    trail.note(instance('1'))
    trail.note(instance('1'), { refusal: 'NOT_PERMITTED' })
    trail.end(whole)
    expect(written).toMatchObject([
      { outcome: 'success', study: { uid: '1' } },
      { outcome: 'serious-failure', reason: 'NOT_PERMITTED', study: { uid: '1' }, patient: { id: 'P' } },
    ])
  })
})

describe('206', () => {
  it('is a success where a range was asked for, and a failure in part otherwise', () => {
    for (const [isRange, outcome] of [
      [true, 'success'],
      [false, 'minor-failure'],
    ] as const) {
      const { trail, written } = trailOf()
      trail.end({ ...whole, status: 206, isRange })
      expect(written).toMatchObject([{ outcome }])
    }
  })
})
