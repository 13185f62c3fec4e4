import { Agent, request, type IncomingMessage } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib'

/** As a browser has them to one host. */
const CONNECTIONS = 6
/** Between the row of a study that is selected and the button that opens it. */
export const PAUSE_MS = 1_500

const JSON_TYPE = 'application/dicom+json'
const FRAME = 'multipart/related; type=application/octet-stream; transfer-syntax=*'

/** What a person waited for. */
export interface Opened {
  /** From the button to the first image, for which OHIF 3.13 has the metadata of all series at first. */
  readonly imageSeconds: number
  /** To the first image where a viewer shows each series as soon as its metadata is there. */
  readonly earlyImageSeconds: number
  /** Of bodies, on the wire. */
  readonly bytes: number
  /** Of them, of frames. */
  readonly frameBytes: number
}

interface Kept {
  readonly tag: string
  readonly isImmutable: boolean
  readonly body: Buffer
}

/** Somebody who looks at studies with OHIF, in a browser that keeps what it may. */
export class Person implements Disposable {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS })
  /** Of who does not wait for others. */
  readonly #free = new Agent({ keepAlive: true })
  readonly #kept = new Map<string, Kept>()
  readonly #url: string
  #bytes = 0
  #frameBytes = 0

  /** @param url of the DICOMweb root */
  constructor(url: string) {
    this.#url = url
  }

  /** Selects the row of a study, which shows its series, and makes up his mind. */
  async select(study: string): Promise<void> {
    await this.#get(`/studies/${study}/series?includefield=0008103E,00080021`, JSON_TYPE)
    await delay(PAUSE_MS)
  }

  /** Opens it: its metadata series by series, as many at once as there are connections, and the first image. */
  async open(study: string): Promise<Opened> {
    ;[this.#bytes, this.#frameBytes] = [0, 0]
    const began = performance.now()
    const since = (): number => (performance.now() - began) / 1000
    await this.#get(`/studies?limit=101&offset=0&fuzzymatching=false&StudyInstanceUID=${study}`, JSON_TYPE)
    const list = await this.#get(`/studies/${study}/series?includefield=00080021,00080031,0008103E,00200011`, JSON_TYPE)
    const series = uidsOf(list, '0020000E', '00200011')
    const all = series.map((one) => this.#get(`/studies/${study}/series/${one}/metadata`, JSON_TYPE))
    const frames = `/studies/${study}/series/${series[0]!}/instances`
    const early = all[0]!.then(async (metadata) => {
      const [, second] = uidsOf(metadata, '00080018')
      await this.#get(`${frames}/${second!}/frames/1`, FRAME, this.#free)
      return since()
    })
    const [metadata] = await Promise.all(all)
    const [first] = uidsOf(metadata!, '00080018')
    await this.#get(`${frames}/${first!}/frames/1`, FRAME)
    const imageSeconds = since()
    const [bytes, frameBytes] = [this.#bytes, this.#frameBytes]
    return { imageSeconds, earlyImageSeconds: await early, bytes, frameBytes }
  }

  [Symbol.dispose](): void {
    this.#agent.destroy()
    this.#free.destroy()
  }

  async #get(path: string, accept: string, agent = this.#agent): Promise<Buffer> {
    const kept = this.#kept.get(path)
    if (kept?.isImmutable === true) return kept.body
    const headers = {
      Accept: accept,
      'Accept-Encoding': 'gzip, deflate, br, zstd',
      ...(kept && { 'If-None-Match': kept.tag }),
    }
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
    request(this.#url + path, { agent, headers }, resolve)
      .on('error', reject)
      .end()
    const response = await promise
    const raw = await buffer(response)
    this.#bytes += raw.length
    if (path.includes('/frames/')) this.#frameBytes += raw.length
    if (response.statusCode === 304 && kept) return kept.body
    if (response.statusCode !== 200) throw new Error(`${path} was answered with ${String(response.statusCode)}`)
    const body = decoded(raw, response.headers['content-encoding'])
    const { etag, 'cache-control': keeps = '' } = response.headers
    if (etag !== undefined) this.#kept.set(path, { tag: etag, isImmutable: keeps.includes('immutable'), body })
    return body
  }
}

function decoded(body: Buffer, coding: string | undefined): Buffer {
  if (coding === 'zstd') return zstdDecompressSync(body)
  if (coding === 'br') return brotliDecompressSync(body)
  return coding === 'gzip' ? gunzipSync(body) : body
}

/** UIDs in the order of a number, or as they come. */
function uidsOf(list: Buffer, tag: string, number?: string): string[] {
  const found = JSON.parse(list.toString()) as Record<string, { Value?: string[] }>[]
  const at = (one: (typeof found)[number]): number => (number === undefined ? 0 : Number(one[number]?.Value?.[0]))
  return found.toSorted((a, b) => at(a) - at(b)).map((one) => one[tag]!.Value![0]!)
}
