import { z } from 'zod'
import { filePath, filled, host, integer, oneOf, outputPath, secretText, secureAddress } from './values.ts'

// Who did what, written down.

const syslog = z.strictObject({
  host: host.describe('Syslog server, by TLS (RFC 5425)'),
  port: integer(1, 65_535).default(6514).describe('Its port'),
  ca: filePath.nullable().default(null).describe('PEM file of the authorities to trust; null for those of Node'),
  cert: filePath.nullable().default(null).describe('PEM file of our certificate, where it asks for one'),
  key: filePath.nullable().default(null).describe('PEM file of the private key that belongs to cert'),
  servername: host.nullable().default(null).describe('Name to ask for and verify; null for the host'),
})

const fhir = z.strictObject({
  url: secureAddress.describe('Base of a FHIR server that takes AuditEvent (IHE BALP)'),
  token: secretText.nullable().default(null).meta({ description: 'Bearer token for it', writeOnly: true }),
})

/** Any of the sinks, or several. */
export const audit = z
  .strictObject({
    file: outputPath.nullable().default(null).describe('File that gets one JSON object a line'),
    syslog: syslog.nullable().default(null).describe('DICOM audit messages (PS3.15 A.5) to a syslog server'),
    fhir: fhir.nullable().default(null).describe('FHIR AuditEvents to a repository'),
    onFailure: oneOf(['block', 'drop'])
      .default('drop')
      .describe('When events cannot be written and the queue is full: refuse requests, or lose events'),
    site: filled.nullable().default(null).describe('Name of the place, in each event (Audit Enterprise Site ID)'),
  })
  .nullable()
  .default(null)
  .describe('Audit trail; null for none')
