import type { ElementToken } from './element-reader.ts'
import { isOfEncoding } from './tag.ts'

/** Tells of the tokens of a data set, one after another, which are carried over where it is written anew. */
export class CarriedOver {
  #isLeavingOut = false

  has(token: ElementToken): boolean {
    if (token.kind === 'element') this.#isLeavingOut = isOfEncoding(token.header.tag)
    else if (token.kind !== 'value') this.#isLeavingOut = false
    return !this.#isLeavingOut
  }
}
