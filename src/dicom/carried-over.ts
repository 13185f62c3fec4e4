import type { ElementToken } from './element-reader.ts'
import { isOfEncoding } from './tag.ts'

/** Tells of the tokens of a data set, one after another, which are carried over where it is written anew. */
export class CarriedOver {
  #isWithinOther = false

  has(token: ElementToken): boolean {
    if (token.kind === 'element') this.#isWithinOther = isOfEncoding(token.header.tag)
    else if (token.kind !== 'value') this.#isWithinOther = false
    return !this.#isWithinOther
  }
}
