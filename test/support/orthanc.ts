import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type PeerAddress, type RealPeer, type RefusedFile, requireProgram } from './peers.ts'
import { freePort } from './ports.ts'
import { startProcess } from './process.ts'
import { Restartable } from './restartable.ts'

export interface OrthancOptions {
  /** ORTHANC unless told. Any calling and called AE title is let in. */
  readonly aeTitle?: string
  readonly files?: readonly string[]
  /** Destinations for C-MOVE, and who may ask what it never allows everybody (storage commitment). */
  readonly peers?: readonly PeerAddress[]
  /** False lets only peers find, get, move and store; C-ECHO stays with everybody. */
  readonly strangers?: boolean
  /** Load the DICOMweb plugin: QIDO-RS, WADO-RS, STOW-RS at `http://127.0.0.1:{httpPort}/dicom-web`. */
  readonly dicomWeb?: boolean
  /** Load the plugin for worklists, over a folder of files. */
  readonly worklist?: string
  /** False leaves Nagle's algorithm on, as DCMTK does by default. */
  readonly tcpNoDelay?: boolean
  /** DICOM by TLS, both ways: its key and certificate, and those whose certificates it takes, as files (PEM). */
  readonly tls?: { readonly key: string; readonly cert: string; readonly trusted: string }
  /** Most instances that a C-FIND answers; behind them it ends by FE00. All unless told. */
  readonly limitFindInstances?: number
  /** Associations served at a time, its own 4 unless told; one more waits, without an answer. */
  readonly threads?: number
  /** False answers a C-MOVE when it has been queued. */
  readonly synchronousMove?: boolean
  /** Log associations and messages too. */
  readonly debug?: boolean
}

/**
 * Starts Orthanc, loaded with files, in a temporary folder of its own. It listens on all addresses, but answers HTTP only
 * from this machine.
 *
 * Its ways, tried with 1.10.1:
 * - C-GET takes any accepted context of the SOP class: one in the stored syntax if there is one, else it transcodes
 *   (it decodes RLE, JPEG and JPEG-LS; not JPEG 2000). An object it cannot transcode **ends the C-GET**, with c000, no
 *   data set and the rest not sent. Role selection is answered as asked for, but it sends without it too.
 * - One context with several syntaxes: it takes Explicit LE if offered, like DCMTK by default.
 * - No extended negotiation: it does not answer it. It finds series and instances without any parent's UID all the same.
 * - It takes only syntaxes it knows, whatever AcceptedTransferSyntaxes says: not HTJ2K. SOP classes: any.
 * - Over HTTP it refuses files without Patient ID, Study, Series or SOP Instance UID ("Inexistent tag"), or without a preamble.
 * - An identifier it cannot read: 30 s of silence, then A-ABORT.
 */
export async function startOrthanc(
  options: OrthancOptions = {},
): Promise<RealPeer & { readonly folder: string; readonly httpPort: number; readonly program: Restartable }> {
  const { aeTitle = 'ORTHANC', files = [], tcpNoDelay = true } = options
  const executable = requireProgram('Orthanc')
  const root = await mkdtemp(join(tmpdir(), 'dimsegate-orthanc-'))
  const removeRoot = () => rm(root, { recursive: true, force: true })
  try {
    const folder = join(root, 'storage')
    const [port, httpPort] = [await freePort(), await freePort()]
    await mkdir(folder)
    const path = join(root, 'orthanc.json')
    await writeFile(path, JSON.stringify(configuration({ ...options, aeTitle, folder, port, httpPort }), null, 2))

    const program = await Restartable.start(() =>
      startProcess(executable, {
        args: [...(options.debug === true ? ['--verbose'] : []), path],
        env: { TCP_NODELAY: tcpNoDelay ? '1' : '0' },
        ports: [port, httpPort],
        patience: 0, // It takes over 3 s to end by itself, and nothing is to be saved.
      }),
    )
    const dispose = async () => {
      await program[Symbol.asyncDispose]()
      await removeRoot()
    }
    const refused = await load(files, httpPort).catch(async (error: unknown) => {
      await dispose()
      throw new Error(`Orthanc could not be loaded. Its last output:\n${program.log().slice(-2000)}`, { cause: error })
    })
    return {
      name: 'Orthanc',
      aeTitle,
      host: '127.0.0.1',
      port,
      httpPort,
      pid: program.pid,
      folder,
      program,
      refused,
      log: () => program.log(),
      [Symbol.asyncDispose]: dispose,
    }
  } catch (error) {
    await removeRoot()
    throw error
  }
}

