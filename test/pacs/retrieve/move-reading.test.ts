import { expect, it } from 'vitest'
import type { Bytes } from '../../../src/dicom/bytes.ts'
import { MoveReading } from '../../../src/pacs/retrieve/move-reading.ts'

const PIECE = Uint8Array.of(1)

/** A body of pieces that are given, and fail, when the test says so; notes whether it was let go of. */
function body(): AsyncIterable<Bytes> & { give(): void; end(): void; fail(): void; isLetGo: boolean; asked: number } {
  let next = Promise.withResolvers<IteratorResult<Bytes, unknown>>()
  const one = {
    isLetGo: false,
    asked: 0,
    give: () => next.resolve({ done: false, value: PIECE }),
    end: () => next.resolve({ done: true, value: undefined }),
    fail: () => next.reject(new Error('The body failed')),
    [Symbol.asyncIterator]: () => ({
      next() {
        one.asked++
        next = Promise.withResolvers()
        return next.promise
      },
      return() {
        one.isLetGo = true
        return Promise.resolve({ done: true as const, value: undefined })
      },
    }),
  }
  return one
}

function answersOf(reading: MoveReading): number[] {
  const answers: number[] = []
  reading.end((status) => answers.push(status))
  return answers
}

it('is complete at the end of the body', async () => {
  const [source, reading] = [body(), new MoveReading()]
  const pieces = reading.of(source)
  const first = pieces.next()
  source.give()
  expect((await first).value).toBe(PIECE)
  const last = pieces.next()
  source.end()
  expect((await last).done).toBe(true)
  expect(reading.isComplete).toBe(true)
  expect(answersOf(reading)).toEqual([0x0000])
})

it('cannot understand what fails', async () => {
  const [source, reading] = [body(), new MoveReading()]
  const first = reading.of(source).next()
  source.fail()
  await expect(first).rejects.toThrow('The body failed')
  expect(answersOf(reading)).toEqual([0xc000])
})

it('lets go of the body, and is out of resources, when its reader leaves', async () => {
  const [source, reading] = [body(), new MoveReading()]
  const pieces = reading.of(source)
  const first = pieces.next()
  source.give()
  await first
  await pieces.return(undefined)
  expect(source.isLetGo).toBe(true)
  expect(answersOf(reading)).toEqual([0xa700])
})

it('that is cut while a piece is awaited ends at once, and is answered when the piece is here', async () => {
  const [source, reading] = [body(), new MoveReading()]
  const first = reading.of(source).next()
  reading.cut(new Error('Cut'))
  await expect(first).rejects.toThrow('Cut')
  const answers = answersOf(reading)
  await new Promise(setImmediate)
  expect(answers).toEqual([])
  // Nothing else may be asked of the storage association meanwhile.
  expect([source.asked, source.isLetGo]).toEqual([1, false])
  source.give()
  await new Promise(setImmediate)
  expect(answers).toEqual([0xa700])
})

it('that is cut between two pieces asks for no other', async () => {
  const [source, reading] = [body(), new MoveReading()]
  const pieces = reading.of(source)
  const first = pieces.next()
  source.give()
  await first
  reading.cut(new Error('Cut'))
  await expect(pieces.next()).rejects.toThrow('Cut')
  expect(source.asked).toBe(1)
  expect(answersOf(reading)).toEqual([0xa700])
})

it('stays what it was when it is cut behind its end', async () => {
  const [source, reading] = [body(), new MoveReading()]
  const first = reading.of(source).next()
  source.end()
  expect((await first).done).toBe(true)
  reading.cut(new Error('Cut'))
  expect(answersOf(reading)).toEqual([0x0000])
})
