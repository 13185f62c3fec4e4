import { inParallel } from '../test/e2e/http.ts'
import {
  frameFaults,
  instanceFaults,
  metadataFaults,
  pixelFaults,
  searchFaults,
  type Expected,
  type Form,
  type LEVELS,
} from './checks.ts'
import type { Manner } from './exchange.ts'
import type { Instance } from './instances.ts'
import type { Session } from './session.ts'
import type { Scope } from './stock.ts'

/** What web clients ask for, and how often. Stores are in stores.ts. */
export const VISITS: readonly { readonly weight: number; readonly visit: (session: Session) => Promise<unknown> }[] = [
  { weight: 6, visit: (session) => search(session, 'study') },
  { weight: 6, visit: (session) => search(session, 'series') },
  { weight: 8, visit: (session) => search(session, 'instance') },
  { weight: 12, visit: (session) => retrieve(session, 'instance', 'stored') },
  { weight: 6, visit: (session) => retrieve(session, 'series', 'stored') },
  { weight: 3, visit: (session) => retrieve(session, 'study', 'stored') },
  { weight: 5, visit: (session) => retrieve(session, 'instance', 'uncompressed') },
  { weight: 3, visit: (session) => retrieve(session, 'series', 'uncompressed') },
  { weight: 4, visit: (session) => metadata(session, 'instance') },
  { weight: 4, visit: (session) => metadata(session, 'series') },
  { weight: 1, visit: (session) => metadata(session, 'study') },
  { weight: 6, visit: (session) => frames(session, 'uncompressed') },
  { weight: 4, visit: (session) => frames(session, 'stored') },
  { weight: 2, visit: pixelData },
  { weight: 6, visit: rendered },
  { weight: 2, visit: encoded },
  { weight: 6, visit: byUri },
  { weight: 3, visit: viewer },
]

type Level = keyof typeof LEVELS

const ACCEPT = {
  stored: 'multipart/related; type="application/dicom"; transfer-syntax=*',
  uncompressed: 'multipart/related; type="application/dicom"',
} as const
/** Frames as they are stored, where that is compressed. */
const FRAME_TYPES: Readonly<Partial<Record<Instance['sort'], string>>> = { mr: 'image/dicom-rle', capture: 'image/jls' }

/** An instance that is known to be stored: of those at hand from the beginning, or a later one. */
function chosen(session: Session): Instance {
  const { archive, next } = session
  return session.pick(next() < 0.4 ? archive.fixture : archive.stock.mustHave({}, performance.now()))
}

function scopeOf({ study, series, instance }: Instance, level: Level): Scope {
  if (level === 'study') return { study }
  return level === 'series' ? { study, series } : { study, series, instance }
}

function pathOf({ root }: Session, { study, series, instance }: Scope): string {
  const parts = [`studies/${study!}`, series && `series/${series}`, instance && `instances/${instance}`]
  return [root, ...parts.filter((part) => part !== undefined)].join('/')
}

function expected({ archive }: Session, scope: Scope): Omit<Expected, 'since'> {
  return { stock: archive.stock, scope }
}

/** One in eight leaves in the middle, one in sixteen reads slowly. */
function manner({ next }: Session, bytes: number): { manner?: Manner } {
  const chance = next()
  if (chance < 0.08) return { manner: { leavesAfterBytes: Math.floor(next() * bytes * 0.9) } }
  if (chance < 0.125) return { manner: { leavesAfterMs: next() * 300 } }
  if (chance < 0.1875) return { manner: { bytesPerSecond: 2 ** (16 + 4 * next()) } }
  return {}
}

async function search(session: Session, level: Level): Promise<void> {
  const { study, series, patient } = chosen(session)
  const asksAll = session.next() < 0.3
  const [path, scope] =
    level === 'study'
      ? asksAll
        ? ['/studies?limit=1000', {}]
        : [`/studies?PatientID=${patient}`, { study }]
      : level === 'series'
        ? asksAll
          ? [`/series?PatientID=${patient}`, { study }]
          : [`/studies/${study}/series`, { study }]
        : asksAll
          ? [`/studies/${study}/instances?includefield=all`, { study }]
          : [`/studies/${study}/series/${series}/instances`, { study, series }]
  await session.request(`search ${level}`, { path: session.root + path }, (answer, since) =>
    searchFaults(answer, { ...expected(session, scope), since }, level),
  )
}

