import type { Association } from '../network/association.ts'
import { queryProposal } from '../pacs/archive.ts'
import { limited } from './findings-reach.ts'
import type { Probe } from './probe.ts'

/** How many associations stand at once, up to one more than the configuration wants. */
export async function limit(probe: Probe): Promise<void> {
  const configured = probe.config.maxAssociations
  const open: Association[] = []
  await probe.step(
    'associations at once',
    async (signal) => {
      await probe.using(open, signal, async () => {
        let error: unknown
        while (open.length <= configured && error === undefined) {
          await probe.open(queryProposal(probe.config, false), signal).then(
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
