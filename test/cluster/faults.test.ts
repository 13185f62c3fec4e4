import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { Balancer } from '../support/balancer.ts'
import { instanceFile, S, seriesFiles } from '../support/dicom-files.ts'
import { keeper } from '../support/kept.ts'
import { failOnLeaks } from '../support/leaks.ts'
import { published } from '../support/published.ts'
import {
  digestsOf,
  digestsOfFiles,
  startMoved,
  type MovedOptions,
  type ReplicasAndArchive,
} from '../support/replicas.ts'
import { sharedValkey } from '../support/shared-valkey.ts'
import { skipWithoutValkey } from '../support/valkey.ts'

failOnLeaks()

const kept = keeper()
const relays = published('dimsegate:relay')
const study = { study: S }
const series = seriesFiles(8, { pixelBytes: 512 * 1024 })
const whole = digestsOfFiles(series)

describe.skipIf(skipWithoutValkey())('replicas', () => {
  const valkey = sharedValkey()

  async function started(
    files: readonly Buffer[],
    options: Omit<MovedOptions, 'url' | 'files'> = {},
  ): Promise<ReplicasAndArchive> {
    return kept(await startMoved({ url: valkey().url, files, ...options }))
  }

  const relayed = (): string[] => relays.map(({ direction, outcome }) => `${direction} ${outcome}`)

  it('have what was cut between an archive and one of them asked for again', async () => {
    const { gateways, balancer, demo } = await started(series, { to: 1 })
    const cut = (): void => {
      if (relays.length >= 6) balancer.cut()
      else setTimeout(cut, 1)
    }
    cut()
    expect(await digestsOf(gateways[0]!, study)).toEqual(whole)
    expect(demo.moves).toBeGreaterThan(1)
  })

  describe('whose connection is cut', () => {
    /** Each replica is known to the others by the wire in front of it. */
    async function wired(): Promise<ReplicasAndArchive & { readonly cut: () => void }> {
      const wires: Balancer[] = []
      for (let index = 0; index < 2; index++) wires.push(kept(await Balancer.start([])))
      const advertise = (index: number): string => `127.0.0.1:${wires[index]!.port}`
      const replicas = await started(series, { to: 1, cluster: (index) => ({ advertise: advertise(index) }) })
      for (const [index, wire] of wires.entries()) wire.targets = [replicas.gateways[index]!.cluster!.port]
      return { ...replicas, cut: () => wires.forEach((wire) => wire.cut()) }
    }

    it('between two instances connect again', async () => {
      const { gateways, demo, cut } = await wired()
      const call = { signal: new AbortController().signal }
      const found: string[] = []
      for await (const { sopInstance, body } of gateways[0]!.archives[0]!.retrieve(study, true, call)) {
        for await (const _ of body);
        found.push(sopInstance)
        cut()
      }
      expect(found.toSorted()).toEqual([...whole.keys()].toSorted())
      expect(demo.moves).toBeGreaterThanOrEqual(1)
    })

    it('within an instance do not take it for whole', async () => {
      const { gateways, cut } = await wired()
      const call = { signal: new AbortController().signal }
      const found: string[] = []
      const retrieval = async (): Promise<void> => {
        for await (const { sopInstance, body } of gateways[0]!.archives[0]!.retrieve(study, true, call)) {
          for await (const _ of body) if (found.length === 2) cut()
          found.push(sopInstance)
        }
      }
      await expect(retrieval()).rejects.toMatchObject({ code: 'RELAY_CUT' })
      expect(found).toHaveLength(2)
      await expect.poll(relayed).toContain('out failed')
      expect(relayed()).toContain('in failed')
    })
  })

  it('of which one cannot be reached are not given what is for it, though they have had it', async () => {
    const big = instanceFile({ instance: '1.2.3.4.9', pixelBytes: 32 * 1024 * 1024 })
    const { gateways } = await started([...series.slice(0, 3), big], {
      to: 1,
      cluster: (index) => (index === 0 ? { advertise: '127.0.0.1:9' } : {}),
    })
    const call = { signal: new AbortController().signal }
    let seen = 0
    for await (const { body } of gateways[1]!.archives[0]!.retrieve(study, true, call)) {
      // This one holds its C-MOVE at the last, which is the only one it lacks.
      if (++seen === 4) await expect(digestsOf(gateways[0]!, study)).rejects.toThrow()
      for await (const _ of body);
    }
    expect(seen).toBe(4)
  })

  it('take more from each other, however often somebody has left within an instance', async () => {
    const { gateways } = await started([instanceFile({ pixelBytes: 1024 * 1024 })], { to: 1 })
    const call = { signal: new AbortController().signal }
    for (let left = 0; left < 300; left++) {
      for await (const { body } of gateways[0]!.archives[0]!.retrieve(study, true, call)) {
        for await (const _ of body) break
        break
      }
    }
    expect((await digestsOf(gateways[0]!, study)).size).toBe(1)
  })

  it('know what others wait for, though these find a server later that has lost all', async () => {
    const wire = kept(await Balancer.start([valkey().port]))
    const files = [instanceFile({ instance: '1.2.3.4.1', pixelBytes: 16 * 1024 * 1024 }), ...series.slice(1, 4)]
    const { gateways, demo } = await started(files, {
      to: 1,
      cluster: (index) => (index === 0 ? { url: `redis://127.0.0.1:${wire.port}` } : {}),
    })
    const call = { signal: new AbortController().signal }
    let found = 0
    for await (const { body } of gateways[0]!.archives[0]!.retrieve(study, true, call)) {
      if (found++ === 0) {
        wire.targets = []
        wire.cut()
        await valkey().program.kill()
        await valkey().program.restart()
        await expect.poll(() => gateways[1]!.cluster!.isUp, { timeout: 10_000 }).toBe(true)
        // What was found is not fresh any more.
        await new Promise((resolve) => setTimeout(resolve, 1_100))
      }
      for await (const _ of body);
    }
    expect(found).toBe(4)
    expect(demo.moves).toBe(1)
    wire.targets = [valkey().port]
  })

  it('stop at once, with connections that are not through TLS', async () => {
    const { gateways } = await started([])
    const socket = connect(gateways[0]!.cluster!.port, '127.0.0.1')
    socket.on('error', () => undefined)
    await once(socket, 'connect')
    const start = performance.now()
    await gateways[0]!.stop()
    expect(performance.now() - start).toBeLessThan(2_000)
    socket.destroy()
  })

  it('answer a C-MOVE by 503 while their server is away, and go on by themselves when it is back', async () => {
    const { gateways } = await started(series.slice(0, 2), { to: 1 })
    const [gateway] = gateways
    const url = `${gateway!.url}/studies/${S}`
    const accept = { headers: { accept: 'multipart/related; type="application/dicom"; transfer-syntax=*' } }
    await valkey().program.kill()
    try {
      const answer = await fetch(url, accept)
      expect(answer.status).toBe(503)
      expect(answer.headers.get('retry-after')).toBe('5')
      expect(await answer.json()).toMatchObject({ code: 'CLUSTER_UNAVAILABLE' })
      const found = await fetch(`${gateway!.url}/studies?StudyInstanceUID=${S}`)
      expect(found.status).toBe(200)
      await found.arrayBuffer()
    } finally {
      await valkey().program.restart()
    }
    await expect.poll(() => gateways.every(({ cluster }) => cluster!.isUp), { timeout: 10_000 }).toBe(true)
    expect(await digestsOf(gateway!, study)).toEqual(digestsOfFiles(series.slice(0, 2)))
  })

  it('bring what an archive gives by C-GET while their server is away', async () => {
    const { gateways } = await started(series, { settings: { retrieve: 'auto' } })
    await valkey().program.kill()
    try {
      expect(await digestsOf(gateways[0]!, study)).toEqual(whole)
    } finally {
      await valkey().program.restart()
    }
  })

  it('do not wait for a server that accepts connections and says nothing', async () => {
    const { gateways } = await started(series.slice(0, 1), { to: 1 })
    valkey().program.freeze()
    try {
      const start = performance.now()
      await expect(digestsOf(gateways[0]!, study)).rejects.toMatchObject({ code: 'CLUSTER_UNAVAILABLE' })
      expect(performance.now() - start).toBeLessThan(5_000)
    } finally {
      valkey().program.thaw()
    }
    await expect.poll(() => gateways.every(({ cluster }) => cluster!.isUp), { timeout: 10_000 }).toBe(true)
    expect(await digestsOf(gateways[0]!, study)).toEqual(digestsOfFiles(series.slice(0, 1)))
  })

  it('go on with the moves under way when their server is lost, and has lost all', async () => {
    const files = [instanceFile({ instance: '1.2.3.4.1', pixelBytes: 16 * 1024 * 1024 }), ...series.slice(1, 4)]
    const { gateways, demo } = await started(files, { to: 1 })
    const call = { signal: new AbortController().signal }
    const found: string[] = []
    for await (const { sopInstance, body } of gateways[0]!.archives[0]!.retrieve(study, true, call)) {
      if (found.length === 0) {
        await valkey().program.kill()
        await valkey().program.restart()
      }
      let bytes = 0
      for await (const chunk of body) bytes += chunk.length
      expect(bytes).toBeGreaterThan(0)
      found.push(sopInstance)
    }
    expect(found).toHaveLength(4)
    expect(demo.moves).toBe(1)
  })
})
