import { readFile, readdir } from 'node:fs/promises'
import path from 'node:path'
import ts from 'typescript'
import { describe, expect, test } from 'vitest'

// docs/architecture.md as rules. A folder of src may import from itself and from the folders listed for it, types
// included, and so may the rooms of a folder among themselves; files at the root of src are main.ts and what it is made of, and may import from every folder.
//
//   dicom ← network ← dimse ← pacs ← cache ← http ← main, dicom ← instance ← pacs, instance ← dicomweb ← http,
//   instance ← imaging ← http, pacs ← routing ← http, dicomweb ← routing, pacs ← cluster

const FOLDERS: Readonly<Record<string, readonly string[]>> = {
  dicom: [],
  config: ['dicom', 'network'],
  network: ['dicom'],
  dimse: ['dicom', 'network'],
  instance: ['dicom'],
  pacs: ['dicom', 'instance', 'network', 'dimse'],
  cluster: ['dicom', 'instance', 'network', 'dimse', 'pacs'],
  cache: ['dicom', 'instance', 'network', 'dimse', 'pacs'],
  dicomweb: ['dicom', 'instance'],
  routing: ['dicom', 'instance', 'network', 'dimse', 'pacs', 'dicomweb'],
  imaging: ['dicom', 'instance'],
  audit: [],
  console: [],
  http: [
    ...['dicom', 'instance', 'network', 'dimse', 'pacs', 'cache', 'dicomweb', 'imaging', 'routing', 'audit', 'console'],
  ],
  telemetry: ['network', 'dimse', 'pacs', 'cluster', 'cache', 'imaging', 'routing', 'audit', 'http'],
  demo: ['dicom', 'network', 'dimse'],
  doctor: ['dicom', 'network', 'dimse', 'pacs'],
}

/**
 * Folders that have rooms: what a room may import from the other rooms of its folder. Files outside of the rooms are for
 * all of them, and import from none. A folder that is not listed here may have folders in it without a rule.
 */
const ROOMS: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  imaging: {
    codecs: [],
    picture: ['codecs'],
    draw: ['picture'],
    pool: ['codecs', 'picture', 'draw'],
    transcode: ['codecs', 'pool'],
  },
  pacs: {
    '': [
      'commitment',
      'delivery',
      'federation',
      'pool',
      'priors',
      'search',
      'send',
      'retrieve',
      'performed',
      'worklist',
    ],
    send: ['pool', 'search'],
    federation: ['search'],
    priors: ['federation', 'search'],
    worklist: ['pool', 'search'],
    performed: ['pool', 'search'],
    commitment: ['delivery', 'pool', 'search'],
    delivery: [],
    pool: [],
    search: [],
    retrieve: ['delivery', 'pool', 'search'],
  },
  routing: {
    '': ['change', 'deidentify', 'spool'],
    spool: [],
    change: ['deidentify'],
    deidentify: [],
  },
  dicomweb: {
    negotiate: [],
    multipart: ['negotiate'],
    encode: [],
    decode: ['encode'],
    params: ['negotiate'],
  },
  http: {
    '': [
      'audit',
      'auth',
      'body',
      'commitment',
      'federation',
      'made',
      'ops',
      'performed',
      'prefetch',
      'rendered',
      'retrieve',
      'search',
      'send',
      'store',
      'uri',
      'validators',
    ],
    performed: ['auth', 'body'],
    federation: ['auth'],
    prefetch: ['auth'],
    send: ['auth', 'body'],
    auth: [],
    audit: ['auth'],
    body: ['validators'],
    ops: [],
    validators: ['audit', 'auth'],
    retrieve: ['body', 'validators'],
    rendered: ['body', 'retrieve', 'validators'],
    uri: ['auth', 'rendered', 'retrieve', 'validators'],
    search: ['auth', 'body', 'validators'],
    made: ['auth', 'body'],
    store: ['audit', 'auth', 'body', 'commitment', 'made'],
    commitment: ['auth', 'body'],
  },
}

/** Of config/: `import type` from these folders; values reach them as arguments. */
const MAY_IMPORT_CONFIG_TYPES = ['audit', 'pacs', 'cluster', 'routing', 'http', 'doctor', 'telemetry']

