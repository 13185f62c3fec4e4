import { describe, expect, it } from 'vitest'
import type { Bytes } from '../../src/dicom/bytes.ts'
import type { Dataset } from '../../src/dicom/dataset.ts'
import { MAX_UNKNOWN_ELEMENTS } from '../../src/dicom/dataset-codec.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN } from '../../src/dicom/transfer-syntax.ts'
import { readHead } from '../../src/instance/head.ts'
import { streamOf } from '../support/byte-stream.ts'
import { element, explicitLittle, implicitLittle, item, pixelSequence, sequence } from '../support/dicom-bytes.ts'

const BOUND = 8 * 1024

function kept(bytes: Bytes): Promise<number> {
  const bound = { bytes: BOUND, error: () => new RangeError('too large') }
  const read = readHead(streamOf([bytes]), EXPLICIT_VR_LITTLE_ENDIAN, { omit: () => false, bound })
  return read.then(({ keptBytes }) => keptBytes)
}

describe('what is kept of a head', () => {
  const text = (size: number): Buffer => element(explicitLittle, 0x00400000, 'UT', Buffer.alloc(size, 0x20))

  it('goes up to its bound', async () => {
    expect(await kept(text(BOUND))).toBe(BOUND)
    await expect(kept(text(BOUND + 2))).rejects.toThrow(RangeError)
  })

  it('counts fragments of an icon, whose element states no length', async () => {
    const icon = (size: number): Buffer =>
      sequence(
        explicitLittle,
        0x00880200,
        'undefined',
        item(explicitLittle, 'undefined', pixelSequence(explicitLittle, 'OB', Buffer.alloc(0), Buffer.alloc(size))),
      )
    expect(await kept(icon(BOUND))).toBe(BOUND)
    await expect(kept(icon(BOUND + 2))).rejects.toThrow(RangeError)
  })

  it('has so many elements and items at most', async () => {
    const read = (count: number): Promise<unknown> => {
      const items = Array.from({ length: count - 1 }, () => item(explicitLittle, 'defined'))
      const bound = { bytes: BOUND, elements: 100, error: () => new RangeError('too many') }
      const bytes = sequence(explicitLittle, 0x00081140, 'defined', ...items)
      return readHead(streamOf([bytes]), EXPLICIT_VR_LITTLE_ENDIAN, { bound })
    }
    await read(100)
    await expect(read(101)).rejects.toThrow(RangeError)
  })

  it('counts what is in a sequence that is written as UN; one of too many stays one value', async () => {
    const read = async (count: number): Promise<Dataset> => {
      const items = Buffer.alloc(8 * count, item(implicitLittle, 'defined'))
      const bytes = element(explicitLittle, 0x00081140, 'UN', items)
      return (await readHead(streamOf([bytes]), EXPLICIT_VR_LITTLE_ENDIAN)).dataset
    }
    // The sequence counts in it too.
    expect((await read(MAX_UNKNOWN_ELEMENTS - 1)).items(0x00081140)).toHaveLength(MAX_UNKNOWN_ELEMENTS - 1)
    expect((await read(MAX_UNKNOWN_ELEMENTS)).get(0x00081140)!.value).toHaveLength(8 * MAX_UNKNOWN_ELEMENTS)
    const twice = (count: number): Promise<unknown> => {
      const one = (tag: number): Buffer =>
        element(explicitLittle, tag, 'UN', Buffer.alloc(8 * 10, item(implicitLittle, 'defined')))
      const bound = { bytes: BOUND, elements: count, error: () => new RangeError('too many') }
      return readHead(streamOf([Buffer.concat([one(0x00081140), one(0x00081199)])]), EXPLICIT_VR_LITTLE_ENDIAN, {
        bound,
      })
    }
    await twice(24)
    await expect(twice(23)).rejects.toThrow(RangeError)
  })
})
