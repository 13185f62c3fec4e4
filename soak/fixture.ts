import { makeInstance, shapeOf, type MadeInstance, type Sort } from './instances.ts'
import { UID_ROOT } from './stores.ts'

/** Instances of each sort, and bytes of pixel data of each, in one study or the other. */
const PLAN: readonly { readonly study: number; readonly sort: Sort; readonly count: number; readonly bytes: number }[] =
  [
    { study: 1, sort: 'ct', count: 10, bytes: 512 * 1024 },
    { study: 1, sort: 'mr', count: 6, bytes: 128 * 1024 },
    { study: 2, sort: 'cr', count: 2, bytes: 2 * 1024 * 1024 },
    { study: 2, sort: 'capture', count: 4, bytes: 64 * 1024 },
    { study: 3, sort: 'loop', count: 2, bytes: 6 * 1024 * 1024 },
  ]

/** What an archive begins with: the same for the same seed. */
export async function fixtureOf(archive: {
  readonly name: string
  readonly number: number
  readonly seed: number
}): Promise<MadeInstance[]> {
  const { name, number: of, seed } = archive
  const made: MadeInstance[] = []
  for (const { study: number, sort, count, bytes } of PLAN) {
    const study = `${UID_ROOT}.${seed}.${of}.${number}`
    const series = `${study}.${PLAN.findIndex((plan) => plan.sort === sort) + 1}`
    for (let n = 1; n <= count; n++) {
      const uids = { study, series, instance: `${series}.${n}`, patient: `${name.toUpperCase()}-${number}` }
      made.push(await makeInstance(uids, shapeOf(sort, bytes), (seed * 10 + of) * 1000 + made.length))
    }
  }
  return made
}
