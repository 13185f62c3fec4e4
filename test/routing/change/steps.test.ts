import { describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { CharacterSet } from '../../../src/dicom/charset.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import { encodeDataset } from '../../../src/dicom/dataset-codec.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN, transferSyntax } from '../../../src/dicom/transfer-syntax.ts'
import type { Means } from '../../../src/routing/change/steps.ts'
import { instanceDataset, Syntax } from '../../support/dicom-files.ts'
import { changed, changedBytes, changedBytesOf } from '../../support/changed.ts'
import { concat, type Bytes } from '../../../src/dicom/bytes.ts'
import { shiftedDate } from '../../../src/routing/deidentify/shift-dates.ts'

const CREATOR = 0x00290010
const request = (accession: string): Dataset => new Dataset().set(Attribute.AccessionNumber, accession)

describe('a step', () => {
  it('set gives an attribute its values, also within items, of which it makes one where there is none', async () => {
    const dataset = instanceDataset({
      change: (one) => one.setItems(Attribute.RequestAttributesSequence, [request('1'), request('2')]),
    })
    const made = await changed(dataset, [
      { set: { InstitutionName: 'Sankt Anna', StudyID: '', ImageType: ['DERIVED', 'SECONDARY'], Rows: 5 } },
      { set: { 'RequestAttributesSequence.AccessionNumber': 'X', 'ReferencedStudySequence.00081155': '1.2' } },
    ])
    expect(made.strings(0x00080080)).toEqual(['Sankt Anna'])
    expect([made.has(Attribute.StudyID), made.strings(Attribute.StudyID)]).toEqual([true, []])
    expect(made.strings(0x00080008)).toEqual(['DERIVED', 'SECONDARY'])
    expect(made.number(Attribute.Rows)).toBe(5)
    const items = made.items(Attribute.RequestAttributesSequence)
    expect(items.map((item) => item.string(Attribute.AccessionNumber))).toEqual(['X', 'X'])
    expect(made.items(Attribute.ReferencedStudySequence)[0]?.string(0x00081155)).toBe('1.2')
  })

  it.each(['bigEndian', 'implicit', 'explicit'] as const)(
    'changes text of GB18030 and numbers alike in %s, and leaves what is beside them as it was',
    async (name) => {
      const set = CharacterSet.of(['GB18030'])
      const dataset = new Dataset(set)
        .set(Attribute.SpecificCharacterSet, 'GB18030')
        .set(Attribute.SOPInstanceUID, '1.1')
        .set(0x00080080, '圣安娜')
        .set(Attribute.PatientName, '王^小东')
        .set(Attribute.Rows, 0x0102)
        .put(Attribute.PixelData, { vr: 'OW', value: Buffer.of(4, 3, 6, 5) })
      const syntax = transferSyntax(Syntax[name])
      const steps = [{ set: { InstitutionName: '北京', Columns: 0x0708 } }, { prefix: { PatientName: '李' } }]
      const made = await changed(dataset, steps, { syntax })
      expect(made.strings(0x00080080)).toEqual(['北京'])
      expect(made.strings(Attribute.PatientName)).toEqual(['李王^小东'])
      expect([made.number(Attribute.Rows), made.number(Attribute.Columns)]).toEqual([0x0102, 0x0708])
      expect(made.string(Attribute.SpecificCharacterSet)).toBe('GB18030')
      expect(made.get(Attribute.PixelData)?.value).toEqual(Buffer.of(4, 3, 6, 5))
    },
  )

  it('default sets what is missing or empty, and nothing else', async () => {
    const made = await changed(instanceDataset(), [
      { default: { ReferringPhysicianName: 'Roe^R', PatientID: 'other', InstitutionName: 'I' } },
    ])
    expect(made.string(Attribute.ReferringPhysicianName)).toBe('Roe^R')
    expect(made.string(Attribute.PatientID)).toBe('123')
    expect(made.string(0x00080080)).toBe('I')
  })

  it('copy, map, prefix and uppercase change values; a prefix that is there is not put again', async () => {
    const made = await changed(instanceDataset(), [
      { copy: { StudyID: 'AccessionNumber', InstitutionName: 'StationName' } },
      { map: { attribute: 'Modality', table: { CT: 'OT' } } },
      { prefix: { PatientID: 'H-' } },
      { prefix: { PatientID: 'H-' } },
      { uppercase: ['PatientName'] },
    ])
    expect(made.string(Attribute.StudyID)).toBe('A1')
    expect(made.has(0x00080080)).toBe(false)
    expect(made.string(Attribute.Modality)).toBe('OT')
    expect(made.string(Attribute.PatientID)).toBe('H-123')
    expect(made.string(Attribute.PatientName)).toBe('SAMPLE^CASE')
  })

  it('map takes away, or refuses, what is not in its table, where it says so', async () => {
    const map = { attribute: 'Modality', table: { MR: 'OT' } }
    expect((await changed(instanceDataset(), [{ map: { ...map, otherwise: 'remove' } }])).has(Attribute.Modality)).toBe(
      false,
    )
    await expect(changed(instanceDataset(), [{ map: { ...map, otherwise: 'refuse' } }])).rejects.toMatchObject({
      code: 'NOT_IN_TABLE',
    })
  })

  it('remove takes private attributes away at any depth, all or of one creator, and tags by a pattern', async () => {
    const inner = request('1').set(CREATOR, 'SIEMENS', 'LO').set(0x00291001, 'secret', 'LO')
    const dataset = instanceDataset({
      change: (one) =>
        one
          .set(CREATOR, 'SIEMENS', 'LO')
          .set(0x00291001, 'a', 'LO')
          .set(0x00290011, 'GEMS', 'LO')
          .set(0x00291101, 'b', 'LO')
          .set(0x60020022, 'overlay')
          .setItems(Attribute.RequestAttributesSequence, [inner]),
    })
    const all = await changed(dataset, [{ remove: ['private', '60xx0022', 'PatientBirthDate'] }])
    expect([...all.entries()].filter(([tag]) => (tag >>> 16) % 2 === 1 || tag >>> 24 === 0x60)).toEqual([])
    expect(all.items(Attribute.RequestAttributesSequence)[0]?.size).toBe(1)
    expect(all.has(Attribute.PatientBirthDate)).toBe(false)
    const one = await changed(dataset, [{ remove: ['private:SIEMENS'] }])
    expect([CREATOR, 0x00291001, 0x00290011, 0x00291101].map((tag) => one.has(tag))).toEqual([false, false, true, true])
    expect(one.items(Attribute.RequestAttributesSequence)[0]?.size).toBe(1)
  })

  it('remove reaches what comes behind the pixel data', async () => {
    const dataset = instanceDataset({
      change: (one) =>
        one
          .set(0x7fe10010, 'GEMS', 'LO')
          .set(0x7fe11001, 'a', 'LO')
          .set(0x7fe10011, 'OTHER', 'LO')
          .set(0x7fe11101, 'b', 'LO'),
    })
    const tags = async (removed: string): Promise<number[]> => {
      const made = await changed(dataset, [{ remove: [removed] }])
      return [...made.entries()].map(([tag]) => tag).filter((tag) => tag > Attribute.PixelData)
    }
    expect(await tags('private')).toEqual([])
    expect(await tags('private:GEMS')).toEqual([0x7fe10011, 0x7fe11101])
    expect(await tags('7fe111xx')).toEqual([0x7fe10010, 0x7fe10011, 0x7fe11001])
  })

  it('hash gives the same pseudonym for the same value, UIDs for UIDs, and none that tells the value', async () => {
    const steps = [{ hash: ['PatientID', 'AccessionNumber', 'StudyInstanceUID', 'SOPInstanceUID'] }]
    const one = await changed(instanceDataset(), steps)
    const other = await changed(instanceDataset({ instance: '1.2.9' }), steps)
    expect(one.string(Attribute.PatientID)).toMatch(/^[A-Z2-7]{16}$/)
    expect(one.string(Attribute.PatientID)).toBe(other.string(Attribute.PatientID))
    expect(one.string(Attribute.StudyInstanceUID)).toMatch(/^2\.25\.\d+$/)
    expect(one.string(Attribute.StudyInstanceUID)).toBe(other.string(Attribute.StudyInstanceUID))
    expect(one.string(Attribute.SOPInstanceUID)).not.toBe(other.string(Attribute.SOPInstanceUID))
  })

  it('shiftDates moves all dates at any depth by the same days, one patient by those of his own', async () => {
    const dated = (id: string): Dataset =>
      instanceDataset({
        change: (one) =>
          one
            .set(Attribute.PatientID, id)
            .set(0x0008002a, '20240131101500.5+0100')
            .setItems(Attribute.RequestAttributesSequence, [new Dataset().set(0x00400244, '20240229')]),
      })
    const fixed = await changed(dated('1'), [{ shiftDates: { days: -31 } }])
    expect(fixed.string(Attribute.StudyDate)).toBe('20231231')
    expect(fixed.string(0x0008002a)).toBe('20231231101500.5+0100')
    expect(fixed.items(Attribute.RequestAttributesSequence)[0]?.string(0x00400244)).toBe('20240129')
    const ofPatient = async (id: string): Promise<string | undefined> =>
      (await changed(dated(id), [{ shiftDates: { within: 365 } }])).string(Attribute.StudyDate)
    const [first, again, other] = [await ofPatient('1'), await ofPatient('1'), await ofPatient('2')]
    expect([first === again, first === other, first === '20240131']).toEqual([true, false, false])
  })

  it('fromWorklist sets what the one step says; none, and several that differ, leave it as it is, or refuse it', async () => {
    const asked: unknown[] = []
    const worklist = (found: readonly string[][] | undefined): Means['worklist'] => ({
      find: (lookup: { key: string }) => {
        asked.push(lookup.key)
        return Promise.resolve(found)
      },
    })
    const step = {
      archive: 'pacs',
      attributes: { PatientName: 'PatientName', StudyDescription: 'RequestedProcedureDescription' },
    }
    const made = await changed(instanceDataset(), [{ fromWorklist: step }], { worklist: worklist([['Roe^J'], []]) })
    expect([asked, made.string(Attribute.PatientName), made.has(Attribute.StudyDescription)]).toEqual([
      ['A1'],
      'Roe^J',
      false,
    ])
    const kept = await changed(instanceDataset(), [{ fromWorklist: step }], { worklist: worklist(undefined) })
    expect(kept.string(Attribute.PatientName)).toBe('Sample^Case')
    await expect(
      changed(instanceDataset(), [{ fromWorklist: { ...step, missing: 'refuse' } }], { worklist: worklist(undefined) }),
    ).rejects.toMatchObject({ code: 'NO_SCHEDULED_STEP' })
  })
})

