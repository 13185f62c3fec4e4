import { createRequire } from 'node:module'
import { describe, expect, it } from 'vitest'
import { Attribute } from '../../src/dicom/attributes.ts'
import { describeTag, dictionaryVr, keywordOf, tagOf } from '../../src/dicom/dictionary.ts'
import { dictionaryData } from '../../src/dicom/dictionary-data.ts'
import { isGroupLength } from '../../src/dicom/tag.ts'
import { isVr } from '../support/dicom-bytes.ts'

const lines = dictionaryData.trim().split('\n')

describe('the dictionary', () => {
  it('has a tag, a VR and a keyword in each line, the tags ascending', () => {
    expect(lines.length).toBeGreaterThan(4900)
    let before = -1
    for (const line of lines) {
      expect(line).toMatch(/^[0-9A-F]{8} ([A-Z]{2}|xs|ox) [A-Za-z]\w*$/)
      expect(isVr(line.slice(9, 11)) || ['xs', 'ox'].includes(line.slice(9, 11))).toBe(true)
      expect(parseInt(line, 16)).toBeGreaterThan(before)
      before = parseInt(line, 16)
    }
  })

  it('has each keyword once', () => {
    const keywords = lines.map((line) => line.slice(12))
    expect(keywords.filter((keyword, index) => keywords.indexOf(keyword) !== index)).toEqual([])
  })

  it('leaves the choice of US or SS open where PS3.6 does', () => {
    const open = lines.filter((line) => line.slice(9, 11) === 'xs').map((line) => line.slice(0, 8))
    expect(open).toEqual(
      [
        '00189810 00221452 00280071 00280104 00280105 00280106 00280107 00280108 00280109 00280110 00280111 00280120',
        '00280121 00281100 00281101 00281102 00281103 00281111 00281112 00281113 00283002 00409211 00409216 00603004',
        '00603006',
      ].flatMap((row) => row.split(' ')),
    )
  })

  it('has OW where PS3.6 has US or OW', () => {
    expect(dictionaryVr(0x00283006)).toBe('OW')
    expect(dictionaryVr(0x00281200)).toBe('OW')
    expect(dictionaryVr(0x00281201)).toBe('OW')
  })

  it('leaves the choice of OB or OW open for pixels, overlays and waveforms', () => {
    for (const t of [0x7fe00010, 0x60003000, 0x60fe3000, 0x54001010]) expect(dictionaryVr(t)).toBe('ox')
  })

  /** daikon's table is not made from the same source; where it differs it is of an older edition, or in error. */
  it('has the VRs of another dictionary', () => {
    const older = ['00143022', '00287FE0', '0040E010', '006862F0', '0074100A', '00760034']
    const { Dictionary } = createRequire(import.meta.url)('daikon') as {
      Dictionary: { dict: Record<string, Record<string, [string, string]>> }
    }
    const different: string[] = []
    let compared = 0
    for (const [group, elements] of Object.entries(Dictionary.dict)) {
      for (const [element, [vr]] of Object.entries(elements)) {
        const found = dictionaryVr(parseInt(group + element, 16))
        compared++
        const same = found === vr.trim() || (found === 'xs' && vr === 'SS') || (found === 'ox' && vr === 'OB')
        if (!same) different.push(group + element)
      }
    }
    expect(compared).toBeGreaterThan(3000)
    expect(different.sort()).toEqual(older)
  })
})

describe('a tag', () => {
  it('of a repeating group is looked up under its first group', () => {
    expect(dictionaryVr(0x60020010)).toBe(dictionaryVr(0x60000010))
    expect(dictionaryVr(0x60fe0010)).toBe('US')
    expect(dictionaryVr(0x50040005)).toBe(dictionaryVr(0x50000005))
    expect(keywordOf(0x60023000)).toBe('OverlayData')
    expect(dictionaryVr(0x60010010)).toBe('LO')
    expect(dictionaryVr(0x60011010)).toBeUndefined()
    expect(dictionaryVr(0x61000010)).toBeUndefined()
  })

  it('of a private creator is LO, of another private element unknown', () => {
    expect(dictionaryVr(0x00090010)).toBe('LO')
    expect(dictionaryVr(0x000900ff)).toBe('LO')
    expect(dictionaryVr(0x00091001)).toBeUndefined()
    expect(keywordOf(0x00090010)).toBeUndefined()
  })

  it('of a group length is UL', () => {
    for (const t of [0x00000000, 0x00020000, 0x00080000, 0x60020000]) expect(dictionaryVr(t)).toBe('UL')
  })

  it('that is in no dictionary is unknown', () => {
    for (const t of [0x00100011, 0x00010010, 0x00070010]) {
      expect(dictionaryVr(t)).toBeUndefined()
      expect(keywordOf(t)).toBeUndefined()
    }
  })

  it('is described by its keyword, if it has one', () => {
    expect(describeTag(Attribute.PatientID)).toBe('(0010,0020) PatientID')
    expect(describeTag(0x7fe10010)).toBe('(7FE1,0010)')
  })

  it('is found by keyword, whose case matters, or by number', () => {
    expect(tagOf('patientid')).toBeUndefined()
    expect(tagOf('PatientID')).toBe(Attribute.PatientID)
    expect(tagOf('00100020')).toBe(Attribute.PatientID)
    expect(tagOf('7fe00010')).toBe(Attribute.PixelData)
    expect(tagOf('00100020.00100010')).toBeUndefined()
    expect(tagOf('constructor')).toBeUndefined()
  })
})

describe('the attributes of the gateway', () => {
  // Group lengths are not in the dictionary: all have the same VR.
  const named = Object.entries(Attribute).filter(([, t]) => !isGroupLength(t))

  it.each(named)('%s has its keyword', (keyword, t) => {
    expect(keywordOf(t)).toBe(keyword)
    expect(tagOf(keyword)).toBe(t)
  })
})
