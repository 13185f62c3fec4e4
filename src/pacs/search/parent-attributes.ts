import { Attribute } from '../../dicom/attributes.ts'
import { Dataset } from '../../dicom/dataset.ts'
import type { Tag } from '../../dicom/tag.ts'
import { representation } from '../../dicom/vr.ts'

/** A match with the attributes of the level above that it does not tell itself. */
export function withParent(match: Dataset, parent: Dataset): Dataset {
  for (const [t, element] of parent.entries()) {
    if (t === Attribute.SpecificCharacterSet) continue
    const own = match.get(t)
    if (own && !(own.value instanceof Uint8Array && own.value.length === 0)) continue
    match.put(t, parent.characterSet === match.characterSet ? element : reencoded(match, parent, t))
  }
  return match
}

/** Each answer has its own character set (PS3.4 C.4.1.1.3.2): text of a parent moves into the child's, or as UTF-8. */
function reencoded(match: Dataset, parent: Dataset, t: Tag): NonNullable<ReturnType<Dataset['get']>> {
  const element = parent.get(t)!
  if (!representation(element.vr).charset || !(element.value instanceof Uint8Array)) return element
  if (!match.characterSet.canEncode(parent.strings(t).join(''))) switchToUtf8(match)
  return new Dataset(match.characterSet).set(t, parent.values(t), element.vr).get(t)!
}

function switchToUtf8(match: Dataset): void {
  const texts = [...match.entries()]
    .filter(([, { vr, value }]) => representation(vr).charset && value instanceof Uint8Array)
    .map(([t, { vr }]) => ({ t, vr, values: match.values(t) }))
  match.set(Attribute.SpecificCharacterSet, 'ISO_IR 192')
  for (const { t, vr, values } of texts) match.set(t, values, vr)
}
