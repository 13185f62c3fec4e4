import { describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import { regionsOfCode, regionsOfText } from '../../../src/pacs/priors/find-regions.ts'
import { summaryOf } from '../../../src/pacs/priors/study-summary.ts'

const sideOf = (text: string): string | undefined =>
  summaryOf(new Dataset().set(Attribute.SpecificCharacterSet, 'ISO_IR 192').set(Attribute.StudyDescription, text), [])
    .side

describe('the words of a description', () => {
  it.each([
    ['CT TAP mit KM', 'chest abdomen pelvis'],
    ['T2 COR', ''],
    ['Radio genou', 'knee'],
    ['LOC PE', ''],
    ['CT PE protocol', 'chest'],
    ['XR long leg', 'leg-vessels'],
    ['Femoral neck', 'hip'],
    ['CT neck', 'neck'],
    ['MRT Knie in Bauchlage', 'knee'],
    ['CTTHORAX', 'chest'],
    ['TCtorax', 'chest'],
    ['MRKNEE', 'knee'],
    ['Rachide lombosacrale', 'lumbar-spine'],
    ['Schädel/Hals', 'head neck'],
    ['Gd 10 mg', ''],
    ['Kontrolle', ''],
  ])('%s is of: %s', (text, regions) => {
    expect([...regionsOfText(text)].sort()).toEqual(
      regions
        .split(' ')
        .filter((one) => one !== '')
        .sort(),
    )
  })

  it.each([
    ['RM rodilla derecha sin contraste', 'right'],
    ['RM rodilla sin contraste', undefined],
    ['RX ginocchio sin', 'left'],
    ["IRM de l'épaule droite", 'right'],
    ["Tendon d'Achille gauche", 'left'],
    ['CT der Hand links', 'left'],
    ['MR knee 3 D left', 'left'],
    ['Rx rodilla AP y L', undefined],
    ['Knie bds.', 'both'],
  ])('%s is of the side: %s', (text, side) => {
    expect(sideOf(text)).toBe(side)
  })

  it('are looked at in no time, however long they are', () => {
    const began = performance.now()
    for (let n = 0; n < 200; n++) regionsOfText('x'.repeat(1_000_000))
    // A guard against what takes minutes.
    expect(performance.now() - began).toBeLessThan(5_000)
    expect(regionsOfCode('constructor')).toEqual([])
  })
})
