import { readFile } from 'node:fs/promises'
import { parse } from 'yaml'

/** The OpenAPI document that the service is built to; the path holds from the sources and from the build alike. */
export async function readContract(): Promise<object> {
  return parse(await readFile(new URL('../../openapi/dicomweb.yaml', import.meta.url), 'utf8')) as object
}
