import { inParallel } from '../test/e2e/http.ts'
import type { SoakArchive } from './archives.ts'
import { dataFaults, instanceFaults } from './checks.ts'
import { WebClient } from './exchange.ts'
import { Session, type Ground } from './session.ts'

/** What was stored, and is there. */
export interface Verified {
  readonly archive: string
  /** Instances that were sent, by answers known to be stored, and in the archive byte for byte. */
  readonly sent: number
  readonly stored: number
  readonly found: number
  /** Sent without an answer that says stored, and there whole all the same. */
  readonly unknown: number
}

/** Holds what an archive has against what it must have: read from the archive itself, then through the gateway. */
export async function verify(archive: SoakArchive, ground: Ground, port: number): Promise<Verified> {
  const { stock, name } = archive
  const { tally } = ground
  const must = new Set(stock.mustHave({}, Infinity).map(({ instance }) => instance))
  const all = stock.all
  const there = await archive.read(all)
  let [found, unknown] = [0, 0]
  for (const instance of all) {
    const files = there.get(instance.instance) ?? []
    const faults = files.map(({ syntax, data }) => dataFaults(instance, syntax, data, 'stored'))
    const isThere = faults.some((list) => list.length === 0)
    if (!must.has(instance.instance)) unknown += isThere ? 1 : 0
    else if (isThere) found++
    else tally.isLost(`${name}: ${instance.instance} (${instance.sort}) ${faults.flat().join('; ') || 'is not there'}`)
  }
  const client = new WebClient(port, true)
  const session = new Session(ground, archive, client, Math.random)
  await inParallel(stock.studies, 3, async (study) => {
    // An archive that was never told of it knows nothing of the study.
    if (stock.mustHave({ study }, Infinity).length === 0) return
    const accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
    const scope = { study }
    await session.request('verification', { path: `${session.root}/studies/${study}`, accept }, (answer, since) =>
      instanceFaults(answer, { stock, scope, since }, 'stored'),
    )
  })
  client.close()
  return { archive: name, sent: all.length, stored: must.size, found, unknown }
}
