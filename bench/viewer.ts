import { mkdtempDisposable, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { BenchStudy } from './data.ts'
import type { Contest, Scenario, Turn } from './contest.ts'
import { curl } from './curl.ts'
import { startGateway } from './gateway.ts'
import { checkGetscu, getscu } from './retrieve.ts'
import { timed } from './timed.ts'

/** As OHIF does it. */
const FRAMES = 'Accept: multipart/related; type="application/octet-stream"; transfer-syntax=*'
const AT_ONCE = '6'
/** What was opened is forgotten before the next turn: each is a first one. */
const TTL_MS = 3_000
const cache = { ttl: `${TTL_MS}ms` }

/** A viewer opens a series: its metadata, then every frame, six at a time. */
export const viewerScenarios: readonly Scenario[] = [
  {
    name: 'viewer-dcmqrscp',
    work: 'Viewer opens a series of 500 × 512 KiB (dcmqrscp)',
    against: 'getscu of the series',
    target: { of: 'ratio', reach: 2.0, aim: 1.3 },
    async prepare(peers, resources, program): Promise<Contest> {
      const study = peers.data.studies.ct
      const peer = await peers.dcmqrscp()
      const { host, port } = peer
      await checkGetscu(peer, study)
      const gateway = resources.use(await startGateway({ aeTitle: peer.titleOf(study), host, port, cache }, program))
      const open = await opening(gateway.url, study, resources)
      const ours = async (): Promise<Turn> => delay(TTL_MS + 200).then(open)
      return { gateway, ours, theirs: async () => (await timed('getscu', getscu(peer, study))).seconds }
    },
  },
  {
    name: 'viewer-orthanc',
    work: 'Viewer opens a series of 500 × 512 KiB (Orthanc)',
    against: "Orthanc's own DICOMweb",
    target: { of: 'ratio', reach: 1.0, aim: 0.7 },
    async prepare(peers, resources, program): Promise<Contest> {
      const study = peers.data.studies.ct
      const peer = await peers.orthanc()
      const { host, port } = peer
      const gateway = resources.use(await startGateway({ aeTitle: peer.titleOf(study), host, port, cache }, program))
      const open = await opening(gateway.url, study, resources)
      const direct = await opening(peer.dicomWebUrl, study, resources)
      const ours = async (): Promise<Turn> => delay(TTL_MS + 200).then(open)
      return { gateway, ours, theirs: async () => (await direct()).seconds }
    },
  },
]

/** One opening of the series at a DICOMweb server, checked for every frame's size. */
async function opening(url: string, study: BenchStudy, resources: AsyncDisposableStack): Promise<() => Promise<Turn>> {
  const series = `${url}/studies/${study.study}/series/${study.study}.1`
  const { body } = await curl(`${series}/metadata`, [], true)
  const metadata = JSON.parse(body) as Record<string, { Value: string[] }>[]
  if (metadata.length !== study.files.length) throw new Error(`${series} has ${metadata.length} instances`)
  const urls = metadata.map((one) => `${series}/instances/${one['00080018']!.Value[0]!}/frames/1`)
  const frames = await fetchOfFrames(urls, study.pixelBytes, resources)
  return async () => {
    const first = await curl(`${series}/metadata`, [])
    return { seconds: first.seconds + (await frames()), firstByteSeconds: first.firstByteSeconds }
  }
}

/** Fetches frames as a viewer does and gives the seconds that it took, checked that each has as many bytes as are said. */
export async function fetchOfFrames(
  urls: readonly string[],
  bytes: number,
  resources: AsyncDisposableStack,
): Promise<() => Promise<number>> {
  const folder = resources.use(await mkdtempDisposable(join(tmpdir(), 'dimsegate-bench-')))
  const list = join(folder.path, 'frames')
  await writeFile(list, urls.map((one) => `url = "${one}"\noutput = "/dev/null"\n`).join(''))
  const report = '%{http_code} %{size_download}\n'
  const parallel = ['--parallel', '--parallel-max', AT_ONCE, '--parallel-immediate']
  const args = ['-sS', ...parallel, '-H', FRAMES, '-w', report, '--config', list]
  return async () => {
    const { seconds, output } = await timed('curl', args, true)
    const good = output.split('\n').filter((line) => {
      const [status, size] = line.split(' ').map(Number)
      return status === 200 && size! >= bytes
    })
    if (good.length !== urls.length) throw new Error(`${good.length} of ${urls.length} frames came`)
    return seconds
  }
}
