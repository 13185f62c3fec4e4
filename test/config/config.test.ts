import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { parse as parseYaml } from 'yaml'
import { variableName } from '../../src/config/environment.ts'
import { configJsonSchema } from '../../src/config/schema.ts'
import { childOf, everyKey, keysOf, nodeAt, pathText } from '../../src/config/tree.ts'
import type { ConfigFault } from '../../src/config/config.ts'
import { ConfigError, loadConfig, parseConfig } from '../../src/config/config.ts'
import { MAX_IDENTITY_BYTES } from '../../src/config/values.ts'
import { closest } from '../../src/config/suggest.ts'
import { parseBytes, parseDuration } from '../../src/config/units.ts'

const archive = { aeTitle: 'PACS', host: '127.0.0.1', port: 104 }
const inEnvironment = {
  DIMSEGATE_ARCHIVES__0__AETITLE: 'PACS',
  DIMSEGATE_ARCHIVES__0__HOST: '127.0.0.1',
  DIMSEGATE_ARCHIVES__0__PORT: '104',
}
const secret = 'hunter2-s3cr3t'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dimsegate-config-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function fileWith(content: string | Uint8Array): Promise<string> {
  const path = join(folder, `${crypto.randomUUID()}.yaml`)
  await writeFile(path, content)
  return path
}

const load = async (yaml: string, env: Record<string, string | undefined> = {}) =>
  loadConfig({ file: await fileWith(yaml), env })
const loadEnvironment = (env: Record<string, string | undefined>) => loadConfig({ env: { ...inEnvironment, ...env } })
const withArchive = (changes: object) => parseConfig({ archives: [{ ...archive, ...changes }] })

async function errorOf(work: () => unknown): Promise<ConfigError> {
  try {
    await work()
  } catch (error) {
    if (error instanceof ConfigError) return error
    throw error
  }
  throw new Error('No ConfigError was thrown')
}

async function faultsOf(work: () => unknown): Promise<Record<string, string>> {
  const { faults } = await errorOf(work)
  return Object.fromEntries(faults.map(({ path, message }: ConfigFault) => [path, message]))
}

const ofArchive = (changes: object) => faultsOf(() => withArchive(changes))

/** Keys that hold a value of their own, not other keys. */
const leaves = [...everyKey()].filter(
  ({ path, node }) =>
    path.at(-1) !== 0 &&
    keysOf(node).length === 0 &&
    keysOf(childOf(node, 0) ?? {}).length === 0 &&
    path[1] !== 'issuers',
)

describe('durations', () => {
  it.each([
    ['0s', 0],
    ['250ms', 250],
    ['10s', 10_000],
    ['10 s', 10_000],
    ['1.5m', 90_000],
    ['2h', 7_200_000],
    ['1d', 86_400_000],
    ['0.0004s', 0],
  ])('%s is %d ms', (text, milliseconds) => {
    expect(parseDuration(text)).toBe(milliseconds)
  })

  it.each([
    '',
    '10',
    's',
    '10S',
    '10sec',
    '-1s',
    '+1s',
    '1e3s',
    ' 1s',
    '1s ',
    '1h30m',
    '1,5s',
    '.5s',
    '10  s',
    'Infinitys',
  ])('%j is none', (text) => {
    expect(parseDuration(text)).toBeUndefined()
  })
})

describe('byte sizes', () => {
  it.each([
    ['0B', 0],
    ['1kB', 1000],
    ['1KB', 1000],
    ['1KiB', 1024],
    ['512MiB', 536_870_912],
    ['512 MiB', 536_870_912],
    ['4GiB', 4_294_967_296],
    ['1.5KiB', 1536],
    ['2TB', 2e12],
  ])('%s is %d bytes', (text, bytes) => {
    expect(parseBytes(text)).toBe(bytes)
  })

  it.each(['', '10', 'B', '1M', '1Mi', '1mib', '1kiB', '-1B', '0.5B', '1e3B', '1 MiB ', '99999999999TiB'])(
    '%j is none',
    (text) => {
      expect(parseBytes(text)).toBeUndefined()
    },
  )
})

describe('suggestions', () => {
  it.each([
    ['base_path', 'basePath'],
    ['BASEPATH', 'basePath'],
    ['prot', 'port'],
    ['hosts', 'host'],
  ])('%s finds %s', (word, meant) => {
    expect(closest(word, ['host', 'port', 'basePath'])).toBe(meant)
  })

  it.each(['', 'x', 'colour', 'zzzz', 'x'.repeat(10_000)])('%.10s finds nothing', (word) => {
    expect(closest(word, ['host', 'port', 'basePath'])).toBeUndefined()
  })
})

describe('defaults', () => {
  it('fills in everything but the address of an archive', () => {
    expect(parseConfig({ archives: [archive] })).toEqual({
      http: {
        host: '127.0.0.1',
        port: 8080,
        allowedHosts: [],
        basePath: '/dicomweb',
        publicUrl: null,
        tls: null,
        trustProxy: false,
        cors: { origins: [] },
        maxBodyBytes: 4 * 1024 ** 3,
        maxInflatedBytes: 1024 ** 3,
        asyncAfter: 5_000,
        browserCache: 7 * 24 * 60 * 60 * 1000,
        compression: true,
        shutdownGrace: 30_000,
        readyCache: 5000,
        clientTimeout: 60_000,
      },
      dimse: { aeTitle: 'DIMSEGATE', host: '0.0.0.0', port: 11_112, enabled: 'auto', allowedPeers: [], tls: null },
      archives: [
        {
          name: 'pacs',
          aeTitle: 'PACS',
          host: '127.0.0.1',
          port: 104,
          callingAeTitle: 'DIMSEGATE',
          retrieve: 'auto',
          metadata: 'retrieve',
          maxAssociations: 4,
          maxPduLength: 131_072,
          timeouts: {
            connect: 10_000,
            associate: 30_000,
            response: 60_000,
            move: 600_000,
            idle: 30_000,
            queue: 30_000,
            stall: 60_000,
          },
          charset: { query: 'ISO_IR 192', default: 'ISO_IR 100', always: false },
          tls: null,
          identity: null,
          search: {
            emptyStatus: 200,
            maxResults: 1000,
            maxParents: 500,
            countWindow: 1000,
            deriveCounts: 'auto',
            relational: 'negotiate',
            extendedNegotiation: true,
          },
          store: { decompress: 'lossless', maxInstances: null },
          worklist: null,
          performedSteps: null,
          commitment: { wait: 10_000, keep: 86_400_000, fallback: 'none' },
          send: { destinations: [], keep: 86_400_000 },
          delivery: { aeTitles: [], addresses: [] },
          patients: { issuer: null, stripPrefix: null, otherIds: false },
          quirks: {},
        },
      ],
      federation: null,
      prefetch: null,
      devices: [],
      destinations: [],
      routes: [],
      pseudonyms: null,
      spool: null,
      cluster: null,
      cache: { maxBytes: 512 * 1024 ** 2, ttl: 600_000, prefetch: 'off', disk: null },
      imaging: { threads: null, timeout: 30_000, queue: 60_000 },
      auth: null,
      audit: null,
      ops: { listen: null },
      log: { level: 'info', format: 'json' },
    })
  })

  it('takes the calling AE title from dimse.aeTitle unless the archive has its own', () => {
    const { archives } = parseConfig({
      dimse: { aeTitle: 'GATE' },
      archives: [archive, { ...archive, aeTitle: 'OTHER', callingAeTitle: 'MINE' }],
    })
    expect(archives.map(({ callingAeTitle }) => callingAeTitle)).toEqual(['GATE', 'MINE'])
  })

  it('takes the patience with web clients from http, or for one archive by its former name', () => {
    const archives = [archive, { ...archive, aeTitle: 'OTHER', timeouts: { stall: '5s' } }]
    const config = parseConfig({ http: { clientTimeout: '20s' }, archives })
    expect(config.archives.map(({ timeouts }) => timeouts.stall)).toEqual([20_000, 5_000])
  })

  it('keeps the rest of a group of which one key is given', () => {
    expect(withArchive({ timeouts: { connect: '50ms' } }).archives[0]?.timeouts).toMatchObject({
      connect: 50,
      idle: 30_000,
    })
  })

  it('gives TLS its defaults when it is asked for without any key', () => {
    expect(withArchive({ tls: {} }).archives[0]?.tls).toEqual({
      ca: null,
      cert: null,
      key: null,
      minVersion: 'TLSv1.2',
      servername: null,
      rejectUnauthorized: true,
    })
  })

  it('is frozen all through and leaves what it was made from alone', () => {
    const input = { http: { cors: { origins: ['https://a.example'] } }, archives: [{ ...archive, quirks: {} }] }
    const config = parseConfig(input)
    const frozen = [config, config.http, config.http.cors.origins, config.archives, config.archives[0]?.quirks]
    expect(frozen.map(Object.isFrozen)).toEqual(frozen.map(() => true))
    expect(Object.isFrozen(input.http.cors.origins)).toBe(false)
    expect(Object.isFrozen(input.archives[0]?.quirks)).toBe(false)
  })
})

