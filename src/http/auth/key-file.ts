import { readFile, stat } from 'node:fs/promises'
import { createLocalJWKSet, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose'
import type { AuthConfig } from './auth-config.ts'
import { parsedJson } from '../../network/parsed-json.ts'

/** How long a file of keys is not looked at again, in ms: a key that is taken out of it goes at once. */
export const LOOK_MS = 1_000

/** A file of auth.jwksFile cannot be read, or is no set of public keys. */
export class KeyFileError extends Error {
  readonly code = 'KEY_FILE_UNUSABLE'
  constructor(problem: string, options?: ErrorOptions) {
    super(problem, options)
    this.name = 'KeyFileError'
  }
}

/** The keys of a file (RFC 7517 5), read again when it has changed. */
export class KeyFile {
  readonly #path: string
  #read: { readonly signature: string; readonly get: JWTVerifyGetKey } | undefined
  #lookedAt = -Infinity

  constructor(path: string) {
    this.#path = path
  }

  /** Finds the key that a token names; the same as long as the file is. @throws KeyFileError */
  async current(): Promise<JWTVerifyGetKey> {
    if (this.#read && performance.now() - this.#lookedAt < LOOK_MS) return this.#read.get
    const signature = await signatureOf(this.#path)
    if (this.#read?.signature !== signature) {
      this.#read = { signature, get: createLocalJWKSet(await readKeyFile(this.#path)) }
    }
    this.#lookedAt = performance.now()
    return this.#read.get
  }
}

/** Finds out at the start what is wrong with the files of keys. @throws KeyFileError */
export async function checkKeyFiles({ issuers }: AuthConfig): Promise<void> {
  for (const { jwksFile } of issuers) if (jwksFile !== null) await readKeyFile(jwksFile)
}

function unreadable(path: string, cause: unknown): KeyFileError {
  return new KeyFileError(`The file of auth.jwksFile cannot be read: ${path}`, { cause })
}

async function signatureOf(path: string): Promise<string> {
  const { mtimeMs, size, ino } = await stat(path).catch((cause: unknown) => {
    throw unreadable(path, cause)
  })
  return [mtimeMs, size, ino].join(' ')
}

async function readKeyFile(path: string): Promise<JSONWebKeySet> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw unreadable(path, cause)
  })
  const set = parsedJson(text)
  const keys: unknown = (set as { keys?: unknown } | null | undefined)?.keys
  if (!Array.isArray(keys)) {
    throw new KeyFileError(`The file of auth.jwksFile is no JSON Web Key Set, {"keys": [...]}: ${path}`)
  }
  for (const key of keys as unknown[]) {
    if (typeof key !== 'object' || key === null || !('kty' in key)) {
      throw new KeyFileError(`The file of auth.jwksFile has something among its keys that is none: ${path}`)
    }
    // RFC 7518 6: what signs is for the issuer alone.
    if ('d' in key || 'k' in key) {
      throw new KeyFileError(`The file of auth.jwksFile has a private key; it is to have the public ones only: ${path}`)
    }
  }
  return set as JSONWebKeySet
}