/** Facts about addresses, which open nothing. */
const HARMLESS_OF_NODE_NET = ['isIP', 'isIPv4', 'isIPv6', 'BlockList', 'SocketAddress']
/** A socket in the file system that nothing is ever said over. */
const SIGN_OF_LIFE = 'network/sign-of-life.ts'
const MAY_OPEN_SOCKETS = (file: string) =>
  [
    'main.ts',
    'probe.ts',
    'audit/syslog-sink.ts',
    'network/transport.ts',
    'network/listener.ts',
    'http/server.ts',
    SIGN_OF_LIFE,
  ].includes(file) || file.startsWith('demo/')

const FORBIDDEN_NAMES = ['util', 'utils', 'helper', 'helpers', 'misc']
const MAX_LINES = 400
const GENERATED = (file: string) =>
  ['dicom/dictionary-data.ts', 'routing/deidentify/profile-data.ts'].includes(file) || file.endsWith('.d.ts')

interface Import {
  specifier: string
  /** No trace of it is left at run time: `import type`, `export type … from`, `import('…').Type`. */
  typeOnly: boolean
  dynamic: boolean
  /** The names taken; undefined stands for everything (`* as`, `export *`, `import()`). */
  names: readonly string[] | undefined
}

describe('src', async () => {
  const root = path.join(import.meta.dirname, '../src')
  const names = (await readdir(root, { recursive: true })).map((name) => name.split(path.sep).join('/'))
  const files = names.filter((name) => name.endsWith('.ts')).sort()

  test('is read: files, and imports among them', async () => {
    const sources = await Promise.all(files.map((file) => readFile(path.join(root, file), 'utf8')))
    const imports = sources.flatMap((source, index) => importsOf(parse(files[index]!, source)))
    expect(imports.filter(({ specifier }) => specifier.startsWith('.')).length).toBeGreaterThan(10)
  })

  test('has no circle of imports, not even of types', async () => {
    const graph = new Map<string, readonly string[]>()
    for (const file of files) {
      graph.set(file, importedFiles(file, await readFile(path.join(root, file), 'utf8')))
    }
    expect(circles(graph)).toEqual([])
  })

  test.each(files)('%s keeps to the architecture', async (file) => {
    expect(violations(file, await readFile(path.join(root, file), 'utf8'))).toEqual([])
  })
})

describe('imports across folders', () => {
  test.each([
    ['dicom/tag.ts', "import { vr } from './vr.ts'"],
    ['network/association.ts', "import type { Bytes } from '../dicom/bytes.ts'"],
    ['http/retrieve.ts', "export { frames } from '../dicomweb/frames.ts'"],
    ['http/openapi.ts', "const contract = new URL('../../openapi/dicomweb.yaml', import.meta.url)"],
    ['main.ts', "import { app } from './http/app.ts'"],
    ['demo/archive.ts', "import { scp } from '../dimse/scp.ts'"],
    ['pacs/pool.ts', "// import { app } from '../http/app.ts'\nconst text = \"import x from '../http/app.ts'\""],
  ])('%s may: %s', (file, source) => {
    expect(violations(file, source)).toEqual([])
  })

  test.each([
    ['dicom/tag.ts', "import { negotiate } from '../network/negotiation.ts'"],
    ['dicom/tag.ts', "import type { Pdu } from '../network/pdu.ts'"],
    ['dicom/tag.ts', "import { type Pdu } from '../network/pdu.ts'"],
    ['dicom/tag.ts', "import '../network/pdu.ts'"],
    ['dicom/tag.ts', "import * as pdu from '../network/pdu.ts'"],
    ['dicom/tag.ts', "export * from '../network/pdu.ts'"],
    ['dicom/tag.ts', "export type { Pdu } from '../network/pdu.ts'"],
    ['dicom/tag.ts', "const pdu = await import('../network/pdu.ts')"],
    ['dicom/tag.ts', "let pdu: import('../network/pdu.ts').Pdu"],
    ['dimse/scu.ts', "import { pool } from '../pacs/pool.ts'"],
    ['pacs/archive.ts', "import { cache } from '../cache/instances.ts'"],
    ['pacs/archive.ts', "import { json } from '../dicomweb/json.ts'"],
    ['cache/instances.ts', "import { problem } from '../http/problem.ts'"],
    ['dicomweb/frames.ts', "import { message } from '../dimse/message.ts'"],
    ['dicomweb/frames.ts', "import { decode } from '../imaging/decode.ts'"],
    ['imaging/decode.ts', "import { frames } from '../dicomweb/frames.ts'"],
    ['demo/archive.ts', "import { pool } from '../pacs/pool.ts'"],
    ['network/deep/inner.ts', "import { scu } from '../../dimse/scu.ts'"],
  ])('%s may not: %s', (file, source) => {
    const [message, ...others] = violations(file, source)
    expect(others).toEqual([])
    expect(message).toMatch(/^[a-z/]+\.ts imports \.\.\/[a-z./]+\.ts: [a-z]+ may import from /)
    expect(message).toContain(`${file} imports ${/'(.*)'/.exec(source)![1]!}`)
  })

  test.each([
    ['a folder the rules do not know', 'billing/invoice.ts', ''],
    ['something outside src', 'http/docs.ts', "import contract from '../../package.json'"],
    ['an alias in place of a path', 'dicom/tag.ts', "import { pool } from '#pacs/pool.ts'"],
    ['main.ts from a folder', 'http/app.ts', "import { main } from '../main.ts'"],
    ['a part of main.ts from a folder', 'dicom/tag.ts', "import { startGateway } from '../gateway.ts'"],
  ])('%s is a violation', (_, file, source) => {
    expect(violations(file, source)).toHaveLength(1)
  })
})

