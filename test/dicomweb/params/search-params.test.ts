import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  MAX_KEY_LENGTHS,
  MAX_OTHER_KEY_LENGTH,
  parseSearchParams,
  SearchParamError,
  type MatchKey,
  type SearchParams,
} from '../../../src/dicomweb/params/search-params.ts'

const parse = (query: string): SearchParams => parseSearchParams(new URLSearchParams(query))
const match = (query: string): readonly MatchKey[] => parse(query).match

const STUDY_DATE = 0x00080020
const PATIENT_NAME = 0x00100010
const PATIENT_ID = 0x00100020
const REQUESTS = 0x00400275

/** The one value of the one attribute of a query. */
function value(query: string): unknown {
  const keys = match(query)
  expect(keys).toHaveLength(1)
  return keys[0]!.values
}

describe('names of attributes (PS3.18 8.3.4.1)', () => {
  it('are keywords or tags, and mean the same (cases 22, 23)', () => {
    const expected = [{ tag: PATIENT_ID, vr: 'LO', values: ['123'] }]
    expect(match('PatientID=123')).toEqual(expected)
    expect(match('00100020=123')).toEqual(expected)
    expect(match('0020000d=1.2')).toEqual(match('0020000D=1.2'))
  })

  it.each(['PatientID=1&PatientID=2', 'PatientID=1&00100020=2', 'PatientID=&PatientID='])(
    'may be given once: %s (case 24)',
    (query) => {
      expect(() => parse(query)).toThrow(SearchParamError)
    },
  )

  it.each([
    ['ModalitiesInStudy=MR,US', ['MR', 'US']],
    ['ModalitiesInStudy=MR\\US', ['MR', 'US']],
    ['ModalitiesInStudy=MR&ModalitiesInStudy=US', ['MR', 'US']],
    ['ModalitiesInStudy=MR, US&00080061=CT,', ['MR', 'US', 'CT']],
    ['StudyDate=20240101,20240201-20240228', ['20240101', '20240201-20240228']],
    ['StudyTime=10,11', ['10', '11']],
    ['0020000D=1.2&0020000d=1.3, 1.4', ['1.2', '1.3', '1.4']],
    ['SeriesNumber=1,2', ['1', '2']],
    ['PatientAge=042Y,043Y', ['042Y', '043Y']],
    ['PatientSize=1.5,1.6', ['1.5', '1.6']],
    // A comma is part of these.
    ['PatientName=Doe, Jane', ['Doe, Jane']],
    ['PatientID=1,2', ['1,2']],
    ['AccessionNumber=1\\2', ['1', '2']],
  ])('are lists where their values can hold no comma (PS3.5 6.2): %s', (query, values) => {
    expect(match(query)).toMatchObject([{ values }])
  })

  it('are paths into sequences, whose keys share one item (case 30)', () => {
    const expected = [
      {
        tag: REQUESTS,
        vr: 'SQ',
        values: [],
        item: [
          { tag: 0x00400009, vr: 'SH', values: ['7'] },
          { tag: 0x00401001, vr: 'SH', values: ['8'] },
        ],
      },
    ]
    const query =
      'RequestAttributesSequence.ScheduledProcedureStepID=7&RequestAttributesSequence.RequestedProcedureID=8'
    expect(match(query)).toEqual(expected)
    expect(match('00400275.00400009=7&00400275.00401001=8')).toEqual(expected)
    expect(match('00400275.ScheduledProcedureStepID=7&RequestAttributesSequence.00401001=8')).toEqual(expected)
  })

  it('may lead through as many sequences as an identifier may have in each other, and no more', () => {
    const deep = (count: number): string => `${'00400275.'.repeat(count)}00100010`
    expect(match(`${deep(64)}=X`)).toHaveLength(1)
    expect(() => parse(`${deep(65)}=X`)).toThrow(SearchParamError)
    expect(() => parse(`${deep(1_500)}=X`)).toThrow(SearchParamError)
    expect(() => parse(`includefield=${deep(65)}`)).toThrow(expect.objectContaining({ parameter: 'includefield' }))
  })

  it('may lead through sequences in sequences', () => {
    expect(match('00400275.00400008.00080100=X')).toEqual([
      {
        tag: REQUESTS,
        vr: 'SQ',
        values: [],
        item: [{ tag: 0x00400008, vr: 'SQ', values: [], item: [{ tag: 0x00080100, vr: 'SH', values: ['X'] }] }],
      },
    ])
  })

  it('do not lead into what is no sequence', () => {
    expect(() => parse('PatientID.StudyID=1')).toThrow(SearchParamError)
  })

  it.each([
    'Foo=1',
    'limt=5',
    'patientid=1',
    'LIMIT=5',
    '(0010,0020)=1',
    '0010002=1',
    '001000200=1',
    '.=1',
    'PatientID.=1',
  ])('are passed over where they are none: %s (case 50)', (query) => {
    expect(parse(query)).toEqual({ ...parse(''), unknown: [query.split('=')[0]] })
  })

  it.each([
    'QueryRetrieveLevel=IMAGE',
    'SpecificCharacterSet=GBK',
    'RetrieveURL=x',
    '00020010=1.2',
    '00000100=1',
    '00100000=',
    'FFFEE000=',
  ])('may not be those of the query itself, of messages and files: %s', (query) => {
    expect(() => parse(query)).toThrow(SearchParamError)
    expect(parse(`includefield=${query.split('=')[0]!}`).include).toEqual([])
  })

  it('match a private attribute as text', () => {
    expect(match('00091010=a&00090010=ACME')).toEqual([
      { tag: 0x00091010, vr: 'LO', values: ['a'] },
      { tag: 0x00090010, vr: 'LO', values: ['ACME'] },
    ])
  })
})

