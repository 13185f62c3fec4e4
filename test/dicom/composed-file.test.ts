import { describe, expect, it } from 'vitest'
import { Attribute } from '../../src/dicom/attributes.ts'
import type { Bytes } from '../../src/dicom/bytes.ts'
import { composedFile, type Streamed } from '../../src/dicom/composed-file.ts'
import { encodeDataset } from '../../src/dicom/dataset-codec.ts'
import { part10Header } from '../../src/dicom/part10.ts'
import { transferSyntax } from '../../src/dicom/transfer-syntax.ts'
import { collect } from '../support/byte-stream.ts'
import { CT, I, instanceDataset, Syntax } from '../support/dicom-files.ts'

async function* of(...chunks: readonly Bytes[]): AsyncGenerator<Bytes> {
  yield* chunks
}

async function composed(streamed: Streamed | undefined, syntax: string, around = instanceDataset()): Promise<Buffer> {
  const names = { sopClass: CT, sopInstance: I }
  return collect(composedFile(around, transferSyntax(syntax), names, streamed))
}

const written = (syntax: string, dataset = instanceDataset()): Buffer =>
  Buffer.concat([part10Header(CT, I, transferSyntax(syntax)), encodeDataset(dataset, transferSyntax(syntax))])

const VALUE = Buffer.from('one two three four')

describe('a file into which a value is streamed', () => {
  it.each([Syntax.explicit, Syntax.implicit, Syntax.bigEndian])(
    'is the one with the value in memory, in %s',
    async (syntax) => {
      const chunks = [VALUE.subarray(0, 3), VALUE.subarray(3, 3), VALUE.subarray(3)]
      const streamed = { tag: Attribute.PixelData, vr: 'OW', length: VALUE.length, body: of(...chunks) } as const
      const whole = instanceDataset().put(Attribute.PixelData, { vr: 'OW', value: VALUE })
      expect(await composed(streamed, syntax)).toEqual(written(syntax, whole))
    },
  )

  it('has it in its place, and an odd one padded', async () => {
    const streamed = { tag: Attribute.StudyID, vr: 'OB', length: 3, body: of(VALUE.subarray(0, 3)) } as const
    const whole = instanceDataset().put(Attribute.StudyID, { vr: 'OB', value: VALUE.subarray(0, 3) })
    expect(await composed(streamed, Syntax.explicit)).toEqual(written(Syntax.explicit, whole))
  })

  it.each([
    ['frames', { tag: Attribute.PixelData, frames: of(VALUE, VALUE.subarray(0, 5)) }, [VALUE, VALUE.subarray(0, 5)]],
    [
      'one fragment',
      { tag: Attribute.PixelData, fragment: { length: 5, body: of(VALUE.subarray(0, 5)) } },
      [VALUE.subarray(0, 5)],
    ],
  ])('takes %s of encapsulated pixel data', async (_, streamed, fragments) => {
    const value = { fragments: [Buffer.alloc(0), ...fragments] }
    const whole = instanceDataset().put(Attribute.PixelData, { vr: 'OB', value })
    expect(await composed(streamed, Syntax.jpegLs)).toEqual(written(Syntax.jpegLs, whole))
  })

  it('is the data set alone where nothing is streamed', async () => {
    expect(await composed(undefined, Syntax.explicit)).toEqual(written(Syntax.explicit))
  })

  it.each([[VALUE.length - 1], [VALUE.length + 1]])(
    'ends where a value of %i bytes is not what was announced',
    async (length) => {
      const streamed = { tag: Attribute.PixelData, vr: 'OW', length, body: of(VALUE) } as const
      await expect(composed(streamed, Syntax.explicit)).rejects.toMatchObject({ code: 'STREAMED_LENGTH' })
    },
  )
})
