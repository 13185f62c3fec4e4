import type { Config } from '../config/config.ts'
import type { ByteStream } from '../dicom/bytes.ts'
import type { InstanceUids } from '../instance/uids.ts'
import type { Archive } from '../pacs/archive.ts'
import type { Call } from '../pacs/call.ts'
import type { Instance } from '../pacs/instance.ts'
import { StoreNode } from '../pacs/store-node.ts'
import type { StoreBatch } from '../pacs/store.ts'
import { Pseudonyms } from './deidentify/pseudonyms.ts'
import { WorklistLookup } from './change/worklist-lookup.ts'
import { DeviceCommitments } from './device-commitment.ts'
import { RoutedDevices, type BeginTrace } from './devices.ts'
import { Router } from './router.ts'
import { Spool, type SpoolSurroundings } from './spool/spool.ts'
import type { Outlet, Target } from './target.ts'
import { WebStore } from './web-store.ts'

/** Whether what a destination does not take compressed is sent uncompressed. */
export type Decompress = 'lossless' | 'always' | 'never'

/** What routing needs of the rest of the service. */
export interface Surroundings {
  readonly archives: readonly Archive[]
  /** The data set without compression, in Explicit VR Little Endian; undefined where that cannot be had. */
  readonly decompress: (instance: Instance, how: Decompress, signal: AbortSignal) => Promise<ByteStream | undefined>
  /** Told of each instance that an archive may have anew. */
  readonly outdate: (archive: Archive, instance: InstanceUids) => void
  /** Told of each instance that a destination has got from the spool, or will not get. */
  readonly toldOfSpooled: SpoolSurroundings['told']
  /** Begins what an association of a device leaves in the audit trail. */
  readonly trace: BeginTrace
  /** Nothing may be done, since it could not be written down. */
  readonly isBlocked: () => boolean
}

/** The routes of the configuration, and who uses them. */
export interface Routing extends AsyncDisposable {
  readonly router: Router
  readonly devices: RoutedDevices
  readonly nodes: readonly StoreNode[]
  /** Undefined where none is configured. */
  readonly spool: Spool | undefined
}

/** @throws TlsFileError, SpoolFolderError */
export async function openRouting(config: Config, surroundings: Surroundings): Promise<Routing> {
  const { archives, decompress, outdate, trace, toldOfSpooled: told, isBlocked } = surroundings
  const { aeTitle } = config.dimse
  const byName = new Map(archives.map((archive) => [archive.config.name, archive]))
  const nodes: StoreNode[] = []
  const targets = new Map<string, Target>()
  for (const archive of archives) targets.set(archive.config.name, archiveTarget(archive, { decompress, outdate }))
  for (const destination of config.destinations) {
    const { name } = destination
    if (destination.type === 'stow') {
      targets.set(name, new WebStore(destination))
      continue
    }
    const node = await StoreNode.open(destination, aeTitle)
    nodes.push(node)
    const open = (call: Call): Outlet =>
      node.storeBatch(call, (instance) => decompress(instance, destination.decompress, call.signal))
    targets.set(name, { node: { name, aeTitle: destination.aeTitle, host: destination.host }, open })
  }
  const worklist = new WorklistLookup(byName)
  const pseudonyms = config.pseudonyms ? new Pseudonyms(config.pseudonyms.key) : undefined
  const spool = config.spool ? await Spool.openOrWait(config.spool, { targets, told, isBlocked }) : undefined
  const router = new Router({ routes: config.routes, targets, spool, means: { pseudonyms, worklist }, aeTitle })
  const commitments = new DeviceCommitments(byName, aeTitle)
  const around = { aeTitle, router, archives: byName, commitments, trace, isBlocked }
  const devices = new RoutedDevices({ devices: config.devices, ...around })
  return {
    router,
    devices,
    nodes,
    spool,
    [Symbol.asyncDispose]: async () => {
      await commitments[Symbol.asyncDispose]()
      worklist.close(new Error('The service stops'))
      await router[Symbol.asyncDispose]()
      await spool?.[Symbol.asyncDispose]()
      await Promise.all(nodes.map((node) => node[Symbol.asyncDispose]()))
    },
  }
}

function archiveTarget(
  archive: Archive,
  { decompress, outdate }: Pick<Surroundings, 'decompress' | 'outdate'>,
): Target {
  const { name, aeTitle, host, store } = archive.config
  const open = (call: Call): Outlet => {
    const batch: StoreBatch = archive.storeBatch(call, (instance) =>
      decompress(instance, store.decompress, call.signal),
    )
    return {
      reach: (instance) => batch.reach(instance),
      store: async (instance) => {
        try {
          return await batch.store(instance)
        } finally {
          // Whatever came of it: it may have it all the same.
          outdate(archive, instance)
        }
      },
      [Symbol.asyncDispose]: () => batch[Symbol.asyncDispose](),
    }
  }
  return { node: { name, aeTitle, host }, open }
}
