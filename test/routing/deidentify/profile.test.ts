import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { Dataset, type Element } from '../../../src/dicom/dataset.ts'
import { parseDataset } from '../../../src/dicom/dataset-codec.ts'
import { concat, type Bytes } from '../../../src/dicom/bytes.ts'
import { dictionaryVr } from '../../../src/dicom/dictionary.ts'
import { readPart10 } from '../../../src/dicom/part10.ts'
import { formatTag, isPrivate } from '../../../src/dicom/tag.ts'
import { Arrival, FROM_CLIENT } from '../../../src/instance/arrival.ts'
import { isPixelData } from '../../../src/instance/bulk-attributes.ts'
import { Draft } from '../../../src/routing/change/draft.ts'
import { takeSteps } from '../../../src/routing/change/steps.ts'
import { Pseudonyms } from '../../../src/routing/deidentify/pseudonyms.ts'
import { Front } from '../../../src/routing/front.ts'
import { profileData as made } from '../../../scripts/generate-confidentiality-profile.ts'
import { changed, KEY, stepsOf } from '../../support/changed.ts'
import { instanceDataset, SECONDARY_CAPTURE } from '../../support/dicom-files.ts'
import { daikonFiles, testdataFiles } from '../../support/testdata.ts'

const ROOT = new URL('../../../', import.meta.url)

/** PS3.15 Table E.1-1, read anew: action of the Basic Profile, and what each option makes of it. */
interface Row {
  readonly basic: string
  readonly options: Readonly<Record<string, string>>
}
const [head = '', ...lines] = (await readFile(new URL('scripts/confidentiality-profile.tsv', ROOT), 'utf8'))
  .trimEnd()
  .split('\n')
const columns = head.split('\t')
const table = lines.map((line): [RegExp, Row] => {
  const cells = line.split('\t')
  const options = Object.fromEntries(columns.map((name, index) => [name, cells[index] ?? '']))
  return [new RegExp(`^${cells[0]!.replaceAll('X', '[0-9A-F]')}$`), { basic: cells[2]!, options }]
})
const rows = new Map(
  table
    .filter(([pattern]) => !pattern.source.includes('['))
    .map(([pattern, row]) => [pattern.source.slice(1, -1), row]),
)
const patterns = table.filter(([pattern]) => pattern.source.includes('['))
const rowOf = (tag: string): Row | undefined => rows.get(tag) ?? patterns.find(([pattern]) => pattern.test(tag))?.[1]

/** Set by the profile itself. */
const SIGNED: readonly number[] = [
  Attribute.PatientIdentityRemoved,
  Attribute.DeidentificationMethod,
  Attribute.DeidentificationMethodCodeSequence,
  Attribute.LongitudinalTemporalInformationModified,
]

/** Beside the table: what nobody knows, people, addresses in the web, and some that the standard has overlooked. */
const OWN = [0x00100033, 0x00100034, 0x00400400, 0x30040006, 0x0022112c, 0x00440011, 0x00660004, 0x300a0402, 0x30080202]
const isTelling = (tag: number): boolean =>
  [undefined, 'PN', 'UR'].includes(dictionaryVr(tag)) || OWN.includes(tag) || isPixelData(tag)

const isEmpty = ({ value }: Element): boolean => !('fragments' in value) && value.length === 0
const shown = (dataset: Dataset, tag: number): string =>
  JSON.stringify([dataset.values(tag), dataset.get(tag)?.value], (_, value: unknown) =>
    typeof value === 'bigint' ? String(value) : value,
  )

