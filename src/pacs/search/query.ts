import { Attribute } from '../../dicom/attributes.ts'
import { asGiven } from '../../dicom/as-given.ts'
import { UnencodableTextError } from '../../dicom/charset.ts'
import { Dataset } from '../../dicom/dataset.ts'
import type { Tag } from '../../dicom/tag.ts'
import type { Uid } from '../../dicom/uids.ts'
import { InvalidValueError, type Value } from '../../dicom/value.ts'
import { representation, type Vr } from '../../dicom/vr.ts'
import { InvalidKeyError, UnencodableKeyError } from './errors.ts'

/** Query/Retrieve Level (0008,0052) of the Study Root model (PS3.4 C.6.2). */
export type QueryLevel = 'STUDY' | 'SERIES' | 'IMAGE'

/** A key: its values to match, none to match all and be returned; or the keys inside one item of a sequence. */
export interface Key {
  readonly tag: Tag
  readonly vr: Vr
  readonly values: readonly Value[]
  readonly item?: readonly Key[]
}

/** One C-FIND. */
export interface Query {
  readonly level: QueryLevel
  readonly keys: readonly Key[]
  /** Names are matched by meaning, where the archive agrees to (PS3.4 C.2.2.2.1.2). */
  readonly fuzzy?: boolean
}

export interface Charsets {
  /** The set of keys that are not ASCII. */
  readonly query: string
  readonly always: boolean
}

/** Of identifiers whose keys are UIDs: no character set need be named. */
export const UIDS_ONLY: Charsets = { query: 'ISO_IR 192', always: false }

/** Bytes of a UID that is passed back: twice the 64 of PS3.5 6.2. */
const MAX_UID_LENGTH = 128

/** The unique key of each level (PS3.4 C.6.2.1). */
export const uniqueKeys: Readonly<Record<QueryLevel, Tag>> = {
  STUDY: Attribute.StudyInstanceUID,
  SERIES: Attribute.SeriesInstanceUID,
  IMAGE: Attribute.SOPInstanceUID,
}

/**
 * The identifier of a query (PS3.4 C.4.1.1.3): the level, where the model has levels, the keys, and Specific Character Set where a key needs it.
 * UIDs go out as they are: clients' were looked at before, an archive's may have any characters.
 * @throws UnencodableKeyError, InvalidKeyError
 */
export function identifier(query: Omit<Query, 'level'> & Partial<Pick<Query, 'level'>>, charsets: Charsets): Dataset {
  const dataset = new Dataset()
  if (charsets.always || !isAscii(query.keys)) dataset.set(Attribute.SpecificCharacterSet, charsets.query)
  if (query.level !== undefined) dataset.set(Attribute.QueryRetrieveLevel, query.level)
  try {
    for (const key of query.keys) putKey(dataset, key)
  } catch (error) {
    if (error instanceof UnencodableTextError) throw new UnencodableKeyError(charsets.query, { cause: error })
    if (error instanceof InvalidValueError) throw new InvalidKeyError(error)
    throw error
  }
  return dataset
}

/**
 * Whether a UID that an archive gave can be asked for: passed back as it is, it means that one thing and no other. UIDs of
 * archives may have any characters; as wildcards, or where a reader ends at a control character, they would mean others.
 */
export function isAskable(uid: string): boolean {
  return uid.length > 0 && uid.length <= MAX_UID_LENGTH && !/[*?\\\x00-\x1f\x7f]/.test(uid)
}

function putKey(dataset: Dataset, key: Key): void {
  if (key.vr === 'UI') {
    dataset.put(key.tag, { vr: 'UI', value: asGiven('UI', key.values) })
    return
  }
  if (representation(key.vr).kind !== 'sequence') {
    dataset.set(key.tag, key.values, key.vr)
    return
  }
  // PS3.4 C.2.2.2.6: all keys of a sequence in one item; one with empty keys is universal matching.
  const item = new Dataset(dataset.characterSet)
  for (const inner of key.item ?? []) putKey(item, inner)
  dataset.setItems(key.tag, item.size === 0 ? [] : [item])
}

function isAscii(keys: readonly Key[]): boolean {
  const ascii = (value: Value): boolean => /^[\x00-\x7f]*$/.test(String(value ?? ''))
  // Specific Character Set says nothing of UIDs.
  return keys.every((key) => (key.vr === 'UI' || key.values.every(ascii)) && isAscii(key.item ?? []))
}

/** The levels' unique keys from the top down to a selection: a hierarchical query or a retrieve (PS3.4 C.4.2.1.4). */
export function selectionKeys(study: Uid | undefined, series: Uid | undefined, instances: readonly Uid[] = []): Key[] {
  const keys: Key[] = []
  if (study !== undefined) keys.push({ tag: Attribute.StudyInstanceUID, vr: 'UI', values: [study] })
  if (series !== undefined) keys.push({ tag: Attribute.SeriesInstanceUID, vr: 'UI', values: [series] })
  if (instances.length > 0) keys.push({ tag: Attribute.SOPInstanceUID, vr: 'UI', values: instances })
  return keys
}

/** An element without value as a key; a sequence has no item. */
export function returnKey(tag: Tag, vr: Vr): Key {
  return { tag, vr, values: [] }
}
