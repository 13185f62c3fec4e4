import { describe, expect, test } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import type { Archive } from '../../../src/pacs/archive.ts'
import { deriveCounts, fittingModalities } from '../../../src/pacs/search/derive-counts.ts'
import { identifier, isAskable } from '../../../src/pacs/search/query.ts'
import type { SearchRequest } from '../../../src/pacs/search/search.ts'
import { openArchive } from '../../support/gateway-to.ts'
import { keeper } from '../../support/kept.ts'
import { failOnLeaks } from '../../support/leaks.ts'
import { findAnswer, listing, ScriptedArchive, type ArchiveScript } from '../../support/scripted-archive.ts'
import { sliceDataset, uidElement, type SliceShape } from '../../support/slices.ts'

// UIDs that an archive holds against PS3.5 9.1 and that become keys of the next query.

failOnLeaks()

const call = { signal: new AbortController().signal }
const plain = { relational: false, fuzzy: false, emptyValue: false, multipleValue: false }
const kept = keeper()

/** It can be passed back as it is. */
const ODD = '1.2.\xe4\xdfB 7'
/** These cannot: they would mean others, or be no value of the VR. */
const UNASKABLE = ['1.2.*', '1.2.?.1', '1.2\x01.3', '1.2\0.3', `1.${'2'.repeat(127)}`]

const request = (level: SearchRequest['level'], more: Partial<SearchRequest> = {}): SearchRequest => ({
  level,
  withParents: true,
  match: [],
  include: [],
  ...more,
})
const patient = { tag: Attribute.PatientID, vr: 'LO', values: ['P-1'] } as const

async function started(script: ArchiveScript, settings: object = {}): Promise<Archive> {
  const scripted = kept(await ScriptedArchive.start(script))
  return kept(await openArchive(scripted.address, settings))
}

async function gathered(results: AsyncIterable<Dataset>): Promise<Dataset[]> {
  const found: Dataset[] = []
  for await (const one of results) found.push(one)
  return found
}

const rows = (found: readonly Dataset[], tag: number): (string | undefined)[] => found.map((one) => one.string(tag))

describe('a UID of an archive that is none', () => {
  test.each(['1.2.3', '1.02', ODD, 'A', '1'.repeat(64)])('can be asked for where it means itself: %j', (uid) => {
    expect(isAskable(uid)).toBe(true)
  })

  test.each(['', '1.2\\1.3', ...UNASKABLE])('cannot be asked for where it would mean others: %j', (uid) => {
    expect(isAskable(uid)).toBe(false)
  })

  test('is passed back byte for byte, padded, without a word about character sets', () => {
    const keys = [{ tag: Attribute.StudyInstanceUID, vr: 'UI', values: ['1.2.\xe4'] }] as const
    const query = identifier({ level: 'STUDY', keys }, { query: 'ISO_IR 192', always: false })
    expect(query.get(Attribute.StudyInstanceUID)?.value).toEqual(new Uint8Array(Buffer.from('1.2.\xe4\0', 'latin1')))
    expect(query.has(Attribute.SpecificCharacterSet)).toBe(false)
  })
})

describe('a search level by level', () => {
  const shapes: SliceShape[] = [
    { study: '1.2.1', series: '1.2.1.1' },
    { study: ODD, series: '1.2.2.1' },
    { study: '1.2.3', series: ODD, instance: '1.2.3.1.1' },
  ]

  test('finds what is below a study or series whose UID is none', async () => {
    const archive = await started({ find: listing(shapes) })
    const series = await gathered(archive.search(request('SERIES', { match: [patient] }), plain, call))
    expect(rows(series, Attribute.SeriesInstanceUID)).toEqual(['1.2.1.1', '1.2.2.1', ODD])
    const images = await gathered(archive.search(request('IMAGE', { match: [patient] }), plain, call))
    expect(rows(images, Attribute.SOPInstanceUID)).toEqual(['1.2.1.1.1', '1.2.2.1.1', '1.2.3.1.1'])
    expect(rows(images, Attribute.StudyInstanceUID)).toEqual(['1.2.1', ODD, '1.2.3'])
  })

  test.each(UNASKABLE)('passes over what is below %j, which cannot be asked for, and finds the rest', async (uid) => {
    const asked: string[] = []
    const list = listing([{ study: uid, series: '1.2.9.1' }, ...shapes, { study: '1.2.3', series: uid }])
    const archive = await started({
      find: async (association, message) => {
        const { identifier: keys } = message
        asked.push(...keys.strings(Attribute.StudyInstanceUID), ...keys.strings(Attribute.SeriesInstanceUID))
        await list(association, message)
      },
    })
    const images = await gathered(archive.search(request('IMAGE', { match: [patient] }), plain, call))
    expect(rows(images, Attribute.SOPInstanceUID)).toEqual(['1.2.1.1.1', '1.2.2.1.1', '1.2.3.1.1'])
    expect(asked).not.toContain(uid)
  })
})

describe('counts that are derived', () => {
  /** Of each study two series, of a modality whose name is not ASCII and of CT. */
  const script = (studies: readonly string[]): ArchiveScript => ({
    find: findAnswer((keys) => {
      if (keys.string(Attribute.QueryRetrieveLevel) === 'STUDY')
        return studies.map((uid) => new Dataset().put(Attribute.StudyInstanceUID, uidElement(uid)))
      return [Buffer.from('R\xd6', 'latin1'), Buffer.from('CT', 'latin1')].map((modality, index) =>
        new Dataset()
          .put(Attribute.Modality, { vr: 'CS', value: modality })
          .put(Attribute.SeriesInstanceUID, uidElement(`1.2.${index}`))
          .set(Attribute.NumberOfSeriesRelatedInstances, '3'),
      )
    }),
  })

  test('are those of a study whose UID is none too; one that cannot be asked for is given without', async () => {
    const archive = await started(script(['1.2.1', '1.2.*', ODD]))
    const search = request('STUDY')
    const found = await gathered(deriveCounts(archive, archive.search(search, plain, call), search, call))
    expect(rows(found, Attribute.StudyInstanceUID)).toEqual(['1.2.1', '1.2.*', ODD])
    expect(rows(found, Attribute.NumberOfStudyRelatedInstances)).toEqual(['6', undefined, '6'])
    expect(found[2]!.strings(Attribute.ModalitiesInStudy)).toEqual(['CT', 'R\xd6'])
  })

  test('decide whether a study has the modality that is matched; one that cannot be asked for is passed over', async () => {
    const archive = await started(script(['1.2.*', ODD]))
    const search = request('STUDY', { match: [{ tag: Attribute.ModalitiesInStudy, vr: 'CS', values: ['CT'] }] })
    const found = await gathered(fittingModalities(archive, archive.search(search, plain, call), search, call))
    expect(rows(found, Attribute.StudyInstanceUID)).toEqual([ODD])
  })
})

test('the scripted archive holds UIDs as they are told', () => {
  expect(sliceDataset({ study: ODD }).string(Attribute.StudyInstanceUID)).toBe(ODD)
})
