import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../../src/config/config.ts'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import type { Archive } from '../../../src/pacs/archive.ts'
import type { Gathered } from '../../../src/pacs/federation/gather.ts'
import { fullest, merge, type Entry } from '../../../src/pacs/federation/merge.ts'
import { withPatientId } from '../../../src/pacs/federation/patient-id.ts'

/** What one archive answers of a study. */
interface Row {
  readonly study: number
  readonly patient: number
  readonly instances: number | undefined
  readonly availability: string | undefined
}

const NAMES = ['a', 'b', 'c']

function archiveOf(name: string, issuer: string): Archive {
  const patients = { issuer, stripPrefix: name === 'c' ? 'C-' : null }
  const { archives } = parseConfig({ archives: [{ name, aeTitle: name.toUpperCase(), host: 'h', port: 1, patients }] })
  return { config: archives[0]! } as Partial<Archive> as Archive
}

/** What says by each of its values which archive it is of. */
const MARKED = [Attribute.PatientName, Attribute.StudyDescription, Attribute.AccessionNumber, Attribute.StudyID]

function datasetOf(name: string, { study, patient, instances, availability }: Row): Dataset {
  const dataset = new Dataset()
    .set(Attribute.StudyInstanceUID, `1.${study}`)
    .set(Attribute.PatientID, `${name === 'c' ? 'C-' : ''}${patient}`)
  for (const tag of MARKED) dataset.set(tag, name)
  if (instances !== undefined) dataset.set(Attribute.NumberOfStudyRelatedInstances, String(instances))
  if (availability !== undefined) dataset.set(Attribute.InstanceAvailability, availability)
  return dataset
}

const rows = fc.uniqueArray(
  fc.record({
    study: fc.nat(6),
    patient: fc.nat(2),
    instances: fc.option(fc.nat(9), { nil: undefined }),
    availability: fc.constantFrom('ONLINE', 'NEARLINE', 'OFFLINE', undefined),
  }),
  { selector: ({ study }) => study, maxLength: 7 },
)
const federations = fc.tuple(...NAMES.map(() => fc.record({ issuer: fc.constantFrom('X', 'Y'), rows })))
type Members = readonly { readonly issuer: string; readonly rows: readonly Row[] }[]

function gathered(members: Members, limit = Infinity): Gathered[] {
  return members.map(({ issuer, rows: all }, index) => {
    const archive = archiveOf(NAMES[index]!, issuer)
    const told = all.slice(0, limit).map((row) => withPatientId(datasetOf(NAMES[index]!, row), archive.config))
    return { archive, rows: told, hasMore: all.length > limit, isCapped: false, failure: undefined }
  })
}

const personOf = (row: Dataset): string =>
  [Attribute.StudyInstanceUID, Attribute.IssuerOfPatientID, Attribute.PatientID].map((tag) => row.string(tag)).join(' ')

const personsOf = ({ told }: Entry): Set<string> => new Set(told.map(({ row }) => personOf(row)))

describe('what several archives tell of studies', () => {
  it('becomes rows none of which has attributes of two archives, or of two people', async () => {
    await fc.assert(
      fc.asyncProperty(federations, async (members) => {
        const entries = await merge(gathered(members), { level: 'STUDY' })
        for (const entry of entries) {
          expect(personsOf(entry).size).toBe(1)
          const before = new Map(entry.told.map(({ archive, row }) => [archive, new Map(row.entries())]))
          const { archive, row } = fullest(entry, 'STUDY')
          expect(new Set(MARKED.map((tag) => row.string(tag)))).toEqual(new Set([archive.config.name]))
          const gateways: readonly number[] = [Attribute.RetrieveAETitle, Attribute.InstanceAvailability]
          for (const [tag, element] of row.entries()) {
            if (!gateways.includes(tag)) expect(element).toBe(before.get(archive)!.get(tag))
          }
        }
      }),
    )
  })

  it('becomes each study of each patient once, of the fullest copy, and two of one UID are ambiguous', async () => {
    await fc.assert(
      fc.asyncProperty(federations, async (members) => {
        const all = gathered(members)
        const entries = await merge(all, { level: 'STUDY' })
        const wanted = new Set(all.flatMap((one) => one.rows.map(personOf)))
        const given = entries.map((entry) => personOf(entry.told[0]!.row))
        expect([...given].sort()).toEqual([...wanted].sort())
        for (const entry of entries) {
          const uid = entry.told[0]!.row.string(Attribute.StudyInstanceUID)
          const others = entries.filter((one) => one.told[0]!.row.string(Attribute.StudyInstanceUID) === uid)
          expect(entry.isAmbiguous).toBe(others.length > 1)
          const counts = entry.told.map(({ row }) => row.number(Attribute.NumberOfStudyRelatedInstances) ?? -1)
          const { row } = fullest(entry, 'STUDY')
          expect(row.number(Attribute.NumberOfStudyRelatedInstances) ?? -1).toBe(Math.max(...counts))
          expect(row.strings(Attribute.RetrieveAETitle).sort()).toEqual(
            entry.told.map(({ archive }) => archive.config.aeTitle).sort(),
          )
        }
      }),
    )
  })

  it('is in the same order when no more of each is read than is wanted of all', async () => {
    await fc.assert(
      fc.asyncProperty(federations, fc.integer({ min: 1, max: 8 }), async (members, limit) => {
        const first = (entries: readonly Entry[]): string[] =>
          entries.slice(0, limit).map((entry) => personOf(entry.told[0]!.row))
        expect(first(await merge(gathered(members, limit), { level: 'STUDY' }))).toEqual(
          first(await merge(gathered(members), { level: 'STUDY' })),
        )
      }),
    )
  })
})
