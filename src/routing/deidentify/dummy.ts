import type { Dataset } from '../../dicom/dataset.ts'
import { type Element } from '../../dicom/dataset.ts'
import type { Tag } from '../../dicom/tag.ts'
import type { Value } from '../../dicom/value.ts'
import { representation, type Vr } from '../../dicom/vr.ts'
import { Attribute } from '../../dicom/attributes.ts'
import { isPixelData } from '../../instance/bulk-attributes.ts'
import type { Profile } from './profile.ts'
import type { Pseudonyms } from './pseudonyms.ts'

/** Says nothing, and is a value of its VR (PS3.15 E.1.1, action D). */
const DUMMIES: Readonly<Partial<Record<Vr, Value>>> = {
  AE: 'REMOVED',
  AS: '000Y',
  AT: '00000000',
  CS: 'REMOVED',
  DA: '19000101',
  DS: '0',
  DT: '19000101000000',
  IS: '0',
  LO: 'REMOVED',
  LT: 'REMOVED',
  PN: 'REMOVED',
  SH: 'REMOVED',
  ST: 'REMOVED',
  TM: '000000',
  UC: 'REMOVED',
  UR: 'http://removed.invalid/',
  UT: 'REMOVED',
}

/** What dummies are made by. */
export interface DummyMeans {
  readonly profile: Profile
  readonly pseudonyms: Pseudonyms
}

/** Puts a dummy in the place of an element, in items of each of their elements. */
export function putDummy(dataset: Dataset, tag: Tag, element: Element, by: DummyMeans): void {
  const { vr, value } = element
  if (Array.isArray(value)) {
    const [first] = value as readonly Dataset[]
    dataset.setItems(tag, first ? [dummyItem(first, by)] : [])
  } else if (vr === 'UI') {
    dataset.set(
      tag,
      dataset.strings(tag).map((uid) => by.pseudonyms.uid(uid)),
      vr,
    )
  } else if (representation(vr).kind === 'number') dataset.set(tag, 0, vr)
  else if (DUMMIES[vr] !== undefined) dataset.set(tag, DUMMIES[vr], vr)
  else dataset.put(tag, { vr, value: new Uint8Array(representation(vr).wordBytes === 8 ? 8 : 4) })
}

function dummyItem(item: Dataset, by: DummyMeans): Dataset {
  for (const [tag, element] of item.entries()) {
    if (tag === Attribute.SpecificCharacterSet) continue
    if (isPixelData(tag) || by.profile.actionOf(tag, Array.isArray(element.value)) === 'remove') item.delete(tag)
    else putDummy(item, tag, element, by)
  }
  return item
}
