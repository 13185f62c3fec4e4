import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Scenario } from './contest.ts'
import { curl, type Fetched } from './curl.ts'
import { BOUNDARY, type BenchStudy, type StudyName } from './data.ts'
import { type GatewayProgram, type GatewayTarget, startGateway } from './gateway.ts'
import { startReceiver } from './peers.ts'
import { timed } from './timed.ts'
import { bytesOf } from './retrieve.ts'
import { checkFiles } from './verify.ts'

const target = { of: 'ratio', reach: 1.2, aim: 0.8 } as const
const manySmall = { of: 'ratio', reach: 0.9, aim: 0.8 } as const

/** STOW-RS of a study to storescp against dcmsend of the same files. */
export const storeScenarios: readonly Scenario[] = [
  storing('ct', 'CT, 500 × 512 KiB'),
  storing('small', '2,000 × 8 KiB'),
]

function storing(name: StudyName, what: string): Scenario {
  return {
    name: `store-${name}`,
    work: `STOW: ${what} (storescp)`,
    against: 'dcmsend',
    target: name === 'small' ? manySmall : target,
    async prepare(peers, resources, program) {
      const study = peers.data.studies[name]
      await checkStore(study, program)
      const { aeTitle, host, port } = await peers.receiver()
      const gateway = resources.use(await startGateway({ aeTitle, host, port }, program))
      const args = dcmsend({ aeTitle, host, port }, study)
      const { output } = await timed('dcmsend', ['-v', ...args], true)
      const sent = /with status SUCCESS\s*: (\d+)/.exec(output)?.[1]
      if (Number(sent) !== study.files.length) throw new Error(`dcmsend sent ${String(sent)} of ${study.name}`)
      return {
        gateway,
        bytes: bytesOf(study),
        ours: () => post(gateway.url, study),
        theirs: async () => (await timed('dcmsend', args)).seconds,
      }
    },
  }
}

export function dcmsend({ aeTitle, host, port }: GatewayTarget, { folder }: BenchStudy): string[] {
  return ['-pdu', '131072', '-aec', aeTitle, host, String(port), '+sd', folder]
}

async function post(url: string, { body, files }: BenchStudy): Promise<Fetched> {
  const type = `Content-Type: multipart/related; type="application/dicom"; boundary=${BOUNDARY}`
  // -T reads the body as it goes, --data-binary all of it before.
  const turn = await curl(`${url}/studies`, ['-X', 'POST', '-T', body, '-H', type, '-H', 'Expect:'], true)
  const answer = JSON.parse(turn.body) as Record<string, { Value?: unknown[] } | undefined>
  const [stored, failed] = [answer['00081199']?.Value?.length, answer['00081198']?.Value?.length ?? 0]
  if (stored !== files.length || failed > 0) throw new Error(`${String(stored)} were stored, ${failed} failed`)
  return turn
}

/** Stores once to a receiver that keeps the files. */
async function checkStore(study: BenchStudy, program: GatewayProgram): Promise<void> {
  await using receiver = await startReceiver([])
  {
    await using gateway = await startGateway(receiver, program)
    await post(gateway.url, study)
  }
  const names = await readdir(receiver.folder)
  await checkFiles(await Promise.all(names.map((name) => readFile(join(receiver.folder, name)))), study)
}
