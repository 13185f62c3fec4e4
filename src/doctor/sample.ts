import { Attribute } from '../dicom/attributes.ts'
import type { Dataset } from '../dicom/dataset.ts'
import { SopClass, isUid, type Uid } from '../dicom/uids.ts'
import { Scu } from '../dimse/scu.ts'
import { queryProposal } from '../pacs/archive.ts'
import { contextOf } from '../pacs/contexts.ts'
import { identifier, returnKey, selectionKeys, type Key, type QueryLevel, type Query } from '../pacs/search/query.ts'
import * as findings from './findings-query.ts'
import { CANCEL_MS, type Probe } from './probe.ts'

/** An instance to fetch. Its UIDs tell of a patient: they are not to be printed. */
export interface Sample {
  readonly study: Uid
  readonly series: Uid
  readonly instance: Uid
  /** None where the archive does not say. */
  readonly sopClass: Uid | undefined
}

/** A query is ended behind so many matches: enough to choose a small one from. */
const MAX_MATCHES = 10
/** A Patient ID that no archive has. */
const NOBODY = 'DIMSEGATE-NOBODY'
/** Days back from today that studies are looked for in, the first that has any; at last all of them. */
const SPANS = [7, 365, undefined]
/** Modalities whose instances tend to be small. */
const SMALL = ['CT', 'MR', 'PT', 'NM', 'CR', 'SR', 'OT']

type Optional = Readonly<Record<string, number>>

const { ModalitiesInStudy, NumberOfStudyRelatedSeries, NumberOfStudyRelatedInstances } = Attribute
const studyAttributes: Optional = { ModalitiesInStudy, NumberOfStudyRelatedSeries, NumberOfStudyRelatedInstances }
const { Modality, NumberOfSeriesRelatedInstances } = Attribute
const seriesAttributes: Optional = { Modality, NumberOfSeriesRelatedInstances }
const { SOPClassUID, Rows, Columns } = Attribute
const imageAttributes: Optional = { SOPClassUID, Rows, Columns }

/** C-FIND at each level, down to one instance that is likely to be small. */
export async function findSample(probe: Probe): Promise<Sample | undefined> {
  const studies = await look(probe, 'STUDY', [], studyAttributes)
  const study = uidOf(
    studies,
    Attribute.StudyInstanceUID,
    (match) => match.number(NumberOfStudyRelatedInstances) || undefined,
  )
  if (study === undefined) return undefined
  const series = uidOf(
    await look(probe, 'SERIES', selectionKeys(study, undefined), seriesAttributes),
    Attribute.SeriesInstanceUID,
    (match) => (SMALL.indexOf(match.string(Modality) ?? '') + SMALL.length + 1) % (SMALL.length + 1),
  )
  if (series === undefined) return undefined
  const images = await look(probe, 'IMAGE', selectionKeys(study, series), imageAttributes)
  const area = (match: Dataset): number => (match.number(Rows) ?? 1) * (match.number(Columns) ?? 1)
  const instance = uidOf(images, Attribute.SOPInstanceUID, area)
  if (instance === undefined) return undefined
  const match = images?.find((one) => one.string(Attribute.SOPInstanceUID) === instance)
  const sopClass = match?.string(SOPClassUID)
  return { study, series, instance, sopClass: sopClass !== undefined && isUid(sopClass) ? sopClass : undefined }
}

/** The UID of the match of least size; what is no UID cannot be asked for. */
function uidOf(
  matches: readonly Dataset[] | undefined,
  tag: number,
  size: (match: Dataset) => number | undefined,
): Uid | undefined {
  const usable = (matches ?? []).filter((match) => isUid(match.string(tag) ?? ''))
  return usable.sort((a, b) => (size(a) ?? Infinity) - (size(b) ?? Infinity) || 0)[0]?.string(tag)
}

async function look(
  probe: Probe,
  level: QueryLevel,
  above: readonly Key[],
  optional: Optional,
): Promise<Dataset[] | undefined> {
  const unique = {
    STUDY: Attribute.StudyInstanceUID,
    SERIES: Attribute.SeriesInstanceUID,
    IMAGE: Attribute.SOPInstanceUID,
  }
  const keys = [...above, returnKey(unique[level], 'UI')]
  const { tags } = returnKeys(optional)
  return probe.step(
    `C-FIND of ${level}`,
    async (signal) => {
      for (const days of level === 'STUDY' ? SPANS : [undefined]) {
        const start = performance.now()
        const date = level === 'STUDY' ? [studyDate(days)] : []
        const { matches, cut } = await query(probe, { level, keys: [...keys, ...date, ...tags] }, signal)
        if (matches.length === 0) continue
        const isThere = (tag: number): boolean => matches.some((match) => match.strings(tag).length > 0)
        probe.add(
          ...findings.found({
            level,
            matches: matches.length,
            cut,
            milliseconds: performance.now() - start,
            returned: Object.keys(optional).filter((name) => isThere(optional[name]!)),
            missing: Object.keys(optional).filter((name) => !isThere(optional[name]!) && !NOT_IN_ALL.includes(name)),
            days,
          }),
        )
        return matches
      }
      probe.add(findings.foundNothing(level))
      return []
    },
    (error) => findings.findFailed(probe.parties, level, error),
  )
}

