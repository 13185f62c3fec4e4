import { setTimeout as delay } from 'node:timers/promises'
import { Attribute } from '../../src/dicom/attributes.ts'
import { Dataset } from '../../src/dicom/dataset.ts'
import { findResponse, getResponse, moveResponse } from './golden.ts'
import { ScriptedArchive, storeAll, type ArchiveAssociation, type ArchiveMessage } from './scripted-archive.ts'
import { onMove, StorageCaller } from './scripted-mover.ts'
import { sliceDataset, type SliceShape } from './slices.ts'

/** How an archive answers; what is left out is as the standard has it. */
export interface ArchiveHabits {
  /** What it holds. */
  readonly holds: readonly SliceShape[]
  /** What it sends of what is asked for by no name, by index; all of it unless told. */
  readonly sends?: readonly number[]
  /** What it never sends, by index. */
  readonly keeps?: readonly number[]
  /** What its final response counts as completed. */
  readonly counts?: 'right' | 'none' | 'one' | 'all'
  /** Failed and the list of what failed in its final response. */
  readonly tellsFailures?: boolean
  /** Matches of a C-FIND at the IMAGE level after which it ends the answer, and how. */
  readonly listsAtMost?: number
  readonly listEnd?: number
  /** Numbers of related instances in its answers: those of series, of the study. */
  readonly numbers?: 'both' | 'series' | 'study' | 'none'
  /** It sends nothing, and says A900, where more than one UID is asked for. */
  readonly refusesLists?: boolean
  /** It has one instance twice: in its list, in its numbers. */
  readonly doubled?: boolean
  /** It passes over the keys of levels above in a C-FIND. */
  readonly ignoresKeys?: boolean
  /** Sub-operations that are still counted as remaining in a Pending response, beyond those that are. */
  readonly pendingMore?: number
  /** The status of every C-FIND, or of those at IMAGE level. */
  readonly findStatus?: { readonly level?: string; readonly status: number }
  /** Each instance twice. */
  readonly repeats?: boolean
  readonly backwards?: boolean
  /** By C-MOVE it answers first, and delivers behind that, so many ms later. */
  readonly late?: number
}

/** What a final response says. */
interface End {
  readonly status: number
  readonly completed?: number
  readonly failed?: number
  readonly list?: readonly string[]
}

const FIND_LEVELS = {
  STUDY: Attribute.StudyInstanceUID,
  SERIES: Attribute.SeriesInstanceUID,
  IMAGE: Attribute.SOPInstanceUID,
}

/** An archive with habits, which keeps a record of what it has said that there is. */
export class HabitualArchive implements AsyncDisposable {
  readonly #habits: ArchiveHabits
  /** Where it delivers by C-MOVE. */
  readonly #port: number
  readonly #datasets: readonly Dataset[]
  scripted!: ScriptedArchive
  /** SOP Instance UIDs that it has listed, or said to have failed. */
  readonly named = new Set<string>()
  /** The most instances it has said there are. */
  numbered = 0

  private constructor(habits: ArchiveHabits, port: number) {
    this.#habits = habits
    this.#port = port
    this.#datasets = habits.holds.map(sliceDataset)
  }

