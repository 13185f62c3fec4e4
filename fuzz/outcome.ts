import { createHash } from 'node:crypto'
import type { Dataset, Element } from '../src/dicom/dataset.ts'
import type { Bytes } from '../src/dicom/bytes.ts'
import { formatTag } from '../src/dicom/tag.ts'
import { representation } from '../src/dicom/vr.ts'
import { faultOf } from './judge.ts'
import type { Target } from './target.ts'

type Errors = Target['errors']

/** What comes of some work, as text: the same for the same value, or the same error. Other errors pass. */
export function outcome(errors: Errors, work: () => string): string {
  try {
    return work()
  } catch (error) {
    return failure(errors, error)
  }
}

export async function outcomeOf(errors: Errors, work: () => Promise<string>): Promise<string> {
  try {
    return await work()
  } catch (error) {
    return failure(errors, error)
  }
}

/** What an error says, if it is one of some. @throws it otherwise */
export function failure(errors: Errors, error: unknown): string {
  if (!(error instanceof Error) || faultOf({ errors }, error)) throw error
  return `${error.name}: ${error.message}`
}

/** A data set as text, each element in a line; values are padded to even length, as they are written. */
export function dump(dataset: Dataset, depth = 0): string {
  let text = ''
  for (const [t, element] of dataset.entries()) {
    text += `${' '.repeat(depth)}${formatTag(t)} ${element.vr} ${valueText(element, depth)}\n`
  }
  return text
}

function valueText({ vr, value }: Element, depth: number): string {
  if (value instanceof Uint8Array) return brief(even(value, representation(vr).pad))
  if ('fragments' in value) return `fragments ${value.fragments.map((one) => brief(even(one, 0))).join(' ')}`
  return `items\n${value.map((item) => `${' '.repeat(depth)}-\n${dump(item, depth + 1)}`).join('')}`
}

function even(value: Bytes, pad: number): Bytes {
  return value.length % 2 === 0 ? value : Buffer.concat([value, Buffer.of(pad)])
}

const BRIEF_BYTES = 64

/** Bytes as text; of many their digest. */
export function brief(bytes: Bytes): string {
  const hex = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, BRIEF_BYTES)).toString('hex')
  return bytes.length <= BRIEF_BYTES ? hex : `${hex}… ${bytes.length} ${createHash('md5').update(bytes).digest('hex')}`
}
