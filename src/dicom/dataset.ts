import { Attribute } from './attributes.ts'
import type { Bytes } from './bytes.ts'
import { CharacterSet, DEFAULT_REPERTOIRE } from './charset.ts'
import { dictionaryVr } from './dictionary.ts'
import { withoutPadding } from './padding.ts'
import type { Tag } from './tag.ts'
import { decodeValues, encodeValues, type Value } from './value.ts'
import { representation, type Vr } from './vr.ts'

/** Encapsulated Pixel Data: the first fragment is the Basic Offset Table (PS3.5 A.4). */
export interface Fragments {
  readonly fragments: readonly Bytes[]
}

/** A value field in Little Endian form, the items of a sequence, or fragments. */
export interface Element {
  readonly vr: Vr
  readonly value: Bytes | readonly Dataset[] | Fragments
  /** The value was passed over when it was read: it is there, but not here. */
  readonly omitted?: true
}

const NO_BYTES = new Uint8Array(0)

/** A small data set in memory: queries, matches, headers. Values are decoded when asked for. */
export class Dataset {
  readonly #elements = new Map<Tag, Element>()
  /** The set of the data set around this one, unless it names its own (PS3.3 C.12.1.1.2). */
  readonly #inherited: CharacterSet
  #characterSet: CharacterSet | undefined

  constructor(inherited: CharacterSet = DEFAULT_REPERTOIRE) {
    this.#inherited = inherited
  }

  get characterSet(): CharacterSet {
    this.#characterSet ??= this.#ownCharacterSet() ?? this.#inherited
    return this.#characterSet
  }

  #ownCharacterSet(): CharacterSet | undefined {
    const element = this.#elements.get(Attribute.SpecificCharacterSet)
    if (!element || !(element.value instanceof Uint8Array) || element.value.length === 0) return undefined
    const terms = Buffer.from(element.value).toString('latin1').split('\\')
    return CharacterSet.of(terms.map((term) => withoutPadding(term, true)))
  }

  /** Most VRs are ASCII whatever the data set says: then it need not be looked up. */
  #charsetFor(vr: Vr): CharacterSet {
    return representation(vr).charset ? this.characterSet : DEFAULT_REPERTOIRE
  }

  get size(): number {
    return this.#elements.size
  }

  has(t: Tag): boolean {
    return this.#elements.has(t)
  }

  get(t: Tag): Element | undefined {
    return this.#elements.get(t)
  }

  put(t: Tag, element: Element): this {
    this.#elements.set(t, element)
    if (t === Attribute.SpecificCharacterSet) this.#characterSet = undefined
    return this
  }

  delete(t: Tag): boolean {
    if (t === Attribute.SpecificCharacterSet) this.#characterSet = undefined
    return this.#elements.delete(t)
  }

  /** Tags in ascending order with their elements. */
  *entries(): Generator<[Tag, Element]> {
    const tags = [...this.#elements.keys()]
    let sorted = true
    for (let i = 1; i < tags.length; i++) if (tags[i]! < tags[i - 1]!) sorted = false
    if (!sorted) tags.sort((a, b) => a - b)
    for (const t of tags) yield [t, this.#elements.get(t)!]
  }

  /** All values decoded; none for an absent or empty element, a sequence or bulk data. */
  values(t: Tag): Value[] {
    const element = this.#elements.get(t)
    if (!element || !(element.value instanceof Uint8Array)) return []
    return decodeValues(element.vr, element.value, this.#charsetFor(element.vr))
  }

  strings(t: Tag): string[] {
    return this.values(t)
      .filter((value) => value !== undefined)
      .map(String)
  }

  /** The first value as text, or undefined when there is none. */
  string(t: Tag): string | undefined {
    return this.strings(t)[0]
  }

  /** The first value as a number, or undefined when it is none. */
  number(t: Tag): number | undefined {
    const value = this.values(t)[0]
    const n = value === undefined ? NaN : Number(value)
    return Number.isNaN(n) ? undefined : n
  }

  items(t: Tag): readonly Dataset[] {
    const value = this.#elements.get(t)?.value
    return Array.isArray(value) ? (value as readonly Dataset[]) : []
  }

  /**
   * Sets values in the VR of the dictionary (or `vr`), encoded in this data set's character set; without values: empty.
   * @throws InvalidValueError, UnencodableTextError
   */
  set(t: Tag, values: Value | readonly Value[] = [], vr: Vr = vrFor(t)): this {
    const list = Array.isArray(values) ? (values as readonly Value[]) : [values as Value]
    return this.put(t, { vr, value: list.length === 0 ? NO_BYTES : encodeValues(vr, list, this.#charsetFor(vr)) })
  }

  setItems(t: Tag, items: readonly Dataset[]): this {
    return this.put(t, { vr: 'SQ', value: items })
  }

  /** The element without a value: a return key of a query (PS3.4 C.2.2.1.2). */
  setEmpty(t: Tag, vr: Vr = vrFor(t)): this {
    return this.put(t, { vr, value: representation(vr).kind === 'sequence' ? [] : NO_BYTES })
  }
}

/** The dictionary's VR with its open choices at their defaults; UN for what it does not know. */
export function vrFor(t: Tag): Vr {
  const vr = dictionaryVr(t)
  return vr === undefined ? 'UN' : vr === 'xs' ? 'US' : vr === 'ox' ? 'OW' : vr
}