describe('values (PS3.4 C.2.2.2)', () => {
  it.each([
    ['StudyInstanceUID=1.2,1.3', ['1.2', '1.3']],
    ['StudyInstanceUID=1.2%5C1.3', ['1.2', '1.3']],
    ['StudyInstanceUID=1.2,%201.3', ['1.2', '1.3']],
  ])('UIDs may be a list: %s (case 25)', (query, expected) => {
    expect(value(query)).toEqual(expected)
  })

  it.each([
    'StudyInstanceUID=1.2,',
    'StudyInstanceUID=a/b',
    'StudyInstanceUID=1.*',
    'StudyInstanceUID=1..2',
    `StudyInstanceUID=${'1'.repeat(129)}`,
  ])('a malformed UID is refused: %s', (query) => {
    expect(() => parse(query)).toThrow(SearchParamError)
  })

  it.each(['PatientName=DOE,JOHN', 'PatientID=DOE,JOHN', 'StudyDescription=DOE,JOHN'])(
    'a comma is literal in %s (case 26)',
    (query) => {
      expect(value(query)).toEqual(['DOE,JOHN'])
    },
  )

  it.each(['20240131', '20240101-20240131', '-20240131', '20240101-'])(
    'a date or range of dates goes as it is: %s (cases 27, 28)',
    (date) => {
      expect(match(`StudyDate=${date}`)).toEqual([{ tag: STUDY_DATE, vr: 'DA', values: [date] }])
    },
  )

  it.each(['2024-01-01', '2024', '20240101-20240131-', '20240101 ', 'yesterday', '-', '20240101--', '2024.01.01'])(
    'a date is refused that is none: %s (case 29)',
    (date) => {
      expect(() => parse(`StudyDate=${encodeURIComponent(date)}`)).toThrow(SearchParamError)
    },
  )

  it.each(['10', '1015', '101500', '101500.123456', '10-11', '101500-', '-101500.5', '235959-000000'])(
    'a time or range of times goes as it is: %s',
    (time) => {
      expect(value(`StudyTime=${time}`)).toEqual([time])
    },
  )

  it.each(['1', '10:15', '106000', '101500.', '-', '10-11-12'])('a time is refused that is none: %s', (time) => {
    expect(() => parse(`StudyTime=${encodeURIComponent(time)}`)).toThrow(SearchParamError)
  })

  it.each([
    '2024',
    '20240101101500.5+0100',
    '2024-',
    '-20240101',
    '20240101-20240131',
    '20240101101500-0500',
    '20240101101500-0500-20240102101500-0500',
  ])('a DT goes as it is, its offset from UTC too: %s', (time) => {
    expect(value(`AcquisitionDateTime=${encodeURIComponent(time)}`)).toEqual([time])
  })

  it.each([
    'StudyDate=2024*',
    'StudyTime=10*',
    'AcquisitionDateTime=2024?',
    'InstanceNumber=1*',
    'PatientWeight=?',
    'Rows=5*',
    'PatientAge=0*',
    'StudyDate=*',
  ])('a wildcard is refused where the representation takes none: %s (case 52)', (query) => {
    expect(() => parse(query)).toThrow(SearchParamError)
  })

  it.each([
    'PatientName=DOE*',
    'PatientID=A?C',
    'StudyDescription=*x*',
    'ModalitiesInStudy=C?',
    'AccessionNumber=*1',
    'RetrieveAETitle=A*',
  ])('wildcards go as they are: %s', (query) => {
    expect(value(query)).toEqual([query.split('=')[1]])
  })

  it.each(['PatientName=', 'PatientName=*', 'StudyDate=', 'StudyInstanceUID=', 'Rows=', 'RequestAttributesSequence='])(
    'no value, and a lone asterisk, match all: %s',
    (query) => {
      expect(value(query)).toEqual([])
    },
  )

  it('are decoded once, as forms are: plus is a space, %2B a plus (PS3.18 8.3.4.1)', () => {
    expect(value('PatientName=DOE+JOHN')).toEqual(['DOE JOHN'])
    expect(value('PatientName=DOE%2BJOHN')).toEqual(['DOE+JOHN'])
    expect(value('PatientName=M%C3%BCller')).toEqual(['Müller'])
    expect(value('PatientID=%2541')).toEqual(['%41'])
  })

  it('of binary representations are numbers and tags', () => {
    expect(value('Rows=512')).toEqual([512])
    expect(value('FrameIncrementPointer=00181063')).toEqual(['00181063'])
    expect(() => parse('Rows=many')).toThrow(SearchParamError)
    expect(() => parse('Rows=%20')).toThrow(SearchParamError)
    expect(() => parse('FrameIncrementPointer=FrameTime')).toThrow(SearchParamError)
  })

  it('of several values are separated by backslashes', () => {
    expect(value('ModalitiesInStudy=CT%5CPT')).toEqual(['CT', 'PT'])
  })

  it.each(['PixelData=AAAA', 'RequestAttributesSequence=x'])('that cannot be matched are refused: %s', (query) => {
    expect(() => parse(query)).toThrow(SearchParamError)
  })

  it.each(['%00', 'a%0Ab', '%7F', 'a%1B$B'])('control characters are refused: %s', (text) => {
    expect(() => parse(`PatientName=${text}`)).toThrow(SearchParamError)
  })

  it.each([
    'AccessionNumber',
    'PatientName',
    'StudyDate',
    'StudyTime',
    'PatientAge',
    'StudyInstanceUID',
    'ModalitiesInStudy',
  ])('"" of %s asks for an empty value, with emptyvaluematching (case 48)', (name) => {
    expect(value(`${name}=%22%22&emptyvaluematching=true`)).toEqual(['""'])
  })

  it('"" is a literal or malformed without emptyvaluematching', () => {
    expect(value('AccessionNumber=%22%22')).toEqual(['""'])
    expect(() => parse('StudyDate=%22%22')).toThrow(SearchParamError)
    expect(() => parse('StudyDate=%22%22&emptyvaluematching=false')).toThrow(SearchParamError)
  })
})

