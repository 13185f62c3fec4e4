import { Readable } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MultipartError } from '../../../src/dicomweb/multipart/error.ts'
import { defaultMultipartLimits, type MultipartLimits } from '../../../src/dicomweb/multipart/limits.ts'
import { readMultipart, type ReceivedPart } from '../../../src/dicomweb/multipart/reader.ts'

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1')

/** What became of a source: how many bytes were taken, whether it was left early, whether it ran out. */
interface Watched extends AsyncIterable<Uint8Array> {
  taken: number
  closed: boolean
  exhausted: boolean
}

function source(chunks: Iterable<Uint8Array>, fail?: Error): Watched {
  const watched: Watched = {
    taken: 0,
    closed: false,
    exhausted: false,
    async *[Symbol.asyncIterator]() {
      try {
        for (const chunk of chunks) {
          watched.taken += chunk.length
          yield chunk
        }
        if (fail !== undefined) throw fail
        watched.exhausted = true
      } finally {
        watched.closed = !watched.exhausted
      }
    },
  }
  return watched
}

function* everyByte(whole: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < whole.length; at += 1) yield whole.subarray(at, at + 1)
}

function* cutAt(whole: Uint8Array, cuts: readonly number[]): Generator<Uint8Array> {
  const places = [0, ...cuts.map((cut) => cut % (whole.length + 1)), whole.length].sort((a, b) => a - b)
  for (let index = 1; index < places.length; index += 1) yield whole.subarray(places[index - 1], places[index])
}

async function drain(body: AsyncIterable<Uint8Array>): Promise<string> {
  let text = ''
  for await (const chunk of body) {
    expect(chunk.length).toBeGreaterThan(0)
    text += Buffer.from(chunk).toString('latin1')
  }
  return text
}

type Read = { headers: Record<string, string>; body: string }[]

async function readAll(body: AsyncIterable<Uint8Array>, boundary = 'b', limits?: MultipartLimits): Promise<Read> {
  const parts: Read = []
  for await (const part of readMultipart(body, boundary, limits)) {
    parts.push({ headers: Object.fromEntries(part.headers), body: await drain(part.body) })
  }
  return parts
}

/** Reads whole, byte by byte and cut in two at every place; all must agree. */
async function read(text: string, boundary = 'b'): Promise<Read> {
  const whole = bytes(text)
  const result = await readAll(source([whole]), boundary)
  expect(await readAll(source(everyByte(whole)), boundary)).toEqual(result)
  for (let cut = 1; cut < whole.length; cut += 1) {
    expect(await readAll(source(cutAt(whole, [cut])), boundary), `cut at ${cut}`).toEqual(result)
  }
  return result
}

const bodies = async (text: string, boundary?: string): Promise<string[]> =>
  (await read(text, boundary)).map(({ body }) => body)

/** The fault a body ends in, the same however it is cut. */
async function fault(text: string, limits?: Partial<MultipartLimits>, boundary = 'b'): Promise<MultipartError> {
  const whole = bytes(text)
  const faults: unknown[] = []
  for (const chunks of [[whole], everyByte(whole), cutAt(whole, [whole.length >> 1])]) {
    const watched = source(chunks)
    const error: unknown = await readAll(watched, boundary, { ...defaultMultipartLimits, ...limits }).then(
      () => undefined,
      (reason: unknown) => reason,
    )
    expect(watched.closed || watched.exhausted).toBe(true)
    faults.push(error)
  }
  const [first] = faults
  expect(first).toBeInstanceOf(MultipartError)
  for (const other of faults) expect((other as MultipartError).code).toBe((first as MultipartError).code)
  return first as MultipartError
}

