import { describe, expect, it } from 'vitest'
import { Attribute } from '../../src/dicom/attributes.ts'
import { CharacterSet, UnencodableTextError } from '../../src/dicom/charset.ts'
import { Dataset, vrFor } from '../../src/dicom/dataset.ts'
import { InvalidValueError } from '../../src/dicom/value.ts'

const latin1 = (text: string): Uint8Array => Buffer.from(text, 'latin1')

describe('the elements of a data set', () => {
  it('are given in order of tags, however they were put', () => {
    const dataset = new Dataset()
    for (const t of [Attribute.PixelData, 0xffff0001, Attribute.Modality, Attribute.Rows])
      dataset.put(t, { vr: 'UN', value: latin1('') })
    expect([...dataset.entries()].map(([t]) => t)).toEqual([
      Attribute.Modality,
      Attribute.Rows,
      Attribute.PixelData,
      0xffff0001,
    ])
    expect(dataset.size).toBe(4)
  })

  it('are there once, the last one put', () => {
    const dataset = new Dataset().set(Attribute.Modality, 'CT').set(Attribute.Modality, 'MR')
    expect(dataset.size).toBe(1)
    expect(dataset.strings(Attribute.Modality)).toEqual(['MR'])
  })

  it('can be asked for, and deleted', () => {
    const dataset = new Dataset().set(Attribute.Modality, 'CT')
    expect(dataset.has(Attribute.Modality)).toBe(true)
    expect(dataset.delete(Attribute.Modality)).toBe(true)
    expect(dataset.delete(Attribute.Modality)).toBe(false)
    expect(dataset.get(Attribute.Modality)).toBeUndefined()
    expect(dataset.size).toBe(0)
  })
})

describe('values', () => {
  it('of an absent or empty element are none', () => {
    const dataset = new Dataset().setEmpty(Attribute.Modality)
    for (const t of [Attribute.Modality, Attribute.PatientID]) {
      expect(dataset.values(t)).toEqual([])
      expect(dataset.strings(t)).toEqual([])
      expect(dataset.string(t)).toBeUndefined()
      expect(dataset.number(t)).toBeUndefined()
    }
  })

  it('of a sequence, of fragments and of bulk data are none', () => {
    const dataset = new Dataset()
      .setItems(0x00081140, [new Dataset()])
      .put(Attribute.PixelData, { vr: 'OB', value: { fragments: [latin1('ab')] } })
      .put(0x00091001, { vr: 'UN', value: latin1('ab') })
    for (const t of [0x00081140, Attribute.PixelData, 0x00091001]) expect(dataset.values(t)).toEqual([])
    expect(dataset.items(0x00081140)).toHaveLength(1)
    for (const t of [Attribute.PixelData, 0x00091001, Attribute.Modality]) expect(dataset.items(t)).toEqual([])
  })

  it('as text leave empty ones out', () => {
    const dataset = new Dataset().put(Attribute.Modality, { vr: 'CS', value: latin1('\\A\\\\B') })
    expect(dataset.values(Attribute.Modality)).toEqual([undefined, 'A', undefined, 'B'])
    expect(dataset.strings(Attribute.Modality)).toEqual(['A', 'B'])
    expect(dataset.string(Attribute.Modality)).toBe('A')
  })

  it('as a number are the first one, when it is one', () => {
    const number = (vr: 'DS' | 'US' | 'SV', value: string): number | undefined =>
      new Dataset().put(0x00091001, { vr, value: latin1(value) }).number(0x00091001)
    expect(number('DS', ' 1.50 \\2')).toBe(1.5)
    expect(number('US', '\x00\x02')).toBe(512)
    expect(number('SV', '\xff\xff\xff\xff\xff\xff\xff\xff')).toBe(-1)
    // Case 108.
    expect(number('DS', '1,5')).toBeUndefined()
    expect(number('DS', '\\2')).toBeUndefined()
  })

  it('are set in the VR of the dictionary, or another', () => {
    const dataset = new Dataset()
      .set(Attribute.Rows, 512)
      .set(Attribute.StudyInstanceUID, '1.2')
      .set(0x00091001, 'x', 'LO')
    expect(dataset.get(Attribute.Rows)).toEqual({ vr: 'US', value: Buffer.of(0, 2) })
    expect(dataset.get(Attribute.StudyInstanceUID)).toEqual({ vr: 'UI', value: Uint8Array.from(latin1('1.2\0')) })
    expect(dataset.get(0x00091001)?.vr).toBe('LO')
    expect(() => dataset.set(0x00091001, 'x')).toThrow(InvalidValueError)
  })

  it('may be several or none', () => {
    const dataset = new Dataset()
      .set(Attribute.ModalitiesInStudy, ['CT', 'MR'])
      .set(Attribute.PatientID)
      .set(Attribute.StudyID, [])
    expect(dataset.strings(Attribute.ModalitiesInStudy)).toEqual(['CT', 'MR'])
    for (const t of [Attribute.PatientID, Attribute.StudyID]) expect(dataset.get(t)?.value).toHaveLength(0)
  })
})

