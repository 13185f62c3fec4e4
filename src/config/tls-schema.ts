import { z } from 'zod'
import { bool, filePath, host, oneOf } from './values.ts'

export const tlsVersion = oneOf(['TLSv1.2', 'TLSv1.3']).default('TLSv1.2').describe('Oldest TLS version to agree to')

/** Of associations that we open. */
export const tls = z.strictObject({
  ca: filePath.nullable().default(null).describe('PEM file of the authorities to trust; null for those of Node'),
  cert: filePath.nullable().default(null).describe('PEM file of our certificate, for mutual authentication'),
  key: filePath.nullable().default(null).describe('PEM file of the private key that belongs to cert'),
  minVersion: tlsVersion,
  servername: host.nullable().default(null).describe('Name to ask for and verify; null for the host'),
  rejectUnauthorized: bool.default(true).describe('Refuse a certificate that cannot be verified'),
})