describe('well-formed bodies', () => {
  test('gives headers and body of every part', async () => {
    expect(
      await read('--b\r\nContent-Type: a/b\r\nContent-Location: /1\r\n\r\none\r\n--b\r\nX: 2\r\n\r\ntwo\r\n--b--\r\n'),
    ).toEqual([
      { headers: { 'content-type': 'a/b', 'content-location': '/1' }, body: 'one' },
      { headers: { x: '2' }, body: 'two' },
    ])
  })

  test('case 17: passes over preamble and epilogue', async () => {
    expect(await bodies('This is\r\n--not yet\r\n\r\n--b\r\n\r\none\r\n--b--\r\nafter\r\n--b\r\n\r\nno part')).toEqual([
      'one',
    ])
  })

  test('case 17: reads LF-only line ends, preamble and epilogue too', async () => {
    expect(await read('pre\n--b\nContent-Type: a/b\n\none\n--b\n\ntwo\n--b--\nafter\n')).toEqual([
      { headers: { 'content-type': 'a/b' }, body: 'one' },
      { headers: {}, body: 'two' },
    ])
  })

  test('case 18: reads a boundary of odd characters', async () => {
    expect(await bodies('--a:b\r\n\r\none\r\n--a:b--', 'a:b')).toEqual(['one'])
    expect(await bodies('--.*+?[(\r\n\r\none\r\n--.*+?[(--', '.*+?[(')).toEqual(['one'])
  })

  test('case 20: a body keeps the line ends that are its own', async () => {
    expect(await bodies('--b\r\n\r\ndata\r\n\r\n--b--\r\n')).toEqual(['data\r\n'])
    expect(await bodies('--b\r\n\r\ndata\r\r\n--b--\r\n')).toEqual(['data\r'])
    expect(await bodies('--b\r\n\r\ndata\n\r\n--b--\r\n')).toEqual(['data\n'])
    expect(await bodies('--b\r\n\r\n\r\n\r\n\r\n--b--\r\n')).toEqual(['\r\n\r\n'])
  })

  test('case 20: so does one in LF-only form, a last CR included', async () => {
    expect(await bodies('--b\n\ndata\r\n\n--b\n\nmore\r\n--b--\n')).toEqual(['data\r\n', 'more\r'])
  })

  test('LF before a boundary delimits only where the boundary line ended in LF', async () => {
    expect(await bodies('--b\r\n\r\none\n--b\r\n\r\nstill\r\n--b--\r\n')).toEqual(['one\n--b\r\n\r\nstill'])
    expect(await bodies('--b\n\none\r\n--b\r\n\r\ntwo\r\n--b--\r\n')).toEqual(['one\r', 'two'])
  })

  test.each([
    ['a line break first', '\r\n--b\r\n\r\none\r\n--b--\r\n'],
    ['a bare LF first', '\n--b\r\n\r\none\r\n--b--\r\n'],
    ['no final line end', '--b\r\n\r\none\r\n--b--'],
    ['half a final line end', '--b\r\n\r\none\r\n--b--\r'],
    ['padding behind the boundaries', '--b \t\r\n\r\none\r\n--b--  \r\n'],
    ['padding at the very end', '--b\r\n\r\none\r\n--b-- '],
    ['LF-only line ends in the headers alone', '--b\r\nX: 1\n\none\r\n--b--\r\n'],
  ])('tolerates %s', async (_, text) => {
    expect(await bodies(text)).toEqual(['one'])
  })

  test('reads header names in any case, folded lines and repeated fields', async () => {
    const [part] = await read('--b\r\nCONTENT-type:a/b;\r\n\tx=1\r\n  y \r\nA : 1\r\na:  2 \r\nE:\r\n\r\n\r\n--b--')
    expect(part!.headers).toEqual({ 'content-type': 'a/b; x=1 y', a: '1, 2', e: '' })
  })

  test('reads header lines longer than what is held back at once, cut anywhere', async () => {
    const long = 'x1-'.repeat(200)
    expect(await read(`--b\r\nX: ${long}\r\n\r\none\r\n--b--`)).toEqual([{ headers: { x: long }, body: 'one' }])
    const value = fc.string({
      unit: fc.constantFrom('a', 'b', '-', ':', '1'),
      minLength: 200,
      maxLength: 3000,
      size: 'max',
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(value, { minLength: 1, maxLength: 4 }),
        fc.array(fc.nat(20_000)),
        async (values, cuts) => {
          const lines = values.map((text, index) => `X${index}: ${text}\r\n`).join('')
          const whole = bytes(`--b\r\n${lines}\r\none\r\n--b--`)
          const expected = [
            { headers: Object.fromEntries(values.map((text, index) => [`x${index}`, text])), body: 'one' },
          ]
          expect(await readAll(source(cutAt(whole, cuts)))).toEqual(expected)
          expect(await readAll(source(everyByte(whole)))).toEqual(expected)
        },
      ),
      { numRuns: 50 },
    )
  })

  test('reads empty bodies, with and without a line break of their own', async () => {
    expect(await bodies('--b\r\n\r\n\r\n--b\r\n\r\n--b\r\nX: 1\r\n\r\n--b\r\nX: 1\r\n\r\n\r\n--b--')).toEqual([
      '',
      '',
      '',
      '',
    ])
    expect(await bodies('--b\n\n\n--b\n\n--b--\n')).toEqual(['', ''])
  })

  test('reads a body of no part at all', async () => {
    expect(await read('--b--\r\n')).toEqual([])
    expect(await read('pre\r\n--b--')).toEqual([])
  })

  test('does not believe a Content-Length', async () => {
    expect(
      await bodies('--b\r\nContent-Length: 1\r\n\r\none\r\n--b\r\nContent-Length: 9999\r\n\r\ntwo\r\n--b--'),
    ).toEqual(['one', 'two'])
  })

  test('skips empty chunks', async () => {
    const whole = bytes('--b\r\n\r\none\r\n--b--\r\n')
    const chunks = [...everyByte(whole)].flatMap((chunk) => [new Uint8Array(0), chunk])
    expect(await readAll(source([...chunks, new Uint8Array(0)]))).toEqual([{ headers: {}, body: 'one' }])
  })
})

