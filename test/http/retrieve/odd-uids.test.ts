import { describe, expect, it } from 'vitest'
import { startGatewayFor } from '../../support/gateway.ts'
import { getResponse } from '../../support/golden.ts'
import { keeper } from '../../support/kept.ts'
import { failOnLeaks } from '../../support/leaks.ts'
import { listing, ScriptedArchive, storeAll } from '../../support/scripted-archive.ts'
import { STUDY, type SliceShape } from '../../support/slices.ts'

// UIDs that an archive holds against PS3.5 9.1 below a study whose UID is one.

failOnLeaks()

const kept = keeper()
const ODD = '1.2.\xe4\xdfB 7'

async function holding(shapes: readonly SliceShape[]): Promise<{ url: string; archive: ScriptedArchive }> {
  const archive = kept(
    await ScriptedArchive.start({
      find: listing(shapes),
      get: async (association, { contextId, messageId }) => {
        await storeAll(
          association,
          shapes.map((shape) => ({ shape })),
        )
        await association.peer.send(getResponse({ contextId, messageId, completed: shapes.length, failed: 0 }))
      },
    }),
  )
  const gateway = kept(await startGatewayFor([{ aeTitle: 'PACS', ...archive.address }]))
  return { url: gateway.url, archive }
}

describe('a study whose UIDs have letters, blanks, or are too long', () => {
  const shape = { study: '1.2.ABC-1 x', series: `1.${'2'.repeat(90)}`, instance: '0.01._:+=@~z' }

  it('is listed with URLs by which it is retrieved, level by level', async () => {
    const { url } = await holding([shape])
    const json = { headers: { accept: 'application/dicom+json' } }
    const resource = async (path: string): Promise<string> => {
      const [found] = (await (await fetch(path, json)).json()) as { '00081190': { Value: [string] } }[]
      return found!['00081190'].Value[0]
    }
    const study = await resource(`${url}/studies`)
    const series = await resource(`${study}/series`)
    const instance = await resource(`${series}/instances`)
    for (const one of [study, series, instance]) {
      const response = await fetch(one)
      expect([response.status, one]).toEqual([200, one])
      expect(Buffer.from(await response.arrayBuffer()).includes('DICM')).toBe(true)
      const metadata = await fetch(`${one}/metadata`, json)
      expect(await metadata.json()).toMatchObject([{ '00080018': { Value: [shape.instance] } }])
    }
  })

  it.each(['a..b', '1.2*', '1.2?', '1.2\\1.3', '%2F', '../x', ' 1.2', '1.2%20', '1.2%00', 'ä', '1'.repeat(129)])(
    'is not looked for by what means something else: %j',
    async (uid) => {
      const { url, archive } = await holding([shape])
      const name = uid.startsWith('%') || uid.includes('%') ? uid : encodeURIComponent(uid)
      expect([400, 404]).toContain((await fetch(`${url}/studies/${name}/metadata`)).status)
      expect(archive.log).toEqual([])
    },
  )
})

describe('a study with an instance and a series whose UIDs are none', () => {
  const shapes = [
    { series: `${STUDY}.1`, instance: `${STUDY}.1.1` },
    { series: `${STUDY}.1`, instance: ODD },
    { series: ODD, instance: `${STUDY}.2.1` },
  ]

  it('comes whole', async () => {
    const { url } = await holding(shapes)
    const response = await fetch(`${url}/studies/${STUDY}`)
    expect(response.status).toBe(200)
    const body = Buffer.from(await response.arrayBuffer()).toString('latin1')
    expect(body.split('DICM')).toHaveLength(shapes.length + 1)
  })

  it('has metadata of all', async () => {
    const { url } = await holding(shapes)
    const response = await fetch(`${url}/studies/${STUDY}/metadata`)
    expect(response.status).toBe(200)
    expect(await response.json()).toHaveLength(shapes.length)
  })

  it('has a thumbnail of what can be asked for, if there is such', async () => {
    const { url, archive } = await holding([{ series: ODD, instance: ODD }])
    const response = await fetch(`${url}/studies/${STUDY}/thumbnail`)
    expect(response.status).toBe(404)
    expect(await response.json()).toMatchObject({ code: 'NO_THUMBNAIL' })
    expect(archive.received(0x0020)).toHaveLength(1)
  })
})
