import { createHmac } from 'node:crypto'
import type { Uid } from '../../dicom/uids.ts'

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
/** Characters of a pseudonym: SH, CS and AE hold no more (PS3.5 6.2); 80 bits. */
const LENGTH = 16

/** What stands for names and numbers of people: the same for the same, and nobody can tell of whom without the key. */
export class Pseudonyms {
  readonly #key: string

  constructor(key: string) {
    this.#key = key
  }

  /** 16 capitals and digits. */
  text(value: string): string {
    const digest = this.#digest('text', value)
    let bits = BigInt(`0x${digest.toString('hex', 0, 10)}`)
    let text = ''
    while (text.length < LENGTH) {
      text = BASE32[Number(bits & 31n)]! + text
      bits >>= 5n
    }
    return text
  }

  /** Of a UUID (PS3.5 B.2), in the form for those made by a rule (RFC 9562 5.8). */
  uid(value: Uid): Uid {
    const digest = this.#digest('uid', value)
    digest[6] = (digest[6]! & 0x0f) | 0x80
    digest[8] = (digest[8]! & 0x3f) | 0x80
    return `2.25.${BigInt(`0x${digest.toString('hex', 0, 16)}`)}`
  }

  /** Days from -within to within, never 0. */
  days(patient: string, within: number): number {
    const number = Number(BigInt(`0x${this.#digest('days', patient).toString('hex', 0, 8)}`) % BigInt(2 * within))
    return number < within ? number - within : number - within + 1
  }

  /** Each use has its own: a number is not to be found by trying it in another place. */
  #digest(use: string, value: string): Buffer {
    return createHmac('sha256', this.#key).update(`${use}\0${value}`, 'utf8').digest()
  }
}
