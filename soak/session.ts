import type { SoakArchive } from './archives.ts'
import { FOUND_AGAIN_MS, RECOVERY_MS } from './weather.ts'
import type { Answer, References } from './checks.ts'
import type { Ask, Manner, Outcome, WebClient } from './exchange.ts'
import type { Ending, Tally } from './tally.ts'
import type { Weather } from './weather.ts'

/** What all sessions share. */
export interface Ground {
  readonly archives: readonly SoakArchive[]
  readonly tally: Tally
  readonly references: References
  /** Of the gateway itself, and of the way to it that some clients take. */
  readonly gateway: Weather
  readonly way: Weather
  /** Told of each request whose connection was cut; see drains.ts. */
  readonly onCut: (cut: CutRequest) => void
}

export interface CutRequest {
  readonly what: string
  readonly from: number
  readonly to: number
}

/** What one request is to be held against; `since` is when it was made, of performance.now. */
export type Check = (answer: Answer, since: number) => readonly string[]

/** One client at one archive: its requests are made, judged and counted. */
export class Session {
  readonly ground: Ground
  readonly archive: SoakArchive
  readonly next: () => number
  readonly #client: WebClient

  constructor(ground: Ground, archive: SoakArchive, client: WebClient, next: () => number) {
    this.ground = ground
    this.archive = archive
    this.next = next
    this.#client = client
  }

  /** Of its archive's DICOMweb root. */
  get root(): string {
    return `/dicomweb/aets/${this.archive.aeTitle}`
  }

  pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.next() * list.length)]!
  }

  /** Resolves to the answer if it was whole and right. */
  async request(kind: string, ask: Ask, check: Check): Promise<Answer | undefined> {
    const since = performance.now()
    const outcome = await this.#client.ask(ask)
    const { ending, code, faults } = judge(outcome, (answer) => check(answer, since))
    const now = performance.now()
    const { gateway, way, tally, onCut } = this.ground
    const { weather, isHeldUp } = this.archive
    const weathers = [weather, gateway, ...(this.#client.direct && !isHeldUp ? [] : [way])]
    const recovery = code === '503 ARCHIVE_DOWN' ? FOUND_AGAIN_MS : RECOVERY_MS
    tally.record({
      kind: `${kind}${mannerOf(ask.manner)}`,
      archive: this.archive.name,
      ending,
      code,
      faults: ending === 'wrong' ? [ask.path, ...faults] : faults,
      bytes: outcome.kind === 'answered' ? outcome.body.length : 0,
      milliseconds: now - since,
      calm: weathers.every((weather) => weather.isCalmSince(since, recovery)),
    })
    if (outcome.kind === 'cut' && this.#client.direct) {
      onCut({ what: `${this.archive.name} ${kind} (${code}: ${outcome.why})`, from: outcome.sentAt ?? now, to: now })
    }
    return outcome.kind === 'answered' && ending === 'whole' ? outcome : undefined
  }
}

function mannerOf(manner: Manner | undefined): string {
  if (manner === undefined) return ''
  return 'bytesPerSecond' in manner ? ', read slowly' : ', left'
}

interface Judgement {
  readonly ending: Ending
  readonly code: string
  readonly faults: readonly string[]
}

/** Codes that no request of the soak may be answered with: it asks for what is there, as it may be asked for. */
const NEVER = [400, 404, 406, 413, 500]

function judge(outcome: Outcome, check: (answer: Answer) => readonly string[]): Judgement {
  switch (outcome.kind) {
    case 'cut': {
      const when = outcome.status === undefined ? 'before a status' : `after ${outcome.status}`
      return { ending: 'cut', code: `cut ${when}`, faults: [outcome.why] }
    }
    case 'refused':
      return { ending: 'refused', code: 'connection refused', faults: [] }
    case 'left':
      return { ending: 'left', code: '', faults: [] }
    case 'hung':
      return { ending: 'hung', code: `status ${outcome.status ?? 'none'}`, faults: [] }
    case 'answered':
      return judgeAnswer(outcome, check)
  }
}

function judgeAnswer(answer: Answer, check: (answer: Answer) => readonly string[]): Judgement {
  const { status, headers, body } = answer
  if (headers['content-type'] === 'application/problem+json') {
    const { code, detail } = JSON.parse(body.toString()) as { readonly code: string; readonly detail?: string }
    const ending = NEVER.includes(status) ? 'wrong' : 'failed'
    return { ending, code: `${status} ${code}`, faults: [detail ?? ''] }
  }
  let faults: readonly string[]
  try {
    faults = check(answer)
  } catch (error) {
    faults = [error instanceof Error ? error.message : String(error)]
  }
  if (faults.length > 0) return { ending: 'wrong', code: String(status), faults }
  if (status === 200) return { ending: 'whole', code: '200', faults: [] }
  if (status === 206 || status === 202) return { ending: 'partial', code: String(status), faults: [] }
  if ([409, 502, 503, 504].includes(status)) return { ending: 'failed', code: String(status), faults: [] }
  return { ending: 'wrong', code: `${status} without a problem document`, faults: [body.toString('utf8', 0, 200)] }
}
