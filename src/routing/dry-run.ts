import { createReadStream } from 'node:fs'
import type { Config } from '../config/config.ts'
import type { Bytes } from '../dicom/bytes.ts'
import { pathName } from '../dicom/attribute-path.ts'
import { readPart10 } from '../dicom/part10.ts'
import { Arrival, FROM_CLIENT } from '../instance/arrival.ts'
import type { Lookup } from './change/worklist-lookup.ts'
import { Pseudonyms } from './deidentify/pseudonyms.ts'
import { differences } from './differences.ts'
import { Front } from './front.ts'
import type { Origin } from './origin.ts'
import { Router, type Taken } from './router.ts'

export interface DryRunOptions {
  readonly files: readonly string[]
  /** How they come: as from a device, or by STOW to an archive. */
  readonly origin: Omit<Origin, 'transferSyntax'>
  readonly print: (text: string) => void
}

/** Says which routes files take, and what is changed in them; sends nothing, asks nobody. Comes to whether all are taken. */
export async function dryRun(config: Config, { files, origin, print }: DryRunOptions): Promise<boolean> {
  const asked: Lookup[] = []
  const worklist = {
    find: (lookup: Lookup) => {
      asked.push(lookup)
      return Promise.resolve(undefined)
    },
  }
  // Nobody is asked: what would be refused for want of an answer is shown.
  const routes = config.routes.map((route) => ({ ...route, set: route.set.map(lenient) }))
  const pseudonyms = config.pseudonyms ? new Pseudonyms(config.pseudonyms.key) : undefined
  const { aeTitle } = config.dimse
  await using router = new Router({ routes, targets: new Map(), means: { pseudonyms, worklist }, aeTitle })
  let isWell = true
  for (const file of files) {
    print(`${file}\n`)
    asked.length = 0
    try {
      const taken = await takenBy(router, file, origin)
      for (const one of taken) print(routeText(one))
      for (const { archive, by } of asked) {
        print(`  the worklist of ${archive} would be asked by ${pathName(by)}; what it says is not shown here\n`)
      }
      if (taken.some(({ refusal }) => refusal)) isWell = false
      if (taken.length > 0) continue
      print('  no route takes it: a device is refused, what comes by STOW goes to the archive of its URL\n')
    } catch (error) {
      print(`  is refused: ${error instanceof Error ? error.message : 'it cannot be read'}\n`)
    }
    isWell = false
  }
  return isWell
}

function lenient(change: Config['routes'][number]['set'][number]): typeof change {
  return change.kind === 'fromWorklist' ? { ...change, missing: 'keep' } : change
}

async function takenBy(router: Router, file: string, origin: DryRunOptions['origin']): Promise<Taken[]> {
  const { syntax, body } = await readPart10(createReadStream(file) as AsyncIterable<Bytes>)
  const arrival = await Arrival.begin(body, syntax, { ...FROM_CLIENT, rewrites: syntax.deflated })
  try {
    const front = await Front.read(arrival, arrival.syntax)
    return await router.take(front, { ...origin, transferSyntax: syntax.uid }, new AbortController().signal)
  } finally {
    await arrival.return()
  }
}

function routeText({ route, draft, refusal }: Taken): string {
  const to = route.to.map(({ name, delivery }) => (delivery === 'required' ? name : `${name} (best effort)`))
  const changes = draft ? [...differences(draft.front.dataset, draft.dataset)] : []
  const lines = changes.map(({ path, before, after }) => `    ${path}: ${before ?? 'none'} -> ${after ?? 'none'}\n`)
  const why =
    refusal && 'error' in refusal && refusal.error instanceof Error ? refusal.error.message : 'it cannot be read'
  const unchanged = draft && lines.length === 0 ? '    nothing is changed\n' : ''
  const note = refusal ? `    refused: ${why}\n` : unchanged
  const stop = route.stop ? '    takes no route behind it\n' : ''
  return `  ${route.name} -> ${to.join(', ')}\n${lines.join('')}${note}${stop}`
}

/** How files come, as the command line says; a sentence where that names nobody. */
export function originOf(
  { devices, archives, dimse }: Config,
  {
    device: deviceName,
    archive: archiveName,
  }: { readonly device?: string | undefined; readonly archive?: string | undefined },
): DryRunOptions['origin'] | string {
  const known = (entries: readonly { readonly name: string }[]): string => entries.map(({ name }) => name).join(', ')
  if (archiveName !== undefined) {
    if (archives.some(({ name }) => name === archiveName)) return { source: 'stow', archive: archiveName }
    return `--archive ${archiveName} is none of the archives: ${known(archives)}.`
  }
  if (deviceName === undefined && devices.length === 0) return { source: 'stow', archive: archives[0]!.name }
  const device = deviceName === undefined ? devices[0] : devices.find(({ name }) => name === deviceName)
  if (!device) return `--device ${deviceName} is none of the devices: ${known(devices) || 'there are none'}.`
  const { name, aeTitle: callingAeTitle, calledAeTitle, addresses } = device
  // A block of addresses is none.
  const address = addresses.find((one) => !one.includes('/'))
  return { source: 'device', device: name, callingAeTitle, calledAeTitle: calledAeTitle ?? dimse.aeTitle, address }
}