describe('what looks like a boundary', () => {
  test.each([
    ['a boundary that goes on', 'x\r\n--bc\r\ny'],
    ['a boundary that stops short', 'x\r\n--\r\ny\r\n-\r\n-b'],
    ['a boundary within a line', 'x--b\r\ny'],
    ['a closing delimiter within a line', 'x--b--\r\ny'],
    ['a boundary after a bare LF or CR', 'x\n--b\r\ny\r--b\r\nz\n--b--'],
    ['a closing delimiter that goes on', 'x\r\n--b--c\r\ny\r\n--b--\0'],
    ['one dash of two', 'x\r\n--b-\r\ny'],
    ['padding that goes on', 'x\r\n--b  y'],
    ['a CR that is no line end', 'x\r\n--b\r\r\n--b \ry\r\n--b--\r'],
    ['repeated beginnings', '\r\r\r\n\r\n-\r\n--\r\n\r\n--\r'],
    ['dashes and boundary at once', 'b--b---b'],
  ])('%s is data', async (_, body) => {
    expect(await bodies(`--b\r\n\r\n${body}\r\n--b\r\n\r\nnext\r\n--b--\r\n`)).toEqual([body, 'next'])
  })

  test('boundaries of dashes do not confuse', async () => {
    expect(await bodies('-----\r\n\r\n--\r\n----\r\n\r\n-----\r\n\r\ntwo\r\n-------\r\n', '---')).toEqual([
      '--\r\n----\r\n',
      'two',
    ])
  })

  test('one boundary may begin another, as in nested multiparts', async () => {
    const inner = '--bb\r\n\r\ninner\r\n--bb--\r\n'
    expect(await bodies(`--b\r\n\r\n${inner}\r\n--b--`)).toEqual([inner])
    expect(await bodies(inner, 'bb')).toEqual(['inner'])
  })

  test('case 16: any data survives, cut anywhere', async () => {
    const piece = fc.constantFrom(
      '\r',
      '\n',
      '\r\n',
      '-',
      '--',
      'b',
      'boundary',
      '\r\n--boundary',
      '\r\n--',
      ' ',
      '\0',
      'x',
    )
    // The characters after which none of these pieces can stand for a delimiter line.
    const body = fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join('').replace(/(\r\n--boundary)/g, '$1!'))
    const lineEnd = fc.constantFrom('\r\n', '\n')
    const cuts = fc.array(fc.nat({ max: 5000 }), { maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(fc.array(body, { maxLength: 4 }), lineEnd, cuts, async (written, end, places) => {
        // In LF-only form a bare LF may begin a delimiter as well; at its start a body needs no line break for that.
        const safe = written.map((text) =>
          text.replace(end === '\n' ? /(^|\n)--boundary!?/g : /^--boundary!?/g, '$1--boundary!'),
        )
        const parts = safe.map((text) => `--boundary${end}X: 1${end}${end}${text}${end}`).join('')
        const whole = bytes(`preamble${end}${parts}--boundary--${end}epilogue`)
        const expected = safe.map((text) => ({ headers: { x: '1' }, body: text }))
        expect(await readAll(source(cutAt(whole, places)), 'boundary')).toEqual(expected)
        expect(await readAll(source(everyByte(whole)), 'boundary')).toEqual(expected)
      }),
      { numRuns: 300 },
    )
  })

  test('arbitrary bytes give parts or a MultipartError, the same however they are cut', async () => {
    const piece = fc.constantFrom(
      '--b',
      '--b--',
      '\r\n',
      '\n',
      '\r',
      'X: 1',
      ':',
      ' ',
      'data',
      '-',
      '\0',
      '\r\n--b\r\n\r\n',
    )
    const outcome = async (chunks: Iterable<Uint8Array>): Promise<unknown> => {
      try {
        return await readAll(source(chunks))
      } catch (error) {
        if (!(error instanceof MultipartError)) throw error
        return error.code
      }
    }
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { maxLength: 25 }),
        fc.array(fc.nat(200), { maxLength: 6 }),
        async (pieces, cuts) => {
          const whole = bytes(pieces.join(''))
          const expected = await outcome([whole])
          expect(await outcome(everyByte(whole))).toEqual(expected)
          expect(await outcome(cutAt(whole, cuts))).toEqual(expected)
        },
      ),
      { numRuns: 500 },
    )
  })
})