/** What of a data set is not as the table has it; `retained`: columns of options. */
function faults(
  before: Dataset,
  after: Dataset,
  retained: readonly string[],
  uids: Map<string, string>,
  where = '',
): string[] {
  const found: string[] = []
  for (const [tag, element] of before.entries()) {
    const path = `${where}${formatTag(tag)}`
    // Of a file that has lost its head.
    if (tag >>> 16 < 8) continue
    const row = rowOf(formatTag(tag))
    const now = after.get(tag)
    const kept = retained.some((column) => row?.options[column] === 'K')
    const wanted = isPrivate(tag) ? 'X' : kept || !row ? 'K' : row.basic
    const is = {
      X: !now,
      Z: now !== undefined && isEmpty(now),
      // What was empty says nothing.
      D: now !== undefined && !isEmpty(now) && (isEmpty(element) || shown(before, tag) !== shown(after, tag)),
    }
    if (/^60/.test(formatTag(tag)) && !now) continue
    if (wanted === 'K' || (wanted.includes('U') && Array.isArray(element.value))) {
      if (!now && wanted === 'K' && !isTelling(tag)) found.push(`${path} is gone`)
      else if (now && Array.isArray(element.value)) {
        const items = after.items(tag)
        if (items.length !== before.items(tag).length) found.push(`${path} has ${items.length} items`)
        before
          .items(tag)
          .forEach((item, index) =>
            found.push(...faults(item, items[index] ?? new Dataset(), retained, uids, `${path}[${index}].`)),
          )
      } else if (now && !SIGNED.includes(tag) && shown(before, tag) !== shown(after, tag))
        found.push(`${path} was changed`)
    } else if (wanted.includes('U')) {
      for (const [index, uid] of before.strings(tag).entries()) {
        const mapped = after.strings(tag)[index]
        if (mapped === undefined || mapped === uid) found.push(`${path} has its UID`)
        else if ((uids.get(uid) ?? mapped) !== mapped) found.push(`${path} has another UID than elsewhere`)
        else uids.set(uid, mapped)
      }
    } else {
      // A pseudonym may stand for a value that is to be empty (PS3.15 E.1.1).
      const isPseudonym = tag === Attribute.PatientName && after.string(tag) === after.string(Attribute.PatientID)
      const fits = wanted.split('/').some((letter) => is[letter as keyof typeof is])
      if (!fits && !isPseudonym && !(isEmpty(element) && now && isEmpty(now)))
        found.push(`${path} is against ${wanted}`)
    }
  }
  for (const [tag] of after.entries())
    if (!before.has(tag) && !SIGNED.includes(tag) && tag !== Attribute.PatientID && tag !== Attribute.PatientName)
      found.push(`${where}${formatTag(tag)} is new`)
  return found
}

/** A file, de-identified: its data set up to the pixel data, before and after; undefined where it was refused or cannot be read. */
async function deidentified(
  path: string,
  step: object,
): Promise<{ before: Dataset; after: Dataset; bytes: Bytes } | string> {
  async function* once(): AsyncGenerator<Bytes> {
    yield await readFile(path)
  }
  try {
    const { syntax, body } = await readPart10(once())
    const arrival = await Arrival.begin(body, syntax, { ...FROM_CLIENT, rewrites: syntax.deflated })
    const front = await Front.read(arrival, arrival.syntax)
    const draft = new Draft(front)
    await takeSteps(draft, stepsOf([step]), {
      ...{ pseudonyms: new Pseudonyms(KEY), worklist: { find: () => Promise.resolve(undefined) } },
      signal: new AbortController().signal,
    })
    const pieces: Bytes[] = []
    for await (const piece of draft.stream(front.behind(arrival))) pieces.push(piece)
    const bytes = concat(pieces)
    return { before: front.dataset, after: parseDataset(bytes, front.syntax, { until: isPixelData }), bytes }
  } catch (error) {
    return (error as { code?: string }).code ?? String(error)
  }
}

const FILES = [
  ...daikonFiles(),
  ...(['charset', 'ct-3slice', 'dcmqi', 'pydicom', 'wg04'] as const).flatMap((folder) => testdataFiles(folder)),
]

