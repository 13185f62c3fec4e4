import { Attribute } from '../../dicom/attributes.ts'
import { Dataset, type Element } from '../../dicom/dataset.ts'
import type { Tag } from '../../dicom/tag.ts'

/** What tells apart studies, series and instances, and whose they are. */
export const KEYS: readonly Tag[] = [
  ...[Attribute.SpecificCharacterSet, Attribute.SOPInstanceUID, Attribute.PatientID, Attribute.IssuerOfPatientID],
  ...[Attribute.OtherPatientIDsSequence, Attribute.StudyInstanceUID, Attribute.SeriesInstanceUID],
]

/** Some attributes of a result, and nothing else of the message that they came in: their values are copies. */
export function keptAttributes(row: Dataset, tags: readonly Tag[]): Dataset {
  const kept = new Dataset(row.characterSet)
  for (const tag of tags) {
    const element = row.get(tag)
    if (element) kept.put(tag, copyOf(element))
  }
  return kept
}

function copyOf(element: Element): Element {
  const { value } = element
  if (value instanceof Uint8Array) return { ...element, value: Uint8Array.from(value) }
  if ('fragments' in value) return { ...element, value: { fragments: [] } }
  return {
    ...element,
    value: value.map((item) =>
      keptAttributes(
        item,
        [...item.entries()].map(([tag]) => tag),
      ),
    ),
  }
}