describe('imports across the rooms of a folder', () => {
  test.each([
    ['imaging/codecs/rle.ts', "import type { ImageDescription } from '../image-description.ts'"],
    ['imaging/codecs/rle.ts', "import type { Bytes } from '../../dicom/bytes.ts'"],
    ['imaging/codecs/rle.ts', "import { CodestreamError } from './codec-error.ts'"],
    ['imaging/transcode/transcode.ts', "import type { ImagingPool } from '../pool/imaging-pool.ts'"],
    ['http/store/parts.ts', "import { primed } from '../body/primed.ts'"],
    ['http/render.ts', "import { placePicture } from '../imaging/picture/place-picture.ts'"],
  ])('%s may: %s', (file, source) => {
    expect(violations(file, source)).toEqual([])
  })

  test.each([
    ['imaging/codecs/rle.ts', "import { drawFrame } from '../draw/draw-frame.ts'"],
    ['imaging/codecs/rle.ts', "import type { ImagingPool } from '../pool/imaging-pool.ts'"],
    ['imaging/image-description.ts', "import { decodeRle } from './codecs/rle.ts'"],
    ['imaging/codecs/rle.ts', "import { frames } from '../../dicomweb/frames.ts'"],
  ])('%s may not: %s', (file, source) => {
    expect(violations(file, source)).toEqual([expect.stringMatching(/: imaging[a-z/]* may import from /)])
  })

  test('a room that the rules do not know is a violation', () => {
    expect(violations('imaging/attic/trunk.ts', '')).toHaveLength(1)
  })
})

describe('circles of imports', () => {
  const circlesOf = (...edges: readonly string[]): string[] => {
    const graph = new Map<string, string[]>()
    for (const [from, to] of edges.map((edge) => edge.split(' > ')))
      graph.set(from!, [...(graph.get(from!) ?? []), to!])
    return circles(graph)
  }

  test('are files that come to each other, told once', () => {
    expect(circlesOf('a > b', 'b > c', 'c > a', 'c > d', 'd > e')).toEqual(['a b c'])
    expect(circlesOf('b > a', 'a > b', 'x > a', 'd > c', 'c > d')).toEqual(['a b', 'c d'])
    expect(circlesOf('a > a')).toEqual(['a'])
  })

  test('are not files that meet elsewhere', () => {
    expect(circlesOf('a > b', 'a > c', 'b > d', 'c > d')).toEqual([])
  })

  test('are of types too, and of import()', () => {
    expect(
      importedFiles('http/app.ts', "import type { A } from './a.ts'\nconst b = await import('../pacs/b.ts')"),
    ).toEqual(['http/a.ts', 'pacs/b.ts'])
    expect(importedFiles('http/app.ts', "import { Hono } from 'hono'\nimport fs from 'node:fs'")).toEqual([])
  })
})

