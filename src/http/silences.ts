import type { ArchiveConfig } from '../config/config.ts'
import type { Gathered } from '../pacs/federation/gather.ts'
import type { HttpContext } from './context.ts'
import { RequestError } from './problem.ts'

type Silence = Pick<Gathered, 'archive' | 'failure'>

/** A sentence for each archive of several that has not told what it holds. */
export function silences(failures: readonly Silence[]): string[] {
  const names = new Set(failures.map(({ archive: { config } }) => asciiName(config)))
  return [...names].map(
    (name) => `The archive ${name} has failed, is late, or has not told all: what it holds may be missing`,
  )
}

/** Headers have ASCII. */
function asciiName({ name, aeTitle }: Pick<ArchiveConfig, 'name' | 'aeTitle'>): string {
  return /^[ -~]*$/.test(name) ? name : aeTitle
}

/** Whether a client wants the answer of all archives, or none. @throws RequestError 400 */
export function isStrict(c: HttpContext): boolean {
  return isOn(c, STRICT)
}

/** Whether a parameter is true; without it, it is not. @throws RequestError 400 */
export function isOn(c: HttpContext, name: string): boolean {
  const values = c.req.queries(name) ?? []
  if (values.length === 0) return false
  const [value] = values
  if (values.length === 1 && (value === 'true' || value === 'false')) return value === 'true'
  throw new RequestError(400, 'INVALID_PARAMETER', `The parameter ${name} is true or false.`)
}

/** The parameter by which it says so. */
export const STRICT = 'strict'

/** 502: what an archive holds would be missing. */
export function notComplete(failures: readonly Silence[]): RequestError {
  const [first] = failures
  const detail = `${silences(failures).join('. ')}. Without ${STRICT}=true the others are told of.`
  return new RequestError(502, 'FEDERATION_INCOMPLETE', detail, {}, { cause: first?.failure })
}
