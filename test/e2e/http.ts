import type { JsonAttribute, JsonDataset } from '../support/dcm2json.ts'

/** A whole answer. */
export interface Answer {
  readonly status: number
  readonly headers: Response['headers']
  readonly body: Buffer
}

/** @throws TypeError when the connection is cut before the end of the body */
export async function get(url: string, accept = '*/*'): Promise<Answer> {
  return answerOf(await fetch(url, { headers: { accept } }))
}

export async function post(url: string, type: string, body: Buffer<ArrayBuffer>): Promise<Answer> {
  return answerOf(await fetch(url, { method: 'POST', headers: { 'content-type': type }, body }))
}

export async function answerOf(response: Response): Promise<Answer> {
  return { status: response.status, headers: response.headers, body: Buffer.from(await response.arrayBuffer()) }
}

export type { JsonAttribute, JsonDataset }

export interface SearchAnswer {
  readonly status: number
  readonly results: readonly JsonDataset[]
  readonly warnings: readonly string[]
}

/** @throws when the answer is no list of DICOM JSON objects */
export async function search(url: string): Promise<SearchAnswer> {
  const { status, headers, body } = await get(url, 'application/dicom+json')
  const text = body.toString()
  if (status !== 200) throw new Error(`${status} ${text}`)
  const type = headers.get('content-type')
  if (type !== 'application/dicom+json') throw new Error(`Search results of type ${String(type)}`)
  const warning = headers.get('warning')
  return { status, results: JSON.parse(text) as JsonDataset[], warnings: warning?.split(/, (?=299 )/) ?? [] }
}

/** The first value of an attribute as text, a name as its first group. */
export function first(result: JsonDataset, key: string): string | undefined {
  return all(result, key)[0]
}

export function all(result: JsonDataset, key: string): string[] {
  return (result[key]?.Value ?? []).map((value) =>
    typeof value === 'object' && value !== null ? String(Object.values(value)[0]) : String(value),
  )
}

/** Does a job for each of a list, some at a time, and keeps the order. */
export async function inParallel<T, R>(list: readonly T[], width: number, job: (one: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  const queue = list.entries()
  const worker = async (): Promise<void> => {
    for (const [index, one] of queue) results[index] = await job(one)
  }
  await Promise.all(Array.from({ length: width }, worker))
  return results
}

/** The body of a multipart/related request (RFC 2387), each part a file. */
export function related(files: readonly Buffer[]): { type: string; body: Buffer<ArrayBuffer> } {
  const boundary = '----e2e-boundary'
  const parts = files.flatMap((file) => [
    Buffer.from(`--${boundary}\r\nContent-Type: application/dicom\r\n\r\n`),
    file,
    Buffer.from('\r\n'),
  ])
  const type = `multipart/related; type="application/dicom"; boundary="${boundary}"`
  return { type, body: Buffer.concat([...parts, Buffer.from(`--${boundary}--\r\n`)]) }
}