describe('includefield (PS3.18 8.3.4.3)', () => {
  it('may be repeated and be a list, of keywords and tags (case 31)', () => {
    const {
      include,
      includeAll,
      match: keys,
    } = parse('includefield=StudyDescription&includefield=00081032,PatientSize')
    expect(include).toEqual([0x00081030, 0x00081032, 0x00101020])
    expect(includeAll).toBe(false)
    expect(keys).toEqual([])
  })

  it('is all (case 32)', () => {
    expect(parse('includefield=all')).toMatchObject({ includeAll: true, include: [] })
  })

  it('asks for a whole sequence by a path into it', () => {
    expect(parse('includefield=RequestAttributesSequence.ScheduledProcedureStepID').include).toEqual([REQUESTS])
  })

  it('may name what nobody knows, or nothing', () => {
    expect(parse('includefield=Foo,StudyDescription,&includefield=').include).toEqual([0x00081030])
  })
})

describe('limit and offset (PS3.18 8.3.4.4)', () => {
  it('are whole numbers from 0, and offset is 0 unless told (case 38)', () => {
    expect(parse('')).toMatchObject({ limit: undefined, offset: 0 })
    expect(parse('limit=0')).toMatchObject({ limit: 0, offset: 0 })
    expect(parse('limit=5&offset=10')).toMatchObject({ limit: 5, offset: 10 })
  })

  it.each([
    'limit=-1',
    'limit=x',
    'limit=',
    'offset=1.5',
    'offset=-1',
    'limit=1e3',
    'limit=0x10',
    'limit=1&limit=2',
    'limit=%201',
  ])('are refused otherwise: %s (case 39)', (query) => {
    expect(() => parse(query)).toThrow(SearchParamError)
  })

  it('may be as large as clients make them', () => {
    expect(parse('limit=2147483647').limit).toBe(2_147_483_647)
    expect(parse('limit=18446744073709551615').limit).toBeGreaterThanOrEqual(Number.MAX_SAFE_INTEGER)
  })
})

describe('matching options', () => {
  it.each([
    ['fuzzymatching', 'fuzzyMatching'],
    ['emptyvaluematching', 'emptyValueMatching'],
    ['multiplevaluematching', 'multipleValueMatching'],
  ] as const)('%s is true or false, and false unless told', (name, property) => {
    expect(parse('')[property]).toBe(false)
    expect(parse(`${name}=false`)[property]).toBe(false)
    expect(parse(`${name}=true`)[property]).toBe(true)
    for (const wrong of ['1', 'TRUE', '', 'yes']) expect(() => parse(`${name}=${wrong}`)).toThrow(SearchParamError)
    expect(() => parse(`${name}=true&${name}=true`)).toThrow(SearchParamError)
  })
})

