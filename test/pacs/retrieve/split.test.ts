import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import type { Selection } from '../../../src/instance/uids.ts'
import { StatusError } from '../../../src/dimse/status.ts'
import { priorityOf, type Call } from '../../../src/pacs/call.ts'
import { Habits } from '../../../src/pacs/habits.ts'
import type { Instance } from '../../../src/pacs/instance.ts'
import { PoolBusyError } from '../../../src/pacs/errors.ts'
import { IncompleteRetrieveError, NoSuchInstanceError } from '../../../src/pacs/retrieve/errors.ts'
import { MAX_LANES, MIN_INSTANCES, Splitter } from '../../../src/pacs/retrieve/split.ts'
import type { Query } from '../../../src/pacs/search/query.ts'

const STUDY = '1.2'
const COUNT = 20
const SERIES = ['1.2.1', '1.2.2', '1.2.3', '1.2.4']
const call: Call = { signal: new AbortController().signal }

interface Options {
  /** Milliseconds before each instance. */
  readonly wait?: number
  /** Associations wait for one another. */
  readonly isSerial?: boolean
  /** What each series says that it has; as many as it has unless told. */
  readonly numbers?: readonly (number | undefined)[]
  readonly ofStudy?: number | undefined
  readonly limit?: number
  readonly waiting?: number
  readonly wrongCounts?: boolean
  readonly isMoving?: boolean
  readonly findFails?: boolean
  /** Before an association is had. */
  readonly queue?: (call: Call) => Promise<void>
  /** Ends the body of an instance. */
  readonly bodyFault?: (series: string, number: number) => Error | undefined
  /** Called before each instance; an error ends its retrieval. */
  readonly fault?: (series: string, number: number, call: Call) => Error | undefined
}

function instanceOf(series: string, n: number, fault?: Error): Instance {
  async function* body(): AsyncGenerator<Uint8Array> {
    yield await Promise.resolve(new Uint8Array(8))
    if (fault) throw fault
  }
  return {
    study: STUDY,
    series,
    sopInstance: `${series}.${n}`,
    index: {},
    body: body(),
  } as unknown as Instance
}

/** An archive whose instances are there after a while, and the splitter before it. */
function start({ wait = 2, ...options }: Options = {}) {
  const asked: (string | undefined)[] = []
  const finds: string[] = []
  const state = { open: 0, most: 0, ended: 0 }
  let turn = Promise.resolve()
  async function* retrieve({ series: only }: Selection, _: boolean, own: Call): AsyncGenerator<Instance> {
    asked.push(only)
    state.open++
    state.most = Math.max(state.most, state.open)
    try {
      await options.queue?.(own)
      for (const series of only === undefined ? SERIES : [only]) {
        for (let n = 1; n <= COUNT; n++) {
          if (options.isSerial === true) {
            turn = turn.then(() => delay(wait))
            await turn
          } else await delay(wait, undefined, { signal: own.signal })
          const fault = options.fault?.(series, n, own)
          if (fault) throw fault
          yield instanceOf(series, n, options.bodyFault?.(series, n))
        }
      }
    } finally {
      state.open--
      state.ended++
    }
  }
  const numbers = options.numbers ?? SERIES.map(() => COUNT)
  async function* find({ level }: Query): AsyncGenerator<Dataset> {
    finds.push(level)
    if (options.findFails === true)
      throw new StatusError({ type: 'C-FIND-RSP', messageIdBeingRespondedTo: 1, hasDataSet: false, status: 0xa700 })
    await delay(0)
    if (level === 'STUDY') {
      const ofStudy = 'ofStudy' in options ? options.ofStudy : SERIES.length * COUNT
      const study = new Dataset().set(Attribute.StudyInstanceUID, STUDY)
      yield ofStudy === undefined ? study : study.set(Attribute.NumberOfStudyRelatedInstances, String(ofStudy))
      return
    }
    for (const [n, series] of SERIES.entries()) {
      const match = new Dataset().set(Attribute.SeriesInstanceUID, series)
      if (numbers[n] !== undefined) match.set(Attribute.NumberOfSeriesRelatedInstances, String(numbers[n]))
      yield match
    }
  }
  const { limit = 4, waiting = 0, wrongCounts = false, isMoving = false } = options
  const stats = { open: 0, leased: 0, opening: 0, idle: 0, waiting, limit }
  const habits = new Habits('main')
  const splitter = new Splitter({ find, habits, wrongCounts, pool: { stats } }, { retrieve, isMoving })
  return { splitter, asked, finds, state, habits }
}

