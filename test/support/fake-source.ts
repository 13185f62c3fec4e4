import type { Source } from '../../src/cache/route.ts'
import { covers, type Selection } from '../../src/instance/uids.ts'
import type { Bytes } from '../../src/dicom/bytes.ts'
import { EXPLICIT_VR_LITTLE_ENDIAN, transferSyntax } from '../../src/dicom/transfer-syntax.ts'
import { InstanceReader } from '../../src/instance/instance-reader.ts'
import type { Call } from '../../src/pacs/call.ts'
import { type Instance } from '../../src/pacs/instance.ts'

export interface FakeInstance {
  readonly series: string
  readonly sopInstance: string
  readonly bytes: Buffer
  readonly syntax?: string
  /** Its bytes are a data set that ends too early. */
  readonly isDamaged?: boolean
}

/** An archive in front of the cache: instances in memory, sent in chunks, with a count of what was asked and read. */
export class FakeSource {
  readonly config = { name: 'main' } as Source['config']
  readonly study = '1.2'
  readonly instances: FakeInstance[]
  readonly chunkBytes: number
  /** What was asked for, in order. */
  readonly asked: { selection: Selection; compressed: boolean }[] = []
  /** For whom, in the same order. */
  readonly calls: Call[] = []
  /** Bytes given so far. */
  given = 0
  /** Retrievals that ended before their end. */
  cancelled = 0
  /** Awaited before each chunk: holds a retrieval up. */
  gate: (selection: Selection) => Promise<void> = () => Promise.resolve()
  /** Fails a retrieval behind all it gave. */
  failure: Error | undefined

  constructor(instances: FakeInstance[], chunkBytes = 1000) {
    this.instances = instances
    this.chunkBytes = chunkBytes
  }

  readonly retrieve = (selection: Selection, compressed: boolean, call: Call): AsyncGenerator<Instance> => {
    this.asked.push({ selection, compressed })
    this.calls.push(call)
    return this.#instances(selection, call)
  }

  async *#instances(selection: Selection, { signal }: Call): AsyncGenerator<Instance> {
    let whole = false
    try {
      for (const one of this.instances) {
        const { series, sopInstance } = one
        if (!covers(selection, { study: this.study, series, instance: sopInstance })) continue
        yield {
          study: this.study,
          series,
          sopInstance,
          sopClass: '1.2.840.10008.5.1.4.1.1.2',
          ...this.#arriving(one, selection, signal),
        }
      }
      if (this.failure) throw this.failure
      whole = true
    } finally {
      if (!whole) this.cancelled++
    }
  }

  /** Read as it comes: what is no data set passes as it is. */
  #arriving(one: FakeInstance, selection: Selection, signal: AbortSignal) {
    const received = one.syntax === undefined ? EXPLICIT_VR_LITTLE_ENDIAN : transferSyntax(one.syntax)
    const reader = new InstanceReader(received, { rewrites: true, strict: false })
    const read = async function* (chunks: AsyncIterable<Bytes>): AsyncGenerator<Bytes> {
      for await (const chunk of chunks) {
        reader.push(chunk)
        yield* reader.take()
      }
      reader.end()
      // The bytes of most tests are no data set, and whole all the same.
      if (one.isDamaged !== true) Object.assign(reader.index, { cutAt: undefined })
      yield* reader.take()
    }
    return { syntax: reader.syntax, received, index: reader.index, body: read(this.#body(one, selection, signal)) }
  }

  async *#body({ bytes }: FakeInstance, selection: Selection, signal: AbortSignal): AsyncGenerator<Bytes> {
    for (let at = 0; at < bytes.length; at += this.chunkBytes) {
      await orAborted(this.gate(selection), signal)
      const chunk = Buffer.from(bytes.subarray(at, at + this.chunkBytes))
      this.given += chunk.length
      yield chunk
    }
  }
}

async function orAborted(wait: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const { promise, reject } = Promise.withResolvers<never>()
  const aborted = (): void => reject(signal.reason as Error)
  signal.addEventListener('abort', aborted)
  try {
    await Promise.race([wait, promise])
  } finally {
    signal.removeEventListener('abort', aborted)
  }
}

/** Instances of a series, each with bytes of its own. */
export function fakeSeries(series: string, count: number, size: number): FakeInstance[] {
  return Array.from({ length: count }, (_, n) => ({
    series,
    sopInstance: `${series}.${n + 1}`,
    bytes: Buffer.alloc(size, n + 1),
  }))
}
