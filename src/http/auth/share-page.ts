import { createHash } from 'node:crypto'
import type { Hono } from 'hono'
import type { Archive } from '../../pacs/archive.ts'
import { publicOrigin } from '../base-url.ts'
import type { HttpContext, HttpEnv } from '../context.ts'
import { archiveRoot } from '../path.ts'
import { RequestError } from '../problem.ts'
import type { RequestsAhead } from '../requests-ahead.ts'
import type { LinksConfig } from './auth-config.ts'
import { MAX_TOKEN } from './authenticator.ts'
import { giveLinkCookie, linkCookie } from './link-cookie.ts'
import { verifiedLink } from './links.ts'

/** Where links lead. */
export const SHARE_PATH = '/share'
/** A token is sent at once: who has not sent it for so long, in ms, holds a connection for nothing. */
export const TOKEN_MS = 5_000

/** The token is in the fragment: it is sent once, in a body, for a cookie that scripts cannot read. */
const OPENING = `
const token = location.hash.slice(1)
history.replaceState(null, '', location.pathname)
const say = (text) => { document.querySelector('output').textContent = text }
const show = (series) => {
  const list = document.querySelector('ul')
  for (const { url, title } of series) {
    const item = list.appendChild(document.createElement('li'))
    const link = item.appendChild(document.createElement('a'))
    link.href = url + '/thumbnail?viewport=1024,1024'
    const picture = link.appendChild(new Image(128))
    picture.src = url + '/thumbnail'
    picture.alt = ''
    link.append(title)
  }
  say(series.length === 1 ? '1 series' : series.length + ' series')
}
const open = async () => {
  const answer = await fetch(location.pathname, { method: 'POST', body: token })
  const told = await answer.json()
  if (!answer.ok) return say(told.detail)
  if (told.viewer) return location.replace(told.viewer)
  const found = await fetch(told.study + '/series', { headers: { Accept: 'application/dicom+json' } })
  const rows = await found.json()
  if (!found.ok) return say(rows.detail)
  const text = (row, tag) => row[tag]?.Value?.[0] ?? ''
  show(rows.map((row) => ({
    url: told.study + '/series/' + encodeURIComponent(text(row, '0020000E')),
    title: [text(row, '00080060'), text(row, '0008103E')].filter(Boolean).join(' '),
  })))
}
open().catch(() => say('The study cannot be shown: the service does not answer.'))
`

const STYLE = `
body { font: 1rem/1.5 system-ui, sans-serif; margin: 2rem; color-scheme: light dark }
ul { display: flex; flex-wrap: wrap; gap: 1rem; padding: 0; list-style: none }
a { display: block; width: 8rem; overflow-wrap: anywhere }
img { display: block; background: #000 }
`

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>A study that was shared with you</title>
<style>${STYLE}</style>
<h1>A study that was shared with you</h1>
<p><output>Opening ...</output></p>
<ul></ul>
<noscript>This page needs JavaScript to open what was shared.</noscript>
<script>${OPENING}</script>
</html>
`

const POLICY = [
  "default-src 'none'",
  `script-src '${hashOf(OPENING)}'`,
  `style-src '${hashOf(STYLE)}'`,
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

interface SharePlace {
  readonly archives: readonly Archive[]
  readonly ahead: RequestsAhead
}

/** The page that links of `dimsegate share` lead to. */
export function sharePage(app: Hono<HttpEnv>, links: LinksConfig, { archives, ahead }: SharePlace): void {
  app.use(SHARE_PATH, (c, next) => {
    ahead.enterConnection(c.env)
    return next()
  })
  app.get(SHARE_PATH, (c) => {
    c.header('Content-Security-Policy', POLICY)
    return c.html(PAGE)
  })
  app.post(SHARE_PATH, async (c) => {
    // Without one the page was loaded again, and its token is in the cookie.
    const token = (await textOf(c)) || (linkCookie(c) ?? '')
    const link = await verifiedLink(token, links)
    const archive = archives.find(({ config }) => config.name === link.archive)
    if (!archive) throw new RequestError(404, 'NO_SUCH_ARCHIVE', 'The archive of the link is no longer configured.')
    const origin = publicOrigin(c, c.var.config.http)
    giveLinkCookie(c, token)
    const root = archiveRoot(c.var.config.http, archive.config)
    const viewer = links.viewer && `${links.viewer}?StudyInstanceUIDs=${encodeURIComponent(link.study)}`
    // As a path where it can be, so that it is of the page's own origin.
    const prefix = new URL(origin).pathname.replace(/\/$/, '')
    return c.json({ study: `${prefix}${root}/studies/${encodeURIComponent(link.study)}`, ...(viewer && { viewer }) })
  })
}

async function textOf(c: HttpContext): Promise<string> {
  const length = Number(c.req.header('content-length'))
  if (!(length <= MAX_TOKEN)) {
    throw new RequestError(
      413,
      'TOKEN_TOO_LONG',
      `Send a link of at most ${MAX_TOKEN} letters, with its Content-Length.`,
    )
  }
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    const detail = `The link did not come within ${TOKEN_MS} ms.`
    reject(new RequestError(408, 'BODY_STALLED', detail, { Connection: 'close' }))
  }, TOKEN_MS)
  try {
    return await Promise.race([c.req.text(), late])
  } finally {
    clearTimeout(timer)
  }
}

function hashOf(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`
}
