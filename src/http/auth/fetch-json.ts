import { parsedJson } from '../../network/parsed-json.ts'

/** Milliseconds that an issuer has to answer. */
export const ISSUER_TIMEOUT_MS = 5_000
/** Bytes of the longest document that is read of an issuer. */
export const MAX_DOCUMENT_BYTES = 1024 * 1024

/** An issuer did not answer, or not with what is wanted. */
export class IssuerUnavailableError extends Error {
  readonly code = 'ISSUER_UNAVAILABLE'
  constructor(what: string, options?: ErrorOptions) {
    super(what, options)
    this.name = 'IssuerUnavailableError'
  }
}

/** An answer other than 2xx. */
class HttpStatusError extends Error {
  readonly code: string
  constructor(status: number) {
    super(`The answer has status ${status}`)
    this.name = 'HttpStatusError'
    this.code = `HTTP_${status}`
  }
}

/** A JSON object from an issuer, of tokens or of IDs, that has so many ms. @throws IssuerUnavailableError */
export async function fetchJson(
  url: string,
  init: RequestInit = {},
  timeout = ISSUER_TIMEOUT_MS,
): Promise<Readonly<Record<string, unknown>>> {
  let text: string
  try {
    const signal = AbortSignal.timeout(timeout)
    // What redirects may be led anywhere, with the secret it was sent.
    const response = await fetch(url, { ...init, redirect: 'error', signal })
    text = await bounded(response)
    if (!response.ok)
      throw new IssuerUnavailableError('The issuer refuses', { cause: new HttpStatusError(response.status) })
  } catch (cause) {
    if (cause instanceof IssuerUnavailableError) throw cause
    throw new IssuerUnavailableError('The issuer cannot be reached', { cause })
  }
  const value = parsedJson(text)
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw new IssuerUnavailableError('The issuer answered with what is no JSON object')
}

async function bounded(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.length
    if (size > MAX_DOCUMENT_BYTES) {
      throw new IssuerUnavailableError(`The issuer's answer has more than ${MAX_DOCUMENT_BYTES} bytes`)
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
