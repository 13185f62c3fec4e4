import { z } from 'zod'
import { audit } from './audit-schema.ts'
import { authOrOpen } from './auth-schema.ts'
import { cluster } from './cluster-schema.ts'
import { federation, patients } from './federation-schema.ts'
import { prefetch } from './prefetch-schema.ts'
import { reportConflicts } from './conflicts.ts'
import { conflict } from './fields.ts'
import { tls, tlsVersion } from './tls-schema.ts'
import { destinations, devices, pseudonyms, routes, spool } from './routing/routing-schema.ts'
import {
  addressBlock,
  aeTitle,
  archiveAeTitle,
  asciiUrl,
  bool,
  byteSize,
  characterSet,
  duration,
  filePath,
  folderPath,
  group,
  host,
  hostPattern,
  identityField,
  integer,
  listenAddress,
  MAX_IDENTITY_BYTES,
  name,
  nullableDuration,
  oneOf,
  optionalDuration,
  origin,
  privateSyntax,
  urlPath,
  webAddress,
} from './values.ts'

// The one description of the configuration: types, faults, environment names and docs/config.schema.json come from it.

/** Transfer syntaxes of an archive's own: each takes a presentation context for each class. */
const MAX_OWN_SYNTAXES = 8

const ownCertificate = {
  cert: filePath.describe('PEM file of our certificate, with those between it and its authority'),
  key: filePath.describe('PEM file of the private key that belongs to cert'),
  minVersion: tlsVersion,
}

const httpTls = z.strictObject({
  ...ownCertificate,
  clientCa: filePath
    .nullable()
    .default(null)
    .describe('PEM file of the authorities whose certificates clients show; null asks for none'),
  clientCertificate: oneOf(['required', 'optional'])
    .default('required')
    .describe('With clientCa: whether those without a certificate are let in, to sign in otherwise'),
})

const http = z.strictObject({
  host: host.default('127.0.0.1').describe('Address to listen on; 0.0.0.0 or :: for every interface'),
  port: integer(0, 65_535).default(8080).describe('Port to listen on; 0 takes a free one'),
  basePath: urlPath.prefault('/dicomweb').describe('Path under which DICOMweb is served; / for the root'),
  publicUrl: webAddress
    .transform(asciiUrl)
    .nullable()
    .prefault(null)
    .describe('Address clients use, without basePath; null takes it from the request'),
  tls: httpTls.nullable().default(null).describe('HTTPS; null for plain HTTP'),
  allowedHosts: z
    .array(hostPattern, { error: 'a list of host names, *.example for every name below it' })
    .default([])
    .describe('Names clients may use for us, besides loopback, addresses and the host of publicUrl'),
  trustProxy: bool.default(false).describe('Believe Forwarded and X-Forwarded-* headers'),
  cors: group({
    origins: z
      .union(
        [
          z.literal('*'),
          z.array(
            z.union([z.literal('*'), origin], {
              error: "an origin such as https://viewer.example, without path or trailing slash, or '*' for any",
            }),
          ),
        ],
        {
          error: "a list of origins, or '*' for any",
        },
      )
      .default([])
      // In a list it means what it says, too.
      .transform((origins) => (origins.includes('*') ? '*' : origins))
      .describe("Origins whose pages may use the API; '*' for any"),
  }).describe('Cross-origin access from browsers'),
  maxBodyBytes: byteSize('4GiB').describe('Largest request body'),
  maxInflatedBytes: byteSize('1GiB').describe('Most that a request body may become: deflated, or compressed images'),
  compression: bool.default(true).describe('Compress JSON, XML and HTML for clients that take it (zstd, br, gzip)'),
  browserCache: nullableDuration('7d').describe(
    'How long a browser may keep frames and bulk data without asking; null: it is to keep nothing at all',
  ),
  asyncAfter: duration('5s').describe(
    'How long a client that sends Prefer: respond-async waits for a first instance; then it is told to come back',
  ),
  shutdownGrace: duration('30s', 0).describe('How long requests may go on after a stop signal'),
  readyCache: duration('5s', 0).describe('How long a readiness answer is kept'),
  clientTimeout: duration('60s').describe('A web client that does not read or send'),
})

