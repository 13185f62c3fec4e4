import { setTimeout as delay } from 'node:timers/promises'
import { beforeEach, describe, expect, it } from 'vitest'
import { seriesFiles } from '../../support/dicom-files.ts'
import { startSetup, type Setup } from '../../support/gateway.ts'
import { keeper } from '../../support/kept.ts'
import { failOnLeaks } from '../../support/leaks.ts'
import { readParts } from '../../support/multipart.ts'

// A study that is fetched by its series over several associations is given as one that is fetched at once.

failOnLeaks()
const kept = keeper()
const FILES = 'multipart/related; type="application/dicom"; transfer-syntax=*'
const [BEFORE, STUDY] = ['1.9', '1.2.3']
const COUNT = 15
const SERIES = [1, 2, 3, 4].map((n) => `${STUDY}.${n}`)
const filesOf = (study: string, series: string, count = COUNT): Buffer[] => seriesFiles(count, { study, series })

let setup: Setup

interface Answer {
  readonly status: number
  readonly warning: string | null
  readonly parts: number
}

async function get(study: string): Promise<Answer> {
  const response = await fetch(`${setup.url}/studies/${study}`, { headers: { Accept: FILES } })
  const body = Buffer.from(await response.arrayBuffer())
  const { status, headers } = response
  const parts = readParts(headers.get('content-type')!, body).length
  return { status, warning: headers.get('warning'), parts }
}

const slowly = async (): Promise<void> => {
  await delay(5)
}

beforeEach(async () => {
  const others = [1, 2, 3].flatMap((n) => filesOf(BEFORE, `${BEFORE}.${n}`))
  const files = [...others, ...SERIES.flatMap((series) => filesOf(STUDY, series))]
  setup = kept(await startSetup({ files, archive: { faults: { onGet: slowly } }, cache: { maxBytes: 0 } }))
  expect(await get(BEFORE)).toMatchObject({ status: 200, parts: 3 * COUNT })
})

describe('a study that is split', () => {
  it('has each series by one retrieval', async () => {
    const before = setup.archive.retrievals
    expect(await get(STUDY)).toEqual({ status: 200, warning: null, parts: SERIES.length * COUNT })
    expect(setup.archive.retrievals - before).toBe(SERIES.length)
  })

  it('has what arrives at the archive while it is fetched', async () => {
    let sent = 0
    const late = `${STUDY}.5`
    setup.archive.faults = {
      onGet: async () => {
        await delay(5)
        if (++sent === 20) for (const file of filesOf(STUDY, late, 5)) await setup.archive.put(file)
      },
    }
    expect(await get(STUDY)).toEqual({ status: 200, warning: null, parts: SERIES.length * COUNT + 5 })
  })

  it('lacks what the archive cannot send, and says so', async () => {
    setup.archive.faults = { onGet: slowly, getFails: (uid) => uid.startsWith(`${SERIES[1]!}.`) }
    // On a busy machine its status is out before that is known: then it is cut.
    const answer = await get(STUDY).catch(() => undefined)
    if (!answer) return
    const { status, warning, parts } = answer
    expect({ status, parts }).toEqual({ status: 206, parts: 3 * COUNT })
    expect(warning).toContain('did not')
  })

  it('is whole though the archive ends associations in its midst, and is then fetched at once', async () => {
    const ended = new Set<string>()
    const onGet = async (uid: string): Promise<void> => {
      await delay(5)
      const series = uid.slice(0, uid.lastIndexOf('.'))
      if (series === SERIES[0] || !uid.endsWith('.7') || ended.has(series) || ended.size === 2) return
      ended.add(series)
      throw new Error('ended')
    }
    setup.archive.faults = { onGet }
    const answer = await get(STUDY).catch(() => undefined)
    // What was under way is cut; what was not is fetched again.
    if (answer) expect(answer).toMatchObject({ status: 200, parts: SERIES.length * COUNT })
    expect(ended.size).toBe(2)
    setup.archive.faults = {}
    const before = setup.archive.retrievals
    expect(await get(STUDY)).toMatchObject({ status: 200, parts: SERIES.length * COUNT })
    expect(setup.archive.retrievals - before).toBe(1)
  })
})
