import { exportJWK, generateKeyPair, jwtVerify, SignJWT, type JSONWebKeySet } from 'jose'
import { beforeEach, describe, expect, it } from 'vitest'
import { FRESH_MS, KEPT_MS, KeySet, REFETCH_MS, RETRY_MS } from '../../../src/http/auth/key-set.ts'

interface Signer {
  readonly id: string
  readonly token: string
  readonly jwks: JSONWebKeySet
}

async function signer(id: string): Promise<Signer> {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true })
  const token = await new SignJWT({}).setProtectedHeader({ alg: 'ES256', kid: id }).sign(privateKey)
  return { id, token, jwks: { keys: [{ ...(await exportJWK(publicKey)), kid: id }] } }
}

describe('the keys of an issuer', async () => {
  const [a, b] = [await signer('a'), await signer('b')]
  let now: number
  let listed: JSONWebKeySet | undefined
  let fetched: number
  let keys: KeySet

  beforeEach(() => {
    now = 0
    fetched = 0
    listed = a.jwks
    keys = new KeySet(
      async () => {
        fetched++
        if (!listed) throw new Error('down')
        return listed
      },
      () => now,
    )
  })

  const good = async ({ token }: Signer): Promise<boolean> =>
    jwtVerify(token, keys.get).then(
      () => true,
      () => false,
    )

  it('are fetched anew for one that is not there, at most once in REFETCH_MS', async () => {
    expect(await good(a)).toBe(true)
    listed = b.jwks
    now = REFETCH_MS - 1
    expect([await good(b), fetched]).toEqual([false, 1])
    now = REFETCH_MS
    expect([await good(b), fetched]).toEqual([true, 2])
    expect([await good(a), await good(a), fetched]).toEqual([false, false, 2])
  })

  it('are fetched anew after FRESH_MS, so that one that is withdrawn goes', async () => {
    expect(await good(a)).toBe(true)
    listed = b.jwks
    now = FRESH_MS
    expect([await good(a), fetched]).toEqual([true, 1])
    now = FRESH_MS + 1
    expect([await good(a), fetched]).toEqual([false, 2])
  })

  it('serve for KEPT_MS where the issuer does not answer', async () => {
    expect(await good(a)).toBe(true)
    listed = undefined
    now = KEPT_MS
    expect(await good(a)).toBe(true)
    now = KEPT_MS + 1
    expect(await good(a)).toBe(false)
    await expect(jwtVerify(a.token, keys.get)).rejects.toMatchObject({ code: 'ISSUER_UNAVAILABLE' })
  })

  it('are tried again after RETRY_MS where there are none yet', async () => {
    listed = undefined
    expect([await good(a), await good(a), fetched]).toEqual([false, false, 1])
    listed = a.jwks
    now = RETRY_MS - 1
    expect([await good(a), fetched]).toEqual([false, 1])
    now = RETRY_MS
    expect([await good(a), fetched]).toEqual([true, 2])
  })

  it('are fetched once for all who ask at a time', async () => {
    expect(await Promise.all(Array.from({ length: 20 }, () => good(a)))).toEqual(Array(20).fill(true))
    expect(fetched).toBe(1)
  })
})
