import { instanceFile, S } from './dicom-files.ts'
import { related } from './related.ts'

/** What a gateway says to somebody with an Authorization header, or without. */
export interface Answer {
  readonly status: number
  /** Of the problem, where it is one. */
  readonly code: string | undefined
  readonly detail: string | undefined
  readonly headers: { get(name: string): string | null }
}

export interface Init {
  readonly method?: string
  readonly body?: Uint8Array<ArrayBuffer>
  readonly headers?: Readonly<Record<string, string>>
}

/** Asks a gateway by the URL of its DICOMweb root. Paths but for those of studies are from its origin. */
export async function askAs(
  authorization: string | undefined,
  root: string,
  path = '/studies',
  init: Init = {},
): Promise<Answer> {
  const headers = { ...(authorization !== undefined && { Authorization: authorization }), ...init.headers }
  const response = await fetch((path.startsWith('/studies') ? root : new URL(root).origin) + path, { ...init, headers })
  const type = response.headers.get('content-type') ?? ''
  const text = await response.text()
  const { code, detail } = (type === 'application/problem+json' ? JSON.parse(text) : {}) as Partial<Answer>
  return { status: response.status, code, detail, headers: response.headers }
}

/** Something that each scope is needed for, in a gateway whose archive has `instanceFile()`. */
export const deeds: Readonly<Record<string, (authorization: string, root: string) => Promise<Answer>>> = {
  search: (authorization, root) => askAs(authorization, root),
  retrieve: (authorization, root) => askAs(authorization, root, `/studies/${S}/metadata`),
  store: (authorization, root) => {
    const { type, body } = related([instanceFile({ instance: '1.2.3.4.9' })])
    const headers = { 'Content-Type': type }
    return askAs(authorization, root, '/studies', { method: 'POST', body: new Uint8Array(body), headers })
  },
  admin: (authorization, root) => askAs(authorization, root, '/metrics'),
}