async function retrieve(session: Session, level: Level, form: Form): Promise<void> {
  const instance = chosen(session)
  const scope = scopeOf(instance, level)
  const ask = { path: pathOf(session, scope), accept: ACCEPT[form], ...manner(session, instance.bytes) }
  await session.request(`${level} ${form}`, ask, (answer, since) =>
    instanceFaults(answer, { ...expected(session, scope), since }, form),
  )
}

async function metadata(session: Session, level: Level): Promise<void> {
  const scope = scopeOf(chosen(session), level)
  const ask = { path: `${pathOf(session, scope)}/metadata`, ...manner(session, 4_000) }
  await session.request(`metadata ${level}`, ask, (answer, since) =>
    metadataFaults(answer, { ...expected(session, scope), since }),
  )
}

async function frames(session: Session, form: Form, instance = chosen(session)): Promise<void> {
  const { sort, frames: all } = instance
  const first = 1 + Math.floor(session.next() * all.length)
  const numbers = all.length > 1 && session.next() < 0.5 ? all.map((_, at) => at + 1).slice(first - 1) : [first]
  const type = form === 'stored' ? FRAME_TYPES[sort] : undefined
  const media = type ?? 'application/octet-stream'
  const path = `${pathOf(session, scopeOf(instance, 'instance'))}/frames/${numbers.join()}`
  const ask = { path, accept: `multipart/related; type="${media}"`, ...manner(session, instance.pixels.length) }
  await session.request(`frames ${form}`, ask, (answer) =>
    frameFaults(answer, instance, numbers, type === undefined ? 'uncompressed' : 'stored'),
  )
}

async function pixelData(session: Session): Promise<void> {
  const instance = chosen(session)
  const path = `${pathOf(session, scopeOf(instance, 'instance'))}/pixeldata`
  const ask = { path, accept: 'multipart/related; type="application/octet-stream"' }
  await session.request('pixel data', ask, (answer) => pixelFaults(answer, instance))
}

/** What is drawn of the instances at hand from the beginning: every time the same. */
async function rendered(session: Session): Promise<void> {
  const instance = session.pick(session.archive.fixture)
  const accept = session.next() < 0.7 ? 'image/jpeg' : 'image/png'
  const tail = session.next() < 0.3 ? 'thumbnail' : 'rendered'
  const path = `${pathOf(session, scopeOf(instance, 'instance'))}/${tail}`
  await session.request('rendered', { path, accept }, (answer) =>
    session.ground.references.faults(`${path} ${accept}`, answer),
  )
}

/** An uncompressed instance in JPEG-LS: the same codestream each time. */
async function encoded(session: Session): Promise<void> {
  const instance = session.pick(session.archive.fixture.filter(({ sort }) => sort === 'ct'))
  const path = pathOf(session, scopeOf(instance, 'instance'))
  const accept = 'application/dicom; transfer-syntax=1.2.840.10008.1.2.4.80'
  await session.request('encoded', { path, accept }, (answer) => session.ground.references.faults(path, answer))
}

async function byUri(session: Session): Promise<void> {
  const instance = chosen(session)
  const form = session.next() < 0.5 ? 'stored' : 'uncompressed'
  const query = new URLSearchParams({
    requestType: 'WADO',
    studyUID: instance.study,
    seriesUID: instance.series,
    objectUID: instance.instance,
    contentType: 'application/dicom',
    ...(form === 'stored' && { transferSyntax: '*' }),
  })
  const scope = scopeOf(instance, 'instance')
  const ask = { path: `${session.root}/wado?${query.toString()}`, ...manner(session, instance.bytes) }
  await session.request(`by URI ${form}`, ask, (answer, since) =>
    instanceFaults(answer, { ...expected(session, scope), since }, form),
  )
}

/** The metadata of a series, then all its frames, some at a time. */
async function viewer(session: Session): Promise<void> {
  const { study, series } = chosen(session)
  const scope = { study, series }
  const path = `${pathOf(session, scope)}/metadata`
  const answer = await session.request('viewer metadata', { path }, (given, since) =>
    metadataFaults(given, { ...expected(session, scope), since }),
  )
  if (answer?.status !== 200) return
  const instances = session.archive.stock.mustHave(scope, performance.now())
  await inParallel(instances, 4, (instance) => frames(session, 'uncompressed', instance))
}
