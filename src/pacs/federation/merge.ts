import { Attribute } from '../../dicom/attributes.ts'
import { Breather } from '../../dicom/breather.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import type { Archive } from '../archive.ts'
import { uniqueKeys, type QueryLevel } from '../search/query.ts'
import type { Gathered } from './gather.ts'
import { areOfOne, Identity, linksOf, type Links, type PatientId } from './patient-id.ts'

/** What one archive tells of a study, series or instance. */
export interface Told {
  readonly archive: Archive
  readonly row: Dataset
}

/** One study, series or instance, as one or several archives tell it. */
export interface Entry {
  readonly told: Told[]
  /** There is another of the same UID, of another patient. */
  isAmbiguous: boolean
}

/** How entries are told apart. */
export interface MergeOptions {
  readonly level: QueryLevel
  /** It has been found out that all are of one patient. */
  readonly isOfOne?: boolean
  /** IDs of patients, all that each has. */
  readonly linked?: readonly (readonly PatientId[])[]
}

/** An entry, and whose it is. */
interface Owned extends Entry {
  identity: Identity
}

/**
 * What several archives have told, each study, series or instance once. Those of one UID are the same unless they are of two
 * patients: then they are two. They are in the order of their ranks in the answers, and of the archives where those are the
 * same: it does not depend on who answers first, and the first n need not more than n of each.
 */
export async function merge(gathered: readonly Gathered[], options: MergeOptions): Promise<Entry[]> {
  const entries: Owned[] = []
  const places = new Map<string, Owned[]>()
  const breather = new Breather()
  const links = linksOf(options.linked ?? [])
  const most = Math.max(0, ...gathered.map(({ rows }) => rows.length))
  for (let rank = 0; rank < most; rank++) {
    if (breather.isDue) await breather.breathe()
    for (const { archive, rows } of gathered) {
      const row = rows[rank]
      if (!row) continue
      const place = placeOf(row, options.level)
      const others = places.get(place) ?? []
      if (others.length === 0) places.set(place, others)
      const told = { archive, row }
      const entry = joined(others, told, identityOf(told, options, links))
      if (entry) entries.push(entry)
    }
  }
  const all = entries.filter(({ told }) => told.length > 0)
  await breather.breathe()
  const ofStudies = options.isOfOne === true ? [] : ofSeveralPatients(all, options)
  for (const one of [...places.values(), ...ofStudies]) {
    if (breather.isDue) await breather.breathe()
    const distinct = one.filter(({ told }) => told.length > 0)
    if (distinct.length > 1) for (const entry of distinct) entry.isAmbiguous = true
  }
  return all
}

/** Puts it to those of its UID that are of the same patient, of which there may be several until now; a new one where there is none. */
function joined(others: Owned[], one: Told, own: Identity | undefined): Owned | undefined {
  const there = others.filter(({ told }) => told.length > 0)
  // One that does not say whose it is is of the only one there is.
  const same = own ? there.filter(({ identity }) => identity.isSame(own)) : there.length === 1 ? there : []
  const [first, ...more] = same
  if (!first) {
    const entry = { told: [one], isAmbiguous: false, identity: own ?? Identity.nobody }
    others.push(entry)
    return entry
  }
  first.told.push(one)
  if (own) first.identity = first.identity.joinedWith(own)
  for (const other of more) {
    first.told.push(...other.told.splice(0))
    first.identity = first.identity.joinedWith(other.identity)
  }
  return undefined
}

/** Undefined where it does not matter whose it is, or has been looked at and is not told. */
function identityOf({ archive, row }: Told, { level, isOfOne }: MergeOptions, links: Links): Identity | undefined {
  if (isOfOne === true || (level !== 'STUDY' && !row.has(Attribute.PatientID))) return undefined
  return Identity.of(row, archive.config).linkedIn(links)
}

/** Series and instances of studies that are of several patients. */
function ofSeveralPatients(entries: readonly Owned[], { level }: MergeOptions): Owned[][] {
  if (level === 'STUDY') return []
  const studies = Map.groupBy(entries, ({ told }) => told[0]!.row.string(Attribute.StudyInstanceUID) ?? '')
  return [...studies.values()].filter((all) => {
    // Most are of one archive, by one ID.
    const others = all.filter(({ identity }) => !identity.isOfNobody && !identity.isSame(all[0]!.identity))
    return others.length > 0 && !areOfOne(all.filter(({ identity }) => !identity.isOfNobody).map((one) => one.identity))
  })
}

/** Another archive has the same: unless it is of another patient, it is a copy of it. */
export function addTold(entries: readonly Entry[], other: Told, options: MergeOptions): void {
  const links = linksOf(options.linked ?? [])
  const own = identityOf(other, options, links)
  const isSame = (one: Told): boolean => own === undefined || (identityOf(one, options, links)?.isSame(own) ?? true)
  const entry = own || entries.length === 1 ? entries.find(({ told }) => told.some(isSame)) : undefined
  if (entry) entry.told.push(other)
  else for (const one of entries) one.isAmbiguous = true
}

/** The UIDs that tell it apart: some archives hold one instance in several series. */
export function placeOf(row: Dataset, level: QueryLevel): string {
  const uid = row.string(uniqueKeys[level]) ?? ''
  return level === 'IMAGE' ? `${row.string(Attribute.SeriesInstanceUID) ?? ''} ${uid}` : uid
}

const counts: Readonly<Record<QueryLevel, number | undefined>> = {
  STUDY: Attribute.NumberOfStudyRelatedInstances,
  SERIES: Attribute.NumberOfSeriesRelatedInstances,
  IMAGE: undefined,
}

/** Instances that an archive says there are; undefined where it does not, or is not to be believed. */
export function countOf({ archive, row }: Told, level: QueryLevel): number | undefined {
  const tag = counts[level]
  return tag === undefined || archive.config.quirks.wrongCounts === true ? undefined : row.number(tag)
}

const AVAILABILITIES = ['ONLINE', 'NEARLINE', 'OFFLINE', 'UNAVAILABLE']

/** How far away it is: 0 for what is there, also where an archive does not say it. */
export function distanceOf({ row }: Told): number {
  return Math.max(0, AVAILABILITIES.indexOf(row.string(Attribute.InstanceAvailability) ?? ''))
}

/**
 * One row: that of the fullest copy, with all it tells and nothing of the others. Only who holds it (Retrieve AE Title), and how
 * soon some of it can be had (Instance Availability), is of all of them.
 */
export function fullest({ told }: Entry, level: QueryLevel): Told {
  const best = told.reduce((one, other) => ((countOf(other, level) ?? -1) > (countOf(one, level) ?? -1) ? other : one))
  const titles = [best, ...told.filter((one) => one !== best)].map(({ archive }) => archive.config.aeTitle)
  best.row.set(Attribute.RetrieveAETitle, [...new Set(titles)])
  const nearest = Math.min(...told.map(distanceOf))
  if (nearest < distanceOf(best)) best.row.set(Attribute.InstanceAvailability, AVAILABILITIES[nearest])
  return best
}
