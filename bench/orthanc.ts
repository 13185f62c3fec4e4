import { mkdtempDisposable, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { dicomWebPlugin } from '../test/support/orthanc.ts'
import { requireProgram } from '../test/support/peers.ts'
import { freePort } from '../test/support/ports.ts'
import { startProcess } from '../test/support/process.ts'
import { once } from './data.ts'
import type { BenchPeer } from './peers.ts'

export const ORTHANC_TITLE = 'ORTHANC'

/** Starts Orthanc with files in it; under its name what it holds is kept from run to run. */
export async function startOrthanc(
  name: string,
  files: readonly string[],
): Promise<BenchPeer & { readonly dicomWebUrl: string }> {
  const folder = await once(name, async (into) => {
    await using orthanc = await start(into)
    await load(files, orthanc.httpPort)
  })
  const orthanc = await start(folder)
  return {
    name: 'Orthanc',
    host: '127.0.0.1',
    port: orthanc.port,
    titleOf: () => ORTHANC_TITLE,
    dicomWebUrl: `http://127.0.0.1:${orthanc.httpPort}/dicom-web`,
    [Symbol.asyncDispose]: () => orthanc[Symbol.asyncDispose](),
  }
}

interface Started extends AsyncDisposable {
  readonly port: number
  readonly httpPort: number
}

async function start(folder: string): Promise<Started> {
  await using resources = new AsyncDisposableStack()
  const root = resources.use(await mkdtempDisposable(join(tmpdir(), 'dimsegate-bench-')))
  const [port, httpPort] = [await freePort(), await freePort()]
  const path = join(root.path, 'orthanc.json')
  await writeFile(path, JSON.stringify(configuration(folder, port, httpPort)))
  resources.use(
    await startProcess(requireProgram('Orthanc'), {
      args: [path],
      env: { TCP_NODELAY: '1' },
      ports: [port, httpPort],
      patience: 20_000, // Its index is kept: it must end by itself.
    }),
  )
  const owned = resources.move()
  return { port, httpPort, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** See test/support/orthanc.ts. */
function configuration(folder: string, port: number, httpPort: number): object {
  return {
    StorageDirectory: folder,
    IndexDirectory: folder,
    StorageCompression: false,
    SyncStorageArea: false,
    SaveJobs: false,
    LimitFindResults: 0,
    LimitFindInstances: 0,
    HttpPort: httpPort,
    RemoteAccessAllowed: false,
    AuthenticationEnabled: false,
    DicomPort: port,
    DicomAet: ORTHANC_TITLE,
    // Of associations at once; 4 unless told.
    DicomThreadsCount: 32,
    DicomCheckModalityHost: false,
    DicomAlwaysAllowFind: true,
    DicomAlwaysAllowGet: true,
    MaximumPduLength: 131_072,
    Plugins: [dicomWebPlugin()],
    DicomWeb: { Enable: true, Root: '/dicom-web/' },
  }
}

async function load(files: readonly string[], httpPort: number): Promise<void> {
  const queue = files.values()
  const worker = async () => {
    for (const file of queue) {
      const body = await readFile(file)
      const response = await fetch(`http://127.0.0.1:${httpPort}/instances`, { method: 'POST', body })
      if (!response.ok) throw new Error(`Orthanc refused ${file}: ${await response.text()}`)
      await response.body?.cancel()
    }
  }
  await Promise.all([worker(), worker(), worker(), worker()])
}
