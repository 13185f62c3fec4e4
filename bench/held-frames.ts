import type { Scenario } from './contest.ts'
import { median } from './contest.ts'
import { startGateway } from './gateway.ts'

/** Frames fetched in a turn: one is too fast to be timed alone. */
const FETCHES = 40

/** A frame from the end of an instance that is held, against one from its start. */
export const heldFramesScenario: Scenario = {
  name: 'held-frames',
  work: 'Frame 600 of a held 300 MiB instance (dcmqrscp)',
  against: 'its frame 1',
  target: { of: 'ratio', reach: 1.5, aim: 1.1 },
  async prepare(peers, resources, program) {
    const study = peers.data.studies.multiframe
    const peer = await peers.dcmqrscp()
    const { host, port } = peer
    const gateway = resources.use(
      await startGateway(
        { aeTitle: peer.titleOf(study), host, port, cache: { maxBytes: '512MiB', ttl: '10m' } },
        program,
      ),
    )
    const series = `${gateway.url}/studies/${study.study}/series/${study.study}.1`
    const frame = async (number: number): Promise<number> => {
      const started = performance.now()
      const response = await fetch(`${series}/instances/${study.study}.1.1/frames/${number}`, {
        headers: { accept: 'multipart/related; type="application/octet-stream"' },
      })
      const { byteLength } = await response.arrayBuffer()
      if (response.status !== 200 || byteLength < study.pixelBytes / 600)
        throw new Error(`Frame ${number} did not come`)
      return (performance.now() - started) / 1000
    }
    const several = async (number: number): Promise<number> => {
      const times: number[] = []
      for (let n = 0; n < FETCHES; n++) times.push(await frame(number))
      return median(times)
    }
    // Held from here on.
    await frame(600)
    return {
      gateway,
      ours: async () => ({ seconds: await several(600), firstByteSeconds: 0 }),
      theirs: () => several(1),
    }
  },
}
