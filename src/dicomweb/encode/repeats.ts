import type { Bytes } from '../../dicom/bytes.ts'
import type { CharacterSet } from '../../dicom/charset.ts'
import type { Tag } from '../../dicom/tag.ts'
import type { Vr } from '../../dicom/vr.ts'

/** Longer values are written anew each time: few of them are the same again. */
export const MAX_REPEATED_BYTES = 256
/** So many attributes are remembered at most, those of sequences among them. */
export const MAX_REPEATED_ATTRIBUTES = 4096

interface Written {
  readonly vr: Vr
  readonly characterSet: CharacterSet
  readonly value: Bytes
  readonly text: string
}

/**
 * How the attributes of a data set were written, for the one behind it: the instances of a series differ in few, and so
 * do the items of a sequence.
 */
export class Repeats {
  readonly #written = new Map<Tag, Written>()
  readonly #within = new Map<Tag, Repeats>()
  /** Shared with those of its sequences. */
  readonly #room: { left: number }

  constructor(room = { left: MAX_REPEATED_ATTRIBUTES }) {
    this.#room = room
  }

  /** The text of an attribute: that of the last one if it was the same, else what `write` makes of it. */
  text(t: Tag, vr: Vr, value: Bytes, characterSet: CharacterSet, write: () => string): string {
    if (value.length > MAX_REPEATED_BYTES) return write()
    const last = this.#written.get(t)
    if (last?.vr === vr && last.characterSet === characterSet && isSame(last.value, value)) return last.text
    const text = write()
    // A copy: what it is a view of may be large.
    if (last !== undefined || this.#takeRoom())
      this.#written.set(t, { vr, characterSet, value: new Uint8Array(value), text })
    return text
  }

  /** For the items of a sequence; undefined where there is no room for more. */
  within(sequence: Tag): Repeats | undefined {
    let repeats = this.#within.get(sequence)
    if (repeats === undefined && this.#takeRoom()) {
      repeats = new Repeats(this.#room)
      this.#within.set(sequence, repeats)
    }
    return repeats
  }

  #takeRoom(): boolean {
    if (this.#room.left === 0) return false
    this.#room.left--
    return true
  }
}

/** Values are short: a loop is faster than a call out of JavaScript. */
function isSame(a: Bytes, b: Bytes): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}
