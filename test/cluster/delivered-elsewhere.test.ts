import { describe, expect, it } from 'vitest'
import { collect } from '../support/byte-stream.ts'
import { certificateFor } from '../support/certificate.ts'
import { instanceFile, S, seriesFiles, Syntax } from '../support/dicom-files.ts'
import { keeper } from '../support/kept.ts'
import { failOnLeaks } from '../support/leaks.ts'
import { published } from '../support/published.ts'
import {
  digestsOf,
  digestsOfFiles,
  startMoved,
  type MovedOptions,
  type ReplicasAndArchive,
} from '../support/replicas.ts'
import { sharedValkey } from '../support/shared-valkey.ts'
import { skipWithoutValkey } from '../support/valkey.ts'

failOnLeaks()

const kept = keeper()
const relays = published('dimsegate:relay')
const study = { study: S }
const series = seriesFiles(5)
const whole = digestsOfFiles(series)

describe.skipIf(skipWithoutValkey())('an archive that knows all replicas by one address', () => {
  const valkey = sharedValkey()

  async function started(
    files: readonly Buffer[],
    options: Omit<MovedOptions, 'url' | 'files'> = {},
  ): Promise<ReplicasAndArchive> {
    return kept(await startMoved({ url: valkey().url, files, ...options }))
  }

  const storedHere = (): number =>
    relays.filter(({ direction, outcome }) => direction === 'in' && outcome === 'stored').length

  it.each([
    ['the replica that asked', 0, 0],
    ['another', 1, 5],
  ])('gives a study whole, by one C-MOVE, that it delivers to %s', async (_, to, passedOn) => {
    const { gateways, demo } = await started(series, { to })
    expect(await digestsOf(gateways[0]!, study)).toEqual(whole)
    expect(demo.moves).toBe(1)
    expect(storedHere()).toBe(passedOn)
  })

  it('gives each of two replicas its own, where both ask for the same', async () => {
    const { gateways, demo } = await started(series)
    expect(await Promise.all(gateways.map((gateway) => digestsOf(gateway, study)))).toEqual([whole, whole])
    expect(demo.moves).toBe(2)
  })

  it.each([0, 1, undefined])(
    'gives each of two replicas all of it, where it does not say which move an instance is of, and delivers to %s',
    async (to) => {
      const { gateways, demo } = await started(series, {
        archive: { faults: { withoutOriginator: true } },
        ...(to !== undefined && { to }),
      })
      expect(await Promise.all(gateways.map((gateway) => digestsOf(gateway, study)))).toEqual([whole, whole])
      expect(demo.moves).toBe(2)
    },
  )

  it('has an instance passed on in the transfer syntax that it was stored in', async () => {
    const { gateways } = await started([instanceFile({ syntax: Syntax.implicit })], { to: 1 })
    const call = { signal: new AbortController().signal }
    for await (const instance of gateways[0]!.archives[0]!.retrieve(study, true, call)) {
      expect(instance.received.uid).toBe(Syntax.implicit)
      await collect(instance.body)
    }
    expect(storedHere()).toBe(1)
  })

  it('is held back by who reads slowly at another replica', async () => {
    const { gateways } = await started([instanceFile({ pixelBytes: 64 * 1024 * 1024 })], { to: 1 })
    const call = { signal: new AbortController().signal }
    let bytes = 0
    for await (const { body } of gateways[0]!.archives[0]!.retrieve(study, true, call)) {
      for await (const chunk of body) {
        if (bytes === 0) {
          await new Promise((resolve) => setTimeout(resolve, 500))
          const received = process.memoryUsage().arrayBuffers
          await new Promise((resolve) => setTimeout(resolve, 500))
          expect(process.memoryUsage().arrayBuffers - received).toBeLessThan(4 * 1024 * 1024)
        }
        bytes += chunk.length
      }
    }
    expect(bytes).toBeGreaterThan(64 * 1024 * 1024)
  })

  it('is told that an instance is not stored, when who asked has left', async () => {
    const { gateways, demo } = await started([instanceFile({ pixelBytes: 64 * 1024 * 1024 })], { to: 1 })
    const call = { signal: new AbortController().signal }
    for await (const { body } of gateways[0]!.archives[0]!.retrieve(study, true, call)) {
      for await (const _ of body) break
      break
    }
    await expect.poll(() => relays.map(({ direction, outcome }) => `${direction} ${outcome}`).sort()).toHaveLength(2)
    expect(relays.map(({ outcome }) => outcome)).not.toContain('stored')
    expect(demo.moves).toBe(1)
    expect(gateways.map(({ archives }) => archives[0]!.stats.leased)).toEqual([0, 0])
  })

  it('delivers between replicas that know each other by certificates', async ({ skip }) => {
    using certificate = certificateFor('replica')
    if (!certificate) skip('openssl is not installed')
    const { key, cert } = certificate!.files
    const cluster = (): object => ({ secret: null, tls: { ca: cert, cert, key } })
    const { gateways } = await started(series, { to: 1, cluster })
    expect(await digestsOf(gateways[0]!, study)).toEqual(whole)
    expect(storedHere()).toBe(5)
  })

  it('delivers nothing to a replica that has another secret', async () => {
    const secrets = ['of the one that asks, thirty-two bytes', 'of the one that is delivered to, and more']
    const { gateways } = await started(series, { to: 1, cluster: (index) => ({ secret: secrets[index] }) })
    await expect(digestsOf(gateways[0]!, study)).rejects.toThrow()
    expect(relays).toEqual([])
  })
})