type Settings = OrthancOptions & { aeTitle: string; folder: string; port: number; httpPort: number }

function configuration({
  aeTitle,
  folder,
  port,
  httpPort,
  peers = [],
  dicomWeb = false,
  worklist,
  strangers = true,
  limitFindInstances = 0,
  synchronousMove = true,
  threads = 4,
  tls,
}: Settings): object {
  const modality = ({ aeTitle: AET, host: Host, port: Port }: PeerAddress) => ({ AET, Host, Port, UseDicomTls: !!tls })
  return {
    Name: 'dimsegate-test',
    StorageDirectory: folder,
    IndexDirectory: folder,
    StorageCompression: false,
    SyncStorageArea: false,
    OverwriteInstances: true,
    SaveJobs: false,
    DefaultEncoding: 'Utf8',
    LimitFindResults: 0,
    LimitFindInstances: limitFindInstances,
    SynchronousCMove: synchronousMove,
    HttpPort: httpPort,
    RemoteAccessAllowed: false,
    AuthenticationEnabled: false,
    DicomPort: port,
    DicomAet: aeTitle,
    DicomThreadsCount: threads,
    DicomCheckCalledAet: false,
    DicomCheckModalityHost: false,
    DicomAlwaysAllowEcho: true,
    DicomAlwaysAllowStore: strangers,
    DicomAlwaysAllowFind: strangers,
    DicomAlwaysAllowGet: strangers,
    DicomAlwaysAllowMove: strangers,
    UnknownSopClassAccepted: true,
    AcceptedTransferSyntaxes: ['1.*'],
    MaximumPduLength: 131_072,
    DicomModalities: Object.fromEntries(peers.map((peer) => [peer.aeTitle, modality(peer)])),
    ...(tls && {
      DicomTlsEnabled: true,
      DicomTlsPrivateKey: tls.key,
      DicomTlsCertificate: tls.cert,
      DicomTlsTrustedCertificates: tls.trusted,
    }),
    Plugins: [...(dicomWeb ? [plugin(DICOM_WEB)] : []), ...(worklist === undefined ? [] : [plugin(WORKLISTS)])],
    Worklists: { Enable: worklist !== undefined, Database: worklist, FilterIssuerAet: false },
    DicomAlwaysAllowFindWorklist: true,
    DicomWeb: { Enable: true, Root: '/dicom-web/', EnableWado: true, WadoRoot: '/wado' },
  }
}

const [DICOM_WEB, WORKLISTS] = ['libOrthancDicomWeb.so', 'libModalityWorklists.so'] as const

export function dicomWebPlugin(): string {
  return plugin(DICOM_WEB)
}

function plugin(name: string): string {
  const folders = ['/usr/share/orthanc/plugins', '/usr/local/share/orthanc/plugins', '/usr/lib/orthanc/plugins']
  const path = folders.map((folder) => join(folder, name)).find((candidate) => existsSync(candidate))
  if (path === undefined)
    throw new Error(`${name} not found in ${folders.join(', ')}: install orthanc and orthanc-dicomweb`)
  return path
}

/** Posts the files, four at a time. */
async function load(files: readonly string[], httpPort: number): Promise<RefusedFile[]> {
  const refused: RefusedFile[] = []
  const queue = files.values()
  const worker = async () => {
    for (const file of queue) {
      const body = await readFile(file)
      const response = await fetch(`http://127.0.0.1:${httpPort}/instances`, { method: 'POST', body })
      const answer = await response.text()
      if (!response.ok) refused.push({ file, why: /"Message" : "(.*)"/.exec(answer)?.[1] ?? `HTTP ${response.status}` })
    }
  }
  await Promise.all([worker(), worker(), worker(), worker()])
  return refused
}
