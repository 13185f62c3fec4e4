import { describe, expect, test } from 'vitest'
import { WaitingLine } from '../../src/dicom/waiting-line.ts'

const { signal } = new AbortController()

/** Joins; notes how it went, by name. */
function join(line: WaitingLine<string, number>, name: string, log: string[], patience: object = {}): Promise<void> {
  return line.join(name, { signal, ...patience }).then(
    (result) => void log.push(`${name} ${result}`),
    (error: unknown) => void log.push(`${name} ${(error as Error).message}`),
  )
}

describe('a waiting line', () => {
  test('serves in the order of arrival', async () => {
    const line = new WaitingLine<string, number>()
    const log: string[] = []
    const all = ['a', 'b', 'c'].map((name) => join(line, name, log))
    expect([line.size, line.first]).toEqual([3, 'a'])
    for (const result of [1, 2, 3]) line.serve(result)
    await Promise.all(all)
    expect(log).toEqual(['a 1', 'b 2', 'c 3'])
    expect([line.size, line.first]).toEqual([0, undefined])
  })

  test.each(['a', 'b', 'c'])('closes up behind %s, who gives up', async (name) => {
    const left: string[] = []
    const line = new WaitingLine<string, number>((what) => void left.push(what))
    const log: string[] = []
    const gone = new AbortController()
    const all = ['a', 'b', 'c'].map((one) => join(line, one, log, one === name ? { signal: gone.signal } : {}))
    gone.abort(new Error('gone'))
    expect(line.size).toBe(2)
    expect(left).toEqual([name])
    for (const result of [1, 2]) line.serve(result)
    await Promise.all(all)
    const rest = ['a', 'b', 'c'].filter((one) => one !== name)
    expect(log.toSorted()).toEqual([`${rest[0]!} 1`, `${rest[1]!} 2`, `${name} gone`].toSorted())
    expect(left).toEqual([name, ...rest])
  })

  test('takes nobody whose signal says so already', async () => {
    const line = new WaitingLine<string, number>()
    const log: string[] = []
    await join(line, 'a', log, { signal: AbortSignal.abort(new Error('gone')) })
    expect([line.size, ...log]).toEqual([0, 'a gone'])
  })

  test('asks who is late whether to wait on, and until when', async () => {
    const line = new WaitingLine<string, number>()
    const log: string[] = []
    const began = performance.now()
    const answers = [began + 60, new Error('late')]
    await join(line, 'a', log, { until: began + 20, late: () => answers.shift()! })
    expect(log).toEqual(['a late'])
    expect(performance.now() - began).toBeGreaterThan(55)
    expect([line.size, answers.length]).toEqual([0, 0])
  })

  test('gives who comes back a place before those who came later', async () => {
    const line = new WaitingLine<string, number>()
    const log: string[] = []
    const before = (name: string) => ({ before: (other: string) => other > name })
    const all = ['b', 'd'].map((name) => join(line, name, log))
    for (const name of ['c', 'a', 'e']) all.push(join(line, name, log, before(name)))
    for (const result of [1, 2, 3, 4, 5]) line.serve(result)
    await Promise.all(all)
    expect(log.toSorted()).toEqual(['a 1', 'b 2', 'c 3', 'd 4', 'e 5'])
  })

  test('sends all away', async () => {
    const line = new WaitingLine<string, number>()
    const log: string[] = []
    const all = ['a', 'b'].map((name) => join(line, name, log, { until: performance.now() + 10 }))
    line.refuse(new Error('over'))
    await Promise.all(all)
    expect([line.size, ...log]).toEqual([0, 'a over', 'b over'])
  })

  test('costs the same for each, however many wait', async () => {
    const cost = async (count: number): Promise<number> => {
      const line = new WaitingLine<number, number>()
      const controllers = Array.from({ length: count }, () => new AbortController())
      const began = process.cpuUsage()
      const all = controllers.map((one, index) => line.join(index, { signal: one.signal }).catch(() => -1))
      // From within, from the end, and from the front.
      for (let at = 1; at < count; at += 3) controllers[at]!.abort()
      for (let at = count - 1; at >= 0; at -= 5) controllers[at]!.abort()
      while (line.size > 0) line.serve(line.size)
      await Promise.all(all)
      const { user, system } = process.cpuUsage(began)
      return (user + system) / count
    }
    await cost(10_000)
    const few = await cost(10_000)
    // Ten times as many each cost no more; quadratic work would make it ten times as much.
    expect(await cost(100_000)).toBeLessThan(few * 5)
  })
})
