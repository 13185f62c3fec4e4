import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import type { Gateway } from '../../../src/gateway.ts'
import { parseSearchParams } from '../../../src/dicomweb/params/search-params.ts'
import { InvalidKeyError, UnencodableKeyError } from '../../../src/pacs/search/errors.ts'
import {
  conditionalAttributes,
  optionalAttributes,
  requiredAttributes,
} from '../../../src/pacs/search/attribute-levels.ts'
import { withDefaultCharset } from '../../../src/pacs/search/default-charset.ts'
import { identifier, type Key } from '../../../src/pacs/search/query.ts'
import { gatewayTo, openArchive } from '../../support/gateway-to.ts'
import { findResponse, STUDY_ROOT_FIND } from '../../support/golden.ts'
import { ScriptedArchive, findAnswer, uidOf } from '../../support/scripted-archive.ts'

const C_FIND_RQ = 0x0020

/** What the archive got: elements of the top level as they came, in Explicit VR Little Endian. */
interface RawElement {
  readonly tag: number
  readonly vr: string
  readonly value: Buffer
}

/** Reads an identifier without the reader of src: sequences are taken whole, items included. */
function rawElements(data: Buffer): RawElement[] {
  const elements: RawElement[] = []
  for (let at = 0; at < data.length;) {
    const tag = ((data.readUInt16LE(at) << 16) | data.readUInt16LE(at + 2)) >>> 0
    const vr = data.toString('latin1', at + 4, at + 6)
    const isLong = ['SQ', 'UN', 'UT', 'OB', 'OW', 'UC', 'UR'].includes(vr)
    const start = at + (isLong ? 12 : 8)
    const length = isLong ? data.readUInt32LE(at + 8) : data.readUInt16LE(at + 6)
    const end = length === 0xffffffff ? data.indexOf(Buffer.from('feffdde000000000', 'hex'), start) : start + length
    elements.push({ tag, vr, value: data.subarray(start, end) })
    at = length === 0xffffffff ? end + 8 : end
  }
  return elements
}

let archive: ScriptedArchive
let gateway: Gateway

async function searchAt(url: string): Promise<{ status: number; body: unknown }> {
  const response = await fetch(url)
  return { status: response.status, body: await response.json() }
}

function search(path: string): Promise<{ status: number; body: unknown }> {
  return searchAt(`${gateway.url}${path}`)
}

/** The elements of the one C-FIND that a search led to. */
async function found(path: string): Promise<Map<number, RawElement>> {
  archive.log.length = 0
  const { status } = await search(path)
  expect(status).toBe(200)
  const [request, ...more] = archive.received(C_FIND_RQ)
  expect(more).toEqual([])
  return new Map(rawElements(request!.data!).map((element) => [element.tag, element]))
}

function value(elements: Map<number, RawElement>, tag: number): string | undefined {
  return elements.get(tag)?.value.toString('latin1')
}

beforeAll(async () => {
  archive = await ScriptedArchive.start()
  gateway = await gatewayTo(archive.address)
})

afterAll(async () => {
  await gateway[Symbol.asyncDispose]()
  await archive[Symbol.asyncDispose]()
})

beforeEach(() => {
  archive.script = {}
})