describe('main.ts, config/, telemetry/, demo/', () => {
  test.each([
    ['main.ts', "const { demo } = await import('./demo/archive.ts')"],
    ['main.ts', "import type { Demo } from './demo/archive.ts'"],
    ['demo/archive.ts', "import { faults } from './faults.ts'"],
  ])('%s may use the demo: %s', (file, source) => {
    expect(violations(file, source)).toEqual([])
  })

  test.each([
    ['main.ts', "import { demo } from './demo/archive.ts'"],
    ['config/config.ts', "const { demo } = await import('../demo/archive.ts')"],
    ['http/app.ts', "const { demo } = await import('../demo/archive.ts')"],
  ])('%s may not use the demo: %s', (file, source) => {
    expect(violations(file, source)).toEqual([expect.stringContaining('demo')])
  })

  test('the doctor is imported by main.ts and gateway.ts only, when it is needed', () => {
    expect(violations('main.ts', "const { runDoctor } = await import('./doctor/run.ts')")).toEqual([])
    expect(violations('gateway.ts', "const { examine } = await import('./doctor/examine.ts')")).toEqual([])
    expect(violations('gateway.ts', "import { examine } from './doctor/examine.ts'")).toHaveLength(1)
    expect(violations('http/app.ts', "import { examine } from '../doctor/examine.ts'")).toHaveLength(1)
    expect(violations('doctor/store.ts', "import { cache } from '../cache/instances.ts'")).toHaveLength(1)
  })

  test.each(['pacs/archive.ts', 'http/app.ts'])('%s may import a type of config/, never a value', (file) => {
    expect(violations(file, "import type { Config } from '../config/config.ts'")).toEqual([])
    expect(violations(file, "import { type Config } from '../config/config.ts'")).toHaveLength(1)
    expect(violations(file, "import { load } from '../config/config.ts'")).toHaveLength(1)
  })

  test('no other folder imports from config/', () => {
    expect(violations('network/transport.ts', "import type { Config } from '../config/config.ts'")).toHaveLength(1)
    expect(violations('main.ts', "import { load } from './config/config.ts'")).toEqual([])
  })

  test('config/ imports from dicom/ only', () => {
    expect(violations('config/values.ts', "import { terms } from '../dicom/charset-terms.ts'")).toEqual([])
    expect(violations('config/values.ts', "import { Archive } from '../pacs/archive.ts'")).toHaveLength(1)
  })

  test('telemetry/ is imported by gateway.ts only', () => {
    expect(violations('gateway.ts', "import { start } from './telemetry/telemetry.ts'")).toEqual([])
    expect(violations('config/config.ts', "import { start } from '../telemetry/telemetry.ts'")).toHaveLength(1)
    expect(violations('pacs/pool.ts', "import type { Span } from '../telemetry/telemetry.ts'")).toHaveLength(1)
  })
})

describe('other rules', () => {
  test.each(['main.ts', 'network/transport.ts', 'network/listener.ts', 'http/server.ts', 'demo/archive.ts'])(
    '%s may open sockets',
    (file) => {
      expect(violations(file, "import net from 'node:net'\nimport { connect } from 'node:tls'")).toEqual([])
    },
  )

  test.each([
    "import net from 'node:net'",
    "import { connect } from 'node:tls'",
    "import { connect } from 'net'",
    "import { isIP, createServer } from 'node:net'",
    "export * from 'node:tls'",
    "const tls = await import('node:tls')",
  ])('another may not: %s', (source) => {
    expect(violations('network/association.ts', source)).toEqual([expect.stringContaining('socket')])
  })

  test('a type or an address check of node:net opens no socket', () => {
    expect(violations('config/values.ts', "import { isIP } from 'node:net'")).toEqual([])
    expect(violations('network/association.ts', "import type { Socket } from 'node:net'")).toEqual([])
  })

  test('nobody makes a stream of an iterable', () => {
    const source = 'const body = new Response(ReadableStream.from(chunks))'
    expect(violations('http/retrieve.ts', source)).toEqual([expect.stringContaining('ReadableStream.from')])
    expect(violations('http/retrieve.ts', `// ${source}`)).toEqual([])
  })

  test("Hono's stream helpers are for nobody", () => {
    expect(violations('http/body/send-stream.ts', "import { stream } from 'hono/streaming'")).toHaveLength(1)
  })

  test.each([
    'export default class Tag {}',
    'export default 1',
    'const tag = 1\nexport { tag as default }',
    "export { default } from './vr.ts'",
  ])('no default export: %s', (source) => {
    expect(violations('dicom/tag.ts', source)).toEqual([expect.stringContaining('default')])
  })

  test.each(['dicom/utils.ts', 'http/helpers.ts', 'misc.ts', 'network/helpers/range.ts'])('%s is no name', (file) => {
    expect(violations(file, '')).toEqual([expect.stringContaining('name')])
  })

  test('400 lines are enough, but for what is generated', () => {
    expect(violations('dicom/tag.ts', '//\n'.repeat(400))).toEqual([])
    expect(violations('dicom/tag.ts', '//\n'.repeat(401))).toEqual([expect.stringContaining('401 lines')])
    expect(violations('dicom/dictionary-data.ts', '//\n'.repeat(5000))).toEqual([])
  })
})

