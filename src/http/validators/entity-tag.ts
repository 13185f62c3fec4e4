import { createHash, randomBytes } from 'node:crypto'

/** Of a digest in a tag: as many bits as nobody meets twice. */
const TAG_BYTES = 16
/** Tags of an If-None-Match that are looked at. */
const MAX_TAGS = 16

/** The tag of what is made of these things alone, and changes with any of them: strong (RFC 9110 8.8.1). */
export function tagOf(...parts: readonly string[]): string {
  return `"${digestOf(...parts)}"`
}

/** Stands for these things: another where any of them differs. */
export function digestOf(...parts: readonly string[]): string {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(`${Buffer.byteLength(part)} ${part}`)
  return shortened(hash.digest())
}

/** A tag for answers that mean the same, and may differ in their bytes (RFC 9110 8.8.1). */
export function weakened(tag: string): string {
  return `W/${tag}`
}

/** The tag of bytes that may go out in several codings: weak. */
export function weakTagOf(pieces: readonly Uint8Array[]): string {
  const hash = createHash('sha256')
  for (const piece of pieces) hash.update(piece)
  return weakened(`"${shortened(hash.digest())}"`)
}

/** A tag that no other answer has. */
export function newTag(): string {
  return `"${shortened(randomBytes(TAG_BYTES))}"`
}

function shortened(digest: Buffer): string {
  return digest.toString('hex', 0, TAG_BYTES)
}

/**
 * The tags that a client holds answers under (RFC 9110 13.1.2); none where it says nothing of it. `*`, any of them, does not
 * count: whether there is an answer at all is known when it is made.
 */
export function heldTags(ifNoneMatch: string | undefined): readonly string[] {
  return (ifNoneMatch ?? '')
    .split(',', MAX_TAGS)
    .map((tag) => tag.trim())
    .filter((tag) => tag !== '' && tag !== '*')
}

/**
 * A tag as it is among those held, if it is: for that it does not matter which are weak (RFC 9110 8.8.3.2). Undefined where
 * it is not.
 */
export function heldAs(tag: string, held: readonly string[]): string | undefined {
  return held.find((one) => withoutMark(one) === withoutMark(tag))
}

/** The opaque part, which is all that counts where tags are compared weakly. */
export function withoutMark(tag: string): string {
  return tag.replace(/^W\//, '')
}
