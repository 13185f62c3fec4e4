/** Numbers that look random and are the same for the same seed (sfc32). */
export class Random {
  #a: number
  #b: number
  #c = 0x9e3779b9
  #counter = 1

  /** @param name different names give different numbers of one seed */
  constructor(seed: number, name = '') {
    this.#a = seed >>> 0
    this.#b = hashOf(Buffer.from(name))
    for (let n = 0; n < 12; n++) this.next()
  }

  /** From 0 to 2^32 - 1. */
  next(): number {
    const sum = (this.#a + this.#b + this.#counter) >>> 0
    this.#counter = (this.#counter + 1) >>> 0
    this.#a = (this.#b ^ (this.#b >>> 9)) >>> 0
    this.#b = (this.#c + (this.#c << 3)) >>> 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) >>> 0
    return sum
  }

  /** From 0 to `end` - 1. */
  below(end: number): number {
    return this.next() % Math.max(end, 1)
  }

  oneIn(count: number): boolean {
    return this.below(count) === 0
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!
  }
}

/** 32 bits that tell inputs apart (FNV-1a). */
export function hashOf(bytes: Uint8Array): number {
  let hash = 0x811c9dc5
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash >>> 0
}
