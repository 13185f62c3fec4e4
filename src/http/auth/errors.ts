import { RequestError } from '../problem.ts'

/** RFC 6750 3: what a client is told to come back with. */
const CHALLENGE = 'Bearer realm="dimsegate"'

/** What is wrong with a token, as the log has it. */
export type TokenFault =
  | 'TOKEN_ALGORITHM'
  | 'TOKEN_AUDIENCE'
  | 'TOKEN_CLAIMS'
  | 'TOKEN_EXPIRED'
  | 'TOKEN_ISSUER'
  | 'TOKEN_KEY'
  | 'TOKEN_MALFORMED'
  | 'TOKEN_NOT_YET'
  | 'TOKEN_SIGNATURE'
  | 'TOKEN_UNKNOWN'

/** Why somebody is not let in; logs tell codes only, so that nothing of a token is in them. */
class RefusalCause extends Error {
  readonly code: TokenFault
  constructor(code: TokenFault) {
    super(code)
    this.name = 'RefusalCause'
    this.code = code
  }
}

/** Nobody says who asks. `how` is a sentence that says how to. */
export function signInNeeded(how: string): RequestError {
  return new RequestError(401, 'SIGN_IN_NEEDED', how, { 'WWW-Authenticate': CHALLENGE })
}

/** A token, or key, that is not accepted. `why` is a sentence without anything of the token in it. */
export function tokenRefused(why: string, fault: TokenFault): RequestError {
  const headers = { 'WWW-Authenticate': `${CHALLENGE}, error="invalid_token"` }
  return new RequestError(401, 'TOKEN_REFUSED', why, headers, { cause: new RefusalCause(fault) })
}

/** Somebody shows a certificate, or comes by the headers of a proxy, that do not say who he is. */
export function identityRefused(code: 'CERTIFICATE_REFUSED' | 'PROXY_REFUSED', why: string): RequestError {
  return new RequestError(401, code, why, { 'WWW-Authenticate': CHALLENGE })
}

/** Who asks is known, and may not do this. */
export function notPermitted(what: string): RequestError {
  const headers = { 'WWW-Authenticate': `${CHALLENGE}, error="insufficient_scope"` }
  return new RequestError(403, 'NOT_PERMITTED', `This sign-in does not let you ${what}.`, headers)
}

/** The issuer cannot be asked whether to let somebody in. */
export function signInUnavailable(cause: unknown): RequestError {
  const detail =
    'Whether the token is good cannot be found out: its issuer does not answer as it should. Try again later.'
  return new RequestError(503, 'SIGN_IN_UNAVAILABLE', detail, { 'Retry-After': '5' }, { cause })
}
