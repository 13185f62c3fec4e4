import { SyntaxUid } from '../src/dicom/transfer-syntax.ts'
import { readParts, type Part } from '../test/support/multipart.ts'
import { splitPart10 } from '../test/support/part10.ts'
import type { Outcome } from './exchange.ts'
import { digest, type Instance } from './instances.ts'
import type { Scope, Stock } from './stock.ts'

export type Answer = Extract<Outcome, { kind: 'answered' }>

/** What an answer is held against: what was there when it was asked for, and what may have come since. */
export interface Expected {
  readonly stock: Stock
  readonly scope: Scope
  /** When the request was made, of performance.now. */
  readonly since: number
}

/** `stored`: in the syntax it has; else uncompressed. */
export type Form = 'stored' | 'uncompressed'

/** What is wrong with instances as files. Nothing may be missing behind a 200. */
export function instanceFaults(answer: Answer, expected: Expected, form: Form): string[] {
  const type = answer.headers['content-type'] ?? ''
  const files = type.startsWith('multipart/') ? partsOf(answer).map(({ body }) => body) : [answer.body]
  const found: string[] = []
  const faults = files.flatMap((file) => {
    const { sopInstance, syntax, data } = splitPart10(file)
    found.push(sopInstance)
    const known = expected.stock.get(sopInstance)
    return known ? dataFaults(known, syntax, data, form) : [`${sopInstance} is no instance of ours`]
  })
  return [...faults, ...listFaults(found, answer, expected)]
}

/** What is wrong with a data set that came in a transfer syntax. */
export function dataFaults(known: Instance, syntax: string, data: Buffer, form: Form): string[] {
  const { instance, sort, digests, pixels } = known
  const whole = digests.get(syntax)
  if (whole !== undefined) {
    return whole === digest(data) ? [] : [`${instance} (${sort}): ${data.length} bytes that are not its own`]
  }
  if (form === 'stored' || syntax !== SyntaxUid.explicitVrLittleEndian) return [`${instance} (${sort}) is in ${syntax}`]
  // Decoded: the attributes have followed, and the end is the pixel data.
  return digest(data.subarray(-pixels.length)) === pixels.digest ? [] : [`${instance} (${sort}): pixels not its own`]
}

/** Whether nothing is there that was not asked for, nothing twice, and behind a 200 all that must be. */
function listFaults(found: readonly string[], { status }: Answer, { stock, scope, since }: Expected): string[] {
  const may = new Set(stock.mayHave(scope).map(({ instance }) => instance))
  const faults = found.filter((uid) => !may.has(uid)).map((uid) => `${uid} was not asked for`)
  if (new Set(found).size < found.length) faults.push('an instance came twice')
  const there = new Set(found)
  const missing = status === 206 ? [] : stock.mustHave(scope, since).filter(({ instance }) => !there.has(instance))
  return [...faults, ...missing.map(({ instance, sort }) => `${instance} (${sort}) is missing`)]
}

/** What is wrong with metadata: that each of its instances tells what it was stored with. */
export function metadataFaults(answer: Answer, expected: Expected): string[] {
  const objects = jsonOf(answer)
  const faults = objects.flatMap((object) => {
    const uid = String(object[SOP_INSTANCE]?.Value?.[0])
    const known = expected.stock.get(uid)
    if (!known) return [`${uid} is no instance of ours`]
    return Object.entries(known.values)
      .filter(([tag, value]) => object[tag]?.Value?.[0] !== value)
      .map(([tag, value]) => `${uid}: ${tag} is ${JSON.stringify(object[tag])}, not ${value}`)
  })
  return [...faults, ...listFaults(uidsOf(objects, SOP_INSTANCE), answer, expected)]
}

const SOP_INSTANCE = '00080018'
/** The unique key of a level, and which property of an instance it is. */
export const LEVELS = {
  study: { tag: '0020000D', count: '00201208' },
  series: { tag: '0020000E', count: '00201209' },
  instance: { tag: SOP_INSTANCE, count: undefined },
} as const