describe('values', () => {
  it.each(['A', 'PACS 1', '0123456789ABCDEF', 'a/b?c#d', '~!"$%&', '  PADDED  '])('%j is an AE title', (aeTitle) => {
    expect(withArchive({ aeTitle }).archives[0]?.aeTitle).toBe(aeTitle.trim())
  })

  it.each([
    '',
    '   ',
    '0123456789ABCDEFG',
    'A\\B',
    'A\nB',
    'A\tB',
    'PÄCS',
    'A\u007F',
    '.',
    '..',
    4242,
    null,
    true,
    ['A'],
    {},
  ])('%j is no AE title', async (aeTitle) => {
    expect(Object.keys(await ofArchive({ aeTitle }))).toEqual(['archives[0].aeTitle'])
  })

  it('says of an AE title of digits that it wants quotes', async () => {
    await expect(load('archives: [{ aeTitle: 4242, host: h, port: 1 }]')).rejects.toThrow(/is 4242; .* in quotes/)
    expect((await load('archives: [{ aeTitle: "4242", host: h, port: 1 }]')).archives[0]?.aeTitle).toBe('4242')
  })

  it.each(['localhost', '10.0.0.1', '::1', 'fe80::1', 'pacs_1.hospital.example', 'a-b.c.'])('%s is a host', (host) => {
    expect(withArchive({ host }).archives[0]?.host).toBe(host)
  })

  it.each(['', ' ', 'http://pacs', 'pacs:104', 'pacs/x', 'a b', '-a', '[::1]', 'user@pacs', 'x'.repeat(254), 10, null])(
    '%j is no host',
    async (host) => {
      expect(Object.keys(await ofArchive({ host }))).toEqual(['archives[0].host'])
    },
  )

  it.each([0, -1, 65_536, 104.5, '104', null, Number.NaN, Number.POSITIVE_INFINITY, [104]])(
    '%j is no port of an archive',
    async (port) => {
      const faults = await ofArchive({ port })
      expect(faults['archives[0].port']).toMatch(/expected a whole number from 1 to 65535$/)
    },
  )

  it('lets our own ports be 0, for a free one', () => {
    const { http, dimse } = parseConfig({ http: { port: 0 }, dimse: { port: 0 }, archives: [archive] })
    expect([http.port, dimse.port]).toEqual([0, 0])
  })

  it.each([
    ['maxAssociations', 0],
    ['maxAssociations', 65],
    ['maxPduLength', 4095],
    ['maxPduLength', 1_048_577],
    ['retrieve', 'AUTO'],
    ['retrieve', ''],
    ['timeouts', { connect: '0s' }],
    ['timeouts', { connect: 10 }],
    ['timeouts', { connect: '10' }],
    ['timeouts', { connect: '25d' }],
    ['timeouts', { connect: '-1s' }],
    ['timeouts', '10s'],
    ['charset', { query: 'KOI8' }],
    ['charset', { query: '' }],
    ['charset', { default: 'ISO_IR 192\\KLINGON' }],
    ['charset', { always: 'yes' }],
    ['tls', true],
    ['tls', { minVersion: 'TLSv1' }],
    ['tls', { ca: '' }],
    ['tls', { servername: 'a b' }],
    ['identity', 'user'],
    ['identity', {}],
    ['identity', { type: 'basic' }],
    ['identity', { type: 'username' }],
    ['identity', { type: 'username', username: '' }],
    ['identity', { type: 'username', username: 'u', passcode: '' }],
    ['identity', { type: 'username', username: 'u', token: 't' }],
    ['identity', { type: 'jwt' }],
    ['identity', { type: 'saml', token: 'ü'.repeat(40_000) }],
    ['search', { emptyStatus: 404 }],
    ['search', { emptyStatus: '204' }],
    ['search', { maxResults: 0 }],
    ['search', { maxParents: 0 }],
    ['search', { countWindow: -1 }],
    ['search', { deriveCounts: true }],
    ['search', { relational: 'on' }],
    ['store', { maxInstances: 0 }],
    ['store', null],
    ['quirks', { maxContexts: 129 }],
    ['quirks', { maxContexts: 0 }],
    ['quirks', { getRoles: 'scu' }],
    ['quirks', { singleUidLists: 1 }],
    ['quirks', []],
    ['commitment', { wait: '10s', keep: '10s' }],
    ['send', { destinations: [{ name: 'a', aeTitle: 'A\\B' }] }],
    ['send', { destinations: ['PARTNER'] }],
    ['delivery', { aeTitles: ['A\\B'] }],
    ['delivery', { addresses: ['pacs.example'] }],
    ['delivery', { addresses: ['192.0.2.0/33'] }],
    ['delivery', { addresses: ['192.0.2.0/'] }],
    ['delivery', { addresses: ['2001:db8::/129'] }],
    ['delivery', { addresses: ['192.0.2.0/24/1'] }],
    ['name', ''],
    ['name', 'a\nb'],
    ['name', 'x'.repeat(65)],
  ])('archives[].%s may not be %j', async (key, value) => {
    const paths = Object.keys(await ofArchive({ [key]: value }))
    expect(paths).toHaveLength(1)
    expect(paths[0]).toContain(`archives[0].${key}`)
  })

  it.each([
    ['http', { basePath: 'dicomweb' }],
    ['http', { basePath: '/a//b' }],
    ['http', { basePath: '/../x' }],
    ['http', { basePath: '/a?b' }],
    ['http', { publicUrl: 'pacs.example' }],
    ['http', { publicUrl: 'ftp://pacs.example' }],
    ['http', { publicUrl: 'https://pacs.example/?a' }],
    ['http', { trustProxy: 'true' }],
    ['http', { maxBodyBytes: 0 }],
    ['http', { maxBodyBytes: -1 }],
    ['http', { maxBodyBytes: 1.5 }],
    ['http', { maxBodyBytes: '4G' }],
    ['http', { shutdownGrace: '30' }],
    ['http', { readyCache: 5 }],
    ['http', { cors: { origins: 'https://a.example' } }],
    ['http', { cors: { origins: ['https://a.example/'] } }],
    ['http', { cors: { origins: ['*.example'] } }],
    ['http', { cors: { origins: ['null'] } }],
    ['http', null],
    ['dimse', { enabled: 'yes' }],
    ['dimse', { aeTitle: '' }],
    ['dimse', []],
    ['cache', { maxBytes: '-1B' }],
    ['cache', { ttl: '0s' }],
    ['cluster', { url: 'http://valkey', secret: 'x'.repeat(32) }],
    ['cluster', { url: 'redis://valkey:6379/zero', secret: 'x'.repeat(32) }],
    ['cluster', { url: 'redis://valkey', secret: 'short' }],
    ['cluster', { url: 'redis://valkey' }],
    ['cluster', { url: 'redis://valkey', secret: 'x'.repeat(32), ca: 'ca.pem' }],
    ['cluster', { url: 'redis://valkey', secret: 'x'.repeat(32), advertise: 'a b' }],
    ['cluster', { url: 'redis://valkey', secret: 'x'.repeat(32), listen: '11113' }],
    ['cluster', { url: 'redis://valkey', tls: { cert: 'c.pem', key: 'k.pem' } }],
    ['cluster', { url: 'redis://valkey', secret: 'x'.repeat(32), tls: { ca: 'a', cert: 'c', key: 'k' } }],
    ['cache', { disk: {} }],
    ['cache', { disk: { dir: ' ' } }],
    ['cache', { disk: { dir: '/tmp', maxBytes: 0 } }],
    ['dimse', { tls: { cert: 'c.pem', key: 'k.pem', minVersion: 'TLSv1.1' } }],
    ['auth', 'closed'],
    ['auth', { issuer: 'x', audience: 'a' }],
    ['auth', { issuer: 'http://a.example', audience: 'a' }],
    ['auth', { issuer: 'https://a.example', audience: [] }],
    ['auth', { issuer: 'https://a.example', audience: 'a', jwks: 'file:///etc/passwd' }],
    ['auth', { issuer: 'https://a.example', audience: 'a', jwks: 'http://keys.example/jwks' }],
    ['auth', { issuer: 'https://a.example', audience: 'a', scopes: { search: 'a' } }],
    ['auth', { issuer: 'https://a.example', audience: 'a', scopes: { search: ['a b'] } }],
    ['auth', { issuer: 'https://a.example', audience: 'a', algorithms: ['none'] }],
    ['auth', { issuer: 'https://a.example', audience: 'a', algorithms: ['HS256'] }],
    ['auth', { issuer: 'https://a.example', audience: 'a', algorithms: [] }],
    ['auth', { keys: [{ name: 'a', hash: 'sha256:abc' }] }],
    ['auth', { keys: [{ name: 'a', hash: `sha256:${'0'.repeat(64)}`, scopes: ['delete'] }] }],
    ['auth', { proxy: { addresses: [] } }],
    ['auth', { proxy: { addresses: ['proxy.example'] } }],
    ['auth', { links: { key: 'short' } }],
    ['ops', { listen: '9090' }],
    ['ops', { listen: 'localhost:99999' }],
    ['http', { allowedHosts: ['https://a.example'] }],
    ['http', { tls: { cert: 'c.pem', key: 'k.pem', minVersion: 'TLSv1.1' } }],
    ['log', { level: 'verbose' }],
    ['log', { format: 'text' }],
  ])('%s may not be %j', async (key, value) => {
    const faults = await faultsOf(() => parseConfig({ auth: 'open', [key]: value, archives: [archive] }))
    expect(Object.keys(faults)).toHaveLength(1)
    expect(Object.keys(faults)[0]).toMatch(new RegExp(`^${key}`))
    expect(Object.values(faults)[0]).toMatch(/^is .*; expected /)
  })

  it('takes an identity that just fits, and says what is too long', async () => {
    const fitting = [
      { type: 'jwt', token: 'x'.repeat(MAX_IDENTITY_BYTES) },
      { type: 'username', username: 'u'.repeat(30_000), passcode: 'p'.repeat(MAX_IDENTITY_BYTES - 30_000) },
    ]
    for (const identity of fitting) expect(withArchive({ identity }).archives[0]!.identity).toEqual(identity)
    const [jwt, username] = fitting
    const faults = {
      ...(await ofArchive({ identity: { ...jwt, token: `${jwt!.token!}x` } })),
      ...(await ofArchive({ identity: { ...username, passcode: `${username!.passcode!}x` } })),
    }
    expect(faults).toEqual({
      'archives[0].identity.token': 'is text that does not fit; expected a token, 1 to 56000 bytes',
      'archives[0].identity.passcode':
        'is text that does not fit; expected a passcode that has, with the user name, at most 56000 bytes',
    })
  })

  it('writes the public URL in ASCII', () => {
    const { http } = parseConfig({
      http: { publicUrl: 'https://pacs.exämple/räume//' },
      auth: 'open',
      archives: [archive],
    })
    expect(http.publicUrl).toBe('https://pacs.xn--exmple-cua/r%C3%A4ume')
  })

  it('reads each kind of value', () => {
    const config = parseConfig({
      http: {
        basePath: '/pacs/dicomweb/',
        publicUrl: 'https://pacs.example/x/',
        cors: { origins: ['https://a.example', 'http://localhost:3000'] },
        maxBodyBytes: 1_000_000,
        shutdownGrace: '0s',
      },
      dimse: { enabled: false },
      archives: [
        {
          ...archive,
          charset: { query: '\\ISO 2022 IR 87', default: 'iso_ir_192' },
          tls: { ca: '/etc/ca.pem', cert: 'c.pem', key: 'k.pem', minVersion: 'TLSv1.3' },
          identity: { type: 'kerberos', token: 'YIIB' },
          search: { emptyStatus: 204 },
          store: { maxInstances: 5 },
          quirks: { maxContexts: 64, getRoles: 'both', singleUidLists: true },
        },
      ],
      cache: { maxBytes: 0 },
      auth: {
        issuer: 'https://a.example',
        audience: 'me',
        issuers: [{ issuer: 'http://localhost:1', audience: ['x'] }],
      },
      ops: { listen: '[::]:9090' },
    })
    expect(config).toMatchObject({
      http: {
        basePath: '/pacs/dicomweb',
        publicUrl: 'https://pacs.example/x',
        maxBodyBytes: 1_000_000,
        shutdownGrace: 0,
      },
      dimse: { enabled: false },
      archives: [
        {
          charset: { query: '\\ISO 2022 IR 87', default: 'ISO_IR 192' },
          tls: { key: 'k.pem', rejectUnauthorized: true },
          identity: { type: 'kerberos', token: 'YIIB' },
          search: { emptyStatus: 204 },
          store: { maxInstances: 5 },
          quirks: { maxContexts: 64, getRoles: 'both', singleUidLists: true },
        },
      ],
      cache: { maxBytes: 0 },
      auth: {
        issuers: [
          { issuer: 'https://a.example', audience: ['me'], scopes: { store: ['dicom.store'] } },
          { issuer: 'http://localhost:1', audience: ['x'] },
        ],
      },
      ops: { listen: { host: '::', port: 9090 } },
    })
  })

  it('takes / as the root', () => {
    expect(parseConfig({ http: { basePath: '/' }, archives: [archive] }).http.basePath).toBe('')
  })
})

