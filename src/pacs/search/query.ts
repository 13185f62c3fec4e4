import { Attribute } from '../../dicom/attributes.ts'
import { asGiven } from '../../dicom/as-given.ts'
import { CharacterSet, UnencodableTextError } from '../../dicom/charset.ts'
import { Dataset, type Element } from '../../dicom/dataset.ts'
import type { Tag } from '../../dicom/tag.ts'
import type { Uid } from '../../dicom/uids.ts'
import { InvalidValueError, type Value } from '../../dicom/value.ts'
import { representation, type Vr } from '../../dicom/vr.ts'

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

/** A key value has characters that the archive's query character set lacks. */
export class UnencodableKeyError extends Error {
  readonly code = 'UNENCODABLE_KEY'
  readonly charset: string
  constructor(charset: string, options?: ErrorOptions) {
    super(`A search value has characters outside the archive's character set ${charset}`, options)
    this.name = 'UnencodableKeyError'
    this.charset = charset
  }
}

/** A key value cannot be written in the VR of its attribute. */
export class InvalidKeyError extends Error {
  readonly code = 'INVALID_VALUE'
  constructor(cause: InvalidValueError) {
    super(cause.message, { cause })
    this.name = 'InvalidKeyError'
  }
}

/** Of identifiers whose keys are UIDs: no character set need be named. */
export const UIDS_ONLY: Charsets = { query: 'ISO_IR 192', always: false }

/** Bytes of a value of VR UI (PS3.5 6.2). */
const MAX_UID_LENGTH = 64

/** The unique key of each level (PS3.4 C.6.2.1). */
export const uniqueKeys: Readonly<Record<QueryLevel, Tag>> = {
  STUDY: Attribute.StudyInstanceUID,
  SERIES: Attribute.SeriesInstanceUID,
  IMAGE: Attribute.SOPInstanceUID,
}

/**
 * The identifier of a query (PS3.4 C.4.1.1.3): the level, the keys, and Specific Character Set where a key needs it.
 * UIDs go out as they are: clients' were looked at before, an archive's may have any characters.
 * @throws UnencodableKeyError, InvalidKeyError
 */
export function identifier(query: Query, charsets: Charsets): Dataset {
  const dataset = new Dataset()
  if (charsets.always || !isAscii(query.keys)) dataset.set(Attribute.SpecificCharacterSet, charsets.query)
  dataset.set(Attribute.QueryRetrieveLevel, query.level)
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
