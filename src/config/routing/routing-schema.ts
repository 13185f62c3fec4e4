import { z } from 'zod'
import {
  aeTitle,
  addressBlock,
  bool,
  byteSize,
  duration,
  folderPath,
  host,
  integer,
  longKey,
  name,
  oneOf,
  secretText,
  secureAddress,
} from '../values.ts'
import { tls } from '../tls-schema.ts'
import { conflict } from '../fields.ts'
import { change } from './changes.ts'
import { parseCondition } from './condition.ts'

/** A system that stores to us. */
const device = z
  .strictObject({
    name: name.optional().describe('Name in logs, metrics and conditions; default: aeTitle in lower case'),
    aeTitle: aeTitle.describe('AE title that it calls with'),
    addresses: z
      .array(addressBlock, { error: 'a list of IP addresses and blocks of them' })
      .default([])
      .describe('Addresses it may call from; empty for any'),
    calledAeTitle: aeTitle.nullable().default(null).describe('AE title that it calls us by; null for dimse.aeTitle'),
    maxAssociations: integer(1, 64).default(8).describe('Most associations it may have at once'),
    timeout: duration('60s').describe('How long it may be silent within an instance'),
    worklist: name.nullable().default(null).describe('Name of the archive whose worklist it may ask; null for none'),
    commitment: z
      .strictObject({
        archive: name.describe('Name of the archive that is asked'),
        host: host.describe('Where the device takes reports'),
        port: integer(1, 65_535).describe('Port it takes reports on'),
      })
      .nullable()
      .default(null)
      .describe('Storage commitment that it may ask for; null for none'),
  })
  .transform((value) => ({ ...value, name: value.name ?? value.aeTitle.toLowerCase() }))

export const devices = z
  .array(device, { error: 'a list of devices' })
  .default([])
  .describe('Modalities and other systems that may store to us by C-STORE')

const decompress = oneOf(['lossless', 'always', 'never'])
  .default('lossless')
  .describe('Whether what it does not take compressed is sent uncompressed')

const node = z.strictObject({
  type: z.literal('dicom').describe('A DICOM node, by C-STORE'),
  name: name.describe('What routes call it'),
  aeTitle: aeTitle.describe('Its AE title'),
  host: host.describe('Where it listens'),
  port: integer(1, 65_535).describe('Port it listens on'),
  callingAeTitle: aeTitle.nullable().default(null).describe('AE title we call with; null for dimse.aeTitle'),
  maxAssociations: integer(1, 64).default(4).describe('Most associations open at once'),
  timeout: duration('60s').describe('How long it may be silent'),
  tls: tls.nullable().default(null).describe('TLS; null for plain TCP'),
  decompress,
})

const webStore = z.strictObject({
  type: z.literal('stow').describe('A DICOMweb server, by STOW-RS'),
  name: name.describe('What routes call it'),
  url: secureAddress.describe('Its root; what is stored goes to url/studies'),
  token: secretText.nullable().default(null).meta({ description: 'Bearer token; null for none', writeOnly: true }),
  maxRequests: integer(1, 64).default(4).describe('Most requests at once'),
  timeout: duration('60s').describe('How long it may be silent'),
})

export const destinations = z
  .array(
    z.discriminatedUnion('type', [node, webStore], { error: 'a group with its type, which is one of: dicom, stow' }),
    { error: 'a list of destinations' },
  )
  .default([])
  .describe('Where routes may lead besides the archives')

const destinationOfRoute = z
  .union(
    [
      name,
      z.strictObject({
        name: name.describe('Name of an archive or a destination'),
        delivery: oneOf(['required', 'best-effort'])
          .default('required')
          .describe('Whether the sender is told a failure'),
      }),
    ],
    { error: 'the name of an archive or a destination, or a group of name and delivery' },
  )
  .transform((value) => (typeof value === 'string' ? { name: value, delivery: 'required' as const } : value))

const when = z
  .record(z.string(), z.unknown(), { error: 'a group of conditions' })
  .prefault({})
  .transform((value, context) =>
    parseCondition(value, (path, message) =>
      context.addIssue({ code: 'custom', message, path: [...path], params: { [conflict]: true } }),
    ),
  )

const route = z.strictObject({
  name: name.describe('Name in logs and metrics'),
  when: when.describe('What takes it: attributes with values, and all, any, not; empty: everything'),
  set: z.array(change, { error: 'a list of steps' }).default([]).describe('What is changed, step by step'),
  to: z
    .array(destinationOfRoute, { error: 'a list of archives and destinations' })
    .min(1, { error: 'at least one archive or destination' })
    .describe('Where it leads'),
  stop: bool.default(false).describe('Whether what takes it takes no route behind it'),
})

export const routes = z
  .array(route, { error: 'a list of routes' })
  .default([])
  .describe('Where what devices and STOW bring goes, and what is changed in it')

export const pseudonyms = z
  .strictObject({
    key: longKey.meta({
      description: 'Makes pseudonyms and shifts of dates: who has it can find them again',
      writeOnly: true,
    }),
  })
  .nullable()
  .default(null)
  .describe('How names and numbers of people are replaced; null: no route does')

export const spool = z
  .strictObject({
    dir: folderPath.describe('Folder that is there and can be written, of this instance alone'),
    maxBytes: byteSize('4GiB').describe('Most bytes on disk'),
    giveUpAfter: duration('7d').describe('How long an instance is tried before somebody has to look'),
    key: longKey.meta({ description: 'Encrypts what is in it', writeOnly: true }),
  })
  .nullable()
  .default(null)
  .describe('Where instances for best-effort destinations are kept until these have them; null: they have one try')
