import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import { score } from '../../../src/pacs/priors/score.ts'
import { summaryOf } from '../../../src/pacs/priors/study-summary.ts'

// patients.json was written by reading the descriptions, without knowing the tables: 60 made-up patients, and of 40 of them what
// a radiologist would look at beside one of their studies, in tiers.

interface Series {
  readonly modality: string
  readonly bodyPart: string
  readonly description: string
  readonly laterality: string
}

interface Study {
  readonly id: string
  readonly date: string
  readonly modalities: readonly string[]
  readonly description: string
  readonly instances: number
  readonly series: readonly Series[]
}

interface Patient {
  readonly patient: string
  readonly language: string
  readonly studies: readonly Study[]
  readonly current?: string
  readonly ranking?: readonly (readonly string[])[]
  readonly irrelevant?: readonly string[]
}

const patients = JSON.parse(readFileSync(join(import.meta.dirname, 'patients.json'), 'utf8')) as Patient[]
const judged = patients.filter(({ current }) => current !== undefined)

const texts = (): Dataset => new Dataset().set(Attribute.SpecificCharacterSet, 'ISO_IR 192')

function rowOf({ date, modalities, description, instances }: Study): Dataset {
  return texts()
    .set(Attribute.StudyDate, date)
    .set(Attribute.ModalitiesInStudy, modalities)
    .set(Attribute.StudyDescription, description === '' ? [] : description)
    .set(Attribute.NumberOfStudyRelatedInstances, String(instances))
}

function seriesOf({ series }: Study): Dataset[] {
  return series.map(({ modality, bodyPart, description, laterality }) =>
    texts()
      .set(Attribute.Modality, modality)
      .set(Attribute.BodyPartExamined, bodyPart === '' ? [] : bodyPart)
      .set(Attribute.SeriesDescription, description === '' ? [] : description)
      .set(Attribute.Laterality, laterality === '' ? [] : laterality),
  )
}

describe('priors', () => {
  it('are judged for 40 current studies of 60 patients in six languages', () => {
    expect([patients.length, judged.length, new Set(judged.map(({ language }) => language)).size]).toEqual([60, 40, 6])
  })

  it.each(judged.map((one) => [one.patient, one.language, one] as const))(
    'of %s (%s) are ranked as by a reading of the descriptions',
    (_, __, { studies, current, ranking = [], irrelevant = [] }) => {
      const summaries = new Map(studies.map((one) => [one.id, summaryOf(rowOf(one), seriesOf(one))]))
      const valueOf = (id: string): number => score(summaries.get(current!)!, summaries.get(id)!).value
      const tiers = [...ranking, irrelevant].filter((tier) => tier.length > 0).map((tier) => tier.map(valueOf))
      for (const [at, better] of tiers.slice(0, -1).entries()) {
        expect({ tier: at, values: tiers, isAbove: Math.min(...better) > Math.max(...tiers[at + 1]!) }).toEqual({
          tier: at,
          values: tiers,
          isAbove: true,
        })
      }
    },
  )
})
