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
