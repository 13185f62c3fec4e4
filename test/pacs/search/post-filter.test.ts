import { describe, expect, test } from 'vitest'
import { Dataset } from '../../../src/dicom/dataset.ts'
import type { Vr } from '../../../src/dicom/vr.ts'
import { fits, MAX_COMPARED, type Leniency } from '../../../src/pacs/search/post-filter.ts'

const tags: Partial<Record<Vr, number>> = {
  PN: 0x00100010,
  LO: 0x00100020,
  SH: 0x00080050,
  CS: 0x00080061,
  DA: 0x00080020,
  TM: 0x00080030,
  IS: 0x00200013,
  UI: 0x0020000d,
  ST: 0x00080081,
  DT: 0x0008002a,
  FD: 0x00189073,
  FL: 0x00189105,
}

function isShown(vr: Vr, key: string, value: string | string[], leniency: Partial<Leniency> = {}): boolean {
  const match = new Dataset().set(0x00080005, 'ISO_IR 192').set(tags[vr]!, value)
  return fits(match, [{ tag: tags[vr]!, vr, values: [key] }], { fuzzy: false, loose: false, ...leniency })
}

describe('a match of an archive that ignores a key is dropped', () => {
  test.each<[Vr, string, string]>([
    ['LO', '123', '1234'],
    ['LO', '12?', '1234'],
    ['LO', '12*', '9124'],
    ['SH', 'A-1', 'A-2'],
    ['CS', 'CT', 'MR'],
    ['PN', 'Doe^J*', 'ROE^JANE'],
    ['PN', 'Doe^Jim', 'Doe^Jane'],
    ['DA', '20240101', '20240102'],
    ['DA', '20240101-20240131', '20231231'],
    ['DA', '20240101-', '2023.12.31'],
    ['DA', '-20240101', '20240102'],
    ['TM', '1000-1059', '110000'],
    ['TM', '10', '11:00:00'],
    ['IS', '1', '10'],
    ['UI', '1.2.3', '1.2.33'],
    ['ST', 'Clinic', 'Hospital'],
    ['DT', '20240101-20240102', '20240103101500'],
    ['FD', '1.5', '1.25'],
  ])('%s: %s is not %s', (vr, key, value) => {
    expect(isShown(vr, key, value)).toBe(false)
  })
})

