import { describe, expect, it } from 'vitest'
import { E, I, S, seriesFiles } from '../../support/dicom-files.ts'
import { startSetup, type Setup } from '../../support/gateway.ts'
import { keeper } from '../../support/kept.ts'

const kept = keeper()

async function started(): Promise<Setup> {
  const setup = await startSetup({ files: seriesFiles(3), pacs: { metadata: 'find' } })
  kept(setup)
  return setup
}

type Model = Record<string, { vr: string; Value?: unknown[] } | undefined>

describe('metadata of an archive that is only to be searched for it', () => {
  it.each([
    ['a study', `/studies/${S}/metadata`, 3],
    ['a series', `/studies/${S}/series/${E}/metadata`, 3],
    ['an instance', `/studies/${S}/series/${E}/instances/${E}.2/metadata`, 1],
  ])('of %s is what the search tells, with a warning, and nothing is retrieved', async (_, path, count) => {
    const setup = await started()
    const response = await fetch(setup.url + path)
    expect(response.status).toBe(200)
    expect(response.headers.get('warning')).toMatch(/^299 http.*: Only the attributes that the archive tells/)
    const found = (await response.json()) as Model[]
    expect(found).toHaveLength(count)
    for (const one of found) {
      expect(one['0020000D']?.Value).toEqual([S])
      expect(one['0020000E']?.Value).toEqual([E])
      expect(one['00280010']?.vr).toBe('US')
      // What belongs to the query, or is a guess at pixels.
      for (const key of ['00080052', '00081190', '00201208', '7FE00010']) expect(one[key]).toBeUndefined()
    }
    expect(setup.archive.retrievals).toBe(0)
  })

  it('of what is not there is not found', async () => {
    const setup = await started()
    const response = await fetch(`${setup.url}/studies/${S}/series/${E}/instances/${I}.9.9/metadata`)
    expect(response.status).toBe(404)
  })
})
