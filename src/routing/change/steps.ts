import { channel } from 'node:diagnostics_channel'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Config } from '../../config/config.ts'
import { Breather } from '../../dicom/breather.ts'
import { vrFor, type Dataset } from '../../dicom/dataset.ts'
import { isPrivate } from '../../dicom/tag.ts'
import type { Draft } from './draft.ts'
import { deidentify, patientKey } from '../deidentify/deidentify.ts'
import { pixelRisk } from '../deidentify/burned-in.ts'
import { Profile, type Action } from '../deidentify/profile.ts'
import { isPixelData } from '../../instance/bulk-attributes.ts'
import { removePrivate } from './private-attributes.ts'
import type { Pseudonyms } from '../deidentify/pseudonyms.ts'
import { shiftDates } from '../deidentify/shift-dates.ts'
import type { WorklistLookup } from './worklist-lookup.ts'

export type Change = Config['routes'][number]['set'][number]
type Of<K extends Change['kind']> = Extract<Change, { readonly kind: K }>

export type ChangeRefusal = 'NOT_IN_TABLE' | 'NO_SCHEDULED_STEP' | 'PIXELS_NOT_CLEAN' | 'DOCUMENT_NOT_CLEAN'

/** A step found what it does not let pass. */
export class ChangeRefusedError extends Error {
  readonly code: ChangeRefusal
  constructor(code: ChangeRefusal, problem: string) {
    super(problem)
    this.name = 'ChangeRefusedError'
    this.code = code
  }
}

/** The worklist that a step needs cannot be asked. */
export class WorklistFailedError extends Error {
  readonly code = 'WORKLIST_FAILED'
  constructor(archive: string, options: ErrorOptions) {
    super(`The worklist of ${archive} cannot be asked`, options)
    this.name = 'WorklistFailedError'
  }
}

/** What steps are taken by. */
export interface Means {
  /** Undefined: no step needs them. */
  readonly pseudonyms: Pseudonyms | undefined
  readonly worklist: Pick<WorklistLookup, 'find'>
  readonly signal: AbortSignal
  /** How long a worklist is waited for, in ms; as long as its archive is unless told. */
  readonly patience?: number | undefined
}

/**
 * Takes the steps of a route, one after another.
 * @throws ChangeRefusedError, FrontTooLongError, InvalidValueError, and what asking a worklist throws
 */
export async function takeSteps(draft: Draft, changes: readonly Change[], means: Means): Promise<void> {
  for (const change of changes) {
    // A step may look at all there is.
    await nextTurn()
    if (change.kind === 'fromWorklist') await fromWorklist(draft, change, means)
    else await takeStep(draft, change, means)
  }
}

/** Does something to a data set and all items in it. @throws what `work` throws */
async function everywhere(draft: Draft, work: (dataset: Dataset) => void = () => undefined): Promise<void> {
  const breather = new Breather()
  for (const dataset of draft.everywhere()) {
    work(dataset)
    if (breather.isDue) await breather.breathe()
  }
}

async function takeStep(
  draft: Draft,
  change: Exclude<Change, { readonly kind: 'fromWorklist' }>,
  means: Means,
): Promise<void> {
  switch (change.kind) {
    case 'set':
      for (const { path, values } of change.values) draft.assign(path, values)
      return
    case 'default':
      for (const { path, values } of change.values) if (draft.values(path).length === 0) draft.assign(path, values)
      return
    case 'prefix':
      for (const { path, values } of change.values) {
        const prefix = values[0] ?? ''
        await draft.replace(path, (value) => (value.startsWith(prefix) ? value : `${prefix}${value}`))
      }
      return
    case 'copy':
      for (const { path, from } of change.sources) {
        const values = draft.values(from)
        if (values.length > 0) draft.assign(path, values)
      }
      return
    case 'uppercase':
      for (const path of change.paths) await draft.replace(path, (value) => value.toUpperCase())
      return
    case 'hash': {
      const { pseudonyms } = means
      for (const path of change.paths) {
        const isUid = vrFor(path.at(-1)!) === 'UI'
        await draft.replace(path, (value) => (isUid ? pseudonyms!.uid(value) : pseudonyms!.text(value)))
      }
      return
    }
    case 'map':
      await mapped(draft, change)
      return
    case 'remove':
      for (const removed of change.removed) await remove(draft, removed)
      return
    case 'profile':
      await deidentified(draft, change, means.pseudonyms!)
      return
    case 'shiftDates': {
      const days = change.days ?? means.pseudonyms!.days(patientKey(draft.whole()), change.within!)
      await everywhere(draft, (dataset) => shiftDates(dataset, days))
      draft.rest.remove(({ vr }) => vr === 'DA' || vr === 'DT')
    }
  }
}

