import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import type { Selection } from '../../../src/instance/uids.ts'
import { StatusError } from '../../../src/dimse/status.ts'
import { priorityOf, type Call } from '../../../src/pacs/call.ts'
import { Habits } from '../../../src/pacs/habits.ts'
import type { Instance } from '../../../src/pacs/instance.ts'
import { PoolBusyError } from '../../../src/pacs/errors.ts'
import { IncompleteRetrieveError, NoSuchInstanceError } from '../../../src/pacs/retrieve/errors.ts'
import { MEASURED, SLOW_BODY_MS } from '../../../src/pacs/retrieve/lanes.ts'
import type { Begun } from '../../../src/pacs/retrieve/retriever.ts'
import { MAX_LANES, MIN_INSTANCES, REMEMBERED_MS, Splitter, VAIN_STUDIES } from '../../../src/pacs/retrieve/split.ts'
import type { Query } from '../../../src/pacs/search/query.ts'

const STUDY = '1.2'
const COUNT = 20
const SERIES = ['1.2.1', '1.2.2', '1.2.3', '1.2.4', '1.2.5', '1.2.6']
/** What is fetched of a study when its series have been. */
const REST = 'the rest'
const call: Call = { signal: new AbortController().signal }

interface Options {
  /** Milliseconds before each instance. */
  readonly wait?: number
  /** Associations wait for one another, the longer the more there are. */
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
  /** An instance comes damaged. */
  readonly damage?: (series: string, number: number) => Error | undefined
  /** The first so many of the series alone are there. */
  readonly only?: number
  /** Ends the body of an instance. */
  readonly bodyFault?: (series: string, number: number) => Error | undefined
  /** Called before each instance; an error ends its retrieval. */
  readonly fault?: (
    series: string,
    number: number,
    call: Call & { readonly begun?: Begun | undefined },
  ) => Error | undefined
  /** What it says from the second list of series on: when a study has been split. */
  readonly later?: Pick<Options, 'numbers' | 'ofStudy'>
  /** Instead of `wait`. */
  readonly waitOf?: () => number
}

function instanceOf(series: string, n: number, fault?: Error, damage?: Error): Instance {
  async function* body(): AsyncGenerator<Uint8Array> {
    yield await Promise.resolve(new Uint8Array(8))
    if (fault) throw fault
  }
  return {
    study: STUDY,
    series,
    sopInstance: `${series}.${n}`,
    index: { damage },
    body: body(),
  } as unknown as Instance
}

