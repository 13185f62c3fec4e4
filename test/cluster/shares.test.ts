import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ControlPlane } from '../../src/cluster/control-plane.ts'
import { Shares } from '../../src/cluster/shares.ts'
import type { Need, Share } from '../../src/pacs/pool/share.ts'
import { failOnLeaks } from '../support/leaks.ts'
import { digestsOf, digestsOfFiles, startMoved } from '../support/replicas.ts'
import { keeper } from '../support/kept.ts'
import { seriesFiles } from '../support/dicom-files.ts'
import { sharedValkey } from '../support/shared-valkey.ts'
import { skipWithoutValkey, startValkey } from '../support/valkey.ts'

failOnLeaks()

const kept = keeper()

/** A replica that does as its share says: it takes what it needs as far as it may, and gives back what is too much. */
class Replica {
  readonly share: Share
  need = { interactive: 0, bulk: 0 }
  /** Of `held`, what is in use and cannot be given back. */
  busy = { interactive: 0, bulk: 0 }
  held = 0

  constructor(share: Share) {
    this.share = share
    share.onChange(() => this.settle())
  }

  settle(): void {
    const { busy, need, share } = this
    while (busy.bulk < need.bulk && busy.bulk < share.transfers && this.used < share.size) busy.bulk++
    while (busy.interactive < need.interactive && this.used < share.size) busy.interactive++
    this.held = Math.max(this.used, Math.min(this.held, share.size))
    this.share.report(this.#needs())
  }

  /** What is in use ends, and is idle for as long as the share allows. */
  end(): void {
    this.need = { interactive: 0, bulk: 0 }
    this.busy = { interactive: 0, bulk: 0 }
    this.settle()
  }

  get used(): number {
    return this.busy.interactive + this.busy.bulk
  }

  #needs(): Need {
    const { need, busy, held } = this
    return { held, transfers: busy.bulk, interactive: need.interactive, bulk: need.bulk, background: 0 }
  }
}

