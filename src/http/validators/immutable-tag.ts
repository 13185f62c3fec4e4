import type { HttpContext } from '../context.ts'
import { tagOf } from './entity-tag.ts'

/** To be raised by who changes what is made of an instance: what browsers hold is then given anew. */
export const REPRESENTATION_VERSION = '1'

/**
 * The tag of what is made of one instance and of nothing else: by where it comes from, and all by which a form is chosen.
 * `chosen`: what the path leaves open, such as the instance that stands for a series.
 */
export function immutableTag(c: HttpContext, chosen: readonly string[] = []): string {
  const { base, archive } = c.var
  const { name, aeTitle, host, port } = archive.config
  const { pathname, search } = new URL(c.req.url)
  const from = [name, aeTitle, host, String(port), base]
  return tagOf(REPRESENTATION_VERSION, ...from, pathname, search, c.req.header('accept') ?? '', ...chosen)
}
