import type { Bytes } from '../dicom/bytes.ts'
import { part10Header } from '../dicom/part10.ts'
import { recode } from '../dicom/recode.ts'
import {
  EXPLICIT_VR_LITTLE_ENDIAN,
  isNative,
  isWebSyntax,
  transferSyntax,
  type TransferSyntax,
} from '../dicom/transfer-syntax.ts'
import { acceptOf } from '../dicomweb/accept.ts'
import { closing, newBoundary, partHeader } from '../dicomweb/multipart-writer.ts'
import { negotiateInstances, type InstanceOffer } from '../dicomweb/negotiate.ts'
import { resourceUrl } from '../dicomweb/resource.ts'
import type { Instance, Selection } from '../pacs/instance.ts'
import { IncompleteRetrieveError } from '../pacs/retrieve-get.ts'
import { primed, sendStream } from './body.ts'
import type { HttpContext } from './environment.ts'
import { pathUid } from './path.ts'
import { RequestError } from './problem.ts'

/** The status line waits for so much of the body, or so long: small retrievals can still say 206 or an error. */
const HOLD_BYTES = 65_536
const HOLD_MS = 1000

/** WADO-RS of a study, a series or an instance as DICOM files (PS3.18 10.4). */
export async function retrieveInstances(c: HttpContext): Promise<Response> {
  const selection = selectionOf(c)
  const single = selection.instance !== undefined
  const offers = negotiateInstances(acceptOf(c.req.queries('accept') ?? [], c.req.header('accept')), { single })
  const [best] = offers
  if (!best) throw notAcceptable()
  const delivery = new Delivery(offers.filter(({ form }) => form === best.form))
  const { archive, cache, signal } = c.var
  // Uncompressed first choice: the archive is asked to decompress, by what is proposed to it (PS3.18 8.7.3).
  const compressed = best.syntax === '*' || transferSyntax(best.syntax).encapsulated
  const instances = cache.retrieve(archive, selection, { compressed, lingers: false }, { signal })
  const { stall } = archive.config.timeouts
  const location = { 'Content-Location': resourceUrl(c.var.base, selection) }
  if (best.form === 'single') {
    const { stream } = await primed(delivery.single(instances), HOLD_BYTES, HOLD_MS)
    delivery.committed = true
    return sendStream(c, { status: 200, headers: { 'Content-Type': 'application/dicom', ...location } }, stream, stall)
  }
  const boundary = newBoundary()
  const { stream } = await primed(delivery.multipart(instances, boundary), HOLD_BYTES, HOLD_MS)
  delivery.committed = true
  const headers = { 'Content-Type': `multipart/related; type="application/dicom"; boundary=${boundary}`, ...location }
  return sendStream(c, { status: delivery.partial ? 206 : 200, headers }, stream, stall)
}

function selectionOf(c: HttpContext): Selection {
  const series = pathUid(c, 'series')
  const instance = pathUid(c, 'instance')
  return {
    study: pathUid(c, 'study')!,
    ...(series !== undefined && { series }),
    ...(instance !== undefined && { instance }),
  }
}

function notAcceptable(): RequestError {
  return new RequestError(
    406,
    'NOT_ACCEPTABLE',
    'No representation that the Accept header allows can be made. Add transfer-syntax=* to take instances as they are stored.',
  )
}

/** Turns instances into a response body, in the syntaxes that the client accepts. */
class Delivery {
  /** The status line is out: from here on a shortfall can only be told by cutting the connection. */
  committed = false
  /** Some instances could not be given; known before the status line. */
  partial = false
  readonly #offers: readonly InstanceOffer[]
  #given = 0
  #refused = 0

  constructor(offers: readonly InstanceOffer[]) {
    this.#offers = offers
  }

  async *multipart(instances: AsyncIterable<Instance>, boundary: string): AsyncGenerator<Bytes> {
    try {
      for await (const { instance, syntax } of this.#acceptable(instances)) {
        const type = `application/dicom; transfer-syntax=${syntax.uid}`
        yield partHeader(boundary, { 'Content-Type': type }, this.#given === 0)
        yield* file(instance, syntax)
        this.#given++
      }
    } catch (error) {
      if (!(error instanceof IncompleteRetrieveError) || this.committed || this.#given === 0) throw error
      this.partial = true
    }
    if (this.#given === 0) throw notAcceptable()
    if (this.#refused > 0) {
      if (this.committed) throw notAcceptable()
      this.partial = true
    }
    yield closing(boundary)
  }

  async *single(instances: AsyncIterable<Instance>): AsyncGenerator<Bytes> {
    for await (const { instance, syntax } of this.#acceptable(instances)) {
      yield* file(instance, syntax)
      this.#given++
    }
    if (this.#given === 0) throw notAcceptable()
  }

  /** Each instance with the syntax to give it in; those that the client cannot take are counted and passed over. */
  async *#acceptable(
    instances: AsyncIterable<Instance>,
  ): AsyncGenerator<{ instance: Instance; syntax: TransferSyntax }> {
    for await (const instance of instances) {
      const syntax = this.#choose(instance.syntax)
      if (syntax) yield { instance, syntax }
      else {
        this.#refused++
        for await (const _ of instance.body);
      }
    }
  }

  #choose(stored: TransferSyntax): TransferSyntax | undefined {
    for (const { syntax: wanted } of this.#offers) {
      const syntax = wanted === '*' ? stored : transferSyntax(wanted)
      if (isNative(stored) && isNative(syntax)) return isWebSyntax(syntax) ? syntax : EXPLICIT_VR_LITTLE_ENDIAN
      if (syntax.uid === stored.uid) return syntax
      // PS3.18 8.7.3: what exists only with loss is given as it is to who asked for the default.
      if (syntax.uid === EXPLICIT_VR_LITTLE_ENDIAN.uid && stored.lossy) return stored
    }
    return undefined
  }
}

async function* file(instance: Instance, syntax: TransferSyntax): AsyncGenerator<Bytes> {
  yield part10Header(instance.sopClass, instance.sopInstance, syntax)
  yield* recode(instance.body, instance.syntax, syntax)
}