  static async start(habits: ArchiveHabits, port: number): Promise<HabitualArchive> {
    const archive = new HabitualArchive(habits, port)
    archive.scripted = await ScriptedArchive.start({
      find: (association, message) => archive.#find(association, message),
      get: (association, message) => archive.#get(association, message),
      other: onMove((association, message) => archive.#move(association, message)),
    })
    return archive
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.scripted[Symbol.asyncDispose]()
  }

  #matching(identifier: Dataset, ignoresKeys = false): number[] {
    const asked = ignoresKeys ? [Attribute.StudyInstanceUID] : Object.values(FIND_LEVELS)
    const keys = asked.filter((t) => identifier.strings(t).length > 0)
    return this.#datasets.flatMap((dataset, index) =>
      keys.every((t) => identifier.strings(t).includes(dataset.string(t)!)) ? [index] : [],
    )
  }

  async #find(association: ArchiveAssociation, { contextId, messageId, identifier }: ArchiveMessage): Promise<void> {
    const level = identifier.string(Attribute.QueryRetrieveLevel) as keyof typeof FIND_LEVELS
    const { listsAtMost = Infinity, listEnd = 0, numbers = 'both', doubled, ignoresKeys, findStatus } = this.#habits
    if (findStatus && (findStatus.level ?? level) === level) {
      await association.peer.send(findResponse({ contextId, messageId, status: findStatus.status }))
      return
    }
    const groups = new Map<string, number[]>()
    for (const index of this.#matching(identifier, ignoresKeys)) {
      const uid = this.#datasets[index]!.string(FIND_LEVELS[level])!
      // What it has twice it lists twice.
      const key = doubled === true && level === 'IMAGE' ? `${uid} ${index}` : uid
      groups.set(key, [...(groups.get(key) ?? []), index])
    }
    let status = 0
    let listed = 0
    for (const indices of groups.values()) {
      if (level === 'IMAGE' && listed++ >= listsAtMost) {
        status = listEnd
        break
      }
      const match = new Dataset()
      const source = this.#datasets[indices[0]!]!
      for (const [t] of identifier.entries()) if (source.has(t)) match.put(t, source.get(t)!)
      const wantsNumber = {
        STUDY: Attribute.NumberOfStudyRelatedInstances,
        SERIES: Attribute.NumberOfSeriesRelatedInstances,
        IMAGE: 0,
      }[level]
      const tells = numbers === 'both' || numbers === level.toLowerCase()
      if (wantsNumber !== 0 && identifier.has(wantsNumber) && tells) {
        match.set(wantsNumber, String(indices.length))
        this.numbered = Math.max(this.numbered, indices.length)
      }
      if (level === 'IMAGE') this.named.add(source.string(Attribute.SOPInstanceUID)!)
      await association.peer.send(findResponse({ contextId, messageId, data: association.encode(contextId, match) }))
    }
    await association.peer.send(findResponse({ contextId, messageId, status }))
  }

  /** What it sends, in its order, and what it says behind that. */
  #plan(identifier: Dataset): { readonly send: readonly number[]; readonly end: End } {
    const { sends, keeps = [], counts = 'right', tellsFailures = false, backwards, repeats } = this.#habits
    if (this.#habits.refusesLists === true && identifier.strings(Attribute.SOPInstanceUID).length > 1) {
      return { send: [], end: { status: 0xa900 } }
    }
    const asked = this.#matching(identifier)
    const isNamed = identifier.strings(Attribute.SOPInstanceUID).length > 0
    const given = asked.filter(
      (index) => !keeps.includes(index) && (isNamed || sends === undefined || sends.includes(index)),
    )
    const failed = asked.filter((index) => !given.includes(index))
    const send = (backwards ? given.toReversed() : given).flatMap((index) => (repeats ? [index, index] : [index]))
    const completed = { right: send.length, none: undefined, one: Math.min(1, send.length), all: asked.length }[counts]
    if (!tellsFailures || failed.length === 0)
      return { send, end: { ...(completed !== undefined && { completed }), status: 0 } }
    const list = failed.map((index) => this.#datasets[index]!.string(Attribute.SOPInstanceUID)!)
    for (const uid of list) this.named.add(uid)
    return { send, end: { ...(completed !== undefined && { completed }), failed: failed.length, status: 0xb000, list } }
  }

  async #get(association: ArchiveAssociation, { contextId, messageId, identifier }: ArchiveMessage): Promise<void> {
    const { send, end } = this.#plan(identifier)
    await storeAll(
      association,
      send.map((index) => ({ shape: this.#habits.holds[index]! })),
    )
    const { pendingMore } = this.#habits
    if (pendingMore !== undefined) {
      const counts = { remaining: pendingMore, completed: send.length }
      await association.peer.send(getResponse({ contextId, messageId, status: 0xff00, ...counts }))
    }
    await association.peer.send(getResponse({ contextId, messageId, ...this.#ended(association, contextId, end) }))
  }

  async #move(association: ArchiveAssociation, { contextId, messageId, identifier }: ArchiveMessage): Promise<void> {
    const { send, end } = this.#plan(identifier)
    const { late } = this.#habits
    const answer = (): Promise<void> =>
      association.peer.send(moveResponse({ contextId, messageId, ...this.#ended(association, contextId, end) }))
    const deliver = async (): Promise<void> => {
      if (send.length === 0) return
      await using caller = await StorageCaller.open(this.#port)
      for (const index of send) await caller.store(this.#habits.holds[index]!)
      await caller.release()
    }
    if (late === undefined) {
      await deliver()
      await answer()
      return
    }
    await answer()
    await delay(late)
    await deliver().catch(() => undefined)
  }

  #ended(association: ArchiveAssociation, contextId: number, { list, ...end }: End) {
    if (list === undefined) return end
    const data = association.encode(contextId, new Dataset().set(Attribute.FailedSOPInstanceUIDList, list))
    return { ...end, data }
  }
}
