import type { Config } from '../../config/config.ts'

/** Who is let in, where not everybody is. */
export type AuthConfig = Exclude<Config['auth'], null | 'open'>
export type IssuerConfig = AuthConfig['issuers'][number]
export type IntrospectionConfig = NonNullable<IssuerConfig['introspection']>
export type ProxyConfig = NonNullable<AuthConfig['proxy']>
export type KeyConfig = AuthConfig['keys'][number]
export type CertificateConfig = AuthConfig['certificates'][number]
export type LinksConfig = NonNullable<AuthConfig['links']>

/** Who is let in; undefined where that is not looked at. */
export function signInOf(auth: Config['auth']): AuthConfig | undefined {
  return auth === null || auth === 'open' ? undefined : auth
}

/** How links are signed; null where there are none. */
export function linksOf(auth: Config['auth']): LinksConfig | null {
  return signInOf(auth)?.links ?? null
}
