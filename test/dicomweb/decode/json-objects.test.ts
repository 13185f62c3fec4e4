import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { jsonObjects } from '../../../src/dicomweb/decode/json-objects.ts'
import { chunksOf } from '../../support/chunking.ts'

async function* of(chunks: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* chunks
}

async function read(text: string | Buffer, size = Infinity, most = 10_000): Promise<unknown[]> {
  const found: unknown[] = []
  const bytes = Buffer.from(text)
  for await (const { model } of jsonObjects(of(chunksOf(bytes, Math.min(size, bytes.length + 1))), most))
    found.push(model)
  return found
}

describe('the objects of a JSON array, as they come', () => {
  it('are those that JSON.parse reads, wherever the message is cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.dictionary(fc.string(), fc.jsonValue())),
        fc.integer({ min: 1, max: 9 }),
        fc.constantFrom(0, 2),
        async (objects, size, indent) => {
          const text = JSON.stringify(objects, undefined, indent)
          expect(await read(text, size)).toEqual(JSON.parse(text))
        },
      ),
      { numRuns: 200 },
    )
  })

  it('are one where there is no array around it', async () => {
    expect(await read(' {"a":[{}]}\n', 3)).toEqual([{ a: [{}] }])
  })

  it.each([
    ['nothing', ''],
    ['a list that does not end', '[{}'],
    ['an object that does not end', '{"a":"}'],
    ['a comma too many', '[{},]'],
    ['no comma', '[{}{}]'],
    ['a comma in front', '[,{}]'],
    ['what is no object', '[1]'],
    ['two objects', '{}{}'],
    ['more behind the list', '[{}]x'],
    ['no JSON in an object', '[{"a":}]'],
    ['no UTF-8', Buffer.from('7b2261223a22ff227d', 'hex')],
  ])('are none of %s', async (_, text) => {
    await expect(read(text, 2)).rejects.toMatchObject({ code: 'INVALID_MODEL' })
  })

  it('are each of a size that is bounded, and together not', async () => {
    const object = JSON.stringify({ a: 'x'.repeat(90) })
    expect(await read(`[${Array(50).fill(object).join()}]`, 64, 100)).toHaveLength(50)
    await expect(read(`[${object}]`, 64, 50)).rejects.toMatchObject({ code: 'INVALID_MODEL' })
  })
})