const listenerTls = z.strictObject({
  ...ownCertificate,
  ca: filePath
    .nullable()
    .default(null)
    .describe('PEM file of the authorities whose certificates archives have to show; null asks for none'),
})

const dimse = z.strictObject({
  aeTitle: aeTitle.prefault('DIMSEGATE').describe('Our AE title, as the archives know it'),
  host: host.default('0.0.0.0').describe('Address our DICOM listener binds to'),
  port: integer(0, 65_535).default(11_112).describe('Port our DICOM listener binds to; 0 takes a free one'),
  enabled: oneOf(['auto', true, false])
    .default('auto')
    .describe('Whether to listen for C-MOVE sub-operations and commitment reports; auto: when an archive needs it'),
  allowedPeers: z
    .array(addressBlock, { error: 'a list of IP addresses and blocks of them' })
    .default([])
    .describe('Addresses that may connect to our DICOM listener; empty for any'),
  tls: listenerTls.nullable().default(null).describe('TLS of our DICOM listener; null for plain TCP'),
})

const timeouts = z.strictObject({
  connect: duration('10s').describe('TCP and TLS connection'),
  associate: duration('30s').describe('Answer to an association request'),
  response: duration('60s').describe('Silence of the archive during an operation'),
  move: duration('10m').describe('Silence of the archive during a C-MOVE'),
  idle: duration('30s').describe('How long an unused association is kept open'),
  queue: duration('30s').describe('Waiting for a free association'),
  stall: optionalDuration().describe('http.clientTimeout, for what is of this archive; its former name'),
})

const charset = z.strictObject({
  query: characterSet.prefault('ISO_IR 192').describe('Character set of query keys that are not ASCII'),
  default: characterSet.prefault('ISO_IR 100').describe('Character set of answers that name none'),
  always: bool.default(false).describe('Name charset.query in every request, not only where a key needs it'),
})

const username = z
  .strictObject({
    type: z.literal('username').describe('Kind of user identity (PS3.7 D.3.3.7)'),
    username: identityField('a user name').describe('User name'),
    passcode: identityField('a passcode').optional().meta({ description: 'Passcode', writeOnly: true }),
  })
  .refine((value) => Buffer.byteLength(value.username + (value.passcode ?? '')) <= MAX_IDENTITY_BYTES, {
    error: `a passcode that has, with the user name, at most ${MAX_IDENTITY_BYTES} bytes`,
    path: ['passcode'],
  })

const token = z.strictObject({
  type: oneOf(['jwt', 'saml', 'kerberos']).describe('Kind of user identity (PS3.7 D.3.3.7)'),
  token: identityField('a token').meta({
    description: 'JSON Web Token, SAML assertion, or Kerberos service ticket in base64',
    writeOnly: true,
  }),
})

const search = z.strictObject({
  emptyStatus: oneOf([200, 204]).default(200).describe('Status of a search that finds nothing'),
  maxResults: integer(1).default(1000).describe('Most results of one search'),
  maxParents: integer(1).default(500).describe('Most studies or series a hierarchical search may visit'),
  countWindow: integer(0).default(1000).describe('How far beyond a page to read on to count what remains'),
  deriveCounts: oneOf(['auto', 'always', 'never'])
    .default('auto')
    .describe('Whether to find counts and modalities by further queries; auto: where the archive leaves them out'),
  relational: oneOf(['negotiate', 'assume', 'off'])
    .default('negotiate')
    .describe('Relational queries: where the archive agrees to them, though it does not say so, or never'),
  extendedNegotiation: bool.default(true).describe('Whether to offer extended negotiation for queries'),
})

const store = z.strictObject({
  decompress: oneOf(['lossless', 'always', 'never'])
    .default('lossless')
    .describe(
      'Whether to store uncompressed what the archive does not take compressed: what was compressed without loss, all, nothing',
    ),
  maxInstances: integer(1).nullable().default(null).describe('Most instances of one store request; null for no limit'),
})