/** PS3.15 E; what nobody can clean here is refused, unless it is to be let through as not clean. */
async function deidentified(
  draft: Draft,
  { retain, burnedIn, within }: Of<'profile'>,
  pseudonyms: Pseudonyms,
): Promise<void> {
  const dataset = draft.whole()
  // Each has to be readable.
  await everywhere(draft)
  const risk = pixelRisk(dataset, draft.front.next !== undefined)
  if (risk === 'document')
    throw new ChangeRefusedError('DOCUMENT_NOT_CLEAN', 'A document or report cannot be de-identified here')
  if (risk !== 'none' && burnedIn === 'refuse') {
    throw new ChangeRefusedError('PIXELS_NOT_CLEAN', 'The pixel data may show who it is of (Burned In Annotation)')
  }
  const profile = new Profile(retain)
  await deidentify(dataset, { profile, pseudonyms, days: pseudonyms.days(patientKey(dataset), within) }, risk)
  draft.rest.remove(({ tag, vr }) => !isPixelData(tag) && isDealtWith(profile.actionOf(tag, vr === 'SQ')))
}

/** Behind the pixel data nothing is replaced. */
function isDealtWith(action: Action | undefined): boolean {
  return action !== undefined && action !== 'keep'
}

async function mapped(draft: Draft, { path, table, otherwise }: Of<'map'>): Promise<void> {
  await draft.replace(path, (value) => {
    if (Object.hasOwn(table, value)) return table[value]
    if (otherwise === 'refuse') throw new ChangeRefusedError('NOT_IN_TABLE', 'A value is not in the table of map')
    return otherwise === 'remove' ? undefined : value
  })
}

async function remove(draft: Draft, removed: Of<'remove'>['removed'][number]): Promise<void> {
  if ('path' in removed) {
    draft.remove(removed.path)
    return
  }
  if ('like' in removed) {
    const { like, mask } = removed
    const isMeant = (tag: number): boolean => (tag & mask) >>> 0 === like
    await everywhere(draft, (dataset) => {
      for (const [tag] of dataset.entries()) if (isMeant(tag)) dataset.delete(tag)
    })
    draft.rest.remove(({ tag }) => isMeant(tag))
    return
  }
  const { creator } = removed
  await everywhere(draft, (dataset) => removePrivate(dataset, creator))
  if (creator === undefined) draft.rest.remove(({ tag }) => isPrivate(tag))
  else draft.rest.removeOf(creator)
}

/** Published for each instance of which a worklist was asked, also where it need not be asked again. */
export interface LookupEvent {
  readonly archive: string
  readonly isFound: boolean
}

const lookups = channel('dimsegate:worklist-lookup')

function publishLookup(archive: string, isFound: boolean): void {
  lookups.publish({ archive, isFound } satisfies LookupEvent)
}

async function fromWorklist(
  draft: Draft,
  change: Of<'fromWorklist'>,
  { worklist, signal, patience }: Means,
): Promise<void> {
  const { archive, by, sources, missing } = change
  const key = draft.values(by)[0]
  const until = patience === undefined ? signal : AbortSignal.any([signal, AbortSignal.timeout(patience)])
  const asked = key === undefined ? undefined : worklist.find({ archive, by, key, sources }, until)
  const found = await asked?.catch((cause: unknown) => {
    signal.throwIfAborted()
    throw new WorklistFailedError(archive, { cause })
  })
  publishLookup(archive, found !== undefined)
  if (!found) {
    if (missing === 'refuse')
      throw new ChangeRefusedError('NO_SCHEDULED_STEP', 'The worklist tells of no step for it, or of several')
    return
  }
  for (const [index, values] of found.entries()) {
    if (values.length > 0) draft.assign(sources[index]!.path, values)
  }
}