describe('a changed instance', () => {
  it('keeps every other byte, in each transfer syntax, however it comes in chunks', async () => {
    for (const uid of [Syntax.explicit, Syntax.implicit, Syntax.bigEndian]) {
      const syntax = transferSyntax(uid)
      const dataset = instanceDataset({ pixelBytes: 5_000, change: (one) => one.set(0x7fe10010, 'GEMS', 'LO') })
      for (const chunk of [1, 7, 100_000]) {
        const bytes = await changedBytes(dataset, [{ set: { PatientID: '9' } }], { syntax, chunk })
        const expected = instanceDataset({
          pixelBytes: 5_000,
          change: (one) => one.set(0x7fe10010, 'GEMS', 'LO').set(Attribute.PatientID, '9'),
        })
        expect(Buffer.from(bytes).equals(encodeDataset(expected, syntax)), `${uid} ${chunk}`).toBe(true)
      }
    }
  })

  it('has all its text in UTF-8 where a value does not fit its character set', async () => {
    const latin = new Dataset(CharacterSet.of(['ISO_IR 100']))
      .set(Attribute.SpecificCharacterSet, 'ISO_IR 100')
      .set(Attribute.PatientName, 'Müller^Jörg')
      .setItems(Attribute.RequestAttributesSequence, [
        new Dataset(CharacterSet.of(['ISO_IR 100'])).set(0x00321060, 'Schädel'),
      ])
    const fits = await changed(latin, [{ set: { InstitutionName: 'Köln' } }])
    expect([fits.string(Attribute.SpecificCharacterSet), fits.string(0x00080080)]).toEqual(['ISO_IR 100', 'Köln'])
    const made = await changed(latin, [{ set: { InstitutionName: '東京' } }])
    expect(made.string(Attribute.SpecificCharacterSet)).toBe('ISO_IR 192')
    expect(made.string(Attribute.PatientName)).toBe('Müller^Jörg')
    expect(made.string(0x00080080)).toBe('東京')
    expect(made.items(Attribute.RequestAttributesSequence)[0]?.string(0x00321060)).toBe('Schädel')
  })

  it('is not made where it cannot be seen whole: a change at any depth of one with too long a front', async () => {
    const long = instanceDataset({
      change: (one) => one.put(0x00420011, { vr: 'OB', value: Buffer.alloc(17 * 1024 * 1024) }),
    })
    const made = await changed(long, [{ set: { PatientID: '9' } }], { chunk: 1_000_000 })
    expect([made.string(Attribute.PatientID), made.has(0x00420011), made.has(Attribute.PixelData)]).toEqual([
      '9',
      true,
      true,
    ])
    await expect(changed(long, [{ remove: ['private'] }], { chunk: 1_000_000 })).rejects.toMatchObject({
      code: 'FRONT_TOO_LONG',
    })
    const bytes = encodeDataset(made, EXPLICIT_VR_LITTLE_ENDIAN)
    expect(bytes.length).toBeGreaterThan(17 * 1024 * 1024)
  })

  it('is not made where what is to be changed cannot be seen: behind its pixel data, in items that cannot be read', async () => {
    const encoded = (dataset: Dataset): Bytes => encodeDataset(dataset, EXPLICIT_VR_LITTLE_ENDIAN)
    const misplaced = concat([encoded(instanceDataset()), encoded(new Dataset().set(Attribute.PatientName, 'Roe^J'))])
    await expect(changedBytesOf(misplaced, [{ hash: ['PatientName'] }])).rejects.toMatchObject({
      code: 'MISPLACED_ELEMENT',
    })
    const unread = instanceDataset({
      change: (one) => one.put(Attribute.RequestAttributesSequence, { vr: 'UN', value: Buffer.from('no items') }),
    })
    await expect(changed(unread, [{ shiftDates: { days: 1 } }])).rejects.toMatchObject({ code: 'UNREADABLE_ITEMS' })
    const behind = instanceDataset({
      change: (one) => one.put(0xfffafffa, { vr: 'UN', value: Buffer.from('no items') }),
    })
    await expect(changed(behind, [{ shiftDates: { days: 1 } }])).rejects.toMatchObject({ code: 'UNREADABLE_ITEMS' })
  })

  it('is changed by what an attribute is, whatever VR a device has written', async () => {
    const odd = instanceDataset({
      change: (one) =>
        one
          .put(Attribute.PatientID, { vr: 'OB', value: Buffer.from('123456') })
          .put(Attribute.PatientBirthDate, { vr: 'LO', value: Buffer.from('19700101') }),
    })
    const made = await changed(odd, [{ hash: ['PatientID'] }, { shiftDates: { days: 1 } }])
    expect(made.string(Attribute.PatientID)).toMatch(/^[A-Z2-7]{16}$/)
    expect(made.string(Attribute.PatientBirthDate)).toBe('19700102')
  })

  it('is changed once, also where its text turns out to need UTF-8', async () => {
    const latin = new Dataset(CharacterSet.of(['ISO_IR 100']))
    const item = (accession: string): Dataset =>
      new Dataset(latin.characterSet).set(Attribute.AccessionNumber, accession)
    latin
      .set(Attribute.SpecificCharacterSet, 'ISO_IR 100')
      .setItems(Attribute.RequestAttributesSequence, [item('A'), item('Z')])
    const map = { attribute: 'RequestAttributesSequence.AccessionNumber', table: { A: 'B', B: 'C', Z: '日本' } }
    const made = await changed(latin, [{ map }])
    const items = made.items(Attribute.RequestAttributesSequence)
    expect(items.map((one) => one.string(Attribute.AccessionNumber))).toEqual(['B', '日本'])
  })

  it.each([
    ['00500101', '00500102'],
    ['202401311', undefined],
    ['2024.01.31', '20240201'],
    ['202401', '202401'],
    ['20240230', undefined],
  ])('has the date %s moved to %s', (date, moved) => {
    expect(shiftedDate(date, 1)).toBe(moved)
  })
})