/** Not every instance is an image: nothing is missing without them. */
const NOT_IN_ALL = ['Rows', 'Columns']

function returnKeys(optional: Optional): { tags: Key[] } {
  const vrs: Readonly<Record<string, Key['vr']>> = { SOPClassUID: 'UI', Rows: 'US', Columns: 'US', Modality: 'CS' }
  const tags = Object.entries(optional).map(([name, tag]) =>
    returnKey(tag, vrs[name] ?? (name.startsWith('Number') ? 'IS' : 'CS')),
  )
  return { tags }
}

/** A range of days (PS3.4 C.2.2.2.5.1); without days universal matching. */
function studyDate(days: number | undefined): Key {
  const key = returnKey(Attribute.StudyDate, 'DA')
  if (days === undefined) return key
  const day = (back: number): string =>
    new Date(Date.now() - back * 86_400_000).toISOString().slice(0, 10).replaceAll('-', '')
  // A day more at the end: it may be tomorrow at the archive.
  return { ...key, values: [`${day(days)}-${day(-1)}`] }
}

async function query(
  probe: Probe,
  wanted: Query,
  signal: AbortSignal,
  charset = probe.config.charset,
): Promise<{ matches: Dataset[]; cut: boolean }> {
  return probe.associated(queryProposal(probe.config, false), signal, async (association) => {
    const context = contextOf(association, SopClass.studyRootFind, probe.config.name, 'Study Root C-FIND')
    const timeout = probe.within(probe.config.timeouts.response)
    const matches: Dataset[] = []
    const scu = new Scu(association, { cancelGrace: CANCEL_MS })
    for await (const match of scu.find(context, identifier(wanted, charset), { timeout, signal })) {
      matches.push(match)
      if (matches.length >= MAX_MATCHES) return { matches, cut: true }
    }
    return { matches, cut: false }
  })
}

/**
 * Whether a series and an instance are found without the UIDs above them where relational queries were not granted
 * (PS3.4 C.4.1.2.2.2): some archives answer them all the same.
 */
export async function relational(probe: Probe, { series, instance }: Sample): Promise<void> {
  const isAssumed = probe.config.search.relational === 'assume'
  const parent = returnKey(Attribute.StudyInstanceUID, 'UI')
  const named = (tag: number, uid: Uid): Key => ({ tag, vr: 'UI', values: [uid] })
  const queries: readonly (readonly [Query, number, Uid])[] = [
    [
      { level: 'SERIES', keys: [parent, named(Attribute.SeriesInstanceUID, series)] },
      Attribute.SeriesInstanceUID,
      series,
    ],
    [
      {
        level: 'IMAGE',
        keys: [named(Attribute.SOPInstanceUID, instance), parent, returnKey(Attribute.SeriesInstanceUID, 'UI')],
      },
      Attribute.SOPInstanceUID,
      instance,
    ],
  ]
  await probe.step(
    'relational C-FIND',
    async (signal) => {
      for (const [wanted, tag, uid] of queries) {
        const { matches } = await query(probe, wanted, signal)
        const isFound = matches.some((match) => match.string(tag) === uid && match.string(Attribute.StudyInstanceUID))
        if (!isFound) {
          probe.add(findings.relationalNotAnswered(isAssumed))
          return
        }
      }
      // A key of a level above must count: a patient that nobody is.
      const nobody: Key = { tag: Attribute.PatientID, vr: 'LO', values: [NOBODY] }
      const keys = [nobody, parent, returnKey(Attribute.SeriesInstanceUID, 'UI')]
      const { matches } = await query(probe, { level: 'SERIES', keys }, signal)
      if (matches.length > 0) {
        probe.add(findings.relationalUnmatched(isAssumed))
        return
      }
      probe.add(findings.relationalAnswered(isAssumed))
    },
    () => findings.relationalNotAnswered(isAssumed),
  )
}

/** Whether a key in UTF-8 is taken: a name that nobody has. */
export async function charset(probe: Probe): Promise<void> {
  const name: Key = { tag: Attribute.PatientName, vr: 'PN', values: ['Dimsegäte^Łukasz^東'] }
  const keys = [returnKey(Attribute.StudyInstanceUID, 'UI'), studyDate(SPANS[0]), name]
  const configured = probe.config.charset
  await probe.step(
    'C-FIND in ISO_IR 192',
    async (signal) => {
      await query(probe, { level: 'STUDY', keys }, signal, { ...configured, query: 'ISO_IR 192' })
      probe.add(findings.charsetTaken())
    },
    (error) => findings.charsetRefused(configured.query, error),
  )
}
