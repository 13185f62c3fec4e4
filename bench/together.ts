import type { Scenario } from './contest.ts'
import { curl } from './curl.ts'
import { startGateway } from './gateway.ts'
import { bytesOf } from './retrieve.ts'

/** Many downloads at once against the same ones, one after another: together they are to move no fewer bytes a second. */
export const togetherScenario: Scenario = {
  name: 'together',
  work: 'WADO of 8 studies at once (dcmqrscp)',
  against: 'the same, one after another',
  target: { of: 'ratio', reach: 1.0, aim: 0.8 },
  async prepare(peers, resources, program) {
    const { together } = peers.data
    const peer = await peers.dcmqrscp()
    const { host, port } = peer
    // Downloads leave one association to queries.
    const maxAssociations = together.uids.length + 1
    const gateway = resources.use(
      await startGateway({ aeTitle: peer.titleOf(together), host, port, maxAssociations }, program),
    )
    const seconds = async (work: () => Promise<unknown>): Promise<number> => {
      const started = performance.now()
      await work()
      return (performance.now() - started) / 1000
    }
    const fetchOne = (uid: string) => curl(`${gateway.url}/studies/${uid}`, [])
    return {
      gateway,
      bytes: bytesOf(together),
      ours: async () => ({
        seconds: await seconds(() => Promise.all(together.uids.map(fetchOne))),
        firstByteSeconds: 0,
      }),
      theirs: () =>
        seconds(async () => {
          for (const uid of together.uids) await fetchOne(uid)
        }),
    }
  },
}
