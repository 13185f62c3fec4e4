import { Attribute } from '../../dicom/attributes.ts'
import { CharacterSet } from '../../dicom/charset.ts'
import { Dataset, type Element } from '../../dicom/dataset.ts'

/** What a match of an archive that names no character set is read in. */
export function withDefaultCharset(match: Dataset, term: string): Dataset {
  if (match.string(Attribute.SpecificCharacterSet) !== undefined) return match
  return copyWith(match, CharacterSet.of([term]))
}

/** An item may have a set of its own, which then is that of the items in it (PS3.3 C.12.1.1.2). */
function copyWith(source: Dataset, inherited: CharacterSet, isItem = false): Dataset {
  const copy = new Dataset(inherited)
  for (const [t, element] of source.entries()) {
    if (t === Attribute.SpecificCharacterSet && !isItem) continue
    const { value } = element
    const inner: Element = Array.isArray(value)
      ? { vr: element.vr, value: (value as readonly Dataset[]).map((item) => copyWith(item, copy.characterSet, true)) }
      : element
    copy.put(t, inner)
  }
  return copy
}