const delivery = z.strictObject({
  aeTitles: z
    .array(aeTitle, { error: 'a list of AE titles' })
    .default([])
    .describe('AE titles the archive delivers with, by C-MOVE, besides aeTitle'),
  addresses: z
    .array(addressBlock, { error: 'a list of IP addresses and blocks of them' })
    .default([])
    .describe('Addresses the archive may deliver from; empty for any'),
})

const commitment = z
  .strictObject({
    wait: duration('10s').describe(
      'How long a commitment request waits for the report of the archive; then it is answered by 202',
    ),
    keep: duration('1d').describe('How long the result of a commitment request can be fetched, from the request on'),
    fallback: oneOf(['none', 'query'])
      .default('none')
      .describe(
        'Where the archive has no storage commitment: refuse, or look by C-FIND whether it lists the instances',
      ),
  })
  .refine(({ wait, keep }) => keep > wait, { error: 'a duration above that of wait', path: ['keep'] })

const destination = z.strictObject({
  name: name.describe('What clients call it'),
  aeTitle: aeTitle.describe('AE title that the archive knows it by'),
})

const send = z.strictObject({
  destinations: z
    .array(destination, { error: 'a list of destinations' })
    .default([])
    .describe('Where the archive may be asked to send instances; none: nowhere'),
  keep: duration('1d').describe('How long what became of a send can be fetched, once it is over'),
})

/** A system beside the archive. */
const system = z.strictObject({
  aeTitle: aeTitle.describe('AE title of the system'),
  host: host.describe('Where it listens'),
  port: integer(1, 65_535).describe('Port it listens on'),
})

const quirks = z.strictObject({
  maxContexts: integer(1, 128).optional().describe('Most presentation contexts the archive bears in one association'),
  getRoles: oneOf(['scp', 'both'])
    .optional()
    .describe('Role selection offered for storage classes in C-GET: SCP only, or SCU and SCP'),
  singleUidLists: bool.optional().describe('The archive cannot match lists of UIDs'),
  wrongCounts: bool.optional().describe('Numbers of instances that the archive tells are not to be believed'),
  transferSyntaxes: z
    .array(privateSyntax, { error: 'a list of UIDs' })
    .max(MAX_OWN_SYNTAXES, { error: `at most ${MAX_OWN_SYNTAXES}` })
    .optional()
    .describe('Private transfer syntaxes that the archive stores instances in: to be offered in C-GET'),
  uppercaseNames: bool.optional().describe('The archive matches person names in capitals only'),
  looseMatching: bool.optional().describe('Matches of the archive that do not fit the keys are wanted: show them'),
  noExtendedNegotiation: bool.optional().describe('The archive drops associations that offer extended negotiation'),
})

const archive = z
  .strictObject({
    name: name.optional().describe('Name in logs and metrics; default: aeTitle in lower case'),
    aeTitle: archiveAeTitle.describe('AE title of the archive, also its root in URLs'),
    host: host.describe('Where the archive listens'),
    port: integer(1, 65_535).describe('Port the archive listens on'),
    callingAeTitle: aeTitle.optional().describe('AE title we call with; default: dimse.aeTitle'),
    retrieve: oneOf(['auto', 'get', 'move'])
      .default('auto')
      .describe('How to fetch: C-GET, C-MOVE, or C-GET where the archive has it'),
    worklist: system.nullable().default(null).describe('The system whose worklist it is; null for the archive itself'),
    performedSteps: system
      .nullable()
      .default(null)
      .describe('The system that manages performed procedure steps; null for the one with the worklist'),
    commitment: commitment.prefault({}).describe('Storage commitment'),
    send: send.prefault({}).describe('Sending by the archive, to others'),
    delivery: delivery.prefault({}).describe('How the archive calls our listener, by C-MOVE'),
    metadata: oneOf(['retrieve', 'find'])
      .default('retrieve')
      .describe(
        'Metadata from the instances themselves, or only what a C-FIND tells, for archives that are slow to send',
      ),
    maxAssociations: integer(1, 64).default(4).describe('Most associations open at once'),
    maxPduLength: integer(4096, 1_048_576).default(131_072).describe('Largest PDU we accept, in bytes'),
    timeouts: timeouts.prefault({}).describe('Longest waits'),
    charset: charset.prefault({}).describe('Character sets'),
    tls: tls.nullable().default(null).describe('TLS; null for plain TCP'),
    identity: z
      .discriminatedUnion('type', [username, token], { error: 'one of: username, jwt, saml, kerberos' })
      .nullable()
      .default(null)
      .describe('User identity negotiation; null for none'),
    search: search.prefault({}).describe('Searching (QIDO-RS)'),
    store: store.prefault({}).describe('Storing (STOW-RS)'),
    patients: patients.prefault({}).describe('Whose patients it holds'),
    quirks: quirks.prefault({}).describe('What this archive does differently'),
  })
  .transform((value) => ({ ...value, name: value.name ?? value.aeTitle.toLowerCase() }))

