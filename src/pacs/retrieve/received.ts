import type { InstanceUids } from '../../instance/uids.ts'
import type { Uid } from '../../dicom/uids.ts'

export type Place = Pick<InstanceUids, 'series' | 'sopInstance'>

/** The instances of one study that have come. Some archives hold one SOP Instance UID in several series: each counts. */
export class Received {
  readonly #series = new Map<Uid, Set<Uid>>()
  readonly #instances = new Set<Uid>()
  #size = 0

  get size(): number {
    return this.#size
  }

  /** How many of a series. */
  sizeOf(series: Uid): number {
    return this.#series.get(series)?.size ?? 0
  }

  has({ series, sopInstance }: Place): boolean {
    return this.#series.get(series)?.has(sopInstance) === true
  }

  /** In whichever series. */
  hasInstance(sopInstance: Uid): boolean {
    return this.#instances.has(sopInstance)
  }

  add({ series, sopInstance }: Place): void {
    if (this.has({ series, sopInstance })) return
    const instances = this.#series.get(series) ?? new Set()
    this.#series.set(series, instances.add(sopInstance))
    this.#instances.add(sopInstance)
    this.#size++
  }
}
