import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readMultipart } from '../../../src/dicomweb/multipart/reader.ts'
import { closing, newBoundary, partHeader } from '../../../src/dicomweb/multipart/writer.ts'

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')

describe('newBoundary', () => {
  test('case 16: is 128 random bits in token characters', () => {
    const boundaries = Array.from({ length: 1000 }, newBoundary)
    expect(new Set(boundaries).size).toBe(1000)
    for (const boundary of boundaries) expect(boundary).toMatch(/^[0-9a-f]{32}$/)
  })
})

describe('partHeader', () => {
  test('begins the first part with the boundary line, no preamble', () => {
    expect(text(partHeader('b', { 'Content-Type': 'application/dicom; transfer-syntax=1.2' }, true))).toBe(
      '--b\r\nContent-Type: application/dicom; transfer-syntax=1.2\r\n\r\n',
    )
  })

  test('ends the part before with a line break of its own', () => {
    expect(text(partHeader('b', { 'Content-Type': 'a/b', 'Content-Length': 12 }, false))).toBe(
      '\r\n--b\r\nContent-Type: a/b\r\nContent-Length: 12\r\n\r\n',
    )
  })

  test('leaves out what is undefined', () => {
    expect(text(partHeader('b', { 'Content-Type': 'a/b', 'Content-Location': undefined }, true))).toBe(
      '--b\r\nContent-Type: a/b\r\n\r\n',
    )
  })

  test.each(['/a\r\nX: y', '/a\n', '/a\rb', '/\0', '/ä', '/\u2028'])('refuses the value %j', (location) => {
    expect(() => partHeader('b', { 'Content-Type': 'a/b', 'Content-Location': location }, true)).toThrow(TypeError)
  })
})

describe('closing', () => {
  test('is the closing delimiter and nothing but CRLF', () => {
    expect(text(closing('b'))).toBe('\r\n--b--\r\n')
  })
})

test('case 16: what is written is read back, whatever the bodies hold', async () => {
  const tricky = fc.constantFrom('\r\n', '--', '\r\n--', '\r', '\n', '--\r\n', '\0', 'b')
  const body = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tricky, { maxLength: 40 }).map((pieces) => Uint8Array.from(Buffer.from(pieces.join(''), 'latin1'))),
  )
  await fc.assert(
    fc.asyncProperty(
      fc.array(body, { minLength: 1, maxLength: 6 }),
      fc.integer({ min: 1, max: 70 }),
      async (bodies, step) => {
        const boundary = newBoundary()
        const written = Buffer.concat([
          ...bodies.flatMap((bytes, index) => [
            partHeader(boundary, { 'Content-Type': 'application/dicom', 'Content-Location': `/${index}` }, index === 0),
            bytes,
          ]),
          closing(boundary),
        ])
        async function* source(): AsyncGenerator<Uint8Array> {
          for (let at = 0; at < written.length; at += step) yield written.subarray(at, at + step)
        }
        const read: Buffer[] = []
        for await (const part of readMultipart(source(), boundary)) {
          expect([...part.headers]).toEqual([
            ['content-type', 'application/dicom'],
            ['content-location', `/${read.length}`],
          ])
          const chunks: Uint8Array[] = []
          for await (const chunk of part.body) chunks.push(chunk)
          read.push(Buffer.concat(chunks))
        }
        expect(read.map((bytes) => bytes.toString('hex'))).toEqual(
          bodies.map((bytes) => Buffer.from(bytes).toString('hex')),
        )
      },
    ),
  )
})
