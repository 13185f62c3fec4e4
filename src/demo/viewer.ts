import { join } from 'node:path'
import { serveStatic } from '@hono/node-server/serve-static'
import { Hono } from 'hono'
import { VIEWER_PATH, viewerFolder, type FetchOptions } from './viewer-package.ts'

export { ViewerError } from './viewer-package.ts'

/** The OHIF viewer, ready to be served. */
export interface Viewer {
  /** To be served beside a DICOMweb root, which is a path of the same server. `signIn`: where that asks for it. */
  pages(dicomWebRoot: string, signIn?: ViewerSignIn): Hono
  /** The list of studies, or one study opened. */
  link(origin: string, studyInstanceUid?: string): string
}

/** How the viewer has people sign in: settings of oidc-client-ts, which it hands on. */
export interface ViewerSignIn {
  /** The OpenID provider's issuer. */
  readonly authority: string
  readonly client_id: string
  readonly scope: string
  readonly [setting: string]: unknown
}

/**
 * Has the viewer at hand: from the cache folder, or fetched into it.
 * @throws {ViewerError}
 */
export async function prepareViewer(options: FetchOptions): Promise<Viewer> {
  const folder = await viewerFolder(options)
  return {
    pages: (dicomWebRoot, signIn) => viewerPages(folder, dicomWebRoot, signIn),
    link: (origin, study) =>
      origin + VIEWER_PATH + (study === undefined ? '' : `/viewer?StudyInstanceUIDs=${encodeURIComponent(study)}`),
  }
}

/** The pages over the unpacked files in a folder. Paths that are not theirs are left to the server they are mounted on. */
export function viewerPages(folder: string, dicomWebRoot: string, signIn?: ViewerSignIn): Hono {
  const pages = new Hono()
  const config = `window.config = ${JSON.stringify(appConfig(dicomWebRoot, signIn), undefined, 2)}\n`
  const headers = headersOf(signIn)
  pages.use(`${VIEWER_PATH}/*`, async (c, next) => {
    if (c.req.method !== 'GET' && c.req.method !== 'HEAD') {
      return c.text('The viewer takes: GET, HEAD.\n', 405, { Allow: 'GET, HEAD' })
    }
    for (const [name, value] of headers) c.header(name, value)
    await next()
    // A name with webpack's hash of the content in it never means something else.
    if (c.res.ok && HASHED.test(c.req.path)) c.header('Cache-Control', 'private, max-age=86400')
    return undefined
  })
  pages.get(`${VIEWER_PATH}/app-config.js`, (c) => {
    return c.body(config, 200, { 'Content-Type': 'text/javascript; charset=utf-8' })
  })
  const index = serveStatic({ path: join(folder, 'index.html') })
  pages.get(VIEWER_PATH, index)
  // serveStatic answers nothing for a path that would leave the folder.
  pages.get(`${VIEWER_PATH}/*`, serveStatic({ root: folder, rewriteRequestPath: withoutBase }))
  pages.get(`${VIEWER_PATH}/*`, (c, next) => (isRoute(c.req.path) ? index(c, next) : next()))
  return pages
}

function withoutBase(path: string): string {
  return path.slice(VIEWER_PATH.length)
}

/** The application's own routes: no file of the build is without an extension, but for LICENSE. */
function isRoute(path: string): boolean {
  return /\/[^/.%\\]*$/.test(path)
}

const HASHED = /[./][0-9a-f]{16}\.\w+$/

/**
 * The browser sees to it that nothing leaves the machine: no page of the viewer reaches another origin than its own, and the
 * one where people sign in. Some of its libraries compile code at run time, workers start from blobs. Cross-origin isolation
 * (COOP, COEP) is not needed: what is used of Cornerstone3D does without SharedArrayBuffer.
 */
function headersOf(signIn: ViewerSignIn | undefined): [name: string, value: string][] {
  const policy = [
    "default-src 'self' data: blob:",
    "script-src 'self' blob: 'unsafe-inline' 'unsafe-eval'",
    "style-src 'self' 'unsafe-inline'",
    "object-src 'none'",
    "base-uri 'self'",
    "form-action 'self'",
    "frame-ancestors 'self'",
    ...(signIn ? [`connect-src 'self' data: blob: ${new URL(signIn.authority).origin}`] : []),
  ]
  return Object.entries({
    'Content-Security-Policy': policy.join('; '),
    'Cache-Control': 'no-cache',
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
  })
}

const SIGN_IN = {
  // Without it the viewer takes an older client, and the implicit flow, which gives tokens away in addresses.
  response_type: 'code',
  // Its default, `/`, becomes VIEWER_PATH twice: a study that is opened there was taken for the end of a session.
  post_logout_redirect_uri: '/signed-out',
  // Where the provider does not revoke tokens that are JWTs (RFC 7009 2.2.1), the viewer would not sign out at all.
  revokeAccessTokenOnSignout: false,
}

/** https://docs.ohif.org/configuration/configurationFiles. `extensions` and `modes` are what the build brings. */
function appConfig(dicomWebRoot: string, signIn: ViewerSignIn | undefined): object {
  return {
    routerBasename: VIEWER_PATH,
    extensions: [],
    modes: [],
    showStudyList: true,
    showErrorDetails: 'always',
    groupEnabledModesFirst: true,
    maxNumberOfWebWorkers: 3,
    maxNumRequests: { interaction: 100, thumbnail: 5, prefetch: 25 },
    ...(signIn && { oidc: [{ ...SIGN_IN, ...signIn }] }),
    defaultDataSourceName: 'dicomweb',
    dataSources: [
      {
        namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
        sourceName: 'dicomweb',
        configuration: {
          friendlyName: 'Dimsegate',
          name: 'dimsegate',
          qidoRoot: dicomWebRoot,
          wadoRoot: dicomWebRoot,
          wadoUriRoot: dicomWebRoot,
          qidoSupportsIncludeField: true,
          supportsWildcard: true,
          // The demo archive has no fuzzy matching.
          supportsFuzzyMatching: false,
          imageRendering: 'wadors',
          thumbnailRendering: 'wadors',
          enableStudyLazyLoad: true,
          dicomUploadEnabled: true,
          bulkDataURI: { enabled: true },
          // Not 'video': it would have videos rendered by the server; so they come as the bulk data they are.
          singlepart: 'bulkdata',
        },
      },
    ],
  }
}