describe('a match that fits, or may fit, is shown', () => {
  test.each<[Vr, string, string]>([
    ['LO', '123', '123 '],
    ['LO', 'abc', 'ABC'],
    ['LO', '*23*', '1234'],
    ['PN', 'doe', 'DOE^JANE'],
    ['PN', 'doe jane', 'Doe^Jane^^Dr'],
    ['PN', 'Jane*', 'Doe^Jane'],
    ['PN', 'Muller', 'Müller^J'],
    ['PN', 'Yamada^Tarou', 'Yamada^Tarou=山田^太郎'],
    ['PN', 'SMITH^*', 'Smith'],
    ['PN', 'SMITH^*', 'SMITH^'],
    ['PN', '*^JOHN', '^John'],
    ['PN', 'DOE^*^JOHN', 'Doe^^John'],
    ['PN', 'DOE^JOHN^*', 'Doe^John'],
    ['PN', 'DOE??JOHN', 'Doe^^John'],
    ['PN', 'DOE^JOHN=*', 'Doe^John'],
    ['DA', '20240101', '2024.01.01'],
    ['DA', '20240101-20240131', '20240131'],
    ['DA', '20240101', 'unknown'],
    ['TM', '1000-1059', '105959.999999'],
    ['TM', '10-', '100000'],
    ['TM', '101500.5', '1015'],
    ['IS', '1', '+01'],
    ['IS', '1', 'one'],
    ['UI', '1.2.3', '1.2.3'],
    ['ST', 'clin*', 'Clinic'],
    ['DT', '20240101', '20240101101500'],
    // Another time zone makes it another day.
    ['DT', '20240101+0900', '20231231200000'],
    ['FD', '1.5', '1.5'],
    ['FL', '0.1', '0.1'],
  ])('%s: %s may be %s', (vr, key, value) => {
    expect(isShown(vr, key, value)).toBe(true)
  })

  test('since one of its values does', () => {
    expect(isShown('CS', 'CT', ['MR', 'CT'])).toBe(true)
    expect(isShown('CS', 'CT', ['MR', 'PT'])).toBe(false)
  })

  test.each([
    ['MR, CT', 'CT', true],
    ['CT/SR', 'SR', true],
    ['CT;PT', 'PT', true],
    ['MR CT', 'CT', true],
    ['MRCT', 'CT', false],
    ['MR, CT', 'US', false],
  ])('since modalities that are sent as one value (%s) hold %s, or not', (value, key, shown) => {
    expect(isShown('CS', key, value)).toBe(shown)
  })

  test('since an item of its sequence does, and is not where none does', () => {
    const [sequence, id] = [0x00400275, 0x00400009]
    const item = (text: string): Dataset => new Dataset().set(id, text)
    const match = new Dataset().setItems(sequence, [item('P-1'), item('P-2')])
    const asked = (text: string) =>
      [{ tag: sequence, vr: 'SQ', values: [], item: [{ tag: id, vr: 'SH', values: [text] }] }] as const
    const leniency = { fuzzy: false, loose: false }
    expect(['P-2', 'P-3'].map((text) => fits(match, asked(text), leniency))).toEqual([true, false])
    expect(fits(new Dataset().setItems(sequence, []), asked('P-3'), leniency)).toBe(true)
    expect(fits(match, asked('P-3'), { ...leniency, loose: true })).toBe(true)
  })

  test('without being looked at where that would take long', () => {
    const [pattern, value] = ['*a'.repeat(15_000), 'a'.repeat(29_000) + 'b']
    expect(pattern.length * value.length).toBeGreaterThan(MAX_COMPARED)
    const start = performance.now()
    expect(isShown('ST', pattern, value)).toBe(true)
    expect(isShown('ST', '*a'.repeat(500) + 'c', 'a'.repeat(900))).toBe(false)
    expect(performance.now() - start).toBeLessThan(1_000)
  })

  test('as a whole: many values that are each short enough are too many together', () => {
    const [pattern, value] = [`*${'a'.repeat(60)}b`, 'a'.repeat(1_000)]
    const affordable = Math.floor(MAX_COMPARED / (pattern.length * value.length))
    expect(isShown('LO', pattern, Array<string>(affordable).fill(value))).toBe(false)
    expect(isShown('LO', pattern, Array<string>(affordable + 1).fill(value))).toBe(true)
  })

  test('in the items of a sequence too', () => {
    const sequence = 0x00400275
    const [pattern, value] = [`*${'a'.repeat(60)}b`, 'a'.repeat(1_000)]
    const item = { tag: tags.LO!, vr: 'LO', values: [pattern] } as const
    const shown = (count: number): boolean => {
      const items = Array.from({ length: count }, () => new Dataset().set(tags.LO!, value))
      const key = { tag: sequence, vr: 'SQ', values: [], item: [item] } as const
      return fits(new Dataset().setItems(sequence, items), [key], { fuzzy: false, loose: false })
    }
    const affordable = Math.floor(MAX_COMPARED / (pattern.length * value.length))
    expect(shown(affordable)).toBe(false)
    expect(shown(affordable + 1)).toBe(true)
  })

  test('as long lists of UIDs are, which are compared', () => {
    const uids = Array.from({ length: 1_000 }, (_, n) => `1.2.826.0.1.3680043.10.1561.91.4711.${n}`)
    const match = new Dataset().set(tags.UI!, '1.2.826.0.1.3680043.10.1561.92')
    expect(fits(match, [{ tag: tags.UI!, vr: 'UI', values: uids }], { fuzzy: false, loose: false })).toBe(false)
  })

  test('since one of the values asked for does', () => {
    const match = new Dataset().set(tags.LO!, '2')
    const key = { tag: tags.LO!, vr: 'LO' as const, values: ['1', '2'] }
    expect(fits(match, [key], { fuzzy: false, loose: false })).toBe(true)
    expect(fits(match, [{ ...key, values: ['1', '3'] }], { fuzzy: false, loose: false })).toBe(false)
  })

  test('since it has no value to look at, or none was asked for', () => {
    expect(isShown('LO', '123', [])).toBe(true)
    expect(fits(new Dataset(), [{ tag: tags.LO!, vr: 'LO', values: ['1'] }], { fuzzy: false, loose: false })).toBe(true)
    const any = { tag: tags.LO!, vr: 'LO' as const, values: [] }
    expect(fits(new Dataset().set(tags.LO!, '1'), [any], { fuzzy: false, loose: false })).toBe(true)
  })

  test('since names were matched by meaning, and only names', () => {
    expect(isShown('PN', 'Meyer', 'MAIER^A', { fuzzy: true })).toBe(true)
    expect(isShown('LO', '1', '2', { fuzzy: true })).toBe(false)
  })

  test('since the archive is believed, but for UIDs and modalities', () => {
    expect(isShown('LO', 'OLD-ID', 'NEW-ID', { loose: true })).toBe(true)
    expect(isShown('UI', '1.2', '1.3', { loose: true })).toBe(false)
    expect(isShown('CS', 'CT', 'MR', { loose: true })).toBe(false)
  })
})