describe('an identifier', () => {
  test('asks Study Root at STUDY level, the key padded, every required attribute empty (case 22)', async () => {
    const elements = await found('/studies?PatientID=123')
    expect(uidOf(archive.log[0]!.message, '0002')).toBe(STUDY_ROOT_FIND)
    expect(value(elements, Attribute.QueryRetrieveLevel)).toBe('STUDY ')
    expect(value(elements, Attribute.PatientID)).toBe('123 ')
    for (const tag of requiredAttributes.STUDY.filter((one) => one !== Attribute.PatientID)) {
      expect(value(elements, tag), tag.toString(16)).toBe('')
    }
  })

  test('is the same for a tag as for its keyword (case 23)', async () => {
    const [byKeyword, byTag] = [await found('/studies?PatientID=123'), await found('/studies?00100020=123')]
    expect([...byTag]).toEqual([...byKeyword])
  })

  test('is sorted by tag, of even lengths, with neither group 0002 nor group lengths nor a character set', async () => {
    const tags = [...(await found('/studies?PatientName=Doe*&StudyDate=20240101&includefield=all')).values()]
    expect(tags.map(({ tag }) => tag)).toEqual(tags.map(({ tag }) => tag).sort((a, b) => a - b))
    for (const { tag, value: bytes } of tags) {
      expect(bytes.length % 2).toBe(0)
      expect(tag >>> 16).toBeGreaterThan(2)
      expect(tag & 0xffff).not.toBe(0)
    }
    expect(tags.map(({ tag }) => tag)).not.toContain(Attribute.SpecificCharacterSet)
  })

  test('has no key given twice: the request is refused (case 24)', async () => {
    archive.log.length = 0
    expect(await search('/studies?PatientID=1&PatientID=2')).toMatchObject({ status: 400 })
    expect(archive.log).toEqual([])
  })

  test('has a list of UIDs as one key (case 25)', async () => {
    // With its counts: nothing else is asked for.
    const study = new Dataset()
      .set(Attribute.StudyInstanceUID, '1.2')
      .set(Attribute.ModalitiesInStudy, 'CT')
      .set(Attribute.NumberOfStudyRelatedSeries, '1')
      .set(Attribute.NumberOfStudyRelatedInstances, '1')
    const other = new Dataset()
    for (const [t, element] of study.entries()) other.put(t, element)
    other.set(Attribute.StudyInstanceUID, '1.3')
    archive.script = { find: findAnswer(() => [study, other]) }
    const elements = await found('/studies?StudyInstanceUID=1.2,1.3')
    expect(value(elements, Attribute.StudyInstanceUID)).toBe('1.2\\1.3\0')
  })

  test('has a name with a comma as it is (case 26)', async () => {
    expect(value(await found('/studies?PatientName=DOE,JOHN'), Attribute.PatientName)).toBe('DOE,JOHN')
  })

  test('has a range of dates padded by a space (case 27)', async () => {
    const elements = await found('/studies?StudyDate=20240101-20240131')
    expect(elements.get(Attribute.StudyDate)).toMatchObject({ vr: 'DA' })
    expect(value(elements, Attribute.StudyDate)).toBe('20240101-20240131 ')
  })

  test.each(['-20240131', '20240101-'])('has the open range of dates %s as it is (case 28)', async (range) => {
    expect(value(await found(`/studies?StudyDate=${range}`), Attribute.StudyDate)?.trimEnd()).toBe(range)
  })

  test.each(['2024-01-01', '2024*'])('never has %s as a date (cases 29, 52)', async (date) => {
    archive.log.length = 0
    expect(await search(`/studies?StudyDate=${date}`)).toMatchObject({ status: 400 })
    expect(archive.log).toEqual([])
  })

  test('has a key in a sequence and its other return key in one item (case 30)', async () => {
    archive.log.length = 0
    await search('/studies/1.2.3/series?RequestAttributesSequence.ScheduledProcedureStepID=7')
    const [request] = archive.received(C_FIND_RQ)
    const items = request!.identifier.items(Attribute.RequestAttributesSequence)
    expect(items).toHaveLength(1)
    const [item] = items
    expect(
      [...item!.entries()].map(([t, element]) => [t, Buffer.from(element.value as Uint8Array).toString()]),
    ).toEqual([
      [Attribute.ScheduledProcedureStepID, '7 '],
      [Attribute.RequestedProcedureID, ''],
    ])
  })

  test('has what is to be included, once each and empty (case 31)', async () => {
    const elements = await found('/studies?includefield=StudyDescription&includefield=00081032,PatientSize')
    for (const tag of [0x00081030, 0x00081032, 0x00101020]) expect(elements.get(tag)?.value).toHaveLength(0)
  })

  test('has the optional attributes of the level where all are to be included (case 32)', async () => {
    const elements = await found('/studies?includefield=all')
    for (const tag of optionalAttributes.STUDY) expect(elements.get(tag)?.value, tag.toString(16)).toBeDefined()
    const expected = [...requiredAttributes.STUDY, ...conditionalAttributes.STUDY, ...optionalAttributes.STUDY]
    expect([...elements.keys()].sort()).toEqual([...new Set([...expected, Attribute.QueryRetrieveLevel])].sort())
  })

  test('has no attribute of a lower level (case 33)', async () => {
    const elements = await found('/studies?includefield=SeriesDescription')
    expect(elements.has(Attribute.SeriesDescription)).toBe(false)
  })

  test('has at SERIES level the unique key of the study, and of the levels above nothing else', async () => {
    const elements = await found('/studies/1.2.3/series?Modality=CT')
    expect(value(elements, Attribute.QueryRetrieveLevel)).toBe('SERIES')
    expect(value(elements, Attribute.StudyInstanceUID)).toBe('1.2.3\0')
    expect(value(elements, Attribute.Modality)).toBe('CT')
    for (const tag of [Attribute.PatientID, Attribute.PatientName, Attribute.StudyDate, Attribute.AccessionNumber]) {
      expect(elements.has(tag), tag.toString(16)).toBe(false)
    }
  })

  test('takes an attribute of the study for a series from a query at STUDY level (case 34)', async () => {
    archive.log.length = 0
    archive.script = {
      find: findAnswer((keys) => {
        const answer = new Dataset().set(Attribute.StudyInstanceUID, '1.2.3')
        if (keys.string(Attribute.QueryRetrieveLevel) === 'STUDY')
          return [answer.set(Attribute.PatientName, 'Doe^Jane')]
        return [answer.set(Attribute.SeriesInstanceUID, '1.2.3.4').set(Attribute.Modality, 'CT')]
      }),
    }
    const { body } = await search('/studies/1.2.3/series?includefield=PatientName')
    expect(body).toMatchObject([{ '00100010': { vr: 'PN', Value: [{ Alphabetic: 'Doe^Jane' }] }, '0020000E': {} }])
    const [study, series] = archive.received(C_FIND_RQ).map(({ identifier: keys }) => keys)
    expect(study!.string(Attribute.QueryRetrieveLevel)).toBe('STUDY')
    expect(study!.has(Attribute.PatientName)).toBe(true)
    expect(series!.string(Attribute.QueryRetrieveLevel)).toBe('SERIES')
    expect(series!.has(Attribute.PatientName)).toBe(false)
  })

  test('names its character set where a key needs it (case 51)', async () => {
    const elements = await found(`/studies?PatientName=${encodeURIComponent('Müller')}`)
    expect(value(elements, Attribute.SpecificCharacterSet)).toBe('ISO_IR 192')
    expect(elements.get(Attribute.PatientName)?.value).toEqual(Buffer.from('Müller ', 'utf8'))
  })

  test('names its character set for a key inside a sequence', () => {
    const keys = [
      {
        tag: Attribute.RequestAttributesSequence,
        vr: 'SQ',
        values: [],
        item: [{ tag: Attribute.ScheduledProcedureStepID, vr: 'SH', values: ['Ö'] }],
      },
    ] as const
    const dataset = identifier({ level: 'SERIES', keys }, { query: 'ISO_IR 100', always: false })
    expect(dataset.string(Attribute.SpecificCharacterSet)).toBe('ISO_IR 100')
    const [item] = dataset.items(Attribute.RequestAttributesSequence)
    expect(item!.get(Attribute.ScheduledProcedureStepID)?.value).toEqual(Uint8Array.of(0xd6, 0x20))
  })

  test('cannot have characters outside the character set of the archive', () => {
    const keys = [{ tag: Attribute.PatientName, vr: 'PN', values: ['山田'] }] as const
    const make = (): Dataset => identifier({ level: 'STUDY', keys }, { query: 'ISO_IR 100', always: false })
    expect(make).toThrow(UnencodableKeyError)
    expect(make).not.toThrow(/山田/)
  })

  test('cannot have a value that its attribute cannot hold: that is told apart from what is wrong in an answer', async () => {
    const path = '/studies/1.2/series/1.3/instances?Rows=70000'
    expect(await search(path)).toMatchObject({ status: 400, body: { code: 'INVALID_VALUE' } })
    const rows = { tag: Attribute.Rows, vr: 'US', values: [70_000] } as const
    const make = (key: Key): Dataset =>
      identifier({ level: 'IMAGE', keys: [key] }, { query: 'ISO_IR 192', always: false })
    expect(() => make(rows)).toThrow(InvalidKeyError)
    expect(() => make(rows)).toThrow(expect.objectContaining({ code: 'INVALID_VALUE' }))
  })
})

