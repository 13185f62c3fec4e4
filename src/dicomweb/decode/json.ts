import { Attribute } from '../../dicom/attributes.ts'
import { Breather } from '../../dicom/breather.ts'
import { Dataset, vrFor, type Element } from '../../dicom/dataset.ts'
import { MAX_NESTING } from '../../dicom/element-reader.ts'
import { formatTag, isOfEncoding, parseTag, type Tag } from '../../dicom/tag.ts'
import { representation, valueRepresentations, type Vr } from '../../dicom/vr.ts'
import { ModelError } from './model-error.ts'
import { inlineBinary, valueField } from './model-value.ts'

/** Elements, items and values of one data set, at all depths: of ten thousand references of a commitment request half. */
export const MAX_MODEL_ELEMENTS = 100_000

/** What texts that are not ASCII are written in unless told. */
const UTF_8 = 'ISO_IR 192'

export interface DecodeOptions {
  /** Value of Specific Character Set that texts are written in; named only where a text needs it. ISO_IR 192 unless told. */
  readonly charset?: string
  /** Specific Character Set is named whether or not a text needs it. */
  readonly keepsCharset?: boolean
  /** The value of an element that stands elsewhere. @throws ModelError; without it none may */
  readonly bulkData?: (uri: string, at: { readonly path: string; readonly vr: Vr }) => Element['value']
  /** MAX_MODEL_ELEMENTS unless told. */
  readonly most?: number
  /** Told how many there were. */
  readonly counted?: (elements: number) => void
}

/**
 * The data set of a DICOM JSON object (PS3.18 F.2). What the model says of character sets is passed over: JSON is Unicode,
 * and what comes of it names its own. @throws ModelError
 */
export async function decodeJson(model: unknown, options: DecodeOptions = {}): Promise<Dataset> {
  return new Decoder(options).decode(model)
}

class Decoder {
  readonly #options: DecodeOptions
  readonly #breather = new Breather()
  #elements = 0
  #isAscii = true

  constructor(options: DecodeOptions) {
    this.#options = options
  }

  async decode(model: unknown): Promise<Dataset> {
    const { charset = UTF_8, keepsCharset = false } = this.#options
    const dataset = new Dataset().set(Attribute.SpecificCharacterSet, charset.split('\\'))
    await this.#fill(dataset, model, '', 0)
    this.#options.counted?.(this.#elements)
    if (this.#isAscii && !keepsCharset) dataset.delete(Attribute.SpecificCharacterSet)
    return dataset
  }

  async #fill(dataset: Dataset, model: unknown, path: string, depth: number): Promise<void> {
    if (!isObject(model)) throw new ModelError(trimmed(path), 'is no JSON object')
    if (depth > MAX_NESTING) throw new ModelError(trimmed(path), `is nested deeper than ${MAX_NESTING}`)
    const seen = new Set<Tag>()
    for (const [key, member] of Object.entries(model)) {
      const t = parseTag(key)
      // What is no tag may be anything: it is not repeated.
      if (t === undefined) throw new ModelError(trimmed(path), 'has a member whose name is no tag of eight digits')
      if (seen.has(t)) throw new ModelError(path + formatTag(t), 'is there twice')
      seen.add(t)
      this.#count(path + formatTag(t))
      if (this.#breather.isDue) await this.#breather.breathe()
      if (isOfEncoding(t) || t === Attribute.SpecificCharacterSet) continue
      dataset.put(t, await this.#element(dataset, t, member, path + formatTag(t), depth))
    }
  }

  async #element(dataset: Dataset, t: Tag, member: unknown, path: string, depth: number): Promise<Element> {
    if (!isObject(member)) throw new ModelError(path, 'is no JSON object')
    const vr = vrOf(t, member['vr'], path)
    const given = (['Value', 'BulkDataURI', 'InlineBinary'] as const).filter((name) => member[name] !== undefined)
    if (given.length > 1) throw new ModelError(path, `has both ${given.join(' and ')}`)
    switch (given[0]) {
      case 'BulkDataURI':
        return { vr, value: this.#bulkData(member['BulkDataURI'], path, vr) }
      case 'InlineBinary':
        return { vr, value: inlineBinary(vr, member['InlineBinary'], path) }
      case 'Value':
        return { vr, value: await this.#values(dataset, vr, member['Value'], path, depth) }
      default:
        return { vr, value: representation(vr).kind === 'sequence' ? [] : new Uint8Array(0) }
    }
  }

  async #values(dataset: Dataset, vr: Vr, values: unknown, path: string, depth: number): Promise<Element['value']> {
    if (!Array.isArray(values)) throw new ModelError(path, 'has a Value that is no list')
    if (vr === 'SQ') return this.#items(dataset, values, path, depth)
    this.#count(path, values.length)
    this.#isAscii &&= !representation(vr).charset || isAscii(values)
    return valueField(vr, values, path, dataset.characterSet)
  }

  async #items(around: Dataset, items: readonly unknown[], path: string, depth: number): Promise<Dataset[]> {
    const datasets: Dataset[] = []
    for (const [index, item] of items.entries()) {
      this.#count(`${path}/${index}`)
      const dataset = new Dataset(around.characterSet)
      await this.#fill(dataset, item ?? {}, `${path}/${index}/`, depth + 1)
      datasets.push(dataset)
    }
    return datasets
  }

  #bulkData(uri: unknown, path: string, vr: Vr): Element['value'] {
    if (typeof uri !== 'string') throw new ModelError(path, 'has a BulkDataURI that is no text')
    const { bulkData } = this.#options
    if (!bulkData) throw new ModelError(path, 'has a BulkDataURI, where the value itself is needed')
    return bulkData(uri, { path, vr })
  }

  #count(path: string, more = 1): void {
    const { most = MAX_MODEL_ELEMENTS } = this.#options
    this.#elements += more
    if (this.#elements > most) throw new ModelError(path, `is one of more than ${most} elements, items and values`)
  }
}

function vrOf(t: Tag, vr: unknown, path: string): Vr {
  if (vr === undefined) return vrFor(t)
  if (typeof vr === 'string' && Object.hasOwn(valueRepresentations, vr)) return vr as Vr
  throw new ModelError(path, 'has a vr that is no value representation')
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** All texts of values, those of names too. */
function isAscii(values: readonly unknown[]): boolean {
  const texts = values.flatMap((value) => (isObject(value) ? Object.values(value) : [value]))
  return texts.every((text) => typeof text !== 'string' || /^[\x00-\x7f]*$/.test(text))
}

function trimmed(path: string): string {
  return path.replace(/\/$/, '')
}