describe('the Basic Profile', () => {
  it('is the table of the standard, as scripts/generate-confidentiality-profile.ts makes it', async () => {
    expect(await readFile(new URL('src/routing/deidentify/profile-data.ts', ROOT), 'utf8')).toBe(await made())
  })

  it.each([
    ['without options', { profile: { name: 'basic', burnedIn: 'flag' } }, []],
    [
      'with all that retain',
      {
        profile: {
          name: 'basic',
          burnedIn: 'flag',
          retain: ['uids', 'device-identity', 'institution-identity', 'patient-characteristics', 'full-dates'],
        },
      },
      ['rtnUIDs', 'rtnDevId', 'rtnInstId', 'rtnPatChars', 'rtnLongFullDates'],
    ],
  ])('%s does to each element of every file what the table says', async (_, step, retained) => {
    let done = 0
    const uids = new Map<string, string>()
    for (const file of FILES) {
      const made = await deidentified(file, step)
      if (typeof made === 'string') {
        expect(made, file).toMatch(/^(DOCUMENT_NOT_CLEAN|UNREADABLE_ITEMS|MALFORMED|NOT_DICOM|HEAD_TOO_LARGE|CORRUPT)/)
        continue
      }
      expect(faults(made.before, made.after, retained, uids), file).toEqual([])
      done++
      // Nor is it to be found anywhere else: not as a part of another text.
      const text = Buffer.from(made.bytes).toString('latin1')
      for (const tag of [Attribute.PatientName, Attribute.PatientID, Attribute.AccessionNumber]) {
        const value = made.before.string(tag) ?? ''
        if (value.length > 6) expect(text.includes(value), `${file} ${formatTag(tag)}`).toBe(false)
      }
    }
    expect(done).toBeGreaterThanOrEqual(25)
  })

  it('moves dates by the same days for one patient, where they are retained so', async () => {
    const step = { profile: { name: 'basic', retain: ['modified-dates'], within: 100 } }
    const dated = (date: string): Dataset => instanceDataset({ change: (one) => one.set(Attribute.StudyDate, date) })
    const dates = await Promise.all(
      ['20240131', '20240202'].map(async (date) => (await changed(dated(date), [step])).string(Attribute.StudyDate)!),
    )
    const days = dates.map(
      (date) => Date.UTC(Number(date.slice(0, 4)), Number(date.slice(4, 6)) - 1, Number(date.slice(6))) / 86_400_000,
    )
    expect(days[1]! - days[0]!).toBe(2)
    expect(dates[0]).not.toBe('20240131')
    expect((await changed(dated('20240131'), [step])).string(Attribute.LongitudinalTemporalInformationModified)).toBe(
      'MODIFIED',
    )
  })

  it('takes away what the table has overlooked, and what nobody knows', async () => {
    const telling = instanceDataset({
      change: (one) =>
        one
          .set(0x00100033, '13481010')
          .set(0x00081190, 'http://pacs.example/studies/1.2.3')
          .set(0x00400400, 'Call Dr. Roe')
          .set(0x0040a067, 'Roe^R')
          .put(0x0018fff0, { vr: 'UN', value: Buffer.from('Sample^Case ') })
          .setItems(Attribute.RequestAttributesSequence, [
            new Dataset().put(Attribute.PixelData, { vr: 'OW', value: Buffer.alloc(8) }),
          ]),
    })
    const made = await changed(telling, [{ profile: 'basic' }])
    const tags = [0x00100033, 0x00081190, 0x00400400, 0x0040a067, 0x0018fff0]
    expect(tags.filter((tag) => made.has(tag))).toEqual([])
    expect(made.has(Attribute.PixelData)).toBe(true)
  })

  it('moves every date that is retained by the same days, also those of devices', async () => {
    const dated = instanceDataset({ change: (one) => one.set(0x00181200, '20240131') })
    const retain = ['device-identity', 'modified-dates']
    const made = await changed(dated, [{ profile: { name: 'basic', retain } }])
    expect(made.string(0x00181200)).toBe(made.string(Attribute.StudyDate))
    expect(made.string(0x00181200)).not.toBe('20240131')
  })

  it('gives patients without number and name a pseudonym by their study', async () => {
    const nobody = (study: string): Dataset =>
      instanceDataset({ study, change: (one) => one.set(Attribute.PatientID).set(Attribute.PatientName) })
    const ids = await Promise.all(
      ['1.1', '1.2'].map(async (study) =>
        (await changed(nobody(study), [{ profile: 'basic' }])).string(Attribute.PatientID),
      ),
    )
    expect(ids[0]).not.toBe(ids[1])
  })

  it('says what was done, and that one patient is one', async () => {
    const one = await changed(instanceDataset(), [{ profile: 'basic' }])
    const other = await changed(instanceDataset({ study: '1.9', instance: '1.9.1' }), [{ profile: 'basic' }])
    expect(one.string(Attribute.PatientIdentityRemoved)).toBe('YES')
    expect(
      one.items(Attribute.DeidentificationMethodCodeSequence).map((item) => item.string(Attribute.CodeValue)),
    ).toEqual(['113100'])
    expect(one.string(Attribute.PatientID)).toMatch(/^[A-Z2-7]{16}$/)
    expect(one.string(Attribute.PatientID)).toBe(other.string(Attribute.PatientID))
    expect(one.string(Attribute.StudyInstanceUID)).not.toBe(other.string(Attribute.StudyInstanceUID))
  })
})