/** What is wrong with results of a search: the studies, series or instances below what was asked for, and their counts. */
export function searchFaults(answer: Answer, { stock, scope, since }: Expected, level: keyof typeof LEVELS): string[] {
  const { tag, count } = LEVELS[level]
  const objects = jsonOf(answer)
  const found = uidsOf(objects, tag)
  const may = stock.mayHave(scope)
  const must = stock.mustHave(scope, since)
  const faults = found
    .filter((uid) => !may.some((one) => one[level] === uid))
    .map((uid) => `${level} ${uid} was not asked for`)
  if (new Set(found).size < found.length) faults.push(`a ${level} was found twice`)
  // It says so itself that there is more.
  if (answer.headers['warning'] !== undefined) return faults
  const missing = new Set(must.map((one) => one[level]).filter((uid) => !found.includes(uid)))
  for (const object of count === undefined ? [] : objects) {
    const uid = String(object[tag]?.Value?.[0])
    const told = Number(object[count ?? '']?.Value?.[0])
    const [least, most] = [must, may].map((list) => list.filter((one) => one[level] === uid).length)
    if (told < least! || told > most!) faults.push(`${level} ${uid} counts ${told}, not ${least!} to ${most!}`)
  }
  return [...faults, ...[...missing].map((uid) => `${level} ${uid} is missing`)]
}

/** What is wrong with frames, numbered from 1. */
export function frameFaults(
  answer: Answer,
  { frames, instance }: Instance,
  numbers: readonly number[],
  form: Form,
): string[] {
  const type = answer.headers['content-type'] ?? ''
  const bodies = type.startsWith('multipart/') ? partsOf(answer).map(({ body }) => body) : [answer.body]
  if (bodies.length !== numbers.length) return [`${instance}: ${bodies.length} frames for ${numbers.join()}`]
  return numbers.flatMap((number, at) => {
    const { native, stored } = frames[number - 1]!
    return digest(bodies[at]!) === (form === 'stored' ? stored : native) ? [] : [`${instance}: frame ${number} differs`]
  })
}

/** The pixel data of a whole instance, frame behind frame. */
export function pixelFaults(answer: Answer, { pixels, instance }: Instance): string[] {
  const bytes = Buffer.concat(partsOf(answer).map(({ body }) => body))
  return digest(bytes) === pixels.digest ? [] : [`${instance}: its pixel data differs`]
}

/** What became of the instances of a store, by its answer. */
export interface StoreOutcome {
  readonly stored: readonly string[]
  /** With the Failure Reason. */
  readonly failed: readonly (readonly [string, number])[]
  readonly faults: readonly string[]
}

export function storeOutcome(answer: Answer, sent: readonly Instance[]): StoreOutcome {
  const object = JSON.parse(answer.body.toString()) as JsonObject
  const items = (tag: string): JsonObject[] => (object[tag]?.Value ?? []) as JsonObject[]
  const uidOf = (item: JsonObject): string => String(item['00081155']?.Value?.[0])
  const stored = items('00081199').map(uidOf)
  const failed = items('00081198').map((item) => [uidOf(item), Number(item['00081197']?.Value?.[0])] as const)
  const told = [...stored, ...failed.map(([uid]) => uid)]
  const faults = sent
    .filter(({ instance }) => told.filter((uid) => uid === instance).length !== 1)
    .map(({ instance }) => `the store does not tell, once, what became of ${instance}`)
  if (told.length > sent.length) faults.push('the store tells of more than was sent')
  // Nothing was stored: because of the instances, or of the archive.
  const right = failed.length === 0 ? [200] : stored.length > 0 ? [202] : [409, 502, 503, 504]
  if (!right.includes(answer.status)) {
    faults.push(`${answer.status} for ${stored.length} stored, ${failed.length} failed`)
  }
  return { stored, failed, faults }
}

/** Answers that are to be the same each time, such as pictures: the first one is what the others are held against. */
export class References {
  readonly #digests = new Map<string, string>()

  faults(key: string, { body }: Answer): string[] {
    const now = digest(body)
    const before = this.#digests.get(key) ?? now
    this.#digests.set(key, before)
    return now === before ? [] : [`${key}: ${body.length} bytes that are not those of the first time`]
  }
}

function partsOf({ headers, body }: Answer): Part[] {
  return readParts(headers['content-type'] ?? '', body)
}

type JsonObject = Readonly<Record<string, { readonly Value?: readonly unknown[] } | undefined>>

function jsonOf({ body }: Answer): JsonObject[] {
  return JSON.parse(body.toString() || '[]') as JsonObject[]
}

function uidsOf(objects: readonly JsonObject[], tag: string): string[] {
  return objects.map((object) => String(object[tag]?.Value?.[0]))
}
