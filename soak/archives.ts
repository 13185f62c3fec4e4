import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startDcmqrscp } from '../test/support/dcmqrscp.ts'
import { startOrthanc } from '../test/support/orthanc.ts'
import { splitPart10, type FileParts } from '../test/support/part10.ts'
import { freePort } from '../test/support/ports.ts'
import { startProcess } from '../test/support/process.ts'
import { Restartable } from '../test/support/restartable.ts'
import type { Instance, MadeInstance } from './instances.ts'
import { Link } from './link.ts'
import { Stock } from './stock.ts'
import { Weather } from './weather.ts'

/** An archive of the soak, and the way to it. */
export interface SoakArchive {
  readonly name: string
  readonly aeTitle: string
  /** What the gateway connects to. */
  readonly link: Link
  readonly program: Restartable
  /** Whether it comes back with what it had; it is killed then. */
  readonly keeps: boolean
  /** Whether one slow client keeps it from all others. */
  readonly isHeldUp: boolean
  /** Whether it can take the stores of one client only. */
  readonly storesAlone: boolean
  /** How many associations it is given. */
  readonly associations: number
  readonly weather: Weather
  readonly stock: Stock
  /** What it was started with. */
  readonly fixture: readonly Instance[]
  /** What it has for each of some instances, read from the archive itself: the files, whole or not. */
  read(instances: readonly Instance[]): Promise<Map<string, FileParts[]>>
}

/** Places for associations at the archive; the gateway takes fewer, and what was cut may still hold some. */
const PLACES = 32

/** What makes the instances that an archive is to begin with. */
export type Fixture = (archive: string, number: number) => Promise<readonly MadeInstance[]>

/** Starts dcmqrscp, Orthanc and the demo archive below a folder, each behind a link, with instances of their own. */
export async function startArchives(
  folder: string,
  fixture: Fixture,
  resources: AsyncDisposableStack,
): Promise<SoakArchive[]> {
  const starts = { dcmqrscp: openDcmqrscp, orthanc: openOrthanc, demo: openDemo }
  const archives: SoakArchive[] = []
  for (const [name, open] of Object.entries(starts)) {
    const made = await fixture(name, archives.length + 1)
    const files = await written(join(folder, name), made)
    const { port, ...rest } = await open(files, join(folder, name), resources)
    const stock = new Stock()
    for (const { instance } of made) {
      stock.sent(instance)
      stock.stored(instance.instance)
    }
    const link = resources.use(await Link.open(port))
    const given = made.map(({ instance }) => instance)
    archives.push({ name, link, stock, weather: new Weather(name), fixture: given, ...rest })
  }
  return archives
}

type Opened = Omit<SoakArchive, 'name' | 'link' | 'stock' | 'weather' | 'fixture'> & { readonly port: number }

const WITHOUT_LIMITS = { isHeldUp: false, storesAlone: false, associations: 6 }

/**
 * What dcmqrscp 3.6.7 is not made for. A C-GET holds its index locked, and every new association asks for it alone: one
 * slow C-GET keeps it from all others. And it names files by the second: stores of one class that begin in the same
 * second may get the same name, and the later one, or the failure of either, takes the earlier away.
 */
const DCMQRSCP_LIMITS = { isHeldUp: true, storesAlone: true, associations: 3 }

async function openDcmqrscp(
  files: readonly string[],
  _folder: string,
  resources: AsyncDisposableStack,
): Promise<Opened> {
  const options = { files, association: 'all', maxAssociations: PLACES } as const
  const { aeTitle, port, program, folder } = resources.use(await startDcmqrscp(options))
  return {
    ...DCMQRSCP_LIMITS,
    aeTitle,
    port,
    program,
    keeps: true,
    read: (instances) => readFolder(folder, instances),
  }
}

async function openOrthanc(
  files: readonly string[],
  _folder: string,
  resources: AsyncDisposableStack,
): Promise<Opened> {
  const { aeTitle, port, program, httpPort } = resources.use(await startOrthanc({ files, threads: PLACES }))
  return {
    ...WITHOUT_LIMITS,
    aeTitle,
    port,
    program,
    keeps: true,
    read: (instances) => readOrthanc(httpPort, instances),
  }
}

/** What is stored in it is in its memory, by name: it is frozen, but not killed. */
async function openDemo(_files: readonly string[], folder: string, resources: AsyncDisposableStack): Promise<Opened> {
  const port = await freePort()
  const stored = join(folder, 'stored')
  await mkdir(stored)
  const args = [join(import.meta.dirname, 'demo.ts'), `${port}`, join(folder, 'files')]
  const start = () => startProcess(process.execPath, { args, env: { TMPDIR: stored }, ports: [port] })
  const program = resources.use(await Restartable.start(start))
  return {
    ...WITHOUT_LIMITS,
    aeTitle: 'DEMO',
    port,
    program,
    keeps: false,
    read: (instances) => readFolder(folder, instances),
  }
}

async function written(folder: string, made: readonly MadeInstance[]): Promise<string[]> {
  const into = join(folder, 'files')
  await mkdir(into, { recursive: true })
  const paths: string[] = []
  for (const { instance, file } of made) {
    const path = join(into, `${instance.instance}.dcm`)
    await writeFile(path, file)
    paths.push(path)
  }
  return paths
}

/** Every file below a folder that is DICOM and of the instances. */
async function readFolder(folder: string, instances: readonly Instance[]): Promise<Map<string, FileParts[]>> {
  const wanted = new Set(instances.map(({ instance }) => instance))
  const found = new Map<string, FileParts[]>()
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || entry.name === 'index.dat') continue
    const parts = splitPart10(await readFile(join(entry.parentPath, entry.name)))
    if (wanted.has(parts.sopInstance)) found.set(parts.sopInstance, [...(found.get(parts.sopInstance) ?? []), parts])
  }
  return found
}

/** By its REST API. */
async function readOrthanc(httpPort: number, instances: readonly Instance[]): Promise<Map<string, FileParts[]>> {
  const root = `http://127.0.0.1:${httpPort}`
  const found = new Map<string, FileParts[]>()
  for (const { instance } of instances) {
    const answer = await fetch(`${root}/tools/lookup`, { method: 'POST', body: instance })
    const [match] = (await answer.json()) as { readonly ID: string }[]
    if (!match) continue
    const file = await fetch(`${root}/instances/${match.ID}/file`)
    found.set(instance, [splitPart10(Buffer.from(await file.arrayBuffer()))])
  }
  return found
}