const someIssuer = { issuer: 'https://a.example', audience: 'a' }

describe('what does not go together', () => {
  it.each([
    [{ http: { host: '0.0.0.0' } }, 'auth'],
    [{ http: { host: 'pacs.example' } }, 'auth'],
    [{ http: { trustProxy: true } }, 'auth'],
    [{ http: { publicUrl: 'https://pacs.example' } }, 'auth'],
    [{ auth: {} }, 'auth'],
    [{ auth: { audience: 'a' } }, 'auth.issuer'],
    [{ auth: { issuer: 'https://a.example' } }, 'auth.audience'],
    [
      {
        auth: { issuer: 'https://a.example', audience: 'a', issuers: [{ issuer: 'https://a.example', audience: 'b' }] },
      },
      'auth.issuers[0].issuer',
    ],
    [{ auth: { certificates: [{ name: 'a' }] } }, 'auth.certificates'],
    [
      { auth: { keys: [{ name: 'a', hash: `sha256:${'0'.repeat(64)}`, archives: ['none'] }] } },
      'auth.keys[0].archives',
    ],
    [{ auth: { keys: ['a', 'b'].map((name) => ({ name, hash: `sha256:${'0'.repeat(64)}` })) } }, 'auth.keys[1].hash'],
    [{ auth: { ...someIssuer, claims: { patientIssuer: 'by' } } }, 'auth.claims.patientIssuer'],
    [
      { auth: { issuers: [{ ...someIssuer, claims: { patientIssuer: 'by' } }] } },
      'auth.issuers[0].claims.patientIssuer',
    ],
    [{ auth: { ...someIssuer, jwks: 'https://a.example/keys', jwksFile: 'keys.json' } }, 'auth.jwksFile'],
    [{ auth: { ...someIssuer, scopes: { search: ['a', 'dicom.{archiv}'] } } }, 'auth.scopes.search[1]'],
    [{ auth: { proxy: { addresses: ['::1', '0.0.0.0/0'] } } }, 'auth.proxy.addresses[1]'],
    [{ auth: { proxy: { addresses: ['::/0'] } } }, 'auth.proxy.addresses[0]'],
    [{ auth: { proxy: { addresses: ['::1'], scopes: { store: ['{archiv}'] } } } }, 'auth.proxy.scopes.store[0]'],
    [
      {
        auth: { proxy: { addresses: ['::1'] } },
        archives: [archive, { ...archive, aeTitle: 'B', name: archive.aeTitle }],
      },
      'archives[1].name',
    ],
  ])('%j is faulted at %s', async (settings, path) => {
    const faults = await faultsOf(() => parseConfig({ archives: [archive], ...settings }))
    expect(Object.keys(faults)).toEqual([path])
  })

  it.each([
    { http: { host: 'localhost' } },
    { http: { host: '::1' } },
    { http: { host: '0.0.0.0' }, auth: 'open' },
    { http: { publicUrl: 'http://localhost:8080' } },
    { http: { publicUrl: 'https://pacs.example', trustProxy: true }, auth: 'open' },
    { auth: { ...someIssuer, scopes: { search: ['dicom.{archive}.search'] } } },
    { http: { host: '0.0.0.0' }, auth: { issuer: 'https://a.example', audience: 'a' } },
    { archives: [archive, { ...archive, aeTitle: 'B', name: archive.aeTitle }] },
  ])('%j is not', (settings) => {
    parseConfig({ archives: [archive], ...settings })
  })

  it('wants AE titles and names that differ, and reports that beside other faults', async () => {
    const faults = await faultsOf(() =>
      parseConfig({
        http: { port: -1 },
        archives: [archive, { ...archive, aeTitle: ' PACS ', port: 0 }, { ...archive, aeTitle: 'pacs' }],
      }),
    )
    expect(faults).toMatchObject({
      'http.port': expect.stringContaining('is -1') as unknown,
      'archives[1].aeTitle': 'is that of archives[0] too; expected a title of its own',
      'archives[1].port': expect.stringContaining('is 0') as unknown,
      'archives[2].name': 'is that of archives[0] too; expected a name of its own',
    })
  })

  it('takes AE titles that differ in case when names keep them apart', () => {
    const { archives } = parseConfig({ archives: [archive, { ...archive, aeTitle: 'pacs', name: 'other' }] })
    expect(archives.map(({ name }) => name)).toEqual(['pacs', 'other'])
  })

  it('does not take retrieve: move without our listener', async () => {
    const faults = await faultsOf(() =>
      parseConfig({ dimse: { enabled: false }, archives: [{ ...archive, retrieve: 'move' }] }),
    )
    expect(Object.keys(faults)).toEqual(['archives[0].retrieve'])
  })

  it('are a cache that keeps nothing, and what is fetched for it ahead', async () => {
    const faults = await faultsOf(() => parseConfig({ archives: [archive], cache: { maxBytes: 0, prefetch: 'first' } }))
    expect(faults).toEqual({
      'cache.prefetch': 'fetches for a cache that keeps nothing; expected off, or a cache.maxBytes',
    })
    expect(parseConfig({ archives: [archive], cache: { maxBytes: 0 } }).cache.prefetch).toBe('off')
  })

  it('wants a place for the audit trail', async () => {
    const faults = await faultsOf(() => parseConfig({ archives: [archive], audit: { onFailure: 'block' } }))
    expect(Object.keys(faults)).toEqual(['audit'])
    expect(parseConfig({ archives: [archive], audit: { file: 'audit.jsonl' } }).audit?.file).toBe('audit.jsonl')
    expect(parseConfig({ archives: [archive], audit: null }).audit).toBeNull()
  })

  it('wants certificate and key together', async () => {
    expect(Object.keys(await ofArchive({ tls: { cert: 'c.pem' } }))).toEqual(['archives[0].tls.key'])
    expect(Object.keys(await ofArchive({ tls: { key: 'k.pem' } }))).toEqual(['archives[0].tls.cert'])
    const syslog = { host: 'syslog.test', cert: 'c.pem' }
    const faults = await faultsOf(() => parseConfig({ archives: [archive], audit: { syslog } }))
    expect(Object.keys(faults)).toEqual(['audit.syslog.key'])
  })
})