describe('bodies that are cut short', () => {
  const whole = '--b\r\nX: 1\r\n\r\none\r\n--b\r\nX: 2\r\n\r\ntwo\r\n--b--'

  test('every shorter body is truncated', async () => {
    for (let length = 0; length < whole.length; length += 1) {
      const error = await fault(whole.slice(0, length))
      expect(error.code, `of ${length} bytes`).toBe('MULTIPART_TRUNCATED')
    }
  })

  test('the part itself says so, after what was there of it, and so do the parts', async () => {
    const parts = readMultipart(source([bytes('--b\r\n\r\none\r\n--b\r\n\r\ntw')]), 'b')
    expect(await drain((await parts.next()).value!.body)).toBe('one')
    const second = (await parts.next()).value!.body[Symbol.asyncIterator]()
    expect(Buffer.from((await second.next()).value as Uint8Array).toString()).toBe('tw')
    const truncated = expect.objectContaining({ code: 'MULTIPART_TRUNCATED', part: 1, offset: 21 }) as Error
    await expect(second.next()).rejects.toThrow(truncated)
    await expect(second.next()).rejects.toThrow(truncated)
    await expect(parts.next()).rejects.toThrow(truncated)
  })

  test('a part left unread is found truncated by asking for the next', async () => {
    const parts = readMultipart(source([bytes('--b\r\n\r\none')]), 'b')
    await parts.next()
    await expect(parts.next()).rejects.toThrow(expect.objectContaining({ code: 'MULTIPART_TRUNCATED' }))
  })

  test('an error of the source reaches the part and the parts unchanged', async () => {
    const reset = new Error('connection reset')
    const parts = readMultipart(source([bytes('--b\r\n\r\none')], reset), 'b')
    const part = (await parts.next()).value!
    await expect(drain(part.body)).rejects.toBe(reset)
    await expect(parts.next()).rejects.toBe(reset)
  })
})

describe('malformed bodies', () => {
  test.each([
    ['a header line without a colon', '--b\r\nContent-Type\r\n\r\none\r\n--b--'],
    ['a header without a name', '--b\r\n: x\r\n\r\none\r\n--b--'],
    ['a fold with nothing before it', '--b\r\n x: 1\r\n\r\none\r\n--b--'],
    ['a blank in a header name', '--b\r\nA b: 1\r\n\r\none\r\n--b--'],
    ['a NUL in a header', '--b\r\nX: a\0b\r\n\r\none\r\n--b--'],
    ['a bare CR in a header', '--b\r\nX: a\rY: b\r\n\r\none\r\n--b--'],
    ['a delimiter among the headers', '--b\r\nX: 1\r\n--b\r\n\r\none\r\n--b--'],
    ['a closing delimiter among the headers', '--b\r\n--b--\r\n'],
    ['padding without end', `--b${' '.repeat(300)}\r\n\r\none\r\n--b--`],
  ])('refuses %s', async (_, text) => {
    expect((await fault(text)).code).toBe('MULTIPART_MALFORMED')
  })

  test.each([
    ['an empty', ''],
    ['an over-long', 'x'.repeat(71)],
    ['a line end in the', 'a\r\nb'],
    ['a NUL in the', 'a\0'],
    ['a last blank in the', 'a '],
  ])('security 26: refuses %s boundary, the source untouched', async (_, boundary) => {
    const watched = source([bytes('--b')])
    await expect(readAll(watched, boundary)).rejects.toThrow(expect.objectContaining({ code: 'MULTIPART_NO_BOUNDARY' }))
    expect(watched.taken).toBe(0)
  })
})

