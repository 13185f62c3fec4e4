import { Attribute } from '../../dicom/attributes.ts'
import type { Dataset } from '../../dicom/dataset.ts'
import { regionsOfCode, regionsOfPart, regionsOfText, wordsIn } from './find-regions.ts'
import type { Region } from './region-words.ts'

export type Side = 'left' | 'right' | 'both'

/** What of a study tells how much it is worth beside another. */
export interface StudySummary {
  /** YYYYMMDD; empty where it is not known. */
  readonly date: string
  /** Those with images. */
  readonly modalities: readonly string[]
  /** None where nothing tells them. */
  readonly regions: readonly Region[]
  readonly side: Side | undefined
  /** Number of instances; undefined where it is not known. */
  readonly instances: number | undefined
}

/** Values, and characters of one, that are looked at; and modalities of a study. */
const MAX_TOLD = 500
const MAX_MODALITIES = 32
/** Modalities that show nothing themselves. */
const WITHOUT_PICTURES = [
  'SR',
  'KO',
  'PR',
  'DOC',
  'REG',
  'SEG',
  'RTSTRUCT',
  'RTPLAN',
  'RTDOSE',
  'AU',
  'ECG',
  'OT',
  'SC',
]

/**
 * What an archive tells of a study, and of its series. The regions are those of Body Part Examined, and of the words of Study
 * Description; where that names none, of the procedure codes and of the words of Series Description.
 */
export function summaryOf(study: Dataset, series: readonly Dataset[]): StudySummary {
  const told = [
    ...study.strings(Attribute.ModalitiesInStudy),
    ...series.flatMap((one) => one.strings(Attribute.Modality)),
  ]
  const all = told.slice(0, MAX_TOLD).flatMap((one) => one.slice(0, MAX_TOLD).split(/[,;/\s]+/))
  const modalities = [...new Set(all)].filter((one) => one !== '').slice(0, MAX_MODALITIES)
  const pictures = modalities.filter((one) => !WITHOUT_PICTURES.includes(one))
  const descriptions = [study.string(Attribute.StudyDescription) ?? '']
  const details = series.map((one) => one.string(Attribute.SeriesDescription) ?? '')
  return {
    date: (study.string(Attribute.StudyDate) ?? '').replaceAll('.', ''),
    modalities: pictures.length > 0 ? pictures : modalities,
    regions: regionsOf(study, series, { descriptions, details }),
    side: sideOf(series, [...descriptions, ...details]),
    instances: study.number(Attribute.NumberOfStudyRelatedInstances),
  }
}

function regionsOf(
  study: Dataset,
  series: readonly Dataset[],
  { descriptions, details }: { readonly descriptions: readonly string[]; readonly details: readonly string[] },
): readonly Region[] {
  const parts = [study, ...series]
    .flatMap((one) => one.strings(Attribute.BodyPartExamined))
    .slice(0, MAX_TOLD)
    .flatMap(regionsOfPart)
  const named = descriptions.flatMap(regionsOfText)
  if (named.length > 0) return [...new Set([...named, ...parts])]
  const codes = study.items(Attribute.ProcedureCodeSequence)
  const coded = codes.flatMap((code) => [
    ...regionsOfCode(code.string(Attribute.CodeValue) ?? ''),
    ...regionsOfText(code.string(Attribute.CodeMeaning) ?? ''),
  ])
  return [...new Set([...parts, ...coded, ...details.flatMap(regionsOfText)])]
}

/** By which words a side is meant, in the languages of region-words. */
const sideWords: Readonly<Record<Side, readonly string[]>> = {
  left: 'left lt lft l li links linke linker linkes gauche g izq izquierda izquierdo izda izqda sinistra sinistro sx'.split(
    ' ',
  ),
  right: 'right rt r re rechts rechte rechter rechtes droite droit d derecha derecho dcha dcho destra destro dx'.split(
    ' ',
  ),
  both: 'bilateral bilat bil both bds beidseits bdseits bilateraal bilaterale bilateraux bilat\u00e9ral beiderseits ambas ambos entrambi beide comparatif comparativa'.split(
    ' ',
  ),
}

/** `AP y L` is a view from the side, `3 D` is none. */
function isNoSide(word: string, before: string | undefined): boolean {
  return (
    (word === 'l' && ['ap', 'pa', 'y', 'e', 'et', 'en'].includes(before ?? '')) ||
    (word === 'd' && /^\d+$/.test(before ?? ''))
  )
}

/** The words of a text; of `l'epaule` and `d'Achille` the second. */
function sideWordsIn(text: string): string[] {
  const words = wordsIn(text.replace(/\b[ld]['\u2019]/gi, ' ')).filter((word, at, all) => !isNoSide(word, all[at - 1]))
  // Spanish `sin` is without, at the end it is Italian for left; `der` is Spanish for right there, and German for the.
  const last = words.at(-1)
  return last === 'sin' || last === 'der' ? [...words, last === 'sin' ? 'sx' : 'derecha'] : words
}

/** By Laterality of the series (PS3.3 C.7.3.1), else by words. */
function sideOf(series: readonly Dataset[], texts: readonly string[]): Side | undefined {
  const told = new Set(series.flatMap((one) => one.strings(Attribute.Laterality)))
  if (told.has('B') || (told.has('L') && told.has('R'))) return 'both'
  if (told.has('L')) return 'left'
  if (told.has('R')) return 'right'
  const words = texts.flatMap(sideWordsIn)
  const [left, right] = (['left', 'right'] as const).map((side) => words.some((word) => sideWords[side].includes(word)))
  if (words.some((word) => sideWords.both.includes(word)) || (left === true && right === true)) return 'both'
  return left === true ? 'left' : right === true ? 'right' : undefined
}