/** What a file of src, named from there, does against the rules: a sentence each, naming the file and the import. */
function violations(file: string, source: string): string[] {
  const parsed = parse(file, source)
  const lines = source.split('\n').length - (source.endsWith('\n') ? 1 : 0)
  const found = importsOf(parsed).flatMap((one) => {
    const fault = importFault(file, one)
    return fault === undefined ? [] : [`${file} imports ${one.specifier}: ${fault}`]
  })

  const folder = folderOf(file)
  if (folder !== undefined && !(folder in FOLDERS))
    found.push(`${file}: say in test/architecture.test.ts what ${folder} may import`)
  const [rooms, room] = [ROOMS[folder ?? ''], roomOf(file)]
  if (rooms && room !== undefined && !(room in rooms))
    found.push(`${file}: say in test/architecture.test.ts what ${folder}/${room} may import`)
  if (file.split('/').some((part) => FORBIDDEN_NAMES.includes(part.replace(/\.ts$/, ''))))
    found.push(`${file}: the name says nothing; name it for the noun or verb it exports`)
  if (lines > MAX_LINES && !GENERATED(file)) found.push(`${file}: ${lines} lines, at most ${MAX_LINES}`)
  if (hasDefaultExport(parsed)) found.push(`${file}: a default export; a name is how a thing is found`)
  if (usesReadableStreamFrom(parsed)) found.push(`${file}: ReadableStream.from, where bodies are written by http/body/`)
  return found
}

function importFault(file: string, { specifier, typeOnly, dynamic, names }: Import): string | undefined {
  if (specifier.startsWith('#') || specifier.startsWith('/')) return 'write the path from this file'
  if (!specifier.startsWith('.')) return packageFault(file, specifier, typeOnly, names)

  const from = folderOf(file)
  const target = path.posix.join(path.posix.dirname(file), specifier)
  if (target.startsWith('..')) return 'outside src; what is needed there is read at run time'
  const to = folderOf(target)

  if (to === 'telemetry' && from !== 'telemetry')
    return file === 'gateway.ts' ? undefined : 'only gateway.ts imports telemetry/'
  if (to === 'demo' && from !== 'demo')
    return file === 'main.ts' && (dynamic || typeOnly) ? undefined : 'only main.ts imports demo/, by import()'
  if (to === 'doctor' && from !== 'doctor')
    return ['main.ts', 'gateway.ts'].includes(file) && (dynamic || typeOnly)
      ? undefined
      : 'only main.ts and gateway.ts import doctor/, by import()'
  if (from === undefined) return undefined
  if (from === to) return roomFault(from, roomOf(file), roomOf(target))
  if (to === undefined) return 'files at the root of src are parts of main.ts'
  if (to === 'config') {
    if (!MAY_IMPORT_CONFIG_TYPES.includes(from)) return `${from} takes its settings as arguments`
    return typeOnly ? undefined : 'write `import type`; values of config/ reach a folder as arguments'
  }
  const allowed = FOLDERS[from] ?? []
  return allowed.includes(to) ? undefined : `${from} may import from ${allowed.join(', ') || 'no other folder'}`
}

function roomFault(folder: string, from: string | undefined, to: string | undefined): string | undefined {
  const rooms = ROOMS[folder]
  if (!rooms || to === undefined || from === to) return undefined
  const allowed = rooms[from ?? ''] ?? []
  const name = from === undefined ? folder : `${folder}/${from}`
  return allowed.includes(to) ? undefined : `${name} may import from ${allowed.join(', ') || 'no room of it'}`
}

function packageFault(file: string, specifier: string, typeOnly: boolean, names: Import['names']): string | undefined {
  if (specifier === 'hono/streaming')
    return 'its helper drains the producer after the client has left, and ends a failed body as if it were whole'
  if (!/^(node:)?(net|tls)$/.test(specifier) || typeOnly || MAY_OPEN_SOCKETS(file)) return undefined
  if (names?.every((name) => HARMLESS_OF_NODE_NET.includes(name))) return undefined
  return 'only network/transport.ts and listener.ts (and main.ts, probe.ts, http/server.ts, demo/) open a socket'
}