describe('limits', () => {
  const limited = (limits: Partial<MultipartLimits>): MultipartLimits => ({ ...defaultMultipartLimits, ...limits })

  function* endless(start: string, chunk: Uint8Array): Generator<Uint8Array> {
    yield bytes(start)
    for (;;) yield chunk
  }

  test('security 27: a 1 MB part header is refused once the limit is passed', async () => {
    const watched = source(endless('--b\r\nX: ', Buffer.alloc(64, 'x')))
    await expect(readAll(watched)).rejects.toThrow(
      expect.objectContaining({ code: 'MULTIPART_HEADER_TOO_LARGE', part: 0, offset: 5 }),
    )
    expect(watched.taken).toBeLessThan(17 * 1024)
    expect(watched.closed).toBe(true)
    expect((await fault(`--b\r\nX: ${'x'.repeat(1 << 20)}\r\n\r\none\r\n--b--`)).code).toBe(
      'MULTIPART_HEADER_TOO_LARGE',
    )
  })

  test('many short header lines count together', async () => {
    const watched = source(endless('--b\r\n', bytes('X: 1\r\n')))
    await expect(readAll(watched)).rejects.toThrow(expect.objectContaining({ code: 'MULTIPART_HEADER_TOO_LARGE' }))
    expect(watched.taken).toBeLessThan(17 * 1024)
  })

  test('a header block of exactly the limit is read, one byte more is not', async () => {
    const text = '--b\r\nX: 12345\r\n\r\none\r\n--b--'
    const size = 'X: 12345\r\n\r\n'.length
    expect(await readAll(source([bytes(text)]), 'b', limited({ maxHeaderBytes: size }))).toHaveLength(1)
    expect(await readAll(source(everyByte(bytes(text))), 'b', limited({ maxHeaderBytes: size }))).toHaveLength(1)
    expect((await fault(text, { maxHeaderBytes: size - 1 })).code).toBe('MULTIPART_HEADER_TOO_LARGE')
  })

  test('security 27: 100,000 parts are refused at the 10,001st', async () => {
    const watched = source(endless('', bytes('--b\r\n\r\nx\r\n')))
    let parts = 0
    const counting = async (): Promise<void> => {
      for await (const _ of readMultipart(watched, 'b')) parts += 1
    }
    await expect(counting()).rejects.toThrow(
      expect.objectContaining({ code: 'MULTIPART_TOO_MANY_PARTS', part: 10_000 }),
    )
    expect(parts).toBe(10_000)
    expect(watched.closed).toBe(true)
  })

  test('a part of exactly the limit is read, one byte more is not, read or dropped', async () => {
    const text = '--b\r\n\r\n12345\r\n--b\r\n\r\n12345\r\n--b--'
    expect(await readAll(source([bytes(text)]), 'b', limited({ maxPartBytes: 5 }))).toHaveLength(2)
    const error = await fault(text, { maxPartBytes: 4 })
    expect(error).toMatchObject({ code: 'MULTIPART_PART_TOO_LARGE', part: 0 })
    const parts = readMultipart(source(everyByte(bytes(text))), 'b', limited({ maxPartBytes: 4 }))
    await parts.next()
    await expect(parts.next()).rejects.toThrow(expect.objectContaining({ code: 'MULTIPART_PART_TOO_LARGE' }))
  })

  test.each([
    ['in one line', Buffer.alloc(1024, 'x')],
    ['in lines', bytes('xxx\r\n'.repeat(200))],
  ])('an endless preamble %s is refused', async (_, chunk) => {
    const watched = source(endless('', chunk))
    await expect(readAll(watched)).rejects.toThrow(
      expect.objectContaining({ code: 'MULTIPART_MALFORMED', part: undefined }),
    )
    expect(watched.taken).toBeLessThan(66 * 1024)
    expect(watched.closed).toBe(true)
  })

  test('an endless epilogue is refused', async () => {
    const watched = source(endless('--b\r\n\r\none\r\n--b--\r\n', Buffer.alloc(1024)))
    await expect(readAll(watched)).rejects.toThrow(expect.objectContaining({ code: 'MULTIPART_MALFORMED' }))
    expect(watched.taken).toBeLessThan(66 * 1024)
    expect(watched.closed).toBe(true)
  })
})

