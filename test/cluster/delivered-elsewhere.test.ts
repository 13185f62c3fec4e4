import { hash, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DemoArchive, type DemoArchiveOptions } from '../../src/demo/demo-archive.ts'
import type { Gateway } from '../../src/gateway.ts'
import type { Selection } from '../../src/instance/uids.ts'
import { collect } from '../support/byte-stream.ts'
import { E, instanceFile, S, seriesFiles, Syntax } from '../support/dicom-files.ts'
import { keeper } from '../support/kept.ts'
import { failOnLeaks } from '../support/leaks.ts'
import { splitPart10 } from '../support/part10.ts'
import { freePort } from '../support/ports.ts'
import { published } from '../support/published.ts'
import { startReplicas, type Replicas } from '../support/replicas.ts'
import { skipWithoutValkey, startValkey, type RunningValkey } from '../support/valkey.ts'

failOnLeaks()

const kept = keeper()
const relays = published('dimsegate:relay')
const call = { signal: new AbortController().signal }

interface Fixture extends Replicas {
  readonly demo: DemoArchive
}

async function fetched(gateway: Gateway, selection: Selection = { study: S }): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for await (const instance of gateway.archives[0]!.retrieve(selection, true, call)) {
    expect(found.has(instance.sopInstance)).toBe(false)
    found.set(instance.sopInstance, hash('sha256', await collect(instance.body)))
  }
  return found
}

const series = seriesFiles(5)
const uids = [1, 2, 3, 4, 5].map((n) => `${E}.${n}`)
const whole = new Map(series.map((file, at) => [uids[at]!, hash('sha256', splitPart10(file).data)]))

describe.skipIf(skipWithoutValkey())('an archive that knows all replicas by one address', () => {
  let valkey: RunningValkey

  beforeAll(async () => {
    valkey = await startValkey()
  })

  afterAll(async () => (valkey as RunningValkey | undefined)?.[Symbol.asyncDispose]())

  /** `to`: which of the replicas the archive delivers to; at random unless told. */
  async function started(
    files: readonly Buffer[],
    { to, archive = {}, cluster = {} }: { to?: number; archive?: DemoArchiveOptions; cluster?: object } = {},
  ): Promise<Fixture> {
    const port = await freePort()
    const demo = kept(await DemoArchive.start({ destinations: { DIMSEGATE: { host: '127.0.0.1', port } }, ...archive }))
    for (const file of files) await demo.put(file)
    const replicas = kept(
      await startReplicas({
        url: valkey.url,
        archives: [{ aeTitle: demo.aeTitle, host: '127.0.0.1', port: demo.port, retrieve: 'move' }],
        port,
        cluster: { name: randomUUID(), ...cluster },
      }),
    )
    if (to !== undefined) replicas.balancer.choose = () => to
    return { ...replicas, demo }
  }

  it.each([
    ['the replica that asked', 0, 0],
    ['another', 1, 5],
  ])('gives a study whole, by one C-MOVE, that it delivers to %s', async (_, to, passedOn) => {
    const { gateways, demo } = await started(series, { to })
    expect(await fetched(gateways[0]!)).toEqual(whole)
    expect(demo.moves).toBe(1)
    expect(relays.filter(({ direction, outcome }) => direction === 'in' && outcome === 'stored')).toHaveLength(passedOn)
  })

  it('gives each of two replicas its own, where both ask for the same', async () => {
    const { gateways, demo } = await started(series)
    expect(await Promise.all(gateways.map((gateway) => fetched(gateway)))).toEqual([whole, whole])
    expect(demo.moves).toBe(2)
  })

  it('gives each of two replicas all of it, where it does not say which move an instance is of', async () => {
    const { gateways } = await started(series, { archive: { faults: { withoutOriginator: true } } })
    expect(await Promise.all(gateways.map((gateway) => fetched(gateway)))).toEqual([whole, whole])
  })

  it('has an instance passed on in the transfer syntax that it was stored in', async () => {
    const file = instanceFile({ syntax: Syntax.implicit })
    const { gateways } = await started([file], { to: 1 })
    for await (const instance of gateways[0]!.archives[0]!.retrieve({ study: S }, true, call)) {
      expect(instance.received.uid).toBe(Syntax.implicit)
      await collect(instance.body)
    }
  })
})
