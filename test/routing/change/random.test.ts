import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Dataset } from '../../../src/dicom/dataset.ts'
import { encodeDataset, parseDataset } from '../../../src/dicom/dataset-codec.ts'
import { isPrivate, type Tag } from '../../../src/dicom/tag.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN, transferSyntax } from '../../../src/dicom/transfer-syntax.ts'
import { representation } from '../../../src/dicom/vr.ts'
import { isPixelData } from '../../../src/instance/bulk-attributes.ts'
import { changedBytes } from '../../support/changed.ts'
import { Syntax } from '../../support/dicom-files.ts'
import { datasetOf, randomEncapsulated, randomImplicit } from '../../support/random-dataset.ts'

/** Steps, and which attributes at the top of a data set they may change. */
const STEPS: readonly (readonly [object, (tag: Tag) => boolean])[] = [
  [{ set: { PatientID: 'A', StudyDescription: 'Schädel 東京' } }, (tag) => tag === 0x00100020 || tag === 0x00081030],
  [{ set: { 'RequestAttributesSequence.AccessionNumber': '7' } }, (tag) => tag === 0x00400275],
  [{ default: { InstitutionName: 'I' } }, (tag) => tag === 0x00080080],
  [{ copy: { StudyID: 'PatientID' } }, (tag) => tag === 0x00200010],
  [{ prefix: { PatientID: 'X-' } }, (tag) => tag === 0x00100020],
  [{ uppercase: ['PatientName'] }, (tag) => tag === 0x00100010],
  [{ hash: ['PatientID', 'StudyInstanceUID'] }, (tag) => tag === 0x00100020 || tag === 0x0020000d],
  [{ remove: ['PatientName', '0029xxxx'] }, (tag) => tag === 0x00100010 || tag >>> 16 === 0x0029],
  [{ remove: ['private'] }, isPrivate],
]

const steps = fc.array(fc.constantFrom(...STEPS), { minLength: 1, maxLength: 4 })
const chunk = fc.constantFrom(1, 13, 4096)

/** Text elsewhere is what it was, in whatever character set; sequences may lose what the steps take away at any depth. */
function untouched(before: Dataset, after: Dataset, mayChange: (tag: Tag) => boolean): boolean {
  for (const [tag, { vr, value }] of before.entries()) {
    if (mayChange(tag) || tag === 0x00080005 || isPixelData(tag)) continue
    const now = after.get(tag)
    // Text that was written as bytes is written as text.
    if (!now || (now.vr !== vr && representation(vr).kind !== 'binary')) return false
    if (value instanceof Uint8Array && now.value instanceof Uint8Array) {
      // Private creators are text, whatever VR they were given.
      const isText = representation(now.vr).charset
      const same =
        Buffer.compare(value, now.value) === 0 || (isText && textOf(before, tag, now.vr) === textOf(after, tag))
      if (!same) return false
    } else if (Array.isArray(value) && after.items(tag).length !== before.items(tag).length) return false
  }
  return true
}

/** An escape sequence without text behind it is no text in UTF-8, and so no value. */
function textOf(dataset: Dataset, tag: Tag, vr = dataset.get(tag)!.vr): string {
  const { value } = dataset.get(tag)!
  const charset = dataset.get(0x00080005)
  const alone = new Dataset().put(tag, { vr, value })
  if (charset) alone.put(0x00080005, charset)
  const strings = alone.strings(tag)
  return strings.every((one) => one === '') ? '' : JSON.stringify(strings)
}

describe('whatever is changed in whatever data set', () => {
  it.each([
    ['Explicit VR Little Endian, encapsulated', Syntax.jpegLossless, randomEncapsulated],
    [
      'Explicit VR Big Endian',
      Syntax.bigEndian,
      randomEncapsulated.map((list) => list.filter(([tag]) => !isPixelData(tag))),
    ],
    ['Implicit VR Little Endian', Syntax.implicit, randomImplicit],
  ])('is a data set, with all else as it was: %s', async (_, uid, random) => {
    const syntax = transferSyntax(uid)
    await fc.assert(
      fc.asyncProperty(random, steps, chunk, async (list, taken, size) => {
        const before = parseDataset(encodeDataset(datasetOf(list, true), syntax), syntax)
        let bytes: Uint8Array
        try {
          bytes = await changedBytes(
            before,
            taken.map(([step]) => step),
            { syntax, chunk: size },
          )
        } catch (error) {
          // What cannot be read through is refused.
          return (
            (error as { code?: string }).code === 'UNREADABLE_ITEMS' ||
            (error as { code?: string }).code === 'FRONT_TOO_LONG'
          )
        }
        const after = parseDataset(bytes, syntax)
        return untouched(before, after, (tag) => taken.some(([, mayChange]) => mayChange(tag)))
      }),
      { numRuns: 150 },
    )
  })

  it('keeps the elements in ascending order', async () => {
    const bytes = await changedBytes(new Dataset().set(0x00100020, '1').set(0x00080060, 'CT'), [
      { set: { StudyID: '1', InstitutionName: 'I' } },
    ])
    const tags = [...parseDataset(bytes, EXPLICIT_VR_LITTLE_ENDIAN).entries()].map(([tag]) => tag)
    expect(tags).toEqual([...tags].sort((a, b) => a - b))
  })
})