describe('faults', () => {
  it('are an error with a code, and all in its message', async () => {
    const error = await errorOf(() =>
      parseConfig({ http: { port: 99_999, basepath: '/x' }, colour: 1, archives: [{ ...archive, port: undefined }] }),
    )
    expect(error).toMatchObject({ name: 'ConfigError', code: 'CONFIG' })
    expect(error.message.split('\n')).toEqual([
      'The configuration has 4 faults:',
      '  http.port: is 99999; expected a whole number from 0 to 65535',
      '  http.basepath: is not a known key; did you mean basePath?',
      '  archives[0].port: is missing; expected a whole number from 1 to 65535',
      '  colour: is not a known key; expected one of: http, dimse, archives, federation, prefetch, devices, destinations, routes, pseudonyms, spool, cluster, cache, imaging, auth, audit, ops, log',
    ])
  })

  it.each([undefined, null, 1, 'x', true, [], [archive], () => 1])('%s is no configuration', async (value) => {
    expect(Object.keys(await faultsOf(() => parseConfig(value)))).toEqual(['configuration'])
  })

  it.each([undefined, null, [], {}, 'PACS', 3])('%j is no list of archives', async (archives) => {
    expect(Object.keys(await faultsOf(() => parseConfig({ archives })))).toEqual(['archives'])
  })

  it.each([null, 'PACS', 7, []])('%j is no archive', async (one) => {
    expect(Object.keys(await faultsOf(() => parseConfig({ archives: [archive, one] })))).toEqual(['archives[1]'])
  })

  it('say which keys an archive may have when it is something else', async () => {
    expect((await faultsOf(() => parseConfig({ archives: [7] })))['archives[0]']).toMatch(
      /^is 7; expected a group of keys: name, aeTitle, host, port, /,
    )
  })

  it('name keys that objects inherit as unknown', async () => {
    const value: unknown = JSON.parse('{"__proto__":{"http":{}},"constructor":1,"archives":[]}')
    expect(Object.keys(await faultsOf(() => parseConfig(value)))).toEqual(['archives', '__proto__', 'constructor'])
  })

  it('come as a ConfigError whatever the value is', () => {
    fc.assert(
      fc.property(fc.oneof(fc.anything(), fc.record({ archives: fc.array(fc.anything()) })), (value) => {
        try {
          parseConfig(value)
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigError)
          expect((error as ConfigError).faults.length).toBeGreaterThan(0)
        }
      }),
    )
  })
})

