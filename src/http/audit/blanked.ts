import { MAX_QUERY } from '../../audit/bounded.ts'
import { PREFIX } from '../auth/api-keys.ts'

/** In the place of what lets somebody in. */
const BLANK = '***'

/** Names of parameters whose values let somebody in, without what joins their words. */
const SECRETS: readonly string[] = [
  ...['accesstoken', 'idtoken', 'refreshtoken', 'token', 'jwt', 'authorization', 'bearer'],
  ...['apikey', 'key', 'secret', 'clientsecret', 'password'],
]

/** A JWT (RFC 7515, RFC 7516), and a key of ours, wherever they are; a dot may be written as %2E. */
const TOKENS = new RegExp(
  String.raw`(?:(?<![\w-])|(?<=%[\da-f]{2}))(?:eyJ[\w-]+(?:(?:\.|%2e)[\w-]*){2,4}|${PREFIX}[\w-]+)`,
  'gi',
)

/** Characters that are looked at: more than an event holds of any text. */
export const MAX_BLANKED = 2 * MAX_QUERY

/** The beginning of a path or a query as a client wrote it, but for what others could sign in with. */
export function blanked(text: string): string {
  return text.slice(0, MAX_BLANKED).split('&').map(withoutSecret).join('&').replace(TOKENS, BLANK)
}

function withoutSecret(parameter: string): string {
  const at = parameter.indexOf('=')
  return at >= 0 && SECRETS.includes(wordOf(parameter.slice(0, at))) ? `${parameter.slice(0, at)}=${BLANK}` : parameter
}

function wordOf(name: string): string {
  return decoded(name)
    .toLowerCase()
    .replace(/[^a-z]/g, '')
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
