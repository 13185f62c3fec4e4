import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import type { Bytes } from '../../dicom/bytes.ts'

/** What is encrypted at once, and decrypted to read any byte of it: two usual frames, for one of which it is read. */
export const BLOCK_BYTES = 256 * 1024
/** What proves a block, behind it. */
export const TAG_BYTES = 16

const KEY_BYTES = 32
/** NIST SP 800-38D 8.2: 96 bits. */
const NONCE_BYTES = 12

/** A block is not what was written. */
export class DamagedBlockError extends Error {
  readonly code = 'DAMAGED_BLOCK'
  readonly block: number
  constructor(block: number, options?: ErrorOptions) {
    super(`Block ${block} is not what was written`, options)
    this.name = 'DamagedBlockError'
    this.block = block
  }
}

/**
 * Seals the blocks of one file, and opens them (AES-256-GCM, NIST SP 800-38D). The key is this file's alone, and never
 * leaves this object: whoever forgets it makes the file unreadable, and no block of another file opens here.
 */
export class BlockCipher {
  readonly #key = randomBytes(KEY_BYTES)
  #sealed = 0

  /** Seals the bytes of the next block, given in pieces; its tag is the last piece of what comes out. */
  seal(pieces: readonly Bytes[]): readonly Buffer[] {
    // A number is given once in the life of the key: so no nonce is ever used twice.
    const block = this.#sealed++
    const nonce = nonceOf(block)
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce, { authTagLength: TAG_BYTES }).setAAD(placeOf(block))
    const sealed = pieces.map((piece) => cipher.update(piece))
    return [...sealed, cipher.final(), cipher.getAuthTag()]
  }

  /** What was sealed as a block of that number, counted from 0. @throws DamagedBlockError */
  open(block: number, sealed: Bytes): Buffer {
    const end = sealed.length - TAG_BYTES
    if (end < 0) throw new DamagedBlockError(block)
    const decipher = createDecipheriv('aes-256-gcm', this.#key, nonceOf(block), { authTagLength: TAG_BYTES })
    decipher.setAAD(placeOf(block)).setAuthTag(sealed.subarray(end))
    const bytes = decipher.update(sealed.subarray(0, end))
    try {
      decipher.final()
    } catch (cause) {
      throw new DamagedBlockError(block, { cause })
    }
    return bytes
  }
}

function nonceOf(block: number): Buffer {
  const nonce = Buffer.alloc(NONCE_BYTES)
  nonce.writeUIntBE(block, NONCE_BYTES - 6, 6)
  return nonce
}

/** Bound to the block as additional data: where it is in its file. */
function placeOf(block: number): Buffer {
  const place = Buffer.alloc(8)
  place.writeBigUInt64BE(BigInt(block) * BigInt(BLOCK_BYTES))
  return place
}