describe('pixels that may show whose they are', () => {
  const image = (change: (dataset: Dataset) => void, sopClass?: string): Dataset =>
    instanceDataset({ change, ...(sopClass && { sopClass }) })
  it.each<[string, Dataset]>([
    ['burned in, as it says', image((one) => one.set(Attribute.BurnedInAnnotation, 'YES'))],
    ['a screen', image((one) => one.set(Attribute.ImageType, ['DERIVED', 'SECONDARY', 'SCREEN SAVE']))],
    ['a class on which machines write', image(() => undefined, SECONDARY_CAPTURE)],
  ])('%s: are refused, or never said to be clean', async (_, dataset) => {
    await expect(changed(dataset, [{ profile: 'basic' }])).rejects.toMatchObject({ code: 'PIXELS_NOT_CLEAN' })
    const made = await changed(dataset, [{ profile: { name: 'basic', burnedIn: 'flag' } }])
    expect(made.string(Attribute.PatientIdentityRemoved)).toBe('NO')
    expect(made.strings(Attribute.DeidentificationMethod)).toContain('Pixel data was not looked at')
  })

  it('an overlay in the high bits of pixels stays there: it is refused as writing is', async () => {
    for (const change of [
      (one: Dataset) => one.set(0x60000102, 12),
      (one: Dataset) => one.set(0x60020010, 4),
      (one: Dataset) => one.set(0x00287fe0, 'http://pacs.example/pixels'),
    ]) {
      const made = image((one) => void change(one).delete(Attribute.Modality), '1.2.840.10008.5.1.4.1.1.2')
      if (made.has(0x00287fe0)) made.set(Attribute.SOPClassUID, SECONDARY_CAPTURE).delete(Attribute.PixelData)
      await expect(changed(made, [{ profile: 'basic' }])).rejects.toMatchObject({ code: 'PIXELS_NOT_CLEAN' })
    }
  })

  it('documents and reports are refused in any case', async () => {
    const document = image((one) => one.put(Attribute.EncapsulatedDocument, { vr: 'OB', value: Buffer.alloc(8) }))
    const report = image(() => undefined, '1.2.840.10008.5.1.4.1.1.88.33')
    for (const dataset of [document, report]) {
      await expect(changed(dataset, [{ profile: { name: 'basic', burnedIn: 'flag' } }])).rejects.toMatchObject({
        code: 'DOCUMENT_NOT_CLEAN',
      })
    }
  })
})
