import { once } from '../../src/dicom/bytes.ts'
import type { Bytes } from '../../src/dicom/bytes.ts'
import type { Dataset } from '../../src/dicom/dataset.ts'
import { parseDataset } from '../../src/dicom/dataset-codec.ts'
import { parsePart10 } from '../../src/dicom/part10.ts'
import { Attribute } from '../../src/dicom/attributes.ts'
import { SopClass } from '../../src/dicom/uids.ts'
import { readFile } from 'node:fs/promises'
import { DemoArchive, type DemoArchiveOptions } from '../../src/demo/demo-archive.ts'
import { Scu } from '../../src/dimse/scu.ts'
import type { Gateway } from '../../src/gateway.ts'
import { Association } from '../../src/network/association.ts'
import { startGatewayFor } from './gateway.ts'
import { freePort } from './ports.ts'

export interface RoutingOptions<N extends string> {
  /** Archives by their names, in order. */
  readonly archives: Readonly<Record<N, DemoArchiveOptions>>
  readonly routes: readonly object[]
  readonly devices?: readonly object[]
  readonly destinations?: readonly object[]
  /** Of each archive. */
  readonly archiveConfig?: object
  readonly http?: object
  readonly others?: object
}

export interface RoutingSetup<N extends string> extends AsyncDisposable {
  readonly gateway: Gateway
  readonly archives: Readonly<Record<N, DemoArchive>>
  /** Of our DICOM listener. */
  readonly port: number
}

/** Demo archives, and a gateway that takes instances of the device CT1 too. */
export async function startRouting<const N extends string>({
  archives: wanted,
  archiveConfig = {},
  routes,
  devices = [{ aeTitle: 'CT1' }],
  destinations = [],
  http,
  others,
}: RoutingOptions<N>): Promise<RoutingSetup<N>> {
  const archives = {} as Record<N, DemoArchive>
  for (const [name, options] of Object.entries<DemoArchiveOptions>(wanted) as [N, DemoArchiveOptions][]) {
    archives[name] = await DemoArchive.start({ aeTitle: name.toUpperCase(), ...options })
  }
  const configs = Object.values<DemoArchive>(archives).map(({ aeTitle, port }) => ({
    aeTitle,
    host: '127.0.0.1',
    port,
    ...archiveConfig,
  }))
  const port = await freePort()
  const dimse = { host: '127.0.0.1', port }
  const gateway = await startGatewayFor(configs, http, {}, { dimse, routes, devices, destinations, ...others })
  return {
    gateway,
    archives,
    port,
    [Symbol.asyncDispose]: async () => {
      await gateway[Symbol.asyncDispose]()
      for (const archive of Object.values<DemoArchive>(archives)) await archive[Symbol.asyncDispose]()
    },
  }
}

export interface SendingOptions {
  readonly callingAeTitle?: string
  readonly calledAeTitle?: string
}

/** A device that stores files, over one association; the statuses, in order. @throws what ends it */
export async function sendFiles(
  port: number,
  files: readonly Bytes[],
  options: SendingOptions = {},
): Promise<number[]> {
  const read = await Promise.all(files.map(async (file) => ({ ...(await parsePart10(file)) })))
  const pairs = new Map<string, { sopClass: string; syntax: string }>()
  for (const { meta, syntax } of read) {
    const sopClass = meta.string(Attribute.MediaStorageSOPClassUID)!
    pairs.set(`${sopClass} ${syntax.uid}`, { sopClass, syntax: syntax.uid })
  }
  const association = await deviceAssociation(
    port,
    [...pairs.values()].map(({ sopClass, syntax }) => [sopClass, syntax]),
    options,
  )
  try {
    const scu = new Scu(association)
    const statuses: number[] = []
    for (const { meta, syntax, data } of read) {
      const sopClass = meta.string(Attribute.MediaStorageSOPClassUID)!
      const sopInstance = meta.string(Attribute.MediaStorageSOPInstanceUID)!
      const context = [...association.contexts.values()].find(
        (one) => one.abstractSyntax === sopClass && one.transferSyntax === syntax.uid,
      )!
      const { status } = await scu.store(context, { sopClass, sopInstance, body: once(data) }, { timeout: 20_000 })
      statuses.push(status)
    }
    return statuses
  } finally {
    await association.release(2_000)
  }
}

/** An association of a device to our listener; verification is among its contexts. */
export function deviceAssociation(
  port: number,
  pairs: readonly (readonly [sopClass: string, syntax: string])[],
  { callingAeTitle = 'CT1', calledAeTitle = 'DIMSEGATE' }: SendingOptions = {},
): Promise<Association> {
  const contexts = [[SopClass.verification, '1.2.840.10008.1.2'] as const, ...pairs].map(
    ([abstractSyntax, syntax], index) => ({ id: 2 * index + 1, abstractSyntax, transferSyntaxes: [syntax] }),
  )
  return Association.request({
    address: { host: '127.0.0.1', port },
    callingAeTitle,
    calledAeTitle,
    maxPduLength: 16_384,
    timeouts: { connect: 5_000, associate: 5_000 },
    contexts,
  })
}

/** What an archive holds, whole, by SOP Instance UID. */
export async function heldBy(archive: DemoArchive): Promise<Map<string, Dataset>> {
  const held = new Map<string, Dataset>()
  for (const { path, sopInstance } of archive.catalog.files) {
    const { syntax, data } = await parsePart10(await readFile(path))
    held.set(sopInstance, parseDataset(data, syntax))
  }
  return held
}
