import { readParts } from '../test/support/multipart.ts'
import type { Contest, Scenario, Turn } from './contest.ts'
import { curl } from './curl.ts'
import type { BenchStudy, StudyName } from './data.ts'
import { type GatewayProgram, type GatewayTarget, startGateway } from './gateway.ts'
import type { BenchPeer, Peers } from './peers.ts'
import { timed } from './timed.ts'
import { checkFiles } from './verify.ts'

const wholeStudy = { of: 'ratio', reach: 1.25, aim: 1.05 } as const
const oneInstance = { of: 'ratio', reach: 1.15, aim: 1.05 } as const
const manySmall = { of: 'ratio', reach: 1.0, aim: 0.7 } as const
const whileStalling = { of: 'ratio', reach: 0.8, aim: 0.5 } as const

/** WADO-RS of a study against getscu, which throws away what it gets. */
export const retrieveScenarios: readonly Scenario[] = [
  retrieval('ct', 'dcmqrscp', 'CT, 500 × 512 KiB', wholeStudy, (peers) => peers.dcmqrscp()),
  retrieval('ct', 'orthanc', 'CT, 500 × 512 KiB', wholeStudy, (peers) => peers.orthanc()),
  retrieval('multiframe', 'dcmqrscp', 'multi-frame, 1 × 300 MiB', oneInstance, (peers) => peers.dcmqrscp()),
  retrieval('multiframe', 'orthanc', 'multi-frame, 1 × 300 MiB', oneInstance, (peers) => peers.orthanc()),
  retrieval('small', 'dcmqrscp', '2,000 × 8 KiB', manySmall, (peers) => peers.dcmqrscp()),
  retrieval('small', 'orthanc', '2,000 × 8 KiB', manySmall, (peers) => peers.orthanc()),
  { ...retrieval('ct', 'stalling', 'CT, Nagle on', whileStalling, (peers) => peers.stallingDcmqrscp()), maxRounds: 3 },
  firstByte(),
]

type Choose = (peers: Peers) => Promise<BenchPeer>

function retrieval(name: StudyName, at: string, what: string, target: Scenario['target'], choose: Choose): Scenario {
  return {
    name: `${name}-${at}`,
    work: `WADO study: ${what} (${at === 'orthanc' ? 'Orthanc' : 'dcmqrscp'})`,
    against: 'getscu',
    target,
    async prepare(peers, resources, program) {
      const study = peers.data.studies[name]
      const peer = await choose(peers)
      const { gateway, fetchStudy } = await verifiedGateway(peer, study, resources, program)
      await checkGetscu(peer, study)
      const theirs = async () => (await timed('getscu', getscu(peer, study))).seconds
      return { gateway, bytes: bytesOf(study), ours: fetchStudy, theirs }
    },
  }
}

/** What a client waits for before it sees anything, against the least that two operations can take. */
function firstByte(): Scenario {
  return {
    name: 'first-byte',
    work: 'Time to first byte: CT study (dcmqrscp)',
    against: 'findscu, then getscu of one instance',
    target: { of: 'milliseconds', reach: 50, aim: 20 },
    async prepare(peers, resources, program) {
      const study = peers.data.studies.ct
      const peer = await peers.dcmqrscp()
      const { gateway, fetchStudy } = await verifiedGateway(peer, study, resources, program)
      const one = [`SeriesInstanceUID=${study.study}.1`, `SOPInstanceUID=${study.study}.1.1`]
      return {
        gateway,
        ours: async () => {
          const { firstByteSeconds } = await fetchStudy()
          return { seconds: firstByteSeconds, firstByteSeconds }
        },
        theirs: async () => {
          const find = await timed('findscu', [
            '-q',
            ...identifier(peer, study, 'SERIES', ['SeriesInstanceUID', 'Modality']),
          ])
          const get = await timed('getscu', ['--ignore', '-pdu', '131072', ...identifier(peer, study, 'IMAGE', one)])
          return find.seconds + get.seconds
        },
      }
    },
  }
}

/** A gateway that has once given the study, every pixel of it; what it gives then must have as many bytes. */
export async function verifiedGateway(
  peer: BenchPeer,
  study: BenchStudy,
  resources: AsyncDisposableStack,
  program: GatewayProgram,
  settings: Pick<GatewayTarget, 'dimse' | 'retrieve' | 'maxAssociations' | 'others'> = {},
): Promise<Pick<Contest, 'gateway'> & { fetchStudy: () => Promise<Turn> }> {
  const { host, port } = peer
  const gateway = resources.use(await startGateway({ aeTitle: peer.titleOf(study), host, port, ...settings }, program))
  const url = `${gateway.url}/studies/${study.study}`
  const expected = await checkStudy(url, study)
  const fetchStudy = async () => {
    const turn = await curl(url, [])
    if (turn.bytes !== expected) throw new Error(`${url} gave ${turn.bytes} bytes where ${expected} were due`)
    return turn
  }
  return { gateway, fetchStudy }
}

/** Returns the size of the body. */
async function checkStudy(url: string, study: BenchStudy): Promise<number> {
  const response = await fetch(url)
  const body = Buffer.from(await response.arrayBuffer())
  if (response.status !== 200) throw new Error(`${url} was answered with ${response.status}: ${body.toString()}`)
  const parts = readParts(response.headers.get('content-type') ?? '', body)
  await checkFiles(
    parts.map((part) => part.body),
    study,
  )
  return body.length
}

export async function checkGetscu(peer: BenchPeer, study: BenchStudy): Promise<void> {
  const { output } = await timed('getscu', ['-v', ...getscu(peer, study)], true)
  const completed = /Number of Completed Suboperations : (\d+)/.exec(output)?.[1]
  if (Number(completed) !== study.files.length) throw new Error(`getscu got ${String(completed)} of ${study.name}`)
}

/** Of the pixels of a study. */
export function bytesOf({ files, pixelBytes }: BenchStudy): number {
  return files.length * pixelBytes
}

export function getscu(peer: BenchPeer, study: BenchStudy): string[] {
  return ['--ignore', '-pdu', '131072', ...identifier(peer, study, 'STUDY', [])]
}

export function identifier(peer: BenchPeer, study: BenchStudy, level: string, keys: readonly string[]): string[] {
  const all = [`QueryRetrieveLevel=${level}`, `StudyInstanceUID=${study.study}`, ...keys]
  return ['-S', '-aec', peer.titleOf(study), ...all.flatMap((key) => ['-k', key]), peer.host, String(peer.port)]
}
