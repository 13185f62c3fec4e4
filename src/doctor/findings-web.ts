import { isTimeout, systemCode } from './reason.ts'
import type { Finding } from './report.ts'

// What is found at a DICOMweb server, in words.

export function webAnswered(url: string, status: number, hasToken: boolean): Finding {
  const facts = { status }
  if (status === 401 || status === 403) {
    const text = hasToken
      ? `${url} does not let us in with destinations[].token (HTTP ${status}).`
      : `${url} wants to know who we are (HTTP ${status}). Set destinations[].token.`
    const ask = 'Please give us a bearer token that may store by STOW-RS.'
    return { level: 'problem', code: 'WEB_FORBIDDEN', text, ask, facts }
  }
  if (status >= 300 && status < 400) {
    const text = `${url} sends us elsewhere (HTTP ${status}), which is not followed. Check destinations[].url.`
    return { level: 'problem', code: 'WEB_REDIRECTS', text, facts }
  }
  if (status === 404 || status === 405 || status === 501) {
    const text = `There is no STOW-RS at ${url}/studies (HTTP ${status}). Check destinations[].url.`
    return { level: 'problem', code: 'WEB_NO_STORE', text, facts }
  }
  if (status >= 500) {
    const text = `${url} answers with HTTP ${status}: it does not store at present, or cannot be asked so.`
    return { level: 'note', code: 'WEB_FAILS', text, facts }
  }
  const text = `${url} takes store requests (one without an instance: HTTP ${status}).`
  return { level: 'ok', code: 'WEB_STORES', text, facts }
}

export function webNotReached(url: string, error: unknown): Finding {
  const code = isTimeout(error) ? undefined : systemCode(error)
  const why = code === undefined ? 'no answer' : code
  const text = `${url} cannot be reached (${why}). Check destinations[].url, the network, and its certificate.`
  return { level: 'problem', code: 'WEB_NOT_REACHED', text, ...(code !== undefined && { facts: { system: code } }) }
}