/** An archive whose instances are there after a while, and the splitter before it. */
function start({ wait = 2, ...options }: Options = {}) {
  const asked: (string | undefined)[] = []
  const finds: string[] = []
  const state = { open: 0, most: 0, ended: 0 }
  let turn = Promise.resolve()
  async function* retrieve(
    { series: only }: Selection,
    _: boolean,
    own: Call,
    begun?: Begun,
  ): AsyncGenerator<Instance> {
    asked.push(begun ? REST : only)
    state.open++
    state.most = Math.max(state.most, state.open)
    try {
      await options.queue?.(own)
      for (const series of only === undefined ? SERIES.slice(0, options.only) : [only]) {
        for (let n = 1; n <= COUNT; n++) {
          if (begun?.received.has({ series, sopInstance: `${series}.${n}` }) === true) continue
          if (options.isSerial === true) {
            turn = turn.then(() => delay(wait * state.open))
            await turn
          } else await delay(options.waitOf?.() ?? wait, undefined, { signal: own.signal })
          const fault = options.fault?.(series, n, { ...own, begun })
          if (fault) throw fault
          yield instanceOf(series, n, options.bodyFault?.(series, n), options.damage?.(series, n))
        }
      }
    } finally {
      state.open--
      state.ended++
    }
  }
  const said = (): Pick<Options, 'numbers' | 'ofStudy'> =>
    finds.filter((level) => level === 'SERIES').length > 1 ? { ...options, ...options.later } : options
  async function* find({ level }: Query): AsyncGenerator<Dataset> {
    finds.push(level)
    if (options.findFails === true)
      throw new StatusError({ type: 'C-FIND-RSP', messageIdBeingRespondedTo: 1, hasDataSet: false, status: 0xa700 })
    await delay(0)
    if (level === 'STUDY') {
      const ofStudy = 'ofStudy' in said() ? said().ofStudy : SERIES.length * COUNT
      const study = new Dataset().set(Attribute.StudyInstanceUID, STUDY)
      yield ofStudy === undefined ? study : study.set(Attribute.NumberOfStudyRelatedInstances, String(ofStudy))
      return
    }
    const numbers = said().numbers ?? SERIES.map(() => COUNT)
    for (const [n, series] of [...SERIES, '1.2.7'].slice(0, numbers.length).entries()) {
      const match = new Dataset().set(Attribute.SeriesInstanceUID, series)
      if (numbers[n] !== undefined) match.set(Attribute.NumberOfSeriesRelatedInstances, String(numbers[n]))
      yield match
    }
  }
  const { limit = 4, waiting = 0, wrongCounts = false, isMoving = false } = options
  const stats = { open: 0, leased: 0, opening: 0, foreground: 0, idle: 0, waiting, limit }
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
    for (let n = 0; n < VAIN_STUDIES; n++) {
      expect((await all(splitter)).toSorted()).toEqual(everything.toSorted())
    }
    expect(habits.all).toEqual([])
    expect(await all(splitter)).toEqual(everything)
    expect(asked).toEqual([undefined, ...SERIES, ...SERIES, undefined])
  })

  it.each<[string, Options]>([
    ['a series has no number', { numbers: [...SERIES.slice(1).map(() => COUNT), undefined] }],
    ['the study has no number', { ofStudy: undefined }],
    ['the study has more than its series', { ofStudy: SERIES.length * COUNT + 1 }],
    ['the study has fewer than its series', { ofStudy: SERIES.length * COUNT - 1 }],
    ['a series is said to have nothing', { numbers: [...SERIES.slice(1).map(() => COUNT), 0], ofStudy: 5 * COUNT }],
    ['there is little of it', { numbers: SERIES.map(() => 1), ofStudy: SERIES.length }],
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

  it('leaves the other associations to who wants them, behind the instances under way', async () => {
    const calls: Call[] = []
    const { splitter, state, asked } = start({
      fault: (_, n, own) => {
        if (n === 1) calls.push(own)
        return undefined
      },
    })
    await all(splitter)
    calls.length = 0
    let told = 0
    const own = {
      ...call,
      wanted: (): void => {
        told++
      },
    }
    const found: string[] = []
    for await (const { sopInstance, body } of splitter.retrieve({ study: STUDY }, true, own)) {
      for await (const _ of body);
      found.push(sopInstance)
      if (calls.length === 4 && told === 0 && state.open === MAX_LANES) {
        calls[3]!.wanted!()
        calls[0]!.wanted!()
        expect(told).toBe(1)
      }
      if (found.length > 3 * COUNT) expect(state.open).toBe(1)
    }
    expect(told).toBe(1)
    expect(found.toSorted()).toEqual(everything.toSorted())
    // What they left came over the first.
    expect(new Set(asked.slice(1))).toEqual(new Set(SERIES))
    expect(state.open).toBe(0)
  })

  it('waits for nobody but its first association: others are taken where they are free', async () => {
    const priorities: unknown[] = []
    const { splitter } = start({
      fault: (_, n, own) => {
        if (n === 1) priorities.push(priorityOf(own))
        return undefined
      },
    })
    const own = { ...call, priority: 'bulk' } as const
    await all(splitter, { study: STUDY }, own)
    priorities.length = 0
    await all(splitter, { study: STUDY }, own)
    // The first and the second series come one behind the other.
    expect(priorities.slice(0, 4)).toEqual(['bulk', 'bulk', 'background', 'background'])
  })

  it.each([
    [2, 2],
    [3, 3],
    [4, 3],
  ])('comes over so many associations where %i series are left: %i in all', async (left, most) => {
    const numbers = [...SERIES.slice(0, left + 1).map(() => COUNT)]
    const { splitter, state } = start({ numbers, ofStudy: numbers.length * COUNT, only: left + 1 })
    await all(splitter)
    await all(splitter)
    expect(state.most).toBe(most)
  })

  it('does not wait in the background when its first association has no more to do', async () => {
    const priorities = new Set<unknown>()
    let waiting = 0
    const { splitter, asked } = start({
      queue: async (own) => {
        if (own.priority !== 'background' || waiting++ > 0) return
        await once(own.promoted!, 'abort')
        priorities.add(priorityOf(own))
      },
    })
    await all(splitter)
    expect((await all(splitter)).toSorted()).toEqual(everything.toSorted())
    expect(priorities).toEqual(new Set(['bulk']))
    expect(asked).toHaveLength(1 + SERIES.length)
  })

  it('is not split further where the archive is not waited for in its first instances', async () => {
    let isSlow = true
    const { splitter, state } = start({ queue: () => Promise.resolve(), waitOf: () => (isSlow ? 2 : 0) })
    await all(splitter)
    isSlow = false
    for await (const { body } of splitter.retrieve({ study: STUDY }, true, call)) {
      for await (const _ of body);
      await delay(15)
    }
    expect(state.most).toBe(1)
  })

  it('is read over one association where its instances are read slowly', async () => {
    const { splitter, state, asked } = start()
    await all(splitter)
    const found: string[] = []
    for await (const { sopInstance, body } of splitter.retrieve({ study: STUDY }, true, call)) {
      for await (const _ of body) if (found.length === MEASURED + 5) await delay(SLOW_BODY_MS + 100)
      found.push(sopInstance)
      if (found.length > MEASURED + 8) expect(state.open).toBe(1)
    }
    expect(found.toSorted()).toEqual(everything.toSorted())
    expect(asked).not.toContain(REST)
    // It tells nothing of the archive.
    await all(splitter)
    expect(asked.at(-1)).not.toBeUndefined()
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

  it('is fetched as the rest of any study, when the others have come', async () => {
    const lacks = [new IncompleteRetrieveError(4, COUNT - 4, 0xb000)]
    const { found, asked, splitter } = await split((series, n) =>
      n === 5 && series === SERIES[2] ? lacks.pop() : undefined,
    )
    expect(asked).toEqual([...SERIES, REST])
    expect(found.toSorted()).toEqual(everything.toSorted())
    // It may be that it does not bear several.
    await all(splitter)
    expect(asked.at(-1)).toBeUndefined()
  })

  it.each([
    ['is not there', new NoSuchInstanceError()],
    [
      'is refused',
      new StatusError({ type: 'C-GET-RSP', messageIdBeingRespondedTo: 1, hasDataSet: false, status: 0xa702 }),
    ],
  ])('costs nothing of the others where it %s', async (_, refusal) => {
    const { found, asked } = await split((series, _n, { begun }) =>
      series === SERIES[1] && !begun ? refusal : undefined,
    )
    expect(asked).toEqual([...SERIES, REST])
    expect(found.toSorted()).toEqual(everything.toSorted())
  })

  it('is known though all numbers of the archive leave it out', async () => {
    const numbers = SERIES.map((_, n) => (n === 1 ? COUNT - 1 : COUNT))
    const lacks = [new IncompleteRetrieveError(COUNT - 1, 1, 0xb000)]
    let isOn = false
    const { splitter, asked } = start({
      numbers,
      ofStudy: SERIES.length * COUNT - 1,
      fault: (series, n) => (isOn && series === SERIES[1] && n === COUNT ? lacks.pop() : undefined),
    })
    await all(splitter)
    isOn = true
    expect((await all(splitter)).toSorted()).toEqual(everything.toSorted())
    expect(asked).toEqual([undefined, ...SERIES, REST])
  })

  it('is not taken for whole where nobody knows what there is of it', async () => {
    const lost = [new Error('lost')]
    const numbers = SERIES.map((_, n) => (n === 1 ? 4 : COUNT))
    let isOn = false
    const { splitter, asked } = start({
      numbers,
      ofStudy: (SERIES.length - 1) * COUNT + 4,
      fault: (series, n) => (isOn && series === SERIES[1] && n === 5 ? lost.pop() : undefined),
    })
    await all(splitter)
    isOn = true
    expect((await all(splitter)).toSorted()).toEqual(everything.toSorted())
    expect(asked.at(-1)).toBe(REST)
  })

  it('is told as it is told of any study', async () => {
    const lacks = new IncompleteRetrieveError(5 * COUNT, COUNT, 0xb000)
    const { found, error } = await split((series, _n, { begun }) =>
      series === SERIES[1] ? (begun ? lacks : new IncompleteRetrieveError(0, COUNT, 0xb000)) : undefined,
    )
    expect(found).toHaveLength(5 * COUNT)
    expect(error).toBe(lacks)
  })

  it('is asked for again where it came damaged', async () => {
    const damage = new Error('damaged')
    const { splitter, asked } = start({ damage: (series, n) => (series === SERIES[1] && n === 3 ? damage : undefined) })
    await all(splitter)
    asked.length = 0
    const found = await all(splitter)
    expect(asked).toEqual([...SERIES, REST])
    expect(found.filter((uid) => uid === `${SERIES[1]!}.3`)).toHaveLength(2)
    // That is no fault of several associations.
    await all(splitter)
    expect(asked).not.toContain(undefined)
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
    ['one beside the first', (series: string) => series === SERIES[3], new Set<string>(SERIES)],
    ['the first', (series: string) => series === SERIES[1], new Set<string>([...SERIES, REST])],
    ['all of them', () => true, new Set<string>([...SERIES.slice(0, 4), REST])],
  ])('is mended where the archive ends %s of several associations, and not tried again', async (_, isEnded, from) => {
    const ended = new Set<string>()
    const lost = new Error('lost')
    const { found, error, splitter, asked, habits } = await split((series, n, { begun }) => {
      if (n !== 5 || series === SERIES[0] || begun || !isEnded(series) || ended.size === MAX_LANES || ended.has(series))
        return undefined
      ended.add(series)
      return lost
    })
    expect(error).toBeUndefined()
    expect(ended.size).toBeGreaterThan(0)
    expect(found.toSorted()).toEqual(everything.toSorted())
    expect(new Set(asked)).toEqual(from)
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

  it('ends all of it where it is lost each time', async () => {
    const lost = new Error('lost')
    const { error, found } = await split((series, n) => (series === SERIES[1] && n === 5 ? lost : undefined))
    expect(error).toBe(lost)
    expect(found.length).toBeLessThan(everything.length)
  })
})

describe('what the archive says of a study when its series have come', () => {
  it.each<[string, Options]>([
    ['a series more', { later: { numbers: [...SERIES.map(() => COUNT), 1] } }],
    ['more of a series', { later: { numbers: [COUNT + 1, ...SERIES.slice(1).map(() => COUNT)] } }],
    ['more of the study', { later: { ofStudy: SERIES.length * COUNT + 1 } }],
  ])('is believed where it is %s: that is fetched as the rest of any study', async (_, options) => {
    const { splitter, asked } = start(options)
    await all(splitter)
    await all(splitter)
    expect(asked).toEqual([undefined, ...SERIES, REST])
  })

  it('is not believed where it is less', async () => {
    const { splitter, asked } = start({
      later: { numbers: SERIES.map(() => COUNT - 1), ofStudy: SERIES.length * (COUNT - 1) },
    })
    await all(splitter)
    const found = await all(splitter)
    expect(found).toHaveLength(everything.length)
    expect(asked).toEqual([undefined, ...SERIES])
  })

  it('is forgotten after a while, as what was in vain is', async () => {
    const { splitter, asked } = start({ isSerial: true })
    for (let n = 0; n <= VAIN_STUDIES; n++) await all(splitter)
    asked.length = 0
    await all(splitter)
    expect(asked).toEqual([undefined])
    const now = performance.now()
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => now + REMEMBERED_MS + 60_000)
    const started = splitter.retrieve({ study: STUDY }, true, call)
    await started.next()
    clock.mockRestore()
    await started.return(undefined)
    expect(asked.at(-1)).toBe(SERIES[0])
  })
})

describe('who leaves in the midst of a study that is split', () => {
  it('ends all of its associations, and says nothing of the archive', async () => {
    const { splitter, state, asked } = start()
    await all(splitter)
    let count = 0
    for await (const { body } of splitter.retrieve({ study: STUDY }, true, call)) {
      for await (const _ of body);
      if (++count === MEASURED + 8) break
    }
    expect(state).toMatchObject({ open: 0, most: MAX_LANES })
    await all(splitter)
    expect(asked.at(-1)).not.toBeUndefined()
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
