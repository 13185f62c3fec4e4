import { setTimeout as delay } from 'node:timers/promises'
import type { Scenario } from './contest.ts'
import { startGateway } from './gateway.ts'

/** Instances that somebody looks at in one turn, one after the other. */
const LOOKED_AT = 20

/** Somebody looks at instances of an archive while priors are fetched from it: it is to take him no longer than without. */
export const besidePrefetchScenario: Scenario = {
  name: 'beside-prefetch',
  work: `${LOOKED_AT} instances, one by one, while priors are fetched (dcmqrscp)`,
  against: 'the same, while nothing is',
  target: { of: 'ratio', reach: 1.5, aim: 1.2 },
  async prepare(peers, resources, program) {
    const { together } = peers.data
    const peer = await peers.dcmqrscp()
    const { host, port } = peer
    const gateway = resources.use(
      await startGateway(
        {
          ...{ aeTitle: peer.titleOf(together), host, port },
          // What was fetched in one turn is fetched again in the next.
          cache: { maxBytes: '128MiB', ttl: '500ms' },
          prefetch: { viewer: false, again: '1ms', minScore: 0 },
        },
        program,
      ),
    )
    const [looked, ...others] = together.uids
    let next = 0
    const look = async (): Promise<number> => {
      const started = performance.now()
      for (let n = 0; n < LOOKED_AT; n++) {
        const instance = 1 + (next++ % together.each)
        const url = `${gateway.url}/studies/${looked!}/series/${looked!}.1/instances/${looked!}.1.${instance}`
        const response = await fetch(url, { headers: { Accept: 'application/dicom' } })
        const { byteLength } = await response.arrayBuffer()
        if (byteLength < together.pixelBytes) throw new Error(`${url} gave ${byteLength} bytes`)
      }
      return (performance.now() - started) / 1000
    }
    const fetchAhead = async (): Promise<void> => {
      for (const [index] of others.entries()) {
        const query = `PatientID=${together.patients[index + 1]!}&Modality=CT&BodyPartExamined=CHEST`
        const response = await fetch(`${gateway.url}/prefetch?${query}`, { method: 'POST' })
        const { studies } = (await response.json()) as { studies: readonly { state: string }[] }
        if (studies[0]?.state !== 'queued') throw new Error(`Nothing is fetched: ${JSON.stringify(studies)}`)
      }
    }
    /** So that what is fetched ahead of one turn is not under way in the next. */
    const settled = async (): Promise<void> => delay(SETTLED_MS)
    return {
      gateway,
      ours: async () => {
        await fetchAhead()
        const seconds = await look()
        await settled()
        return { seconds, firstByteSeconds: 0 }
      },
      theirs: look,
    }
  },
}

const SETTLED_MS = 4_000
