import type { Bytes } from '../../src/dicom/bytes.ts'

export interface RelatedOptions {
  readonly boundary?: string
  /** Of the header, instead of what the boundary makes it. */
  readonly contentType?: string
  readonly lineEnd?: '\r\n' | '\n'
  readonly preamble?: string
  readonly epilogue?: string
  /** The closing delimiter is there unless told. */
  readonly closed?: boolean
  /** Content-Type of each part; application/dicom unless told, none if empty. */
  readonly partType?: string
}

/** A multipart/related body (RFC 2387), written without the writer of src, and with faults where they are asked for. */
export function related(parts: readonly Bytes[], options: RelatedOptions = {}): { type: string; body: Buffer } {
  const { boundary = 'b0undary', lineEnd = '\r\n', preamble = '', epilogue = '', closed = true } = options
  const { partType = 'application/dicom' } = options
  const header = partType === '' ? '' : `Content-Type: ${partType}${lineEnd}`
  const chunks: Bytes[] = [Buffer.from(preamble)]
  for (const part of parts)
    chunks.push(Buffer.from(`--${boundary}${lineEnd}${header}${lineEnd}`), part, Buffer.from(lineEnd))
  if (closed) chunks.push(Buffer.from(`--${boundary}--${lineEnd}`))
  const quoted = /^[\w.-]+$/.test(boundary) ? boundary : `"${boundary}"`
  const type = options.contentType ?? `multipart/related; type="application/dicom"; boundary=${quoted}`
  return { type, body: Buffer.concat([...chunks, Buffer.from(epilogue)]) }
}

/** The module that answers a store (PS3.18 Table I.1-1), in short. */
export interface StoreAnswer {
  readonly status: number
  readonly type: string | null
  readonly retryAfter: string | null
  readonly json: Readonly<Record<string, { vr: string; Value?: unknown[] }>> & { readonly code?: string }
  /** SOP Instance UIDs stored, each with its Warning Reason. */
  readonly stored: readonly [string, number | undefined][]
  /** SOP Instance UIDs not stored, each with its Failure Reason. */
  readonly failed: readonly [string, number][]
  readonly others: readonly number[]
}

type Item = Record<string, { Value?: unknown[] }>

export async function store(url: string, parts: readonly Bytes[], options: RelatedOptions = {}): Promise<StoreAnswer> {
  const { type, body } = related(parts, options)
  return post(url, body, { 'Content-Type': type })
}

export async function post(url: string, body: Bytes, headers: Readonly<Record<string, string>>): Promise<StoreAnswer> {
  return readAnswer(await fetch(url, { method: 'POST', body: Buffer.from(body), headers }))
}

export async function readAnswer(response: Response): Promise<StoreAnswer> {
  const json = (await response.json()) as StoreAnswer['json']
  const items = (tag: string): Item[] => (json[tag]?.Value ?? []) as Item[]
  const uid = (item: Item): string => String(item['00081155']!.Value![0])
  return {
    status: response.status,
    type: response.headers.get('content-type'),
    retryAfter: response.headers.get('retry-after'),
    json,
    stored: items('00081199').map((item) => [uid(item), item['00081196']?.Value?.[0] as number | undefined]),
    failed: items('00081198').map((item) => [uid(item), item['00081197']!.Value![0] as number]),
    others: items('0008119A').map((item) => item['00081197']!.Value![0] as number),
  }
}
