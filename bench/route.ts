import { freePort } from '../test/support/ports.ts'
import type { Scenario } from './contest.ts'
import type { StudyName } from './data.ts'
import { startGateway } from './gateway.ts'
import { startReceiver } from './peers.ts'
import { bytesOf } from './retrieve.ts'
import { dcmsend } from './store.ts'
import { timed } from './timed.ts'

const AE_TITLE = 'DIMSEGATE'
const target = { of: 'ratio', reach: 1.3, aim: 1.1 } as const

/** A device that stores through us to two nodes, against the same device storing to one of them. */
export const routeScenarios: readonly Scenario[] = [
  routing('ct', 'CT, 500 × 512 KiB', []),
  routing('ct', 'CT, 500 × 512 KiB, an attribute set', [{ set: { InstitutionName: 'Bench' } }], { suffix: 'set' }),
  routing('ct', 'CT, 500 × 512 KiB', [], { suffix: 'both', toBoth: true }),
]

interface Variant {
  readonly suffix?: string
  /** Against the device storing to both at once: as much as we do. */
  readonly toBoth?: boolean
}

function routing(
  name: StudyName,
  what: string,
  set: readonly object[],
  { suffix, toBoth = false }: Variant = {},
): Scenario {
  return {
    name: `route-${name}${suffix === undefined ? '' : `-${suffix}`}`,
    work: `dcmsend to two storescp through routes: ${what}`,
    against: toBoth ? 'dcmsend to both at once' : 'dcmsend to one',
    target,
    async prepare(peers, resources, program) {
      const study = peers.data.studies[name]
      const first = await peers.receiver()
      const second = resources.use(await startReceiver(['--ignore']))
      const port = await freePort()
      const gateway = resources.use(
        await startGateway(
          {
            ...{ aeTitle: first.aeTitle, host: first.host, port: first.port },
            dimse: { aeTitle: AE_TITLE, host: '127.0.0.1', port },
            others: {
              devices: [{ aeTitle: 'DCMSEND' }],
              destinations: [
                { type: 'dicom', name: 'second', aeTitle: second.aeTitle, host: second.host, port: second.port },
              ],
              routes: [{ name: 'both', set, to: [first.aeTitle.toLowerCase(), 'second'] }],
            },
          },
          program,
        ),
      )
      const send = async (to: { aeTitle: string; host: string; port: number }): Promise<number> =>
        (await timed('dcmsend', ['-aet', 'DCMSEND', ...dcmsend(to, study)])).seconds
      return {
        gateway,
        bytes: bytesOf(study),
        ours: async () => ({
          seconds: await send({ aeTitle: AE_TITLE, host: '127.0.0.1', port }),
          firstByteSeconds: 0,
        }),
        theirs: async () => {
          const began = performance.now()
          if (!toBoth) return send(first)
          await Promise.all([send(first), send(second)])
          return (performance.now() - began) / 1000
        },
      }
    },
  }
}
