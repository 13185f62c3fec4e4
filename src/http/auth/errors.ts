import { RequestError } from '../problem.ts'

/** RFC 6750 3: what a client is told to come back with. */
const CHALLENGE = 'Bearer realm="dimsegate"'

/** Nobody says who asks. */
export function signInNeeded(): RequestError {
  const detail = 'Sign in first: send a bearer token in the Authorization header.'
  return new RequestError(401, 'SIGN_IN_NEEDED', detail, { 'WWW-Authenticate': CHALLENGE })
}

/** A token, or key, that is not accepted. `why` is a sentence without anything of the token in it. */
export function tokenRefused(why: string): RequestError {
  const headers = { 'WWW-Authenticate': `${CHALLENGE}, error="invalid_token"` }
  return new RequestError(401, 'TOKEN_REFUSED', why, headers)
}

/** Who asks is known, and may not do this. */
export function notPermitted(what: string): RequestError {
  const headers = { 'WWW-Authenticate': `${CHALLENGE}, error="insufficient_scope"` }
  return new RequestError(403, 'NOT_PERMITTED', `This sign-in does not let you ${what}.`, headers)
}

/** The issuer cannot be asked whether to let somebody in. */
export function signInUnavailable(cause: unknown): RequestError {
  const detail = 'Whether the token is good cannot be found out: its issuer does not answer. Try again later.'
  return new RequestError(503, 'SIGN_IN_UNAVAILABLE', detail, { 'Retry-After': '5' }, { cause })
}
