import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Bytes } from '../../src/dicom/bytes.ts'
import type { DataSetSource } from '../../src/dicom/data-set-source.ts'
import type { Dataset } from '../../src/dicom/dataset.ts'
import { encodeDataset } from '../../src/dicom/dataset-codec.ts'
import { MalformedDataSetError } from '../../src/dicom/element-reader.ts'
import { walkElements, type WalkedElement } from '../../src/dicom/element-walk.ts'
import { formatTag } from '../../src/dicom/tag.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN } from '../../src/dicom/transfer-syntax.ts'
import {
  element,
  explicitLittle,
  hex,
  implicitLittle,
  item,
  pixelSequence,
  sequence,
  unknownSequence,
} from '../support/dicom-bytes.ts'
import { sourceOf } from '../support/images.ts'
import { datasetOf, randomEncapsulated, randomImplicit } from '../support/random-dataset.ts'

async function all(source: DataSetSource): Promise<WalkedElement[]> {
  const found: WalkedElement[] = []
  for await (const one of walkElements(source)) found.push(one)
  return found
}

function walked(bytes: Bytes, syntax = EXPLICIT_VR_LITTLE_ENDIAN, chunk = 61): Promise<WalkedElement[]> {
  return all(sourceOf(bytes, syntax, chunk))
}

/** Path and value of every element that has a value, from the data set in memory. */
function valuesOf(dataset: Dataset, prefix = ''): [string, Buffer | 'fragments'][] {
  return [...dataset.entries()].flatMap(([t, { value }]): [string, Buffer | 'fragments'][] => {
    const path = prefix + formatTag(t)
    if (value instanceof Uint8Array) return [[path, Buffer.from(value)]]
    if ('fragments' in value) return [[path, 'fragments']]
    return value.flatMap((one, index) => valuesOf(one, `${path}/${index}/`))
  })
}

describe('the walk through a data set', () => {
  it('tells where each value is, and its path with the numbers of the items around it', async () => {
    const e = explicitLittle
    const inner = sequence(e, 0x00081199, 'undefined', item(e, 'undefined', element(e, 0x00081155, 'UI', '1.2\0')))
    const bytes = Buffer.concat([
      element(e, 0x00080060, 'CS', 'CT'),
      sequence(
        e,
        0x00081140,
        'defined',
        item(e, 'defined', element(e, 0x00081150, 'UI', '1.3\0')),
        item(e, 'undefined'),
        item(e, 'undefined', element(e, 0x00081150, 'UI', '1.4\0'), inner, element(e, 0x00091001, 'OB', '\x07\x08')),
      ),
      sequence(e, 0x00082112, 'undefined'),
      element(e, 0x00100010, 'PN'),
    ])
    const found = await walked(bytes)
    expect(found.map(({ path }) => path)).toEqual([
      '00080060',
      '00081140/0/00081150',
      '00081140/2/00081150',
      '00081140/2/00081199/0/00081155',
      '00081140/2/00091001',
      '00100010',
    ])
    const texts = found.map(({ offset, header }) => bytes.toString('latin1', offset, offset + header.length!))
    expect(texts).toEqual(['CT', '1.3\0', '1.4\0', '1.2\0', '\x07\x08', ''])
    expect(found.every(({ encapsulated }) => !encapsulated)).toBe(true)
  })

  it('gives fragments as one element, at their first item, and goes on behind them', async () => {
    const e = explicitLittle
    const pixels = pixelSequence(e, 'OB', Buffer.alloc(0), hex('ffd8 0001'), Buffer.alloc(0))
    const icon = sequence(e, 0x00880200, 'undefined', item(e, 'undefined', pixels, element(e, 0x7fe10010, 'LO', 'in')))
    const bytes = Buffer.concat([icon, pixels, element(e, 0x7fe10010, 'LO', 'A '), element(e, 0x7fe11001, 'OB', 'xy')])
    const found = await walked(bytes)
    expect(found.map(({ path, encapsulated }) => [path, encapsulated])).toEqual([
      ['00880200/0/7FE00010', true],
      ['00880200/0/7FE10010', false],
      ['7FE00010', true],
      ['7FE10010', false],
      ['7FE11001', false],
    ])
    // The empty table of offsets.
    for (const { offset } of [found[0]!, found[2]!]) {
      expect(bytes.subarray(offset, offset + 8)).toEqual(hex('feff00e0 00000000'))
    }
    expect(found[2]!.header.length).toBeUndefined()
  })

  it('goes through UN of undefined length as through a sequence', async () => {
    const inner = item(implicitLittle, 'undefined', element(implicitLittle, 0x00091002, '', 'abcd'))
    const found = await walked(Buffer.concat([unknownSequence(explicitLittle, 0x00091001, inner)]))
    expect(found.map(({ path, header }) => [path, header.vr])).toEqual([['00091001/0/00091002', 'UN']])
  })

  it.each([
    ['Explicit', randomEncapsulated, EXPLICIT_VR_LITTLE_ENDIAN],
    ['Implicit', randomImplicit, IMPLICIT_VR_LITTLE_ENDIAN],
  ] as const)('finds every value of any %s VR data set, whatever the chunks', async (_, elements, syntax) => {
    await fc.assert(
      fc.asyncProperty(elements, fc.integer({ min: 1, max: 50 }), async (list, chunk) => {
        const dataset = datasetOf(list, true)
        const bytes = Buffer.from(encodeDataset(dataset, syntax))
        const found = await walked(bytes, syntax, chunk)
        const values = found.map(({ path, offset, header, encapsulated }) => [
          path,
          encapsulated ? 'fragments' : bytes.subarray(offset, offset + header.length!),
        ])
        expect(values).toEqual(valuesOf(dataset))
      }),
      { numRuns: 150 },
    )
  })

  it('is lazy: what comes behind the element that is wanted is not read', async () => {
    const source = sourceOf(element(explicitLittle, 0x00080060, 'CS', 'CT'))
    const endless = {
      syntax: source.syntax,
      async *bytes() {
        yield* source.bytes()
        await Promise.resolve()
        throw new Error('read on')
      },
    }
    const walk = walkElements(endless)
    expect((await walk.next()).value).toMatchObject({ path: '00080060', offset: 8 })
    await walk.return(undefined)
    await expect(all(endless)).rejects.toThrow('read on')
  })

  it('fails at what is no data set, behind what came before', async () => {
    const bytes = Buffer.concat([element(explicitLittle, 0x00080060, 'CS', 'CT'), hex('feff00e0 04000000 01020304')])
    const paths: string[] = []
    const walk = async (): Promise<void> => {
      for await (const { path } of walkElements(sourceOf(bytes))) paths.push(path)
    }
    await expect(walk()).rejects.toThrow(MalformedDataSetError)
    expect(paths).toEqual(['00080060'])
    await expect(walked(element(explicitLittle, 0x00080060, 'CS', 'CT').subarray(0, -1))).rejects.toThrow(
      MalformedDataSetError,
    )
  })
})
