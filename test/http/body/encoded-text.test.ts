import { describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import { encodeJson, jsonPieces } from '../../../src/dicomweb/encode/json.ts'
import { encodeXml, xmlPieces } from '../../../src/dicomweb/encode/xml.ts'
import { encodedText } from '../../../src/http/body/encoded-text.ts'
import { collect } from '../../support/byte-stream.ts'
import { turnsDuring } from '../../support/turns-during.ts'

const MOST_BYTES = 128 * 1024

const item = (): Dataset => new Dataset().set(Attribute.ReferencedSOPInstanceUID, '1.2.3')
const ofItems = new Dataset().setItems(Attribute.ReferencedSOPSequence, Array.from({ length: 50_000 }, item))
const ofValues = new Dataset().put(0x00420010, {
  vr: 'UC',
  value: Buffer.from(Array.from({ length: 200_000 }, (_, n) => n).join('\\')),
})
const deep = new Dataset().setItems(Attribute.ReferencedSOPSequence, [ofItems])

const forms = [
  ['JSON', jsonPieces, encodeJson],
  ['XML', xmlPieces, encodeXml],
] as const

describe.each(forms)('the text of a data set in %s', (_, pieces, whole) => {
  it.each([
    ['many items', ofItems],
    ['many values', ofValues],
    ['many items within one', deep],
  ])('comes in small pieces, and lets others have their turns: %s', async (_, dataset) => {
    const sizes: number[] = []
    const sent = async function* (): AsyncGenerator<Uint8Array> {
      for await (const piece of encodedText(pieces(dataset))) {
        sizes.push(piece.length)
        yield piece
      }
    }
    let text = Buffer.alloc(0)
    const turns = await turnsDuring(async () => (text = Buffer.from(await collect(sent()))))
    expect(Math.max(...sizes)).toBeLessThan(MOST_BYTES)
    expect(turns).toBeGreaterThan(1)
    expect(text.equals(Buffer.from(whole(dataset)))).toBe(true)
  })
})
