import { LRUCache } from 'lru-cache'
import type { Uid } from '../../dicom/uids.ts'

const MAX_CLASSES = 200

/** SOP classes of which an archive has given instances by C-MOVE that it could not give by C-GET: none of them, however asked. */
export class MovedClasses {
  readonly #classes: LRUCache<Uid, true>

  /** @param ttl how long it is remembered, in ms */
  constructor(ttl: number) {
    this.#classes = new LRUCache({ max: MAX_CLASSES, ttl })
  }

  /** A class that is not known is none of them. */
  has(sopClass: Uid | undefined): boolean {
    return sopClass !== undefined && this.#classes.has(sopClass)
  }

  learn(sopClass: Uid): void {
    this.#classes.set(sopClass, true)
  }

  /** It has given one by C-GET. */
  forget(sopClass: Uid): void {
    this.#classes.delete(sopClass)
  }
}
