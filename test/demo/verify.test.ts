import { deflateRawSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { Attribute } from '../../src/dicom/attributes.ts'
import { Dataset } from '../../src/dicom/dataset.ts'
import { encodeDataset } from '../../src/dicom/dataset-codec.ts'
import { MalformedDataSetError } from '../../src/dicom/element-reader.ts'
import { InflateError } from '../../src/dicom/inflater.ts'
import {
  DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
  EXPLICIT_VR_BIG_ENDIAN,
  EXPLICIT_VR_LITTLE_ENDIAN,
  IMPLICIT_VR_LITTLE_ENDIAN,
  transferSyntax,
} from '../../src/dicom/transfer-syntax.ts'
import { verified } from '../../src/demo/verify.ts'
import { collect, collectUntilError, streamOf } from '../support/byte-stream.ts'
import { byteByByte, chunksOf } from '../support/chunking.ts'
import { explicitLittle, hex, pixelSequence } from '../support/dicom-bytes.ts'

const DEFLATED = DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
const JPEG = transferSyntax('1.2.840.10008.1.2.4.70')
const dataset = new Dataset()
  .setItems(0x00081140, [new Dataset().set(Attribute.Modality, 'CT')])
  .put(Attribute.PixelData, { vr: 'OW', value: Buffer.alloc(64, 'pixel') })

const whole: [string, Buffer, typeof DEFLATED][] = [
  ...[IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN].map(
    (syntax): [string, Buffer, typeof DEFLATED] => [syntax.name, Buffer.from(encodeDataset(dataset, syntax)), syntax],
  ),
  [DEFLATED.name, deflateRawSync(encodeDataset(dataset, EXPLICIT_VR_LITTLE_ENDIAN)), DEFLATED],
  [JPEG.name, pixelSequence(explicitLittle, 'OB', Buffer.alloc(0), hex('ffd8ffd9')), JPEG],
]

describe.each(whole)('a data set in %s', (_, bytes, syntax) => {
  it('passes untouched, in the chunks it came in', async () => {
    for (const chunks of [[bytes], byteByByte(bytes), chunksOf(bytes, 50)]) {
      const seen: unknown[] = []
      for await (const chunk of verified(streamOf(chunks), syntax)) seen.push(chunk)
      expect(seen).toEqual(chunks)
    }
  })

  it('that is cut short raises an error behind its last byte, wherever the cut', async () => {
    // Between the sequence and the pixels nothing is missing.
    const between = syntax.encapsulated || syntax.deflated ? [] : cleanCuts(bytes, syntax.bigEndian)
    for (let length = 1; length < bytes.length; length++) {
      const cut = bytes.subarray(0, length)
      for (const chunks of [[cut], byteByByte(cut)]) {
        const { bytes: passed, error } = await collectUntilError(verified(streamOf(chunks), syntax))
        expect(passed).toEqual(cut)
        if (between.includes(length)) expect(error, `cut to ${length}`).toBeUndefined()
        else expect(error, `cut to ${length}`).toBeInstanceOf(syntax.deflated ? InflateError : MalformedDataSetError)
      }
    }
  })

  it('raises the failure of the body, and closes it', async () => {
    const broken = new RangeError('the peer is gone')
    const source = streamOf([bytes.subarray(0, 10)], broken)
    expect((await collectUntilError(verified(source, syntax))).error).toBe(broken)
    expect(source.closed).toBe(true)
  })

  it('closes the body when it is left', async () => {
    const source = streamOf(byteByByte(bytes))
    for await (const _chunk of verified(source, syntax)) break
    expect(source).toMatchObject({ taken: 1, closed: true })
  })
})

/** Where Pixel Data begins; in Big Endian also behind the very first byte, 00, which alone may be a pad. */
function cleanCuts(bytes: Buffer, bigEndian: boolean): number[] {
  const at = bytes.indexOf(bigEndian ? hex('7fe00010') : hex('e07f1000'))
  expect(at).toBeGreaterThan(0)
  return bigEndian ? [1, at] : [at]
}

describe('a malformed data set', () => {
  it('raises its error before the chunk that shows it is passed on', async () => {
    const chunks = [encodeDataset(dataset, EXPLICIT_VR_LITTLE_ENDIAN), hex('feff00e0 00000000'), Buffer.alloc(10)]
    const source = streamOf(chunks)
    const { bytes, error } = await collectUntilError(verified(source, EXPLICIT_VR_LITTLE_ENDIAN))
    expect(error).toBeInstanceOf(MalformedDataSetError)
    expect(bytes).toEqual(chunks[0])
    expect(source).toMatchObject({ taken: 2, closed: true })
  })

  it('is one too in a deflated stream that is whole', async () => {
    const cut = deflateRawSync(encodeDataset(dataset, EXPLICIT_VR_LITTLE_ENDIAN).subarray(0, -1))
    const { bytes, error } = await collectUntilError(verified(streamOf([cut]), DEFLATED))
    expect(error).toBeInstanceOf(MalformedDataSetError)
    expect(bytes).toEqual(cut)
    const damaged = deflateRawSync(hex('feff00e0 00000000'))
    expect((await collectUntilError(verified(streamOf([damaged]), DEFLATED))).error).toBeInstanceOf(
      MalformedDataSetError,
    )
  })
})

describe('a deflated data set', () => {
  it('may be followed by a pad, or by more', async () => {
    const deflated = deflateRawSync(encodeDataset(dataset, EXPLICIT_VR_LITTLE_ENDIAN))
    for (const tail of [1, 100, 200_000]) {
      const chunks = [deflated, Buffer.alloc(tail), Buffer.alloc(tail)]
      expect((await collect(verified(streamOf(chunks), DEFLATED))).equals(Buffer.concat(chunks))).toBe(true)
    }
  })

  it('that is none is an error, whole and byte by byte', async () => {
    const plain = Buffer.alloc(1000, 0xff)
    for (const chunks of [[plain], byteByByte(plain)]) {
      const { error } = await collectUntilError(verified(streamOf(chunks), DEFLATED))
      expect(error).toBeInstanceOf(InflateError)
    }
  })

  it('that is a bomb is an error at the limit', async () => {
    const bomb = deflateRawSync(
      encodeDataset(
        new Dataset().put(Attribute.PixelData, { vr: 'OB', value: Buffer.alloc(10_000_000) }),
        EXPLICIT_VR_LITTLE_ENDIAN,
      ),
    )
    const source = streamOf(chunksOf(bomb, 100))
    const { bytes, error } = await collectUntilError(verified(source, DEFLATED, 1_000_000))
    expect(error).toBeInstanceOf(InflateError)
    expect((error as Error).message).toContain('it grows beyond 1000000 bytes')
    expect(bytes.length).toBeLessThan(2000)
    expect(source.closed).toBe(true)
    expect(await collect(verified(streamOf([bomb]), DEFLATED, 11_000_000))).toEqual(bomb)
  })
})
