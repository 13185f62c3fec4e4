import type { Config } from '../../config/config.ts'

/** Who is let in, where not everybody is. */
export type AuthConfig = Exclude<Config['auth'], null | 'open'>
export type IssuerConfig = AuthConfig['issuers'][number]
export type IntrospectionConfig = NonNullable<IssuerConfig['introspection']>
export type ProxyConfig = NonNullable<AuthConfig['proxy']>
export type KeyConfig = AuthConfig['keys'][number]
export type CertificateConfig = AuthConfig['certificates'][number]
export type LinksConfig = NonNullable<AuthConfig['links']>
