import { timed } from './timed.ts'

export interface Fetched {
  readonly seconds: number
  /** From the start of the request. */
  readonly firstByteSeconds: number
  readonly bytes: number
  /** Of the response, when it is kept. */
  readonly body: string
}

const MARK = '\n== '

/**
 * One HTTP request by curl, the cheapest client there is.
 * @throws unless it is answered with 200 and to the end
 */
export async function curl(url: string, args: readonly string[], keep = false): Promise<Fetched> {
  const report = `${MARK}%{http_code} %{time_starttransfer} %{size_download}`
  const out = keep ? [] : ['-o', '/dev/null']
  const { seconds, output } = await timed('curl', ['-sS', ...out, '-w', report, ...args, url])
  const at = output.lastIndexOf(MARK)
  const [status, firstByteSeconds, bytes] = output
    .slice(at + MARK.length)
    .split(' ')
    .map(Number)
  if (status !== 200) throw new Error(`${url} was answered with ${String(status)}: ${output.slice(0, 500)}`)
  return { seconds, firstByteSeconds: firstByteSeconds!, bytes: bytes!, body: output.slice(0, at) }
}
