import { describe, expect, it } from 'vitest'
import { TooManyElementsError } from '../../src/dicom/dataset-codec.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN } from '../../src/dicom/transfer-syntax.ts'
import { MAX_IDENTIFIER_ELEMENTS, readIdentifier } from '../../src/dimse/collect.ts'
import { streamOf } from '../support/byte-stream.ts'
import { element, explicitLittle, item, sequence } from '../support/dicom-bytes.ts'

describe('an identifier', () => {
  it('keeps nothing but itself in memory', async () => {
    const received = Buffer.alloc(512 * 1024)
    const bytes = element(explicitLittle, 0x00100020, 'LO', '123 ')
    bytes.copy(received, 1000)
    const stream = streamOf([received.subarray(1000, 1000 + bytes.length)])
    const value = (await readIdentifier(stream, EXPLICIT_VR_LITTLE_ENDIAN)).get(0x00100020)!.value as Uint8Array
    expect(Buffer.from(value).toString()).toBe('123 ')
    expect(value.buffer.byteLength).toBeLessThan(received.length)
  })

  it('has so many elements and items at most', async () => {
    const read = (items: number) => {
      const all = Buffer.alloc(8 * items, item(explicitLittle, 'defined'))
      return readIdentifier(streamOf([sequence(explicitLittle, 0x00081140, 'defined', all)]), EXPLICIT_VR_LITTLE_ENDIAN)
    }
    // The sequence is an element too.
    expect((await read(MAX_IDENTIFIER_ELEMENTS - 1)).items(0x00081140)).toHaveLength(MAX_IDENTIFIER_ELEMENTS - 1)
    await expect(read(MAX_IDENTIFIER_ELEMENTS)).rejects.toThrow(TooManyElementsError)
  })
})
