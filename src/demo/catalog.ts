import { Attribute } from '../dicom/attributes.ts'
import { Dataset } from '../dicom/dataset.ts'
import type { Tag } from '../dicom/tag.ts'
import type { Uid } from '../dicom/uids.ts'
import { matches } from './matching.ts'
import type { StoredFile } from './stored-file.ts'

/** The instances the demo archive holds, searched as PS3.4 C.4.1 says. */
export class Catalog {
  readonly #files = new Map<Uid, StoredFile>()
  readonly #sopClasses = new Map<Uid, Uid>()

  get size(): number {
    return this.#files.size
  }

  get studies(): number {
    return new Set([...this.#files.values()].map(({ study }) => study)).size
  }

  /** As they are now. */
  get files(): readonly StoredFile[] {
    return [...this.#files.values()]
  }

  /** The first instance added. */
  get example(): StoredFile {
    return this.#files.values().next().value!
  }

  /** The study with the most instances. */
  get largestStudy(): Uid {
    const sizes = new Map<Uid, number>()
    for (const { study } of this.#files.values()) sizes.set(study, (sizes.get(study) ?? 0) + 1)
    return [...sizes].reduce((largest, one) => (one[1] > largest[1] ? one : largest))[0]
  }

  /** Of an instance that is there. */
  sopClassOf(sopInstance: Uid): Uid | undefined {
    return this.#sopClasses.get(sopInstance)
  }

  add(file: StoredFile): void {
    this.#sopClasses.set(file.sopInstance, file.sopClass)
    this.#files.set(`${file.study} ${file.series} ${file.sopInstance}`, file)
  }

  /** Instances named by the unique keys of a retrieve; a key may be a list. */
  select(identifier: Dataset): StoredFile[] {
    const named = (t: Tag): Set<string> | undefined => {
      const uids = identifier.strings(t)
      return uids.length === 0 ? undefined : new Set(uids)
    }
    const study = named(Attribute.StudyInstanceUID)
    const series = named(Attribute.SeriesInstanceUID)
    const instance = named(Attribute.SOPInstanceUID)
    if (!study && !series && !instance) return []
    return [...this.#files.values()].filter(
      (file) =>
        (!study || study.has(file.study)) &&
        (!series || series.has(file.series)) &&
        (!instance || instance.has(file.sopInstance)),
    )
  }

  /** One match for each study, series or instance, with the keys that were asked for. */
  find(identifier: Dataset, options: { counts: boolean }): Dataset[] {
    const level = identifier.string(Attribute.QueryRetrieveLevel)?.toUpperCase()
    const groups = new Map<string, StoredFile[]>()
    for (const file of this.#files.values()) {
      const uid =
        level === 'STUDY' ? file.study : level === 'SERIES' ? file.series : `${file.series} ${file.sopInstance}`
      const group = groups.get(uid)
      if (group) group.push(file)
      else groups.set(uid, [file])
    }
    const found: Dataset[] = []
    for (const group of groups.values()) {
      const record = options.counts ? withCounts(group, this.#files) : group[0]!.header
      if (matches(record, identifier)) found.push(answer(record, identifier))
    }
    return found
  }
}

/** The header of the first instance with what is known of the group as a whole. */
function withCounts(group: readonly StoredFile[], all: ReadonlyMap<Uid, StoredFile>): Dataset {
  const [first] = group
  const record = new Dataset(first!.header.characterSet)
  for (const [t, element] of first!.header.entries()) record.put(t, element)
  const study = [...all.values()].filter((file) => file.study === first!.study)
  const series = study.filter((file) => file.series === first!.series)
  const modalities = new Set(study.flatMap((file) => file.header.string(Attribute.Modality) ?? []))
  return record
    .set(Attribute.ModalitiesInStudy, [...modalities].sort())
    .set(Attribute.SOPClassesInStudy, [...new Set(study.map((file) => file.sopClass))].sort())
    .set(Attribute.NumberOfStudyRelatedSeries, String(new Set(study.map((file) => file.series)).size))
    .set(Attribute.NumberOfStudyRelatedInstances, String(study.length))
    .set(Attribute.NumberOfSeriesRelatedInstances, String(series.length))
}

export function answer(record: Dataset, identifier: Dataset): Dataset {
  const result = new Dataset(record.characterSet)
  const charset = record.get(Attribute.SpecificCharacterSet)
  if (charset) result.put(Attribute.SpecificCharacterSet, charset)
  for (const [t, { vr }] of identifier.entries()) {
    if (t === Attribute.SpecificCharacterSet) continue
    const known = record.get(t)
    if (known) result.put(t, known)
    else if (t === Attribute.QueryRetrieveLevel) result.put(t, identifier.get(t)!)
    else result.setEmpty(t, vr)
  }
  return result
}
