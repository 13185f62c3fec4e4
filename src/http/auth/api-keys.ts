import { createHash, randomBytes } from 'node:crypto'
import type { KeyConfig } from './auth-config.ts'
import { byVerbs } from './permissions.ts'
import type { Principal } from './principal.ts'

/** So that scanners for secrets, and we, know one. */
export const PREFIX = 'dsg_'
/** Bytes of chance in a key: nobody finds one by its hash, however fast that is. */
const KEY_BYTES = 32

/** A new key, and what the configuration holds of it. */
export function newApiKey(): { readonly key: string; readonly hash: string } {
  const key = PREFIX + randomBytes(KEY_BYTES).toString('base64url')
  return { key, hash: hashOf(key) }
}

export function isApiKey(token: string): boolean {
  return token.startsWith(PREFIX)
}

/** Keys of machines. They are looked up by their hash, so that no comparison tells how far one is right. */
export class ApiKeys {
  readonly #byHash: ReadonlyMap<string, Principal>

  constructor(keys: readonly KeyConfig[]) {
    this.#byHash = new Map(keys.map((key) => [key.hash, principalOf(key)]))
  }

  of(key: string): Principal | undefined {
    return this.#byHash.get(hashOf(key))
  }
}

function principalOf({ name, scopes, archives, patient, study }: KeyConfig): Principal {
  const isBound = patient !== null || study !== null
  return {
    kind: 'key',
    name,
    binding: isBound ? { patient: patient ?? undefined, study: study ?? undefined } : undefined,
    may: byVerbs(scopes, archives),
  }
}

function hashOf(key: string): string {
  return `sha256:${createHash('sha256').update(key).digest('hex')}`
}