describe('errors', () => {
  it('name the parameter and never its value: that may be patient data', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('StudyDate', 'StudyInstanceUID', 'PatientName', 'Rows', 'limit', 'fuzzymatching', 'PixelData'),
        fc.string({ minLength: 1 }),
        (name, text) => {
          const canary = `\u0001${text}CANARY`
          let failure: unknown
          try {
            parseSearchParams(new URLSearchParams([[name, canary]]))
          } catch (error) {
            failure = error
          }
          expect(failure).toBeInstanceOf(SearchParamError)
          expect((failure as SearchParamError).parameter).toBe(name)
          expect((failure as SearchParamError).message).not.toContain('CANARY')
        },
      ),
    )
  })

  it('are the only errors, whatever the query string', () => {
    const name = fc.oneof(
      fc.constantFrom(
        'PatientName',
        'StudyDate',
        'StudyTime',
        'Rows',
        'StudyInstanceUID',
        '00400275.00400009',
        'limit',
        'includefield',
      ),
      fc.string(),
    )
    fc.assert(
      fc.property(fc.array(fc.tuple(name, fc.string())), (pairs) => {
        try {
          parseSearchParams(new URLSearchParams(pairs))
        } catch (error) {
          expect(error).toBeInstanceOf(SearchParamError)
        }
      }),
    )
  })

  it('give up on no long value in reasonable time', () => {
    const started = performance.now()
    for (const name of [
      'StudyDate',
      'StudyTime',
      'AcquisitionDateTime',
      'InstanceNumber',
      'PatientWeight',
      'StudyInstanceUID',
    ]) {
      expect(() => parse(`${name}=${'1'.repeat(60_000)}x`)).toThrow(SearchParamError)
    }
    expect(performance.now() - started).toBeLessThan(1000)
  })

  it('keep the name and its place for people', () => {
    expect(() => parse(`StudyDate=x`)).toThrow('Parameter "StudyDate" is not YYYYMMDD')
    expect(match('PatientName=x')[0]!.tag).toBe(PATIENT_NAME)
  })
})

describe('a value', () => {
  const names = {
    AE: 'RetrieveAETitle',
    CS: 'Modality',
    SH: 'AccessionNumber',
    LO: 'PatientID',
    PN: 'PatientName',
    ST: 'InstitutionAddress',
    LT: 'PatientComments',
    UC: 'StrainDescription',
    UR: 'RetrieveURI',
    UT: 'TextValue',
  }

  it.each(Object.entries(names))('of %s (%s) has so many characters at most', (vr, name) => {
    const most = MAX_KEY_LENGTHS[vr as keyof typeof names]!
    expect(value(`${name}=${'A'.repeat(most - 1)}*`)).toEqual([`${'A'.repeat(most - 1)}*`])
    const tooLong = 'A'.repeat(most + 1)
    expect(() => parse(`${name}=${tooLong}`)).toThrow(`Parameter "${name}" is longer than ${most} characters`)
    expect(() => parse(`RequestAttributesSequence.${name}=${tooLong}`)).toThrow(SearchParamError)
  })

  it('of a name has as many in each of its groups', () => {
    const group = 'A'.repeat(MAX_KEY_LENGTHS.PN!)
    expect(value(`PatientName=${group}=${group}=${group}`)).toEqual([`${group}=${group}=${group}`])
    expect(() => parse(`PatientName=${group}=${group}A`)).toThrow(SearchParamError)
    expect(() => parse('PatientName=A=B=C=D')).toThrow(SearchParamError)
  })

  it('of a number has so many characters at most', () => {
    expect(value(`PatientWeight=${'1'.repeat(MAX_OTHER_KEY_LENGTH)}`)).toHaveLength(1)
    expect(() => parse(`PatientWeight=${'1'.repeat(MAX_OTHER_KEY_LENGTH + 1)}`)).toThrow(SearchParamError)
  })

  it('of a list is as long as its values are, however many', () => {
    const uids = Array.from({ length: 500 }, (_, n) => `1.2.826.0.1.3680043.10.1561.91.${n}`)
    expect(value(`StudyInstanceUID=${uids.join(',')}`)).toEqual(uids)
    expect(() => parse(`StudyInstanceUID=${'1'.repeat(129)}`)).toThrow(SearchParamError)
    expect(() => parse(`Modality=CT,${'A'.repeat(MAX_KEY_LENGTHS.CS! + 1)}`)).toThrow(SearchParamError)
  })
})
