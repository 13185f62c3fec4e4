import type { Dataset, Element } from '../../src/dicom/dataset.ts'
import { formatTag, isGroupLength, type Tag } from '../../src/dicom/tag.ts'

export interface CompareOptions {
  /** Attributes of the data set itself that may differ. */
  readonly except?: ReadonlySet<Tag>
  /** Where one side was Implicit VR, private and unknown elements have no sure VR. */
  readonly looseVrs?: boolean
}

/** Where two data sets differ, element by element; pads at the end of values and group lengths do not count. */
export function differences(expected: Dataset, actual: Dataset, options: CompareOptions = {}, path = ''): string[] {
  const tags = new Set([...expected.entries(), ...actual.entries()].map(([t]) => t))
  const found: string[] = []
  for (const t of [...tags].sort((a, b) => a - b)) {
    if (isGroupLength(t) || (path === '' && options.except?.has(t))) continue
    found.push(...elementDifferences(expected.get(t), actual.get(t), options, path + formatTag(t)))
  }
  return found
}

function elementDifferences(
  expected: Element | undefined,
  actual: Element | undefined,
  options: CompareOptions,
  at: string,
): string[] {
  if (!expected) return [`${at} ${actual!.vr} should not be there`]
  if (!actual) return [`${at} ${expected.vr} is missing`]
  const [wanted, got] = [expected.value, actual.value]
  // Fragments are OB (PS3.5 A.4); some writers say OW.
  const sameVr = expected.vr === actual.vr || 'fragments' in wanted || options.looseVrs === true
  if (!sameVr) return [`${at} is ${actual.vr}, not ${expected.vr}`]
  if (wanted instanceof Uint8Array && got instanceof Uint8Array) {
    return trimmed(wanted).equals(trimmed(got))
      ? []
      : [`${at} ${expected.vr} differs (${wanted.length}, ${got.length} bytes)`]
  }
  if (wanted instanceof Uint8Array || got instanceof Uint8Array) {
    // A sequence without items, and an element without value.
    const [one, other] = [lengthOf(wanted), lengthOf(got)]
    return one === 0 && other === 0 ? [] : [`${at} is ${actual.vr}, not ${expected.vr}`]
  }
  if ('fragments' in wanted || 'fragments' in got) {
    if (!('fragments' in wanted) || !('fragments' in got)) return [`${at} is not a sequence of fragments on both sides`]
    const [one, other] = [wanted.fragments, got.fragments]
    if (one.length !== other.length) return [`${at} has ${other.length} fragments, not ${one.length}`]
    return one.every((bytes, index) => Buffer.compare(bytes, other[index]!) === 0) ? [] : [`${at} has other fragments`]
  }
  if (wanted.length !== got.length) return [`${at} has ${got.length} items, not ${wanted.length}`]
  return wanted.flatMap((item, index) => differences(item, got[index]!, options, `${at}/${index}/`))
}

function lengthOf(value: Element['value']): number {
  return 'fragments' in value ? value.fragments.length : value.length
}

function trimmed(bytes: Uint8Array): Buffer {
  let end = bytes.length
  while (end > 0 && (bytes[end - 1] === 0x20 || bytes[end - 1] === 0)) end--
  return Buffer.from(bytes.buffer, bytes.byteOffset, end)
}