describe('settings of an archive', () => {
  async function identifiersWith(settings: object, path: string): Promise<Map<number, RawElement>[]> {
    await using one = await gatewayTo(archive.address, settings)
    archive.log.length = 0
    await fetch(`${one.url}${path}`).then((response) => response.text())
    return archive.received(C_FIND_RQ).map(({ data }) => {
      return new Map(rawElements(data!).map((element) => [element.tag, element]))
    })
  }

  test('charset.query is what keys are written in', async () => {
    const path = `/studies?PatientName=${encodeURIComponent('Müller')}`
    const [elements] = await identifiersWith({ charset: { query: 'ISO_IR 100' } }, path)
    expect(value(elements!, Attribute.SpecificCharacterSet)).toBe('ISO_IR 100')
    expect(value(elements!, Attribute.PatientName)).toBe('Müller')
  })

  test('charset.always names the set in every request', async () => {
    const [elements] = await identifiersWith({ charset: { always: true } }, '/studies?PatientID=1')
    expect(value(elements!, Attribute.SpecificCharacterSet)).toBe('ISO_IR 192')
  })

  test('uppercaseNames capitalises names and nothing else', async () => {
    const path = `/studies?PatientName=${encodeURIComponent('müller^a*')}&PatientID=a1`
    const [elements] = await identifiersWith({ quirks: { uppercaseNames: true } }, path)
    expect(elements!.get(Attribute.PatientName)?.value.toString('utf8').trimEnd()).toBe('MÜLLER^A*')
    expect(value(elements!, Attribute.PatientID)).toBe('a1')
  })

  test('singleUidLists asks for each UID alone, and joins the answers', async () => {
    archive.script = {
      find: findAnswer((keys) => [
        new Dataset().set(Attribute.StudyInstanceUID, keys.string(Attribute.StudyInstanceUID)),
      ]),
    }
    await using one = await gatewayTo(archive.address, {
      quirks: { singleUidLists: true },
      search: { deriveCounts: 'never' },
    })
    archive.log.length = 0
    const { body } = await searchAt(`${one.url}/studies?StudyInstanceUID=1.2,1.3,1.4`)
    const asked = archive.received(C_FIND_RQ).map(({ identifier: keys }) => keys.strings(Attribute.StudyInstanceUID))
    expect(asked).toEqual([['1.2'], ['1.3'], ['1.4']])
    expect(body).toMatchObject(['1.2', '1.3', '1.4'].map((uid) => ({ '0020000D': { Value: [uid] } })))
  })

  test.each([
    ['refuses lists of UIDs', 0xa900],
    ['finds nothing by lists of UIDs', 0],
  ])('that %s is asked for each alone, and the next time at once', async (_, status) => {
    const single = findAnswer((keys) => [
      new Dataset().set(Attribute.StudyInstanceUID, keys.string(Attribute.StudyInstanceUID)),
    ])
    archive.script = {
      find: (association, message) => {
        const { contextId, messageId, identifier } = message
        if (identifier.strings(Attribute.StudyInstanceUID).length === 1) return single(association, message)
        return association.peer.send(findResponse({ contextId, messageId, status }))
      },
    }
    await using one = await gatewayTo(archive.address, { search: { deriveCounts: 'never' } })
    archive.log.length = 0
    for (let n = 0; n < 2; n++) {
      const { body } = await searchAt(`${one.url}/studies?StudyInstanceUID=1.2,1.3`)
      expect(body).toMatchObject(['1.2', '1.3'].map((uid) => ({ '0020000D': { Value: [uid] } })))
    }
    const asked = archive.received(C_FIND_RQ).map(({ identifier: keys }) => keys.strings(Attribute.StudyInstanceUID))
    expect(asked).toEqual([['1.2', '1.3'], ['1.2'], ['1.3'], ['1.2'], ['1.3']])
  })

  test('that does not match lists of codes is asked for each value, and gives each study once', async () => {
    const studies = [
      ['1.2', 'MR'],
      ['1.3', 'US'],
      ['1.4', 'CT'],
      ['1.5', 'MR\\US'],
    ] as const
    archive.script = {
      find: findAnswer((keys) => {
        const modality = keys.string(Attribute.ModalitiesInStudy)
        return studies
          .filter(([, modalities]) => modalities.split('\\').includes(modality ?? ''))
          .map(([uid, modalities]) =>
            new Dataset().set(Attribute.StudyInstanceUID, uid).set(Attribute.ModalitiesInStudy, modalities.split('\\')),
          )
      }),
    }
    await using one = await gatewayTo(archive.address, { search: { deriveCounts: 'never' } })
    for (const query of ['ModalitiesInStudy=MR,US', 'ModalitiesInStudy=MR&ModalitiesInStudy=US']) {
      const { body } = await searchAt(`${one.url}/studies?${query}`)
      expect(body).toMatchObject(['1.2', '1.5', '1.3'].map((uid) => ({ '0020000D': { Value: [uid] } })))
    }
  })

  test('is not asked for bulk data: some never answer that', async () => {
    const [elements] = await identifiersWith(
      {},
      '/studies?includefield=PixelData,OverlayData,StudyDescription,0042,00420011',
    )
    expect(elements!.has(Attribute.StudyDescription)).toBe(true)
    for (const t of [0x7fe00010, 0x60003000, 0x00420011]) expect(elements!.has(t)).toBe(false)
  })

  test('singleUidLists splits every list of a request', async () => {
    const path = '/series?StudyInstanceUID=1.2,1.3&SeriesInstanceUID=2.1,2.2'
    archive.script = { find: findAnswer(() => []) }
    await using one = await openArchive(archive.address, { quirks: { singleUidLists: true } })
    archive.log.length = 0
    const keys = [...parseSearchParams(new URL(path, 'http://localhost').searchParams).match]
    for await (const _ of one.find({ level: 'SERIES', keys }, { signal: new AbortController().signal }));
    const asked = archive.received(C_FIND_RQ).map(({ identifier: sent }) => {
      return [Attribute.StudyInstanceUID, Attribute.SeriesInstanceUID].map((tag) => sent.strings(tag).join())
    })
    expect(asked.map((pair) => pair.join(' '))).toEqual(['1.2 2.1', '1.2 2.2', '1.3 2.1', '1.3 2.2'])
  })

  test('charset.default is what an answer without a character set is read in, in sequences too', () => {
    const item = new Dataset().put(0x00080104, { vr: 'LO', value: Buffer.from('Sch\xe4del', 'latin1') })
    const match = new Dataset()
      .put(Attribute.PatientName, { vr: 'PN', value: Buffer.from('M\xfcller', 'latin1') })
      .setItems(0x00081032, [item])
    const read = withDefaultCharset(match, 'ISO_IR 100')
    expect(read.string(Attribute.PatientName)).toBe('Müller')
    expect(read.items(0x00081032)[0]!.string(0x00080104)).toBe('Schädel')
    const greek = withDefaultCharset(match, 'ISO_IR 126')
    expect(greek.string(Attribute.PatientName)).toBe('Mόller')
    const named = new Dataset().set(Attribute.SpecificCharacterSet, 'ISO_IR 192').set(Attribute.PatientName, 'Müller')
    expect(withDefaultCharset(named, 'ISO_IR 126').string(Attribute.PatientName)).toBe('Müller')
  })

  test('charset.default is not what an item with a character set of its own is read in, nor what is in it', () => {
    const own = new Dataset().set(Attribute.SpecificCharacterSet, 'ISO_IR 192').set(0x00080104, '頭部', 'LO')
    own.setItems(0x00081032, [new Dataset(own.characterSet).set(0x00080104, '胸部', 'LO')])
    const match = new Dataset().setEmpty(Attribute.SpecificCharacterSet).setItems(0x00081032, [own])
    const read = withDefaultCharset(match, 'ISO_IR 100')
    expect(read.has(Attribute.SpecificCharacterSet)).toBe(false)
    const [item] = read.items(0x00081032)
    expect(item!.string(Attribute.SpecificCharacterSet)).toBe('ISO_IR 192')
    expect(item!.string(0x00080104)).toBe('頭部')
    expect(item!.items(0x00081032)[0]!.string(0x00080104)).toBe('胸部')
  })
})