describe('how it is consumed', () => {
  const three = '--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b\r\n\r\nthree\r\n--b--\r\n'

  test('bodies are views of the chunks, not copies', async () => {
    const chunk = Buffer.concat([bytes('--b\r\n\r\n'), Buffer.alloc(1000, 7), bytes('\r\n--b--\r\n')])
    for await (const part of readMultipart(source([chunk]), 'b')) {
      for await (const view of part.body) {
        expect(view.buffer).toBe(chunk.buffer)
        expect(view.length).toBe(1000)
      }
    }
  })

  test.each([
    ['CRs', '\r'],
    ['beginnings of a delimiter', '\r\n-'],
  ])('a chunk full of %s is copied no more than another', async (_, text) => {
    const chunk = Buffer.alloc(63 * 1024, text)
    const views: Uint8Array[] = []
    const chunks = [bytes('--b\r\n\r\nx\r'), chunk, chunk, bytes('x\r\n--b--')]
    for await (const part of readMultipart(source(chunks), 'b')) for await (const view of part.body) views.push(view)
    expect(views.length).toBeLessThan(10)
    const copied = views.filter((view) => view.buffer !== chunk.buffer)
    expect(copied.reduce((sum, view) => sum + view.length, 0)).toBeLessThan(1024)
  })

  test('reads no further than what it is asked for', async () => {
    const watched = source([bytes('--b\r\n\r\none'), bytes('more'), bytes('\r\n--b--\r\n')])
    const parts = readMultipart(watched, 'b')
    const part = (await parts.next()).value!
    await part.body[Symbol.asyncIterator]().next()
    expect(watched.taken).toBe(10)
    await parts.return()
  })

  test.each(['none', 'some', 'abandoned'])('parts of which %s was read are drained', async (how) => {
    for (const chunks of [[bytes(three)], everyByte(bytes(three))]) {
      let count = 0
      for await (const part of readMultipart(source(chunks), 'b')) {
        count += 1
        if (how === 'some') await part.body[Symbol.asyncIterator]().next()
        if (how === 'abandoned') for await (const _ of part.body) break
      }
      expect(count).toBe(3)
    }
  })

  test('leaving the parts early closes the source', async () => {
    const watched = source(everyByte(bytes(three)))
    for await (const part of readMultipart(watched, 'b')) {
      expect(await drain(part.body)).toBe('one')
      break
    }
    expect(watched.closed).toBe(true)
  })

  test('leaving in the middle of a part closes the source, and the part cannot be read on', async () => {
    const watched = source(everyByte(bytes(three)))
    const parts = readMultipart(watched, 'b')
    const body = (await parts.next()).value!.body[Symbol.asyncIterator]()
    await body.next()
    await parts.return()
    expect(watched.closed).toBe(true)
    await expect(body.next()).rejects.toThrow('closed')
  })

  test('abandoning a part alone leaves the source open', async () => {
    const watched = source(everyByte(bytes(three)))
    const parts = readMultipart(watched, 'b')
    for await (const _ of (await parts.next()).value!.body) break
    expect(watched.closed).toBe(false)
    expect(await drain((await parts.next()).value!.body)).toBe('two')
    await parts.return()
  })

  test('the epilogue is read to the end, so that a request is never left half read', async () => {
    const stream = Readable.from([bytes(three), bytes('epi'), bytes('logue')], { objectMode: false })
    expect(await readAll(stream as AsyncIterable<Uint8Array>)).toHaveLength(3)
    expect(stream.readableEnded).toBe(true)
  })

  test('a part passed over does not end as if it were whole, nor disturb the one after it', async () => {
    const parts = readMultipart(source(everyByte(bytes(three))), 'b')
    const first = (await parts.next()).value!.body[Symbol.asyncIterator]()
    await first.next()
    const second = (await parts.next()).value!
    await expect(first.next()).rejects.toThrow('passed over')
    expect(await drain(second.body)).toBe('two')
    await parts.return()
  })

  test('a part still being read when the next is asked for is cut off, not ended', async () => {
    const parts = readMultipart(source(everyByte(bytes(three))), 'b')
    const reading = drain((await parts.next()).value!.body)
    const next = parts.next()
    await expect(reading).rejects.toThrow('passed over')
    expect(await drain((await next).value!.body)).toBe('two')
    await parts.return()
  })

  test('a body read to its end stays ended', async () => {
    const parts: ReceivedPart[] = []
    for await (const part of readMultipart(source([bytes(three)]), 'b')) {
      parts.push(part)
      await drain(part.body)
    }
    for (const part of parts) expect(await drain(part.body)).toBe('')
  })
})
