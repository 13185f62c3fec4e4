import { isNameable } from '../../dicom/uids.ts'
import { tokenRefused } from './errors.ts'
import type { IssuerConfig } from './auth-config.ts'
import { byScopes } from './permissions.ts'
import type { Binding, Principal } from './principal.ts'

export type Claims = Readonly<Record<string, unknown>>

/** Letters of what is taken of a claim for a name or an id. */
const MAX_TEXT = 256

/** Who the claims of a good token name, and what they let do. @throws RequestError 401 where they do not say what they have to */
export function principalOf(claims: Claims, config: IssuerConfig): Principal {
  const names = config.claims
  const subject = textOf(claims, names.subject)
  if (subject === undefined) throw tokenRefused('The token does not say who it is for.', 'TOKEN_CLAIMS')
  const held =
    names.scope === null ? [...words(claims['scope']), ...words(claims['scp'])] : words(at(claims, names.scope))
  const archives = names.archives === null ? undefined : words(at(claims, names.archives))
  return {
    kind: 'token',
    name: subject,
    authority: config.issuer,
    binding: bindingOf(claims, names),
    may: byScopes(config.scopes, new Set(held), archives),
  }
}

function bindingOf(claims: Claims, names: IssuerConfig['claims']): Binding | undefined {
  if (names.patient === null && names.study === null) return undefined
  const named = (name: string | null): string | undefined => (name === null ? undefined : textOf(claims, name))
  const binding = {
    patient: named(names.patient),
    patientIssuer: named(names.patientIssuer),
    study: named(names.study),
  }
  if (binding.study !== undefined && !isNameable(binding.study))
    throw tokenRefused('The token names no study.', 'TOKEN_CLAIMS')
  if (binding.patient !== undefined || binding.study !== undefined) return binding
  if (names.bindingRequired)
    throw tokenRefused('The token does not say which patient or study it is for.', 'TOKEN_CLAIMS')
  return undefined
}

/** @throws RequestError 401 for a claim that is no text: to take it for none would let its bearer see everything */
function textOf(claims: Claims, name: string): string | undefined {
  const value = at(claims, name)
  if (value === undefined) return undefined
  const text = typeof value === 'number' ? String(value) : typeof value === 'string' ? value.trim() : ''
  if (text === '' || text.length > MAX_TEXT || /[\p{Cc}\\]/u.test(text)) {
    throw tokenRefused('A claim of the token is not the text it should be.', 'TOKEN_CLAIMS')
  }
  return text
}

/** A claim by its name, or by names of claims within claims: Keycloak has realm_access.roles. */
function at(claims: Claims, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name]
  return name.split('.').reduce<unknown>((value, key) => {
    const isIn = typeof value === 'object' && value !== null && Object.hasOwn(value, key)
    return isIn ? (value as Claims)[key] : undefined
  }, claims)
}

/** RFC 8693 4.2: scopes are words with spaces between; others write lists. */
function words(value: unknown): string[] {
  if (typeof value === 'string') return value.split(' ').filter((word) => word !== '')
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : []
}
