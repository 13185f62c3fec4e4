import { Attribute } from '../../dicom/attributes.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import type { Archive } from '../archive.ts'
import { uniqueKeys, type QueryLevel } from '../search/query.ts'
import type { Gathered } from './gather.ts'
import { Identity, type PatientId } from './patient-id.ts'

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

/**
 * What several archives have told, each study, series or instance once. Those of one UID are the same unless they are of two
 * patients: then they are two. They are in the order of their ranks in the answers, and of the archives where those are the
 * same: it does not depend on who answers first, and the first n need not more than n of each. `linked`: all IDs of one patient.
 */
export function merge(gathered: readonly Gathered[], level: QueryLevel, linked: readonly PatientId[] = []): Entry[] {
  const entries: Entry[] = []
  const places = new Map<string, { readonly entry: Entry; readonly identity: Identity }[]>()
  const most = Math.max(0, ...gathered.map(({ rows }) => rows.length))
  for (let rank = 0; rank < most; rank++) {
    for (const { archive, rows } of gathered) {
      const row = rows[rank]
      if (!row) continue
      const place = placeOf(row, level)
      const identity = Identity.of(row, archive.config).linkedBy(linked)
      const others = places.get(place) ?? []
      const same = others.find((one) => !isOfOne(row, level) || one.identity.isSame(identity))
      if (same) {
        same.entry.told.push({ archive, row })
        continue
      }
      const entry = { told: [{ archive, row }], isAmbiguous: others.length > 0 }
      for (const other of others) other.entry.isAmbiguous = true
      places.set(place, [...others, { entry, identity }])
      entries.push(entry)
    }
  }
  return entries
}

/** Another archive has the same: unless it is of another patient, it is a copy of it. */
export function addTold(entry: Entry, other: Told, level: QueryLevel, linked: readonly PatientId[] = []): void {
  const { archive, row } = entry.told[0]!
  const isSame =
    !isOfOne(row, level) ||
    Identity.of(row, archive.config).linkedBy(linked).isSame(Identity.of(other.row, other.archive.config))
  if (isSame) entry.told.push(other)
  else entry.isAmbiguous = true
}

/** The UIDs that tell it apart: some archives hold one instance in several series. */
export function placeOf(row: Dataset, level: QueryLevel): string {
  const uid = row.string(uniqueKeys[level]) ?? ''
  return level === 'IMAGE' ? `${row.string(Attribute.SeriesInstanceUID) ?? ''} ${uid}` : uid
}

/** Below a study whose it is has been looked at, and is not told. */
function isOfOne(row: Dataset, level: QueryLevel): boolean {
  return level === 'STUDY' || row.has(Attribute.PatientID)
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