async function all(splitter: Splitter, selection: Selection = { study: STUDY }, own = call): Promise<string[]> {
  const found: string[] = []
  for await (const { sopInstance, body } of splitter.retrieve(selection, true, own)) {
    for await (const _ of body);
    found.push(sopInstance)
  }
  return found
}

const everything = SERIES.flatMap((series) => Array.from({ length: COUNT }, (_, n) => `${series}.${n + 1}`))

describe('a study', () => {
  it('is fetched at once as the archive has it, until that is known to take its time', async () => {
    const { splitter, asked, finds } = start()
    expect(await all(splitter)).toEqual(everything)
    expect(asked).toEqual([undefined])
    expect(finds).toEqual([])
  })

  it('then comes over several associations, each series in order and each instance once', async () => {
    const { splitter, asked, state, habits } = start()
    await all(splitter)
    const found = await all(splitter)
    expect(found.toSorted()).toEqual(everything.toSorted())
    for (const series of SERIES) {
      expect(found.filter((uid) => uid.startsWith(`${series}.`))).toEqual(
        everything.filter((uid) => uid.startsWith(`${series}.`)),
      )
    }
    expect(asked.slice(1)).toEqual(SERIES)
    expect(state.most).toBe(MAX_LANES)
    expect(habits.all).toEqual(['faster-split'])
    // As long as it helps.
    await all(splitter)
    expect(asked).toHaveLength(1 + 2 * SERIES.length)
  })

  it('is fetched at once again where that did not help', async () => {
    const { splitter, asked, habits } = start({ isSerial: true })
    await all(splitter)
    expect((await all(splitter)).toSorted()).toEqual(everything.toSorted())
    expect(habits.all).toEqual([])
    expect(await all(splitter)).toEqual(everything)
    expect(asked).toEqual([undefined, ...SERIES, undefined])
  })

  it.each<[string, Options]>([
    ['a series has no number', { numbers: [COUNT, COUNT, undefined, COUNT] }],
    ['the study has no number', { ofStudy: undefined }],
    ['the study has more than its series', { ofStudy: SERIES.length * COUNT + 1 }],
    ['the study has fewer than its series', { ofStudy: SERIES.length * COUNT - 1 }],
    ['a series is said to have nothing', { numbers: [COUNT, COUNT, COUNT, 0], ofStudy: 3 * COUNT }],
    ['there is little of it', { numbers: [1, 1, 1, 1], ofStudy: 4 }],
    ['the list of series ends early', { findFails: true }],
    ['its numbers are not to be believed', { wrongCounts: true }],
    ['it is asked by C-MOVE', { isMoving: true }],
    ['there is one association beside that for queries', { limit: 2 }],
    ['somebody waits for one', { waiting: 1 }],
    ['nothing is waited for', { wait: 0 }],
  ])('is fetched at once where %s', async (_, options) => {
    const { splitter, asked } = start(options)
    // What has come at once in the same tick takes no time.
    const instant = async (): Promise<void> => {
      for await (const one of splitter.retrieve({ study: STUDY }, true, call))
        if (options.wait === 0) await delay(3, one)
    }
    await (options.wait === 0 ? instant() : all(splitter))
    expect(await all(splitter)).toEqual(everything)
    expect(asked).toEqual([undefined, undefined])
  })

  it.each([
    ['a series', { study: STUDY, series: SERIES[1]! }],
    ['an instance', { study: STUDY, series: SERIES[1]!, instance: `${SERIES[1]!}.1` }],
  ])('is what is split, not %s of it', async (_, selection) => {
    const { splitter, asked, finds } = start()
    await all(splitter)
    await all(splitter, selection)
    expect(asked).toEqual([undefined, selection.series])
    expect(finds).toEqual([])
  })

  it('leaves the other associations to who wants them, when their series are over', async () => {
    const wishes: (() => void)[] = []
    const { splitter, state, asked } = start({
      fault: (_, __, own) => {
        if (own.wanted) wishes.push(own.wanted)
        return undefined
      },
    })
    await all(splitter)
    let told = 0
    const own = {
      ...call,
      wanted: (): void => {
        told++
      },
    }
    const found: string[] = []
    for await (const { sopInstance } of splitter.retrieve({ study: STUDY }, true, own)) {
      found.push(sopInstance)
      if (found.length === 1) wishes.at(-1)!()
    }
    expect(told).toBe(1)
    expect(found.toSorted()).toEqual(everything.toSorted())
    expect(asked.slice(1)).toEqual(SERIES)
    expect(state.open).toBe(0)
  })

  it('waits for nobody but its first association: others are taken where they are free', async () => {
    const [priorities, later]: [unknown[], unknown[]] = [[], []]
    const { splitter } = start({
      fault: (_, n, own) => {
        const { priority } = own
        if (n === 1) priorities.push(priority)
        if (n === COUNT) later.push(priorityOf(own))
        return undefined
      },
    })
    const own = { ...call, priority: 'bulk' } as const
    await all(splitter, { study: STUDY }, own)
    priorities.length = 0
    await all(splitter, { study: STUDY }, own)
    expect(priorities.slice(0, MAX_LANES)).toEqual(['bulk', 'background', 'background'])
    // What has begun does not wait behind others.
    expect(new Set(later)).toEqual(new Set(['bulk']))
  })

  it('does not wait in the background when its first association has no more to do', async () => {
    let waited = 0
    const { splitter, asked } = start({
      queue: async ({ priority, promoted }) => {
        if (priority !== 'background') return
        await once(promoted!, 'abort')
        waited++
      },
    })
    await all(splitter)
    expect((await all(splitter)).toSorted()).toEqual(everything.toSorted())
    expect(waited).toBe(MAX_LANES - 1)
    expect(asked).toHaveLength(1 + SERIES.length)
  })
})

