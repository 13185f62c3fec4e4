import { z } from 'zod'
import { bool, duration, issuer, name, patientIdPrefix, pathSegment, secureAddress, systemUri } from './values.ts'

/** Whose patients an archive holds, as far as it does not say so itself. */
export const patients = z.strictObject({
  issuer: issuer
    .nullable()
    .default(null)
    .describe('Issuer of Patient ID of the patients of the archive, where it tells none; null: not known'),
  stripPrefix: patientIdPrefix
    .nullable()
    .default(null)
    .describe('What the archive puts in front of the Patient IDs of that issuer; null for nothing'),
  otherIds: bool
    .default(false)
    .describe('Whether the items of Other Patient IDs Sequence that the archive tells are IDs of the same patient'),
})

const pixSystem = z.strictObject({
  issuer: issuer.describe('Issuer of Patient ID'),
  system: systemUri.describe('The system of its IDs, as the PIXm manager names it'),
})

const pixm = z
  .strictObject({
    url: secureAddress.describe('FHIR base URL of the PIXm manager (IHE ITI-83)'),
    systems: z
      .array(pixSystem, { error: 'a list of issuers with their systems' })
      .min(2, { error: 'at least two issuers, to tell the IDs of one from those of another' })
      .describe('How the issuers of Patient IDs are called there'),
    timeout: duration('2s').describe('How long it may take; then a search goes on without it'),
    keep: duration('5m').describe('How long what it has told is believed'),
  })
  .describe('Who links the IDs that a patient has at several issuers')

export const federation = z
  .strictObject({
    name: pathSegment.prefault('all').describe('Where its root is, below basePath'),
    archives: z
      .array(name, { error: 'a list of names of archives' })
      .nullable()
      .default(null)
      .describe('Names of the archives it is made of, the nearest first; null for all'),
    timeout: duration('10s').describe('How long its archives may take to answer a search; who is late is told of'),
    store: name.nullable().default(null).describe('Name of the archive that takes what is stored; null for the first'),
    pixm: pixm.nullable().default(null),
  })
  .nullable()
  .default(null)
  .describe('One root over several archives; null for none')
