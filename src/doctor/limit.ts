import { setTimeout as delay } from 'node:timers/promises'
import type { Association } from '../network/association.ts'
import { limited } from './findings-reach.ts'
import type { Probe } from './probe.ts'
import { queryProposal } from './reach.ts'

/** How long an archive may take to see that the associations before are gone, in ms (dcmqrscp: one second). */
const SETTLE_MS = 1_200

/** How many associations stand at once, up to one more than the configuration wants. */
export async function limit(probe: Probe): Promise<void> {
  const configured = probe.config.maxAssociations
  const open: Association[] = []
  await probe.step(
    'associations at once',
    async (signal) => {
      await delay(SETTLE_MS, undefined, { signal })
      await probe.using(open, signal, async () => {
        let error: unknown
        while (open.length <= configured && error === undefined) {
          await probe.open(queryProposal(probe, false), signal).then(
            (association) => open.push(association),
            (reason: unknown) => (error = reason),
          )
        }
        signal.throwIfAborted()
        probe.add(limited(probe.parties, { tried: configured + 1, stood: open.length, configured, error }))
      })
    },
    // The one more may simply not be answered.
    (error) => limited(probe.parties, { tried: configured + 1, stood: open.length, configured, error }),
  )
}
