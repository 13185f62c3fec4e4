import { Attribute } from '../../dicom/attributes.ts'
import { CharacterSet, UnencodableTextError } from '../../dicom/charset.ts'
import type { Dataset, Element } from '../../dicom/dataset.ts'
import { formatTag, parseTag, type Tag } from '../../dicom/tag.ts'
import type { Vr } from '../../dicom/vr.ts'
import { decodeJson } from './json.ts'
import { ModelError } from './model-error.ts'

/** A value of an instance that is in another part of the message. */
export interface BulkReference {
  readonly uri: string
  /** Tags, with item numbers from 0 between them. */
  readonly path: string
  readonly vr: Vr
}

/** An instance as a client describes it, without the values that it refers to. */
export interface InstanceModel {
  readonly dataset: Dataset
  readonly references: readonly BulkReference[]
  /** Elements, items and values, at all depths. */
  readonly elements: number
}

/** Elements, items and values of an instance, at all depths: those of the functional groups of many frames. */
export const MAX_INSTANCE_ELEMENTS = 250_000

/**
 * An instance from its DICOM JSON object: texts in the character set that it names, as far as that has them, in UTF-8
 * otherwise. @throws ModelError
 */
export async function decodeInstance(model: unknown): Promise<InstanceModel> {
  const declared = declaredCharset(model)
  if (declared === undefined) return decoded(model, undefined)
  try {
    return await decoded(model, declared)
  } catch (error) {
    if (!(error instanceof ModelError && error.cause instanceof UnencodableTextError)) throw error
    return decoded(model, undefined)
  }
}

async function decoded(model: unknown, charset: string | undefined): Promise<InstanceModel> {
  const references: BulkReference[] = []
  let elements = 0
  const dataset = await decodeJson(model, {
    most: MAX_INSTANCE_ELEMENTS,
    counted: (count) => (elements = count),
    ...(charset !== undefined && { charset, keepsCharset: true }),
    bulkData: (uri, at) => {
      references.push({ uri, ...at })
      return new Uint8Array(0)
    },
  })
  return { dataset, references, elements }
}

/** Specific Character Set as the model has it, of the data set that it was made of; undefined for one that nobody knows. */
function declaredCharset(model: unknown): string | undefined {
  const key = formatTag(Attribute.SpecificCharacterSet)
  const values: unknown = (model as Record<string, { Value?: unknown }> | null)?.[key]?.Value
  if (!Array.isArray(values) || values.length === 0) return undefined
  const terms = values.map((value) => (typeof value === 'string' ? value.trim() : ''))
  return CharacterSet.of(terms).unknown.length > 0 ? undefined : terms.join('\\')
}

/** Puts a value where a reference to it stands. */
export function putReferenced(dataset: Dataset, { path, vr }: BulkReference, value: Element['value']): void {
  const steps = path.split('/')
  let at = dataset
  for (let n = 0; n + 2 < steps.length; n += 2) {
    at = at.items(tagOf(steps[n]!))[Number(steps[n + 1])]!
  }
  at.put(tagOf(steps.at(-1)!), { vr, value })
}

/** The tag of a reference at the top of its data set; undefined for one within a sequence. */
export function topTag({ path }: BulkReference): Tag | undefined {
  return path.includes('/') ? undefined : tagOf(path)
}

function tagOf(text: string): Tag {
  return parseTag(text)!
}