describe('the file', () => {
  it('is the one of --config before the one of DIMSEGATE_CONFIG', async () => {
    const one = await fileWith('archives: [{ aeTitle: ONE, host: h, port: 1 }]')
    const two = await fileWith('archives: [{ aeTitle: TWO, host: h, port: 1 }]')
    const titles = async (file?: string) =>
      (await loadConfig({ file, env: { DIMSEGATE_CONFIG: two } })).archives.map(({ aeTitle }) => aeTitle)
    expect(await titles(one)).toEqual(['ONE'])
    expect(await titles()).toEqual(['TWO'])
    expect(await titles('')).toEqual(['TWO'])
  })

  it('may be JSON, start with a byte order mark, and use anchors and merge keys', async () => {
    const json = await load(`\uFEFF${JSON.stringify({ archives: [archive] })}`)
    expect(json.archives[0]?.aeTitle).toBe('PACS')
    const yaml = await load(
      'archives:\n  - &a { aeTitle: A, host: h, port: 104, timeouts: &t { idle: 5s } }\n  - { <<: *a, aeTitle: B }\n  - { <<: *a, aeTitle: C, timeouts: *t }\n',
    )
    expect(yaml.archives.map(({ aeTitle, timeouts }) => [aeTitle, timeouts.idle])).toEqual([
      ['A', 5000],
      ['B', 5000],
      ['C', 5000],
    ])
  })

  it('that is missing is named, with what was expected', async () => {
    const file = join(folder, 'missing.yaml')
    expect(await faultsOf(() => loadConfig({ file, env: {} }))).toEqual({
      [file]: 'does not exist; expected a YAML file',
    })
    expect(await faultsOf(() => loadConfig({ env: { DIMSEGATE_CONFIG: file } }))).toEqual({
      [file]: 'does not exist; expected a YAML file',
    })
  })

  it('that is missing is still reported together with unknown variables', async () => {
    const file = join(folder, 'missing.yaml')
    const faults = await faultsOf(() => loadConfig({ file, env: { DIMSEGATE_HTTP__PROT: '1' } }))
    expect(Object.keys(faults)).toEqual([file, 'DIMSEGATE_HTTP__PROT'])
  })

  it('that is a folder is named', async () => {
    expect(await faultsOf(() => loadConfig({ file: folder, env: {} }))).toEqual({
      [folder]: 'is a folder; expected a YAML file',
    })
  })

  it('that is not UTF-8 is named', async () => {
    const file = await fileWith(Buffer.from('archives: []', 'utf16le').subarray(1))
    const latin1 = await fileWith(Buffer.from('# Zürich', 'latin1'))
    expect((await faultsOf(() => loadConfig({ file: latin1, env: {} })))[latin1]).toMatch(/UTF-8/)
    await expect(loadConfig({ file, env: {} })).rejects.toThrow(ConfigError)
  })

  it.each([
    ['an open quote', 'http:\n  host: "a\n', 3, 1],
    ['an open bracket', 'archives: [{ aeTitle: A }\n', 2, 1],
    ['a tab', 'http:\n\tport: 1\n', 2, 1],
    ['a key twice', 'http: { port: 1 }\nhttp: { port: 2 }\n', 2, 1],
    ['bad indentation', 'http:\n  port: 1\n host: a\n', 3, 1],
    ['an alias without its anchor', 'http: *x\n', 1, 7],
    ['an unknown tag', 'http: !x {}\n', 1, 7],
    ['a group for a key', 'http:\n  port: {{ PORT }}\n', 2, 10],
    ['a list for a key', 'http:\n  ? [port]\n  : 1\n', 2, 5],
    ['an alias of a group for a key', 'a: &a {}\n*a : 1\n', 2, 1],
  ])('with %s is faulted at line and column', async (_, yaml, line, column) => {
    const file = await fileWith(yaml)
    const { faults } = await errorOf(() => loadConfig({ file, env: {} }))
    expect(faults[0]?.path).toBe(file)
    expect(faults[0]?.message).toContain(`line ${line}, column ${column}:`)
  })

  it.each(['- 1\n', 'archives\n', '42\n', 'a: 1\n---\nb: 2\n', '&a [*a]\n', 'archives: &a [*a]\n'])(
    '%j is no configuration',
    async (yaml) => {
      await expect(load(yaml)).rejects.toThrow(ConfigError)
    },
  )

  it('that makes billions of values from aliases is refused at once', async () => {
    const levels = Array.from({ length: 30 }, (_, i) => `a${i + 1}: &a${i + 1} [${Array(9).fill(`*a${i}`).join(', ')}]`)
    await expect(load(`a0: &a0 [x]\n${levels.join('\n')}\n`)).rejects.toThrow(ConfigError)
  })

  it('with a secret where a key should be is not quoted in a warning of the parser', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
    const { message } = await errorOf(() => load(`archives:\n  - identity: { passcode: {{ ${secret} }} }\n`))
    expect(message).not.toContain(secret)
    expect(warned).not.toHaveBeenCalled()
  })

  it.each([
    ['keys in keys', '? '.repeat(500)],
    ['aliases in groups in groups', `x: &a 1\n${'<<: a { : \nb: [*a, *a]\n'.repeat(500)}`],
  ])('of %s is refused at once', async (_, yaml) => {
    const start = performance.now()
    await expect(load(yaml)).rejects.toThrow(ConfigError)
    expect(performance.now() - start).toBeLessThan(5_000)
  })

  it('has the line of each fault', async () => {
    const file = await fileWith('http:\n  port: 99999\narchives:\n  - aeTitle: A\n    hots: h\n    port: 104\n')
    expect(await faultsOf(() => loadConfig({ file, env: {} }))).toEqual({
      'http.port': `is 99999; expected a whole number from 0 to 65535 (${file}, line 2)`,
      'archives[0].host': `is missing; expected a host name or an IP address, without scheme or port (${file}, line 4)`,
      'archives[0].hots': `is not a known key; did you mean host? (${file}, line 5)`,
    })
  })
})

