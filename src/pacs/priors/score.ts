import { modalityAffinity, OTHER_MODALITY, pairedRegions, regionAffinity } from './affinities.ts'
import type { Region } from './region-words.ts'
import type { StudySummary } from './study-summary.ts'

/** How much a study is worth beside a current one. */
export interface Score {
  /** From 0 to 100. */
  readonly value: number
  /** Why, in words, the most important first. */
  readonly reasons: readonly string[]
}

/** Of what a score is made where the region is the same. */
const WEIGHTS = { region: 0.48, modality: 0.32, age: 0.2 }
/** Where nobody can tell whether it is of the region. */
const UNKNOWN_REGION = 0.3
/** Of what is left of a score where it is of the other side. */
const OTHER_SIDE = 0.2
/** The same where it has so few instances that it is a scout, or a report. */
const SCANTY = 0.3
const SCANTY_INSTANCES = 3
/** In this time half of what is due to age goes. */
const HALF_LIFE_YEARS = 3
/** Modalities of which a study has many images. */
const OF_MANY_IMAGES = ['CT', 'MR', 'PT']

const regionsApart = new Map(regionAffinity.flatMap(([one, other, value]) => both(one, other, value)))
const modalitiesApart = new Map(modalityAffinity.flatMap(([one, other, value]) => both(one, other, value)))

function both(one: string, other: string, value: number): [string, number][] {
  return [
    [`${one} ${other}`, value],
    [`${other} ${one}`, value],
  ]
}

/** How much an earlier study is worth beside a current one. The same for the same studies, whenever it is asked. */
export function score(current: StudySummary, prior: StudySummary): Score {
  const region = regionOf(current, prior)
  const modality = modalityOf(current, prior)
  const years = yearsBetween(prior.date, current.date)
  const age = years === undefined ? 0.5 : 2 ** (-years / HALF_LIFE_YEARS)
  const side = sideOf(current, prior)
  const few = isScanty(prior)
  const made = WEIGHTS.region + WEIGHTS.modality * modality.value + WEIGHTS.age * age
  const value = 100 * region.value * made * side.value * (few ? SCANTY : 1)
  const reasons = [region.reason, side.reason, modality.reason, ageOf(years), few ? 'few instances' : undefined]
  return { value: Math.round(value * 10) / 10, reasons: reasons.filter((reason) => reason !== undefined) }
}

interface Part {
  readonly value: number
  readonly reason: string | undefined
}

/** Of each region of the current study the best that the prior has, on average. */
function regionOf({ regions: wanted }: StudySummary, { regions: had }: StudySummary): Part {
  if (wanted.length === 0 || had.length === 0) return { value: UNKNOWN_REGION, reason: 'region not known' }
  const best = wanted.map((region) => Math.max(...had.map((other) => affinity(region, other))))
  const value = best.reduce((sum, one) => sum + one, 0) / best.length
  const same = wanted.filter((region) => had.includes(region))
  if (same.length > 0) return { value, reason: `same region: ${same.join(', ')}` }
  if (value > 0) return { value, reason: `near region: ${had.join(', ')}` }
  return { value, reason: `other region: ${had.join(', ')}` }
}

function affinity(one: Region, other: Region): number {
  return one === other ? 1 : (regionsApart.get(`${one} ${other}`) ?? 0)
}

function modalityOf({ modalities: wanted }: StudySummary, { modalities: had }: StudySummary): Part {
  let best: { value: number; pair: string } | undefined
  for (const one of wanted) {
    for (const other of had) {
      const value = one === other ? 1 : (modalitiesApart.get(`${one} ${other}`) ?? OTHER_MODALITY)
      if (!best || value > best.value) best = { value, pair: `${other} for ${one}` }
    }
  }
  return best ? { value: best.value, reason: best.pair } : { value: OTHER_MODALITY, reason: 'modality not known' }
}

function sideOf(current: StudySummary, prior: StudySummary): Part {
  const isPaired = [current, prior].every(({ regions }) => regions.some((one) => pairedRegions.includes(one)))
  if (!isPaired || current.side === undefined || prior.side === undefined) return { value: 1, reason: undefined }
  if (current.side === prior.side) return { value: 1, reason: `same side: ${prior.side}` }
  if (current.side === 'both' || prior.side === 'both') return { value: 0.9, reason: `side: ${prior.side}` }
  return { value: OTHER_SIDE, reason: `other side: ${prior.side}` }
}

function isScanty({ modalities, instances }: StudySummary): boolean {
  return (
    instances !== undefined && instances < SCANTY_INSTANCES && modalities.some((one) => OF_MANY_IMAGES.includes(one))
  )
}

const DAY_MS = 86_400_000

function yearsBetween(before: string, after: string): number | undefined {
  const [from, to] = [before, after].map((date) => {
    const [, year, month, day] = /^(\d{4})(\d\d)(\d\d)$/.exec(date) ?? []
    return year === undefined ? NaN : Date.UTC(Number(year), Number(month) - 1, Number(day))
  })
  const years = (to! - from!) / DAY_MS / 365.25
  return Number.isNaN(years) ? undefined : Math.max(0, years)
}

function ageOf(years: number | undefined): string {
  if (years === undefined) return 'date not known'
  const days = Math.round(years * 365.25)
  if (days < 60) return `${days} days before`
  return years < 2 ? `${Math.round(days / 30.44)} months before` : `${Math.round(years)} years before`
}
