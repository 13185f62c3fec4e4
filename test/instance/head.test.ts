import { describe, expect, it } from 'vitest'
import type { Bytes } from '../../src/dicom/bytes.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN } from '../../src/dicom/transfer-syntax.ts'
import { readHead } from '../../src/instance/head.ts'
import { streamOf } from '../support/byte-stream.ts'
import { element, explicitLittle, item, pixelSequence, sequence } from '../support/dicom-bytes.ts'

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
})