describe('nothing at all', () => {
  it.each([{}, { PATH: '/bin', DIMSEGATE_CONFIG: '' }, { DIMSEGATE_HTTP__PORT: '' }])(
    'in %j is an error that shows what to write',
    async (env) => {
      const error = await errorOf(() => loadConfig({ env }))
      expect(error.faults.map(({ path }) => path)).toEqual(['archives'])
      expect(error.message).toContain('there is no configuration file and no variable')
      expect(error.message).toContain('dimsegate demo')
    },
  )

  it('shows YAML and variables that work, and mean the same', async () => {
    const { message } = await errorOf(() => loadConfig({ env: {} }))
    const yaml = /^ {2}archives:\n(?: {4}.*\n)+/m.exec(message)?.[0] ?? ''
    const env: Record<string, string | undefined> = {}
    for (const [, name, text] of message.matchAll(/^ {2}(DIMSEGATE_\w+)=(.*)$/gm)) env[name!] = text
    const fromFile = await load(yaml)
    expect(fromFile.archives[0]).toMatchObject({ aeTitle: 'ORTHANC', port: 4242 })
    expect(await loadConfig({ env })).toEqual(fromFile)
  })

  it.each(['', '# comments only\n', 'http: { port: 1 }\n', 'archives: []\n'])(
    'about archives in the file %j shows what to write too',
    async (yaml) => {
      const error = await errorOf(() => load(yaml))
      expect(error.faults.map(({ path }) => path)).toEqual(['archives'])
      expect(error.message).toContain('DIMSEGATE_ARCHIVES__0__AETITLE=ORTHANC')
    },
  )
})

