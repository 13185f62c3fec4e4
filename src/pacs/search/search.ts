import { Attribute } from '../../dicom/attributes.ts'
import { Dataset, vrFor } from '../../dicom/dataset.ts'
import type { Tag } from '../../dicom/tag.ts'
import type { Uid } from '../../dicom/uids.ts'
import { defaultKeys, depthOf, levelOf, levels } from './attribute-levels.ts'
import type { Call } from '../call.ts'
import { KeyBelowLevelError, SearchTooBroadError } from './errors.ts'
import { Held } from './held.ts'
import { withParent } from './parent-attributes.ts'
import { fits, type Leniency } from './post-filter.ts'
import { isAskable, returnKey, selectionKeys, uniqueKeys, type Key, type QueryLevel, type Query } from './query.ts'

/** A search as the web asks for it: at one level, with keys and return attributes of that level and above. */
export interface SearchRequest {
  readonly level: QueryLevel
  readonly study?: Uid
  readonly series?: Uid
  /** Attributes of the levels above are part of each result. */
  readonly withParents: boolean
  readonly match: readonly Key[]
  readonly include: readonly Tag[]
  readonly fuzzy?: boolean
  /** Also what has come before: whose it is may be told otherwise. */
  readonly doubles?: boolean
}

/** What a search needs of an archive. */
export interface Finder {
  find(query: Query, call: Call): AsyncIterable<Dataset>
  /** The archive negotiated relational queries (PS3.4 C.4.1.3.2). */
  readonly relational: boolean
  /** Its matches need not fit the keys as the standard has it. */
  readonly loose?: boolean
  /** Most studies or series whose children a search may ask for. */
  readonly maxParents: number
  /** Called when not all of them were asked for. */
  readonly capped?: (() => void) | undefined
}

/**
 * Results of a search, each once, attributes of the levels above merged in. Where the archive has no relational
 * queries the levels are walked from the top, one C-FIND at a time (PS3.4 C.4.1.3.1.1), as far as results are read: the
 * studies in the order of the archive.
 * @throws SearchTooBroadError where nothing was found in as many as may be asked, ResultsTooLargeError,
 *   KeyBelowLevelError, and what Finder.find throws
 */
export async function* search(request: SearchRequest, finder: Finder, call: Call): AsyncGenerator<Dataset> {
  for (const { tag: t } of request.match) {
    const level = levelOf(t)
    if (level && depthOf(level) > depthOf(request.level)) throw new KeyBelowLevelError(t, level)
  }
  const results = finder.relational ? relational(request, finder, call) : hierarchical(request, finder, call)
  const unique = uniqueKeys[request.level]
  const leniency = leniencyOf(request, finder)
  const seen = new Set<string>()
  const held = new Held()
  for await (const match of results) {
    const uid = match.string(unique)
    // A match without the unique key of the level is of another level; some archives send doubles.
    if (uid === undefined) continue
    // Some archives hold one instance in several series.
    const place = request.level === 'IMAGE' ? `${match.string(Attribute.SeriesInstanceUID) ?? ''} ${uid}` : uid
    if (request.doubles !== true) {
      if (seen.has(place)) continue
      seen.add(place)
      held.text(place)
    }
    if (fits(match, request.match, leniency)) yield match
  }
}

async function* relational(request: SearchRequest, finder: Finder, call: Call): AsyncGenerator<Dataset> {
  const depth = depthOf(request.level)
  const top = request.withParents ? 0 : depth
  const keys = [
    ...levels.slice(top, depth + 1).flatMap((level) => defaultKeys(level)),
    ...included(request.include, levels.slice(0, depth + 1)),
    ...levels.slice(0, depth).map((level) => returnKey(uniqueKeys[level], 'UI')),
    ...request.match,
    ...selectionKeys(request.study, request.series),
  ]
  for await (const match of finder.find(
    { level: request.level, keys: merged(keys), fuzzy: request.fuzzy === true },
    call,
  )) {
    yield withSelection(match, request)
  }
}