const cacheDisk = z.strictObject({
  dir: folderPath.describe('Folder that is there and can be written; what is kept in it is encrypted'),
  maxBytes: byteSize('8GiB').describe('Most bytes on disk'),
})

export const configSchema = z
  .strictObject({
    http: http.prefault({}).describe('The web server'),
    dimse: dimse.prefault({}).describe('Our own DICOM application entity'),
    archives: z
      .array(archive, { error: 'a list of archives' })
      .min(1, { error: 'at least one archive' })
      .describe('The archives (PACS); the first is the default'),
    federation,
    prefetch,
    devices,
    destinations,
    routes,
    pseudonyms,
    spool,
    cluster,
    cache: group({
      maxBytes: byteSize('512MiB', 0).describe('Most bytes of instances kept; 0 keeps none'),
      ttl: duration('10m').describe('How long an instance is kept'),
      prefetch: oneOf(['off', 'first', 'study'])
        .default('off')
        .describe(
          'What is fetched when a viewer lists the series of a study: nothing, the first series, one after the other',
        ),
      disk: cacheDisk.nullable().default(null).describe('Where what memory cannot hold is kept; null for nowhere'),
    }).describe('What has been fetched already'),
    imaging: group({
      threads: integer(1, 64)
        .nullable()
        .default(null)
        .describe('Threads that decode, encode and draw frames; null for one a processor but one'),
      timeout: duration('30s').describe('How long a frame may take to decode, encode or draw'),
      queue: duration('60s').describe('How long a frame may wait for a thread'),
    }).describe('Converting and drawing images'),
    auth: authOrOpen,
    audit,
    ops: group({
      listen: listenAddress
        .nullable()
        .prefault(null)
        .describe('Where probes, metrics and the doctor are served to whoever reaches it; null: beside DICOMweb'),
    }).describe('What operators look at'),
    log: group({
      level: oneOf(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])
        .default('info')
        .describe('Least severity that is logged'),
      format: oneOf(['json', 'pretty']).default('json').describe('One JSON object a line, or text for people'),
    }).describe('Logging'),
  })
  // Also beside other faults, so that all are reported at once; the value may then be anything.
  .superRefine(
    (value, context) => {
      reportConflicts(value, (path, message) =>
        context.addIssue({ code: 'custom', path, message, params: { [conflict]: true } }),
      )
    },
    { when: () => true },
  )
  .transform((value) => ({
    ...value,
    archives: value.archives.map((one) => ({
      ...one,
      callingAeTitle: one.callingAeTitle ?? value.dimse.aeTitle,
      timeouts: { ...one.timeouts, stall: one.timeouts.stall ?? value.http.clientTimeout },
    })),
  }))

type DeepReadonly<T> = T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T

/** Frozen all through; durations are milliseconds, sizes are bytes. */
export type Config = DeepReadonly<z.output<typeof configSchema>>

/** One archive (PACS). `name` and `callingAeTitle` are always filled in. */
export type ArchiveConfig = Config['archives'][number]

/** The configuration file's JSON Schema (draft 7, which editors know best): what may be written, not what is read. */
export function configJsonSchema(): object {
  return z.toJSONSchema(configSchema.meta({ title: 'Dimsegate configuration' }), { io: 'input', target: 'draft-7' })
}