describe('the environment', () => {
  it('alone is enough', async () => {
    expect(await loadConfig({ env: inEnvironment })).toEqual(parseConfig({ archives: [archive] }))
  })

  it('goes before the file, key by key', async () => {
    const config = await load('http: { port: 1, basePath: /a }\narchives: [{ aeTitle: A, host: h, port: 1 }]', {
      DIMSEGATE_HTTP__PORT: '2',
      DIMSEGATE_ARCHIVES__0__HOST: 'other',
      DIMSEGATE_ARCHIVES__1__AETITLE: 'B',
      DIMSEGATE_ARCHIVES__1__HOST: 'b',
      DIMSEGATE_ARCHIVES__1__PORT: '2',
    })
    expect(config.http).toMatchObject({ port: 2, basePath: '/a' })
    expect(config.archives.map(({ aeTitle, host }) => [aeTitle, host])).toEqual([
      ['A', 'other'],
      ['B', 'b'],
    ])
  })

  it('reads text as the kind of value the key has', async () => {
    const config = await loadEnvironment({
      DIMSEGATE_HTTP__BASEPATH: '/x',
      DIMSEGATE_HTTP__PUBLICURL: 'null',
      DIMSEGATE_HTTP__TRUSTPROXY: 'TRUE',
      DIMSEGATE_AUTH: 'open',
      DIMSEGATE_HTTP__MAXBODYBYTES: '1024',
      DIMSEGATE_DIMSE__ENABLED: 'false',
      DIMSEGATE_CACHE__MAXBYTES: '1MiB',
      DIMSEGATE_CACHE__TTL: '1h',
      DIMSEGATE_ARCHIVES__0__NAME: '4242',
      DIMSEGATE_ARCHIVES__0__CALLINGAETITLE: 'true',
      DIMSEGATE_ARCHIVES__0__SEARCH__EMPTYSTATUS: ' 204 ',
      DIMSEGATE_ARCHIVES__0__STORE__MAXINSTANCES: '7',
      DIMSEGATE_ARCHIVES__0__QUIRKS__SINGLEUIDLISTS: 'true',
      DIMSEGATE_ARCHIVES__0__IDENTITY__TYPE: 'username',
      DIMSEGATE_ARCHIVES__0__IDENTITY__USERNAME: '007',
      DIMSEGATE_ARCHIVES__0__IDENTITY__PASSCODE: 'null',
    })
    expect(config).toMatchObject({
      http: { basePath: '/x', publicUrl: null, trustProxy: true, maxBodyBytes: 1024 },
      dimse: { enabled: false },
      cache: { maxBytes: 1_048_576, ttl: 3_600_000 },
      archives: [
        {
          name: '4242',
          callingAeTitle: 'true',
          search: { emptyStatus: 204 },
          store: { maxInstances: 7 },
          quirks: { singleUidLists: true },
          identity: { type: 'username', username: '007', passcode: 'null' },
        },
      ],
    })
  })

  it.each([
    ['*', '*'],
    ['["https://a.example"]', ['https://a.example']],
    ['https://a.example, https://b.example', ['https://a.example', 'https://b.example']],
    ['[]', []],
    ['["https://a.example", "*"]', '*'],
  ])('takes origins as %s', async (text, origins) => {
    expect((await loadEnvironment({ DIMSEGATE_HTTP__CORS__ORIGINS: text })).http.cors.origins).toEqual(origins)
  })

  it('takes whole groups and lists as JSON or YAML, in place of what was there', async () => {
    const config = await load('archives: [{ aeTitle: A, host: h, port: 1 }, { aeTitle: B, host: h, port: 1 }]', {
      DIMSEGATE_ARCHIVES: '[{"aeTitle":"C","host":"c","port":3,"quirks":{"maxContexts":3}}]',
      DIMSEGATE_ARCHIVES__0__PORT: '4',
      DIMSEGATE_ARCHIVES__0__TIMEOUTS: 'idle: 1s\nmove: 2s',
      DIMSEGATE_ARCHIVES__0__TLS: '{}',
      DIMSEGATE_AUTH: '{ issuer: "https://a.example", audience: [x, y], jwks: "https://a.example/keys" }',
      DIMSEGATE_AUTH__SCOPES__SEARCH: 'read,write',
    })
    expect(config.archives).toHaveLength(1)
    expect(config.archives[0]).toMatchObject({
      aeTitle: 'C',
      port: 4,
      quirks: { maxContexts: 3 },
      timeouts: { idle: 1000, move: 2000, connect: 10_000 },
      tls: { minVersion: 'TLSv1.2' },
    })
    expect(config.auth).toMatchObject({ issuers: [{ audience: ['x', 'y'], scopes: { search: ['read', 'write'] } }] })
  })

  it('takes a list of archives as block YAML', async () => {
    const config = await loadConfig({ env: { DIMSEGATE_ARCHIVES: '- aeTitle: A\n  host: h\n  port: 1\n' } })
    expect(config.archives[0]?.aeTitle).toBe('A')
  })

  it('changes one of two archives that share a YAML anchor', async () => {
    const yaml =
      'archives:\n  - { aeTitle: A, host: h, port: 1, quirks: &q { maxContexts: 9 } }\n  - { aeTitle: B, host: h, port: 1, quirks: *q }\n'
    const config = await load(yaml, { DIMSEGATE_ARCHIVES__0__QUIRKS__MAXCONTEXTS: '5' })
    expect(config.archives.map(({ quirks }) => quirks.maxContexts)).toEqual([5, 9])
  })

  it.each([
    ['http: 5', { DIMSEGATE_HTTP__PORT: '1' }, 'http'],
    ['http: [5]', { DIMSEGATE_HTTP__PORT: '1' }, 'http'],
    ['archives: PACS', inEnvironment, 'archives'],
    ['archives: { a: 1 }', inEnvironment, 'archives'],
    ['archives: [PACS]', inEnvironment, 'archives[0]'],
    ['{}', { ...inEnvironment, DIMSEGATE_ARCHIVES: 'PACS' }, 'archives'],
  ])('does not hide a wrong value under one of its keys: %s', async (yaml, env, path) => {
    expect(Object.keys(await faultsOf(() => load(yaml, env)))).toContain(path)
  })

  it('puts a list where the file has * for any', async () => {
    const env = { ...inEnvironment, DIMSEGATE_HTTP__CORS__ORIGINS__0: 'https://a.example' }
    expect((await load('http: { cors: { origins: "*" } }', env)).http.cors.origins).toEqual(['https://a.example'])
  })

  it('takes null for a group that may be null, so that the file can be overruled', async () => {
    const yaml = 'archives: [{ aeTitle: A, host: h, port: 1, tls: { ca: ca.pem } }]'
    expect((await load(yaml, { DIMSEGATE_ARCHIVES__0__TLS: 'null' })).archives[0]?.tls).toBeNull()
  })

  it('takes an empty variable as not set', async () => {
    expect(
      (await loadEnvironment({ DIMSEGATE_HTTP__PORT: '', DIMSEGATE_AUTH: ' ', DIMSEGATE_LOG: undefined })).http.port,
    ).toBe(8080)
  })

  it.each([
    ['DIMSEGATE_HTTP_PORT', 'did you mean DIMSEGATE_HTTP__PORT?'],
    ['DIMSEGATE_HTTP__BASE_PATH', 'did you mean DIMSEGATE_HTTP__BASEPATH?'],
    ['DIMSEGATE_http__port', 'did you mean DIMSEGATE_HTTP__PORT?'],
    ['DIMSEGATE_ARCHIVE__3__HOST', 'did you mean DIMSEGATE_ARCHIVES__3__HOST?'],
    ['DIMSEGATE_ARCHIVES__12__TIMEOUTS__IDEL', 'did you mean DIMSEGATE_ARCHIVES__12__TIMEOUTS__IDLE?'],
    ['DIMSEGATE_HTTP__PORT__X', 'did you mean DIMSEGATE_HTTP__PORT?'],
    ['DIMSEGATE_LOG__COLOURS', 'expected DIMSEGATE_LOG__ and then one of: LEVEL, FORMAT'],
    ['DIMSEGATE_ARCHIVES__FIRST__HOST', 'expected DIMSEGATE_ARCHIVES__ and an index from 0'],
    ['DIMSEGATE_ARCHIVES__99999__HOST', 'is not a known variable'],
    ['DIMSEGATE_LOG__LEVEL__OF__DETAIL', 'expected nothing after DIMSEGATE_LOG__LEVEL'],
    [
      'DIMSEGATE_SOMETHING',
      'expected DIMSEGATE_ and then one of: HTTP, DIMSE, ARCHIVES, FEDERATION, PREFETCH, DEVICES, DESTINATIONS, ROUTES, PSEUDONYMS, SPOOL, CLUSTER, CACHE, IMAGING, AUTH, AUDIT, OPS, LOG',
    ],
    ['DIMSEGATE_', 'is not a known variable'],
    ['DIMSEGATE___PROTO__', 'is not a known variable'],
    ['DIMSEGATE_CONFIG__X', 'is not a known variable'],
  ])('with the unknown %s is faulted: %s', async (variable, message) => {
    const faults = await faultsOf(() => loadEnvironment({ [variable]: '1' }))
    expect(faults).toEqual({ [variable]: expect.stringContaining(message) as unknown })
  })

  it('leaves out what Kubernetes sets for a Service of our name, and what is not ours', async () => {
    const config = await loadEnvironment({
      DIMSEGATE_SERVICE_HOST: '10.0.0.1',
      DIMSEGATE_SERVICE_PORT: '80',
      DIMSEGATE_SERVICE_PORT_HTTP: '80',
      DIMSEGATE_PORT: 'tcp://10.0.0.1:80',
      DIMSEGATE_PORT_80_TCP: 'tcp://10.0.0.1:80',
      DIMSEGATE_PORT_80_TCP_PROTO: 'tcp',
      DIMSEGATE_PORT_80_TCP_PORT: '80',
      DIMSEGATE_PORT_80_TCP_ADDR: '10.0.0.1',
      DIMSEGATE_HTTP_PORT: 'tcp://10.0.0.1:80',
      dimsegate_http__port: '1',
      DIMSEGATEWAY: 'x',
    })
    expect(config.http.port).toBe(8080)
  })

  it.each([
    ['DIMSEGATE_HTTP__PORT', 'eighty', 'http.port: is "eighty"; expected a whole number'],
    ['DIMSEGATE_HTTP__PORT', '0x50', 'http.port: is "0x50"; expected'],
    ['DIMSEGATE_HTTP__PORT', '1e3', 'http.port: is "1e3"; expected'],
    ['DIMSEGATE_HTTP__PORT', 'null', 'http.port: is "null"; expected'],
    ['DIMSEGATE_HTTP__TRUSTPROXY', 'yes', 'http.trustProxy: is "yes"; expected true or false'],
    ['DIMSEGATE_LOG__LEVEL', 'INFO', 'log.level: is "INFO"; expected one of: fatal, error,'],
    ['DIMSEGATE_CACHE__TTL', '10', 'cache.ttl: is "10"; expected a duration with its unit'],
    ['DIMSEGATE_HTTP', 'port', 'http: is text that does not fit; expected a group of keys: host,'],
    ['DIMSEGATE_HTTP', '[1]', 'http: is a list; expected a group of keys'],
    ['DIMSEGATE_HTTP__CORS__ORIGINS', '[', 'http.cors.origins: cannot be read: line 1, column 2:'],
    ['DIMSEGATE_ARCHIVES', '{', 'archives: cannot be read: line 1, column 2:'],
    ['DIMSEGATE_ARCHIVES', 'PACS@host:104', 'archives: is text that does not fit; expected a list'],
    ['DIMSEGATE_ARCHIVES__2__HOST', 'h', 'archives[2].host: skips archives[1]; expected indexes that follow on from 0'],
    ['DIMSEGATE_AUTH__ISSUER', 'https://a.example', 'auth.audience: is missing'],
  ])('%s=%s is faulted, naming key and variable', async (variable, text, message) => {
    const error = await errorOf(() => loadConfig({ env: { ...inEnvironment, [variable]: text } }))
    expect(error.message).toContain(message)
    expect(error.message).toContain(variable === 'DIMSEGATE_AUTH__ISSUER' ? 'tokens of the issuer' : `(${variable})`)
  })

  it('is reported together with the file, each fault with its place', async () => {
    const file = await fileWith('http: { port: x }\narchives: [{ aeTitle: A, host: h, port: 1 }]')
    const env = { DIMSEGATE_ARCHIVES__0__PORT: 'y', DIMSEGATE_HTTP__PROT: '1' }
    expect(await faultsOf(() => loadConfig({ file, env }))).toEqual({
      DIMSEGATE_HTTP__PROT: 'is not a known variable; did you mean DIMSEGATE_HTTP__PORT?',
      'http.port': `is "x"; expected a whole number from 0 to 65535 (${file}, line 1)`,
      'archives[0].port': 'is "y"; expected a whole number from 1 to 65535 (DIMSEGATE_ARCHIVES__0__PORT)',
    })
  })

  it('has a variable of its own for every key', () => {
    const names = [...everyKey()].map(({ path }) => variableName(path))
    expect(new Set(names).size).toBe(names.length)
    for (const name of names) expect(name).toMatch(/^DIMSEGATE(_[A-Z]+|__[A-Z]+|__0)+$/)
  })
})

