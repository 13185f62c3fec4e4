import { randomUUID } from 'node:crypto'
import { jwtVerify, SignJWT } from 'jose'
import { isNameable } from '../../dicom/uids.ts'
import type { LinksConfig } from './auth-config.ts'
import { tokenRefused } from './errors.ts'
import { byVerbs } from './permissions.ts'
import type { Principal } from './principal.ts'

/** No issuer of others is called so: theirs are addresses. */
export const LINK_ISSUER = 'dimsegate'
const AUDIENCE = 'dimsegate:link'
const ALGORITHM = 'HS256'

/** What a link lets see. */
export interface Link {
  readonly study: string
  /** Name of the archive it is in. */
  readonly archive: string
}

export interface SignedLink {
  readonly token: string
  /** As the audit trail names who comes by it. */
  readonly id: string
}

/** A token that lets its bearer search and retrieve one study for so many ms. */
export async function signLink({ study, archive }: Link, ms: number, { key }: LinksConfig): Promise<SignedLink> {
  const now = Math.floor(Date.now() / 1000)
  const id = randomUUID()
  const token = await new SignJWT({ study, archive })
    .setProtectedHeader({ alg: ALGORITHM })
    .setIssuer(LINK_ISSUER)
    .setAudience(AUDIENCE)
    .setJti(id)
    .setIssuedAt(now)
    .setExpirationTime(now + Math.floor(ms / 1000))
    .sign(Buffer.from(key))
  return { token, id }
}

/** The bearer of a link. @throws RequestError 401 */
export async function verifiedLink(token: string, { key, maxAge }: LinksConfig): Promise<Principal & Link> {
  const options = { issuer: LINK_ISSUER, audience: AUDIENCE, algorithms: [ALGORITHM], requiredClaims: ['exp', 'iat'] }
  const { payload } = await jwtVerify(token, Buffer.from(key), { ...options, maxTokenAge: maxAge / 1000 }).catch(() => {
    throw tokenRefused('The link is not good, or no longer: ask for another.', 'TOKEN_SIGNATURE')
  })
  const { study, archive, jti = '' } = payload
  if (typeof study !== 'string' || !isNameable(study) || typeof archive !== 'string') {
    throw tokenRefused('The link does not say what it is for.', 'TOKEN_CLAIMS')
  }
  const may = byVerbs(['search', 'retrieve'], [archive])
  return { kind: 'link', name: jti, binding: { study }, may, study, archive }
}
