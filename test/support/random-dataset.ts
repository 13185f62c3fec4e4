import fc from 'fast-check'
import { Dataset, type Element } from '../../src/dicom/dataset.ts'
import { dictionaryVr } from '../../src/dicom/dictionary.ts'
import { dictionaryData } from '../../src/dicom/dictionary-data.ts'
import type { Vr } from '../../src/dicom/vr.ts'
import { allVrs, isVr, nulPadded } from './dicom-bytes.ts'

/** One element as the generators make it: a value in Little Endian form, items, or fragments. */
type RandomElement = [tag: number, vr: Vr, value: Uint8Array | RandomElement[][] | { fragments: Uint8Array[] }]

const vrs = allVrs.filter(isVr).filter((vr) => vr !== 'SQ')

/** Without group lengths, and without the two attributes that decide on the VR of others. */
const known = dictionaryData
  .trim()
  .split('\n')
  .map((line): [number, string] => [parseInt(line.slice(0, 8), 16), line.slice(9, 11)])
  .filter(
    ([t]) => t > 0x0008_0000 && (t & 0xffff) !== 0 && t !== 0x00280103 && t >>> 16 !== 0x5400 && t >>> 16 < 0xff00,
  )
const knownValues = known.flatMap(([t, vr]): [number, Vr][] => {
  if (t === 0x00080005 || vr === 'SQ') return []
  return isVr(vr) ? [[t, vr]] : vr === 'ox' ? [[t, 'OW']] : []
})
const knownSequences = known.filter(([, vr]) => vr === 'SQ').map(([t]) => t)

const bytes = fc.uint8Array({ maxLength: 21 })
const evenGroup = fc.integer({ min: 0x0008 / 2, max: 0x7fe0 / 2 }).map((half) => half * 2)
const privateGroup = fc.integer({ min: 0x0009 >> 1, max: 0x7fe1 >> 1 }).map((half) => half * 2 + 1)
const number = fc.integer({ min: 1, max: 0xffff })
const join = ([group, low]: [number, number]): number => ((group << 16) | low) >>> 0
const decides = [0x00280103, 0x54001004, 0x00080005]
const anyTag = fc
  .oneof(fc.tuple(evenGroup, number), fc.tuple(privateGroup, number))
  .map(join)
  .filter((t) => !decides.includes(t))
const creatorTag = fc.tuple(privateGroup, fc.integer({ min: 0x10, max: 0xff })).map(join)
const privateTag = fc.tuple(privateGroup, fc.integer({ min: 0x1000, max: 0xffff })).map(join)
const vr = fc.constantFrom(...vrs)

/** Explicit syntaxes can say any VR of any tag. */
const explicitValue = fc
  .tuple(anyTag, vr, bytes)
  // It is not read as UN again where the dictionary knows better (PS3.5 6.2.2).
  .filter(([t, name]) => name !== 'UN' || dictionaryVr(t) === undefined)
/** Implicit VR keeps values whose VR the dictionary says, private creators as LO, and other private ones as UN. */
const implicitValue = fc.oneof(
  fc.tuple(fc.constantFrom(...knownValues), bytes).map(([[t, name], value]): RandomElement => [t, name, value]),
  fc.tuple(creatorTag, fc.constant<Vr>('LO'), bytes),
  fc.tuple(privateTag, fc.constant<Vr>('UN'), bytes),
)
const fragments = fc
  .array(bytes, { minLength: 1, maxLength: 4 })
  .map((list): RandomElement => [0x7fe00010, 'OB', { fragments: list }])

function elements(
  value: fc.Arbitrary<RandomElement>,
  sequenceTag: fc.Arbitrary<number>,
  minItems: number,
): fc.Arbitrary<RandomElement[]> {
  const { dataset } = fc.letrec<{ dataset: RandomElement[]; sequence: RandomElement }>((tie) => ({
    dataset: fc.array(fc.oneof({ maxDepth: 4, depthIdentifier: 'nesting' }, value, value, tie('sequence')), {
      maxLength: 6,
    }),
    sequence: fc
      .tuple(sequenceTag, fc.array(tie('dataset'), { minLength: minItems, maxLength: 3 }))
      .map(([t, items]): RandomElement => [t, 'SQ', items]),
  }))
  return dataset
}

/** Any VR at any tag, nested, private, empty, of odd length, out of order, repeated. */
export const randomExplicit = elements(explicitValue, anyTag, 0)
/** The same with one encapsulated Pixel Data at times. */
export const randomEncapsulated = fc
  .tuple(randomExplicit, fc.option(fragments))
  .map(([list, pixels]) => (pixels ? [...list, pixels] : list))
/** What Implicit VR gives back with its VR. An empty private sequence is not among it: nothing says what it is. */
export const randomImplicit = fc.oneof(
  elements(implicitValue, fc.constantFrom(...knownSequences), 0),
  elements(implicitValue, privateTag, 1),
)

/** A data set of them; `padded` as a writer leaves it: of even length (PS3.5 7.1.1). */
export function datasetOf(list: readonly RandomElement[], padded = false): Dataset {
  const dataset = new Dataset()
  for (const [t, name, value] of list) dataset.put(t, { vr: name, value: valueOf(name, value, padded) })
  return dataset
}

function valueOf(name: Vr, value: RandomElement[2], padded: boolean): Element['value'] {
  if (value instanceof Uint8Array) return padded ? even(value, nulPadded.includes(name) ? 0 : 0x20) : value
  if (Array.isArray(value)) return value.map((list) => datasetOf(list, padded))
  return padded ? { fragments: value.fragments.map((one) => even(one, 0)) } : value
}

function even(value: Uint8Array, pad: number): Uint8Array {
  return value.length % 2 === 0 ? value : Uint8Array.of(...value, pad)
}