describe('secrets', () => {
  it.each([
    ['the wrong kind', { identity: secret }],
    ['a list', { identity: [secret] }],
    ['a wrong type', { identity: { type: secret, passcode: secret } }],
    [
      'a passcode beside an unknown key',
      { identity: { type: 'username', username: secret, passcode: secret, x: secret } },
    ],
    [
      'a passcode that slipped into the key',
      { identity: { type: 'username', username: 'u', [`passcode ${secret}`]: null } },
    ],
    ['a passcode of the wrong kind', { identity: { type: 'username', passcode: { [secret]: secret } } }],
    ['a token too long', { identity: { type: 'jwt', token: secret.repeat(9999) } }],
    ['a token for a user name', { identity: { type: 'username', username: 'u', token: secret } }],
    ['a key that is not a path', { tls: { cert: 'c', key: `-----BEGIN PRIVATE KEY-----\n${secret}\n-----END` } }],
    ['a key on one line', { tls: { cert: 'c', key: `-----BEGIN PRIVATE KEY----- ${secret}` } }],
    ['a key with line breaks only', { tls: { cert: 'c', key: `MIIE\n${secret}` } }],
    ['a key in the wrong place', { tls: { ca: `-----BEGIN PRIVATE KEY-----${secret}` } }],
    ['a key as tls', { tls: `-----BEGIN PRIVATE KEY-----\n${secret}` }],
    ['a user in a host', { host: `http://user:${secret}@pacs` }],
  ])('stay out of the fault of %s', async (_, changes) => {
    const error = await errorOf(() => withArchive(changes))
    expect(error.faults.length).toBeGreaterThan(0)
    expect(JSON.stringify([error.message, error.faults])).not.toContain(secret)
  })

  it.each([
    { links: { [`key ${secret}`]: null } },
    {
      issuer: 'https://id.example',
      audience: 'us',
      introspection: { clientId: 'us', [`clientSecret ${secret}`]: null },
    },
  ])('stay out of the fault where they slipped into a key of auth: %#', async (auth) => {
    const error = await errorOf(() => parseConfig({ auth, archives: [archive] }))
    expect(JSON.stringify([error.message, error.faults])).not.toContain(secret)
    expect(error.message).toContain('has an unknown key')
  })

  it('stay out of the fault when a number was written', async () => {
    const faults = await ofArchive({ identity: { type: 'username', username: 'u', passcode: 271_828 } })
    expect(faults['archives[0].identity.passcode']).toMatch(/^is a number; expected a passcode, .* in quotes$/)
  })

  it('stay out of the fault of a URL with a password', async () => {
    const error = await errorOf(() =>
      parseConfig({ http: { publicUrl: `https://user:${secret}@pacs.example` }, archives: [archive] }),
    )
    expect(error.message).toContain('http.publicUrl: is "https://…@pacs.example"')
  })

  it.each([
    `identity: { type: username, passcode: *${secret} }`,
    `identity: { type: username, passcode: !${secret} x }`,
    `identity: { type: username, passcode: "${secret} }`,
    `identity: { type: username, passcode: "\\q${secret}" }`,
    `identity: { type: username, passcode: @${secret} }`,
    `identity: { type: username, passcode: &${secret} &x y }`,
    `identity: { type: username, passcode: %${secret} }`,
    `identity: { type: username, passcode: |${secret} }`,
    `identity:\n  passcode: |${secret}\n    x`,
    `identity:\n%${secret}\n`,
    `identity: { type: username, passcode ${secret} }`,
    `identity: [ ${secret}`,
    `identity: } ${secret}`,
  ])('stay out of the fault of bad YAML: %s', async (yaml) => {
    const error = await errorOf(() => load(yaml))
    expect(JSON.stringify([error.message, error.faults, String(error.cause)])).not.toContain(secret)
    const variable = await errorOf(() => loadEnvironment({ DIMSEGATE_ARCHIVES: yaml }))
    expect(JSON.stringify([variable.message, variable.faults])).not.toContain(secret)
  })

  it.each([
    ['DIMSEGATE_ARCHIVES', `[{"identity":{"passcode":"${secret}"`],
    ['DIMSEGATE_ARCHIVES', secret],
    ['DIMSEGATE_ARCHIVES__0', secret],
    ['DIMSEGATE_ARCHIVES__0__IDENTITY', secret],
    ['DIMSEGATE_ARCHIVES__0__IDENTITY', `{type: username, username: u, passcode: ${secret}, z: 1}`],
    ['DIMSEGATE_ARCHIVES__0__IDENTITY__PASSWORD', secret],
    ['DIMSEGATE_ARCHIVES__0__TLS__KEY', `-----BEGIN PRIVATE KEY-----\n${secret}`],
  ])('stay out of the fault of the variable %s', async (variable, text) => {
    const error = await errorOf(() => loadEnvironment({ [variable]: text }))
    expect(JSON.stringify([error.message, error.faults])).not.toContain(secret)
  })
})

describe('what is written about it', () => {
  const read = (path: string) => readFile(new URL(`../../${path}`, import.meta.url), 'utf8')

  it('the example is complete but for commented parts, and shows the defaults', async () => {
    const example = await read('dimsegate.example.yaml')
    const minimal = parseConfig({ archives: [{ aeTitle: 'ORTHANC', host: '127.0.0.1', port: 4242 }] })
    expect(await load(example)).toEqual(minimal)
  })

  it('the commented parts of the example are right too', async () => {
    const example = await read('dimsegate.example.yaml')
    const bare = example
      .replaceAll(/^( *)# (?=(?:name|callingAeTitle|tls|identity|worklist|auth):|- aeTitle| {2}\w+: )/gm, '$1')
      .replaceAll(/^ *(?:tls|identity|worklist|auth): null.*\n/gm, '')
    const config = await load(bare)
    expect(config.archives.map(({ aeTitle }) => aeTitle)).toEqual(['ORTHANC', 'OLDPACS'])
    expect(config.archives[0]).toMatchObject({
      tls: { cert: expect.any(String) as unknown },
      identity: { type: 'username' },
      worklist: { aeTitle: 'RIS' },
    })
    expect(config.auth).toMatchObject({ issuers: [{ audience: ['dimsegate'] }] })
  })

  it('docs/config.schema.json is what scripts/generate-config-schema.ts makes', async () => {
    expect(JSON.parse(await read('docs/config.schema.json'))).toEqual(configJsonSchema())
  })

  it('docs/configuration.md has a row for every key, with its variable and its default', async () => {
    const rows = (await read('docs/configuration.md'))
      .split('\n')
      .filter((line) => line.startsWith('| `'))
      .map((line) => line.split(/ *\| */))
    const documented = new Map(rows.map(([, key, , byDefault, , variable]) => [key, { byDefault, variable }]))
    for (const { path, node } of leaves) {
      const row = documented.get(`\`${pathText(path).replaceAll('[0]', '[]')}\``)
      expect(row, pathText(path)).toMatchObject({ variable: `\`${variableName(path)}\`` })
      if (node.default === undefined) continue
      const byDefault = typeof node.default === 'string' ? node.default : JSON.stringify(node.default)
      expect(row, pathText(path)).toMatchObject({ byDefault: `\`${byDefault}\`` })
    }
    expect(documented.size).toBe(leaves.length)
    // Described once: the keys of one issuer are those of the others.
    expect(keysOf(nodeAt(['auth'])!)).toEqual(expect.arrayContaining([...keysOf(nodeAt(['auth', 'issuers', 0])!)]))
  })

  it('the YAML in docs/configuration.md is right', async () => {
    const blocks = [...(await read('docs/configuration.md')).matchAll(/```yaml\n([\s\S]*?)```/g)].map(
      ([, yaml]) => yaml!,
    )
    expect(blocks).not.toHaveLength(0)
    for (const yaml of blocks) {
      const value = parseYaml(yaml, { merge: true }) as object
      if ('identity' in value) withArchive(value)
      else parseConfig({ archives: [archive], ...value })
    }
  })
})
