/** Something that takes bytes or text from outside. */
export interface Target {
  readonly name: string
  /** The errors it documents: anything else that is thrown is a fault. */
  readonly errors: readonly (abstract new (...args: never[]) => Error)[]
  /** What has a meaning in an input: tags, names, delimiters. */
  readonly dictionary: readonly Uint8Array[]
  /** Bytes of the longest input; MAX_INPUT_BYTES unless told. */
  readonly maxLength?: number
  /** Work for one input that is too long, in ms, where it is not what it is for the others. */
  readonly slowMs?: number
  /** Inputs to begin with. */
  seeds(): Promise<readonly Uint8Array[]>
  /**
   * Takes an input, and holds what comes of it against what has to be so.
   * @throws BrokenPropertyError, and the errors of the target
   */
  run(input: Buffer): void | Promise<void>
}

/** What is sent in one chunk, or in a header, is no more. */
export const MAX_INPUT_BYTES = 65_536

/** Something that has to be so is not. */
export class BrokenPropertyError extends Error {
  override readonly name = 'BrokenPropertyError'
}

/** @throws BrokenPropertyError unless both are the same in their text */
export function same(property: string, expected: string, actual: string): void {
  if (expected === actual) return
  let at = 0
  while (expected[at] === actual[at]) at++
  const shown = (text: string): string => JSON.stringify(text.slice(Math.max(0, at - 40), at + 80))
  throw new BrokenPropertyError(`${property}: from ${at} on ${shown(expected)} became ${shown(actual)}`)
}

export function tokens(...texts: readonly (string | Uint8Array)[]): Uint8Array[] {
  return texts.map((text) => (typeof text === 'string' ? Buffer.from(text, 'latin1') : text))
}
