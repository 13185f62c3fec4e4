import type { Browser } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { parseConfig } from '../../src/config/config.ts'
import { DemoArchive } from '../../src/demo/demo-archive.ts'
import { loadSamples } from '../../src/demo/samples.ts'
import { startGateway, type Gateway } from '../../src/gateway.ts'
import { eventually } from '../support/eventually.ts'
import { launchChromium, Ohif, type Asked } from '../support/ohif.ts'
import { OidcProvider, PASSWORD, PERSON, RESOURCE, VIEWER } from '../support/oidc-provider.ts'
import { freePort } from '../support/ports.ts'
import { askAs } from '../support/signed-in.ts'
import { AUDIENCE } from '../support/token-issuer.ts'
import { VIEWER_TIMEOUT_MS, whatViewersNeed } from './viewer-needs.ts'

const MR = '0.0.0.0.2.8811.20010413115754.12432'

/** So long before its end the viewer asks for another token, in seconds. */
const EXPIRING_S = 4
const JWT = /^Bearer [\w-]+\.[\w-]+\.[\w-]+$/

const needed = await whatViewersNeed()

describe.skipIf(!needed)('OHIF, where people sign in', { timeout: VIEWER_TIMEOUT_MS }, () => {
  let archive: DemoArchive
  let provider: OidcProvider
  let gateway: Gateway
  let browser: Browser

  beforeAll(async () => {
    const { viewer, chromium } = needed!
    const port = await freePort()
    const origin = `http://127.0.0.1:${port}`
    provider = await OidcProvider.start({ viewer: viewer.link(origin) })
    archive = await DemoArchive.start({ relational: true })
    await loadSamples(archive)
    const config = parseConfig({
      http: { port },
      dimse: { enabled: false },
      archives: [{ aeTitle: archive.aeTitle, host: '127.0.0.1', port: archive.port }],
      auth: { issuer: provider.url, audience: AUDIENCE, clockSkew: '0s' },
      log: { level: 'silent' },
    })
    const pages = viewer.pages(config.http.basePath, {
      authority: provider.url,
      client_id: VIEWER,
      scope: 'openid offline_access dicom.search dicom.retrieve',
      extraQueryParams: { resource: RESOURCE },
      extraTokenParams: { resource: RESOURCE },
      prompt: 'consent',
      accessTokenExpiringNotificationTimeInSeconds: EXPIRING_S,
    })
    gateway = await startGateway(config, { pages })
    browser = await launchChromium(chromium)
  })

  afterAll(async () => {
    await (browser as Browser | undefined)?.close()
    await (gateway as Gateway | undefined)?.[Symbol.asyncDispose]()
    await (archive as DemoArchive | undefined)?.[Symbol.asyncDispose]()
    await (provider as OidcProvider | undefined)?.[Symbol.asyncDispose]()
  })

  afterEach(() => {
    provider.lifetime = 60
  })

  async function signedIn(study?: string): Promise<Ohif> {
    const link = needed!.viewer.link(new URL(gateway.url).origin, study)
    const ohif = await Ohif.open(browser, link, { provider: provider.url })
    await ohif.signIn(PERSON, PASSWORD)
    return ohif
  }

  /** What the viewer asked of the gateway. */
  const asked = (ohif: Ohif): readonly Asked[] => ohif.asked.filter(({ url }) => url.startsWith(gateway.url))

  it('lists the studies', async () => {
    await using ohif = await signedIn()
    const rows = await ohif.rowsWith('Rubo DEMO')
    await ohif.screenshot('signed-in-studies')
    await ohif.idle()
    expect(rows).toHaveLength(archive.catalog.studies)
    expect(ohif.faults).toEqual([])
  })

  it('shows a study that was asked for before, by a token in every request and in no address', async () => {
    await using ohif = await signedIn(MR)
    const pictures = await ohif.scroll(20)
    await ohif.screenshot('signed-in-study')
    await ohif.idle()
    expect(ohif.faults).toEqual([])
    expect(new Set(pictures.map(({ digest }) => digest)).size).toBe(20)

    const requests = asked(ohif)
    const frames = requests.filter(({ url }) => url.endsWith('/frames/1'))
    expect(frames.length).toBeGreaterThanOrEqual(20)
    for (const { url, authorization } of requests)
      expect([url, authorization]).toEqual([url, expect.stringMatching(JWT)])
    const tokens = new Set(requests.map(({ authorization }) => authorization!.slice('Bearer '.length)))
    for (const token of tokens) {
      expect(ohif.asked.filter(({ url }) => url.includes(token))).toEqual([])
    }
    // The same without a token.
    for (const url of new Set(requests.map((request) => request.url))) {
      expect([url, (await fetch(url)).status]).toEqual([url, 401])
    }
  })

  it('goes on when its token ends', async () => {
    provider.lifetime = EXPIRING_S + 2
    await using ohif = await signedIn()
    await ohif.rowsWith('Rubo DEMO')
    const [{ authorization: first }] = asked(ohif) as [Asked]
    const ended = async (): Promise<void> => expect((await askAs(first, gateway.url)).status).toBe(401)
    await vi.waitFor(ended, { timeout: 30_000, interval: 200 })
    await ohif.select('Rubo DEMO')
    await eventually(() => expect(asked(ohif).some(({ url }) => url.includes('/series'))).toBe(true))
    await ohif.idle()
    await ohif.screenshot('signed-in-renewed')
    expect(asked(ohif).at(-1)!.authorization).not.toBe(first)
    expect(ohif.faults).toEqual([])
  })

  it('signs out, after which the provider asks who is there', async () => {
    await using ohif = await signedIn()
    await ohif.rowsWith('Rubo DEMO')
    await ohif.signOut()
    await ohif.screenshot('signed-out')
    expect(ohif.faults).toEqual([])
  })
})