describe('what goes wrong with a series of a study that is split', () => {
  async function split(fault: NonNullable<Options['fault']>) {
    let isOn = false
    const started = start({ fault: (...args) => (isOn ? fault(...args) : undefined) })
    await all(started.splitter)
    isOn = true
    started.asked.length = 0
    const found: string[] = []
    let error: unknown
    try {
      for await (const { sopInstance, body } of started.splitter.retrieve({ study: STUDY }, true, call)) {
        found.push(sopInstance)
        for await (const _ of body);
      }
    } catch (reason) {
      error = reason
    }
    expect(started.state.open).toBe(0)
    return { ...started, found, error }
  }

  it('is told at the end, behind all the others, as one', async () => {
    const { found, error } = await split((series, n) =>
      n === 5 && series !== SERIES[0] ? new IncompleteRetrieveError(4, COUNT - 4, 0xb000) : undefined,
    )
    expect(found).toHaveLength(COUNT + 3 * 4)
    expect(error).toMatchObject({ code: 'INCOMPLETE_RETRIEVE', delivered: COUNT + 12, missing: 3 * (COUNT - 4) })
  })

  it('is damage where all that lacks is damaged', async () => {
    const damaged = new IncompleteRetrieveError(COUNT - 1, 1, 0xb000, { damaged: 1 })
    const { error } = await split((series, n) => (n === COUNT && series === SERIES[2] ? damaged : undefined))
    expect(error).toMatchObject({ missing: 1, isDamageOnly: true })
  })

  it('is that instances lack where there is none of what is listed', async () => {
    const { found, error } = await split((series) => (series === SERIES[1] ? new NoSuchInstanceError() : undefined))
    expect(found).toHaveLength(3 * COUNT)
    expect(error).toMatchObject({ code: 'INCOMPLETE_RETRIEVE', missing: COUNT })
  })

  it('is mended where it did not begin over an association of its own', async () => {
    let failures = 0
    const { found, error, asked } = await split((_, n, { priority }) =>
      n === 1 && priority === 'background' ? new Error(`full ${++failures}`) : undefined,
    )
    expect(error).toBeUndefined()
    expect(failures).toBeGreaterThan(0)
    expect(found.toSorted()).toEqual(everything.toSorted())
    expect(new Set(asked)).toEqual(new Set(SERIES))
  })

  it.each([
    ['one beside the first', (series: string) => series === SERIES[1]],
    ['the first', (series: string) => series === SERIES[0]],
    ['all of them', () => true],
  ])('is mended where the archive ends %s of several associations, and not tried again', async (_, isEnded) => {
    const ended = new Set<string>()
    const lost = new Error('lost')
    const { found, error, splitter, asked, habits } = await split((series, n) => {
      if (n !== 5 || !isEnded(series) || ended.size === MAX_LANES || ended.has(series)) return undefined
      ended.add(series)
      return lost
    })
    expect(error).toBeUndefined()
    expect(ended.size).toBeGreaterThan(0)
    expect(found.toSorted()).toEqual(everything.toSorted())
    expect(habits.all).toEqual([])
    asked.length = 0
    expect(await all(splitter)).toEqual(everything)
    expect(asked).toEqual([undefined])
  })

  it('comes at once the next time where it was lost in the midst of an instance', async () => {
    let isOn = false
    const { splitter, asked } = start({
      bodyFault: (series, n) => (isOn && series === SERIES[1] && n === 5 ? new Error('lost') : undefined),
    })
    await all(splitter)
    isOn = true
    await expect(all(splitter)).rejects.toThrow('lost')
    isOn = false
    asked.length = 0
    expect(await all(splitter)).toEqual(everything)
    expect(asked).toEqual([undefined])
  })

  it('is not split less where all associations are busy', async () => {
    const { error, splitter, asked } = await split((_, n, { priority }) =>
      n === 1 && priority === 'background' ? new PoolBusyError('main', 0, { why: 'all', limit: 4 }) : undefined,
    )
    expect(error).toBeUndefined()
    asked.length = 0
    await all(splitter)
    expect(asked).not.toContain(undefined)
  })

  it.each([
    ['in its midst', 5],
    ['at the start of the first', 1],
  ])('ends all of it, where it is lost each time, %s', async (_, at) => {
    const lost = new Error('lost')
    const { error, found } = await split((series, n) => (series === SERIES[0] && n === at ? lost : undefined))
    expect(error).toBe(lost)
    expect(found.length).toBeLessThan(everything.length)
  })
})

describe('who leaves in the midst of a study that is split', () => {
  it('ends all of its associations', async () => {
    const { splitter, state } = start()
    await all(splitter)
    for await (const { sopInstance } of splitter.retrieve({ study: STUDY }, true, call)) {
      expect(sopInstance).toBeDefined()
      break
    }
    expect(state).toMatchObject({ open: 0, ended: 1 + MAX_LANES })
  })

  it('ends them by his signal, with its reason', async () => {
    const { splitter, state } = start()
    await all(splitter)
    const gone = new AbortController()
    const reason = new Error('gone')
    const error = await all(
      splitter,
      { study: STUDY },
      {
        get signal() {
          setTimeout(() => gone.abort(reason), 10)
          return gone.signal
        },
      },
    ).catch((one: unknown) => one)
    expect((error as Error).cause ?? error).toBe(reason)
    expect(state.open).toBe(0)
  })
})

it('a study is large enough to be split in these tests', () => {
  expect(SERIES.length * COUNT).toBeGreaterThan(MIN_INSTANCES)
})