/** undefined for a file at the root. */
function folderOf(file: string): string | undefined {
  return file.includes('/') ? file.slice(0, file.indexOf('/')) : undefined
}

/** undefined for a file that is in no folder of its folder. */
function roomOf(file: string): string | undefined {
  const parts = file.split('/')
  return parts.length > 2 ? parts[1] : undefined
}

/** The files of src that a file of src imports, for whatever reason, named from there. */
function importedFiles(file: string, source: string): string[] {
  return importsOf(parse(file, source))
    .filter(({ specifier }) => specifier.startsWith('.'))
    .map(({ specifier }) => path.posix.join(path.posix.dirname(file), specifier))
}

/** The strongly connected components of a graph (Tarjan), their files in order; of one file if it imports itself. */
function circles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const found: string[] = []
  const order = new Map<string, number>()
  const lowest = new Map<string, number>()
  const open: string[] = []
  const visit = (file: string): void => {
    order.set(file, order.size)
    lowest.set(file, order.get(file)!)
    open.push(file)
    for (const next of graph.get(file) ?? []) {
      if (!order.has(next)) visit(next)
      // What is closed already has no way back.
      if (open.includes(next)) lowest.set(file, Math.min(lowest.get(file)!, lowest.get(next)!))
    }
    if (lowest.get(file) !== order.get(file)) return
    const circle = open.splice(open.indexOf(file)).sort()
    if (circle.length > 1 || graph.get(file)?.includes(file)) found.push(circle.join(' '))
  }
  for (const file of graph.keys()) if (!order.has(file)) visit(file)
  return found.sort()
}

function parse(file: string, source: string): ts.SourceFile {
  return ts.createSourceFile(file, source, ts.ScriptTarget.Latest, true, ts.ScriptKind.TS)
}

function importsOf(parsed: ts.SourceFile): Import[] {
  return [...nodesOf(parsed)].flatMap((node) => importAt(node) ?? [])
}

function importAt(node: ts.Node): Import | undefined {
  if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
    const clause = node.importClause
    const typeOnly = clause?.phaseModifier === ts.SyntaxKind.TypeKeyword
    return { specifier: node.moduleSpecifier.text, typeOnly, dynamic: false, names: namesOf(clause) }
  }
  if (ts.isExportDeclaration(node) && node.moduleSpecifier && ts.isStringLiteral(node.moduleSpecifier)) {
    return { specifier: node.moduleSpecifier.text, typeOnly: node.isTypeOnly, dynamic: false, names: undefined }
  }
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
    const specifier = node.arguments[0]
    if (!specifier || !ts.isStringLiteralLike(specifier)) return undefined
    return { specifier: specifier.text, typeOnly: false, dynamic: true, names: undefined }
  }
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument) && ts.isStringLiteral(node.argument.literal)) {
    return { specifier: node.argument.literal.text, typeOnly: true, dynamic: false, names: undefined }
  }
  return undefined
}

function namesOf(clause: ts.ImportClause | undefined): readonly string[] | undefined {
  const bindings = clause?.namedBindings
  if (!clause || clause.name || !bindings || !ts.isNamedImports(bindings)) return undefined
  return bindings.elements.map((element) => (element.propertyName ?? element.name).text)
}

function hasDefaultExport(parsed: ts.SourceFile): boolean {
  return parsed.statements.some((statement) => {
    if (ts.isExportAssignment(statement)) return true
    if (ts.isExportDeclaration(statement))
      return (
        statement.exportClause !== undefined &&
        ts.isNamedExports(statement.exportClause) &&
        statement.exportClause.elements.some((element) => element.name.text === 'default')
      )
    return (
      ts.canHaveModifiers(statement) &&
      (ts.getModifiers(statement) ?? []).some((modifier) => modifier.kind === ts.SyntaxKind.DefaultKeyword)
    )
  })
}

function usesReadableStreamFrom(parsed: ts.SourceFile): boolean {
  for (const node of nodesOf(parsed)) {
    if (
      ts.isPropertyAccessExpression(node) &&
      node.name.text === 'from' &&
      ts.isIdentifier(node.expression) &&
      node.expression.text === 'ReadableStream'
    )
      return true
  }
  return false
}

function* nodesOf(node: ts.Node): Generator<ts.Node> {
  yield node
  for (const child of childrenOf(node)) yield* nodesOf(child)
}

function childrenOf(node: ts.Node): ts.Node[] {
  const children: ts.Node[] = []
  ts.forEachChild(node, (child) => void children.push(child))
  return children
}