describe.skipIf(skipWithoutValkey())('the associations to an archive that replicas share', () => {
  const valkey = sharedValkey()

  async function replicas(count: number, limit: number, prefix = `${randomUUID()}:`): Promise<Replica[]> {
    return Promise.all(
      Array.from({ length: count }, async () => {
        const plane = kept(new ControlPlane({ url: valkey().url, ca: undefined }))
        const shares = new Shares(plane, prefix)
        kept({ [Symbol.asyncDispose]: () => shares.close() })
        const replica = new Replica(shares.of('main', limit))
        await plane.open()
        return replica
      }),
    )
  }

  const used = (all: readonly Replica[]): number => all.reduce((sum, { used }) => sum + used, 0)
  const held = (all: readonly Replica[]): number => all.reduce((sum, one) => sum + one.held, 0)

  it('are all for the one that needs them, but for one that transfers leave to others', async () => {
    const all = await replicas(3, 16)
    all[1]!.need.bulk = 40
    all[1]!.settle()
    await expect.poll(() => all[1]!.busy.bulk).toBe(15)
    all[2]!.need.interactive = 1
    all[2]!.settle()
    await expect.poll(() => all[2]!.busy.interactive).toBe(1)
    expect(held(all)).toBe(16)
  })

  it('go to another when they are given back, though they would be kept idle', async () => {
    const all = await replicas(3, 4)
    all[0]!.need.interactive = 4
    all[0]!.settle()
    await expect.poll(() => all[0]!.used).toBe(4)
    all[1]!.need.interactive = 2
    all[2]!.need.interactive = 2
    for (const one of all) one.settle()
    await expect.poll(() => all[1]!.share.size + all[2]!.share.size).toBe(0)
    all[0]!.end()
    await expect.poll(() => [all[1]!.used, all[2]!.used]).toEqual([2, 2])
  })

  it('are one where the archive takes one, for each in its turn', async () => {
    const all = await replicas(3, 1)
    for (const one of all) {
      one.need.interactive = 1
      one.settle()
    }
    for (let turn = 0; turn < 3; turn++) {
      await expect.poll(() => used(all)).toBe(1)
      all.find((one) => one.used > 0)!.end()
    }
    await expect.poll(() => all.map(({ need }) => need.interactive)).toEqual([0, 0, 0])
  })

  it('are never more than there may be, and all of them are used, whatever is needed', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 9 }),
        fc.array(fc.tuple(fc.nat(3), fc.nat(6), fc.nat(6), fc.boolean()), { minLength: 1, maxLength: 12 }),
        async (limit, steps) => {
          const all = await replicas(3, limit)
          for (const [at, interactive, bulk, ends] of steps) {
            const one = all[at % 3]!
            if (ends) one.end()
            else {
              one.need = {
                interactive: Math.max(interactive, one.busy.interactive),
                bulk: Math.max(bulk, one.busy.bulk),
              }
              one.settle()
            }
            await new Promise(setImmediate)
            expect(held(all)).toBeLessThanOrEqual(limit)
            expect(all.reduce((sum, { busy }) => sum + busy.bulk, 0)).toBeLessThanOrEqual(Math.max(1, limit - 1))
          }
          const needs = all.reduce((sum, { need }) => sum + need.interactive, 0)
          const transfers = all.reduce((sum, { need }) => sum + need.bulk, 0)
          const wanted = Math.min(limit, needs + Math.min(transfers, Math.max(1, limit - 1)))
          await expect.poll(() => used(all), { timeout: 2_000 }).toBe(wanted)
          expect(held(all)).toBeLessThanOrEqual(limit)
        },
      ),
      { numRuns: 15 },
    )
  })

  it('are divided evenly while the server is away, and as needed when it is back', async () => {
    const all = await replicas(3, 6)
    await expect.poll(() => all[0]!.share.size).toBe(2)
    all[0]!.need.interactive = 6
    all[0]!.settle()
    await expect.poll(() => all[0]!.used).toBe(6)
    await valkey().program.kill()
    try {
      await expect.poll(() => all[0]!.share.size).toBe(2)
      expect(all[1]!.share.size).toBe(0)
    } finally {
      await valkey().program.restart()
    }
    all[0]!.end()
    all[1]!.need.interactive = 5
    all[1]!.settle()
    await expect.poll(() => all[1]!.used, { timeout: 10_000 }).toBe(5)
    expect(held(all)).toBeLessThanOrEqual(6)
  })

  it('are divided evenly where the server is there and does not do what is asked', async () => {
    const strict = kept(await startValkey({ args: '--user default on nopass ~* &* +@all -eval -evalsha'.split(' ') }))
    const plane = kept(new ControlPlane({ url: strict.url, ca: undefined }))
    const shares = new Shares(plane, 'a:')
    kept({ [Symbol.asyncDispose]: () => shares.close() })
    const share = shares.of('main', 9)
    await plane.open()
    share.report({ held: 0, transfers: 0, interactive: 1, bulk: 0, background: 0 })
    await expect.poll(() => share.size).toBe(3)
    expect(plane.isUp).toBe(false)
  })

  it('are those that were asked for, whichever replicas 24 C-MOVEs at once come from', async () => {
    const studies = Array.from({ length: 24 }, (_, at) => `1.2.3.${at + 1}`)
    const files = studies.map((study) => seriesFiles(3, { study, series: `${study}.1` }))
    const { gateways, demo } = kept(
      await startMoved({ url: valkey().url, files: files.flat(), count: 3, settings: { maxAssociations: 4 } }),
    )
    let most = 0
    const watch = setInterval(() => (most = Math.max(most, demo.associations)), 1)
    try {
      const found = await Promise.all(studies.map((study, at) => digestsOf(gateways[at % 3]!, { study })))
      expect(found).toEqual(files.map(digestsOfFiles))
    } finally {
      clearInterval(watch)
    }
    expect(most).toBeLessThanOrEqual(4)
    expect(most).toBeGreaterThan(2)
  })
})