describe('an element without a value', () => {
  it('is one of no bytes, or a sequence without items', () => {
    const dataset = new Dataset()
      .setEmpty(Attribute.PatientName)
      .setEmpty(0x00400275)
      .setEmpty(0x00091001)
      .setEmpty(0x00091002, 'SQ')
    expect(dataset.get(Attribute.PatientName)).toEqual({ vr: 'PN', value: new Uint8Array(0) })
    expect(dataset.get(0x00400275)).toEqual({ vr: 'SQ', value: [] })
    expect(dataset.get(0x00091001)).toEqual({ vr: 'UN', value: new Uint8Array(0) })
    expect(dataset.get(0x00091002)).toEqual({ vr: 'SQ', value: [] })
  })

  it('has the default VR where the dictionary leaves a choice', () => {
    expect(vrFor(0x00280106)).toBe('US')
    expect(vrFor(Attribute.PixelData)).toBe('OW')
    expect(vrFor(0x60023000)).toBe('OW')
    expect(vrFor(0x00090010)).toBe('LO')
    expect(vrFor(0x00091001)).toBe('UN')
  })
})

describe('the character set of a data set', () => {
  const name = Attribute.PatientName

  it('is that of Specific Character Set, aliases and pads and all', () => {
    const dataset = new Dataset().put(Attribute.SpecificCharacterSet, { vr: 'CS', value: latin1(' ISO_IR 100\0') })
    expect(dataset.put(name, { vr: 'PN', value: latin1('M\xfcller') }).string(name)).toBe('Müller')
    const japanese = new Dataset().put(Attribute.SpecificCharacterSet, { vr: 'CS', value: latin1('\\ISO 2022 IR 87') })
    expect(japanese.characterSet.terms).toEqual(['', 'ISO 2022 IR 87'])
  })

  it('is the inherited one without it, or when it is empty', () => {
    const inherited = CharacterSet.of(['ISO_IR 144'])
    expect(new Dataset(inherited).characterSet).toBe(inherited)
    expect(new Dataset(inherited).setEmpty(Attribute.SpecificCharacterSet).characterSet).toBe(inherited)
    expect(new Dataset().characterSet.terms).toEqual([])
  })

  it('changes with Specific Character Set, put or deleted', () => {
    const dataset = new Dataset().put(name, { vr: 'PN', value: latin1('\xbb') })
    expect(dataset.string(name)).toBe('»')
    dataset.set(Attribute.SpecificCharacterSet, 'ISO_IR 144')
    expect(dataset.string(name)).toBe('Л')
    dataset.delete(Attribute.SpecificCharacterSet)
    expect(dataset.string(name)).toBe('»')
  })

  it('is what values are written in', () => {
    const dataset = new Dataset().set(Attribute.SpecificCharacterSet, 'ISO_IR 192').set(name, '山田^太郎')
    expect(dataset.string(name)).toBe('山田^太郎')
    expect(() => new Dataset().set(name, '山田^太郎')).toThrow(UnencodableTextError)
  })
})
