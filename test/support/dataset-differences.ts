import type { Dataset, Element } from '../../src/dicom/dataset.ts'
import { describeTag } from '../../src/dicom/dictionary.ts'

/**
 * Where two data sets differ in an element, its VR or a byte of its value: a line for each place, none when they are the
 * same. With `anyVr`, VRs may differ, as they do after Implicit VR: a sequence without items is then an empty value.
 */
export function differences(a: Dataset, b: Dataset, options: { anyVr?: boolean } = {}, path = ''): string[] {
  const found: string[] = []
  for (const [t, left] of a.entries()) {
    const place = `${path}${describeTag(t)}`
    const right = b.get(t)
    if (!right) found.push(`${place} is missing`)
    else found.push(...elementDifferences(left, right, options, place))
  }
  for (const [t] of b.entries()) if (!a.has(t)) found.push(`${path}${describeTag(t)} is new`)
  return found
}

function elementDifferences(a: Element, b: Element, options: { anyVr?: boolean }, place: string): string[] {
  if (!options.anyVr && a.vr !== b.vr) return [`${place} was ${a.vr} and is ${b.vr}`]
  const left = parts(a)
  const right = parts(b)
  const kinds = `${left.kind} and ${right.kind}`
  if (left.kind !== right.kind && !(options.anyVr && left.list.length + right.list.length === 0)) {
    return [`${place}: ${kinds}`]
  }
  if (left.list.length !== right.list.length) return [`${place}: ${left.list.length} and ${right.list.length} ${kinds}`]
  return left.list.flatMap((one, index) => {
    const other = right.list[index]!
    const at = `${place}[${index}] `
    if (one instanceof Uint8Array || other instanceof Uint8Array) {
      return one instanceof Uint8Array && other instanceof Uint8Array && Buffer.compare(one, other) === 0
        ? []
        : [`${at}differs`]
    }
    return differences(one, other, options, at)
  })
}

function parts({ value }: Element): { kind: string; list: readonly (Uint8Array | Dataset)[] } {
  if (value instanceof Uint8Array) return { kind: 'value', list: value.length === 0 ? [] : [value] }
  if ('fragments' in value) return { kind: 'fragments', list: value.fragments }
  return { kind: 'items', list: value }
}
