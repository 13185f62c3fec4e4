import type { InstanceUids } from '../../instance/uids.ts'
import type { Uid } from '../../dicom/uids.ts'

type Place = Pick<InstanceUids, 'series' | 'sopInstance'>

/** The instances of one study that have come. Some archives hold one SOP Instance UID in several series: each counts. */
export class Received {
  readonly #places = new Set<string>()
  readonly #instances = new Set<Uid>()

  get size(): number {
    return this.#places.size
  }

  has({ series, sopInstance }: Place): boolean {
    return this.#places.has(`${series} ${sopInstance}`)
  }

  /** In whichever series. */
  hasInstance(sopInstance: Uid): boolean {
    return this.#instances.has(sopInstance)
  }

  add({ series, sopInstance }: Place): void {
    this.#places.add(`${series} ${sopInstance}`)
    this.#instances.add(sopInstance)
  }
}
