import type { Config } from './config/config.ts'
import { parseDuration } from './config/units.ts'
import { isUid } from './dicom/uids.ts'
import { linksOf } from './http/auth/auth-config.ts'
import { signLink } from './http/auth/links.ts'
import { SHARE_PATH } from './http/auth/share-page.ts'

/** How long a link is good unless told. */
const DEFAULT_TIME = '7d'

/** A link cannot be made; its message says what to do. */
export class ShareError extends Error {}

interface ShareOptions {
  readonly study: string | undefined
  /** A duration with its unit. */
  readonly time: string | undefined
  /** Name or AE title of an archive. */
  readonly archive: string | undefined
}

/** What `dimsegate share` prints: a link to one study, and the same as a token. @throws ShareError */
export async function shareLink(
  config: Config,
  { study, time = DEFAULT_TIME, archive }: ShareOptions,
): Promise<string> {
  const { http, archives } = config
  const links = linksOf(config.auth)
  if (!links) throw new ShareError('Links are signed by auth.links.key, which the configuration does not have.')
  if (study === undefined || !isUid(study)) throw new ShareError('--study is a Study Instance UID: digits and dots.')
  const ms = parseDuration(time)
  if (ms === undefined || ms < 1000) throw new ShareError('--for is a time with its unit, such as 7d or 12h.')
  if (ms > links.maxAge) throw new ShareError('--for is longer than auth.links.maxAge allows.')
  const named = archives.find(({ name, aeTitle }) => archive === undefined || archive === name || archive === aeTitle)
  if (!named) throw new ShareError('--archive is the name of an archive of the configuration.')
  const { token, id } = await signLink({ study, archive: named.name }, ms, links)
  const until = new Date(Date.now() + ms).toISOString()
  // Behind #: browsers keep that to themselves, so that it is in no log.
  const link = http.publicUrl === null ? undefined : `${http.publicUrl}${SHARE_PATH}#${token}`
  return [
    link ?? 'Set http.publicUrl to have a link for browsers.',
    '',
    `Good until ${until}. Its id in the audit trail: ${id}. Programs send it as a bearer token:`,
    '',
    token,
    '',
  ].join('\n')
}