async function* hierarchical(request: SearchRequest, finder: Finder, call: Call): AsyncGenerator<Dataset> {
  const target = depthOf(request.level)
  const leniency = leniencyOf(request, finder)
  /** `asked`: studies and series that were asked for what is in them; `isCut`: there were more. */
  const walk = { asked: 0, found: 0, isCut: false }
  async function* below(depth: number, parent: Dataset): AsyncGenerator<Dataset> {
    const level = levels[depth]!
    if (skips(level, request, parent)) {
      yield* below(depth + 1, parent)
      return
    }
    const query = { level, keys: levelKeys(level, request, parent), fuzzy: request.fuzzy === true }
    if (depth === target) {
      for await (const match of finder.find(query, call)) {
        if (match.has(uniqueKeys[level])) walk.found++
        yield withParent(match, parent)
      }
      return
    }
    // Parents are gathered first: an association is never held while another is waited for.
    const parents: Dataset[] = []
    const held = new Held()
    const isShown =
      modalitiesOfStudies(request).length === 0 ||
      request.withParents ||
      request.include.includes(Attribute.ModalitiesInStudy)
    for await (const match of finder.find(query, call)) {
      // Below one that cannot be asked for by its UID nothing can be found.
      const uid = match.string(uniqueKeys[level])
      if (uid === undefined || !isAskable(uid) || !fits(match, request.match, leniency)) continue
      if (walk.asked + parents.length === finder.maxParents) {
        walk.isCut = true
        break
      }
      // By these studies were narrowed down: nobody asked to see it.
      if (!isShown) match.delete(Attribute.ModalitiesInStudy)
      const one = withParent(match, parent)
      held.row(one)
      parents.push(one)
    }
    for (const one of parents) {
      if (walk.asked === finder.maxParents) {
        walk.isCut = true
        return
      }
      walk.asked++
      yield* below(depth + 1, one)
    }
  }
  yield* below(0, withSelection(new Dataset(), request))
  if (!walk.isCut) return
  if (walk.found === 0) throw new SearchTooBroadError(finder.maxParents)
  finder.capped?.()
}

function leniencyOf({ fuzzy }: SearchRequest, { loose }: Finder): Leniency {
  return { fuzzy: fuzzy === true, loose: loose === true }
}

/** A level above the target need not be asked when its UID is known and nothing of it is matched or shown. */
function skips(level: QueryLevel, request: SearchRequest, parent: Dataset): boolean {
  if (level === request.level || !parent.has(uniqueKeys[level])) return false
  const asked = request.match.some((key) => keyLevel(key, request) === level)
  return !asked && !request.withParents && !request.include.some((t) => levelOf(t) === level)
}

/** Where a key goes in a hierarchical search; an attribute of no level is asked for at the target. */
function keyLevel(key: Key, request: SearchRequest): QueryLevel {
  return levelOf(key.tag) ?? request.level
}

function levelKeys(level: QueryLevel, request: SearchRequest, parent: Dataset): Key[] {
  const isTarget = level === request.level
  const own = (t: Tag): boolean => (levelOf(t) ?? request.level) === level
  const upper = levels.slice(0, depthOf(level) + 1).flatMap((above) => {
    const uid = parent.string(uniqueKeys[above])
    return uid === undefined ? [] : [{ tag: uniqueKeys[above], vr: 'UI', values: [uid] } as const]
  })
  const shown = isTarget || request.withParents ? defaultKeys(level) : [returnKey(uniqueKeys[level], 'UI')]
  return merged([
    ...shown,
    ...request.include.filter(own).map((t) => returnKey(t, vrFor(t))),
    ...request.match.filter((key) => own(key.tag)),
    ...(level === 'STUDY' ? modalitiesOfStudies(request) : []),
    ...upper,
  ])
}

/** Series of a modality are in studies that have it. */
function modalitiesOfStudies({ level, match }: SearchRequest): Key[] {
  const modality = match.find((key) => key.tag === Attribute.Modality && key.values.length > 0)
  if (level === 'STUDY' || !modality || match.some((key) => key.tag === Attribute.ModalitiesInStudy)) return []
  return [{ ...modality, tag: Attribute.ModalitiesInStudy }]
}

function included(include: readonly Tag[], levels: readonly QueryLevel[]): Key[] {
  const wanted = include.filter((t) => {
    const level = levelOf(t)
    return level === undefined || levels.includes(level)
  })
  return wanted.map((t) => returnKey(t, vrFor(t)))
}

/** One key a tag: the later one counts, keys inside a sequence are joined in its one item. */
function merged(keys: readonly Key[]): Key[] {
  const byTag = new Map<Tag, Key>()
  for (const key of keys) {
    const known = byTag.get(key.tag)
    if (known?.item && (key.item || key.values.length === 0)) {
      byTag.set(key.tag, { ...known, item: merged([...known.item, ...(key.item ?? [])]) })
    } else if (!known || key.values.length > 0 || key.item) byTag.set(key.tag, key)
  }
  return [...byTag.values()].sort((a, b) => a.tag - b.tag)
}

/** The UIDs of the path are known: archives need not return them. */
function withSelection(match: Dataset, { study, series }: SearchRequest): Dataset {
  if (study !== undefined && match.string(Attribute.StudyInstanceUID) === undefined) {
    match.set(Attribute.StudyInstanceUID, study)
  }
  if (series !== undefined && match.string(Attribute.SeriesInstanceUID) === undefined) {
    match.set(Attribute.SeriesInstanceUID, series)
  }
  return match
}
