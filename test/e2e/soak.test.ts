import { describe, expect, test } from 'vitest'
import { soak } from '../../soak/soak.ts'
import { report } from '../../soak/report.ts'
import { skipWithoutPeers } from '../support/peers.ts'

/** Of load with faults. The rest is start, warm-up, settling and verification. */
const LOAD_MS = 30_000
/** All of it; `npm run soak` is for longer ones. */
const LIMIT_MS = 180_000
const CLIENTS = 4

describe.skipIf(skipWithoutPeers())('a short soak', () => {
  test(
    'loses nothing, gives nothing wrong, hangs nowhere and leaves nothing behind',
    { timeout: LIMIT_MS },
    async () => {
      const seed = 11
      const result = await soak({ milliseconds: LOAD_MS, clients: CLIENTS, seed, log: () => undefined })
      const { lost, wrong, hung, faults } = result.tally
      const { leaks, verified, drains } = result
      expect({ lost, wrong, hung, leaks }, report(result, [])).toEqual({ lost: 0, wrong: 0, hung: 0, leaks: [] })
      for (const { archive, stored, found } of verified) expect(found, archive).toBe(stored)
      // It was no calm run.
      expect(drains).toBe(1)
      expect(faults.size).toBeGreaterThan(4)
    },
  )
})
