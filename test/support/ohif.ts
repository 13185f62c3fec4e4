import { mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium, type Browser, type Locator, type Page } from 'playwright-core'
import { findProgram } from './peers.ts'

/** To look at what was seen. */
const SCREENSHOTS = process.env['DIMSEGATE_TEST_SCREENSHOTS'] ?? join(tmpdir(), 'dimsegate-screenshots')

/** Chromium, as Debian installs it; undefined when there is none. */
export function findChromium(): string | undefined {
  return ['chromium', 'chromium-browser', 'google-chrome'].map(findProgram).find((path) => path !== undefined)
}

/** No sandbox as root, no graphics card (Cornerstone3D draws by WebGL), and nothing of the browser's own on the network. */
const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--enable-unsafe-swiftshader',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

export function launchChromium(executablePath: string): Promise<Browser> {
  return chromium.launch({ executablePath, headless: true, args: ARGUMENTS })
}

/** What a viewport shows: a digest of its pixels, how far their brightness spreads (0: one shade), how far red is from blue. */
export interface Picture {
  readonly digest: number
  readonly deviation: number
  readonly colour: number
}

/** A request of the browser. */
export interface Asked {
  readonly url: string
  readonly authorization: string | undefined
}

export interface OpenOptions {
  /** How the viewer has thumbnails made, if not as it is configured. */
  readonly thumbnails?: 'rendered' | 'thumbnail'
  /** Where people sign in: the one other origin that it may go to. */
  readonly provider?: string
}

/** A tab with the OHIF viewer in it, and what a person does there. */
export class Ohif implements AsyncDisposable {
  /** Requests that failed or went elsewhere, errors in the page. */
  readonly faults: string[] = []
  /** Paths with their queries that were answered by 200. */
  readonly answered: string[] = []
  /** All that was asked of the viewer's own server. */
  readonly asked: Asked[] = []
  readonly #page: Page

  private constructor(page: Page) {
    this.#page = page
  }

  /** Opens a page of the viewer; it has been seen before, so that it greets nobody with a dialog or a tour. */
  static async open(browser: Browser, url: string, { thumbnails, provider }: OpenOptions = {}): Promise<Ohif> {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } })
    if (thumbnails) {
      await page.route('**/app-config.js', async (route) => {
        const response = await route.fetch()
        const before = await response.text()
        const body = before.replace(/("thumbnailRendering": )"\w+"/, `$1"${thumbnails}"`)
        if (body === before) throw new Error('The configuration of the viewer says nothing of thumbnails')
        await route.fulfill({ response, body })
      })
    }
    await page.addInitScript(`
      sessionStorage.setItem('investigationalUseDialog', 'hidden')
      localStorage.setItem('shownTours', '["basicViewerTour"]')
    `)
    const ohif = new Ohif(page)
    ohif.#watch(new URL(url).origin, provider)
    await page.goto(url)
    return ohif
  }

  /** Goes to another page, in the same browser: what that has kept is there. */
  async goTo(url: string): Promise<void> {
    await this.#page.goto(url)
  }

  #watch(origin: string, provider: string | undefined): void {
    const page = this.#page
    page.on('request', (request) => {
      const url = new URL(request.url())
      if (url.origin === origin) {
        this.asked.push({ url: url.href, authorization: request.headers()['authorization'] })
      } else if (/^https?:$/.test(url.protocol) && url.origin !== provider) {
        this.faults.push(`request to ${url.href}`)
      }
    })
    page.on('response', (response) => {
      if (response.status() >= 400) this.faults.push(`${response.status()} for ${response.url()}`)
      const { pathname, search } = new URL(response.url())
      if (response.status() === 200) this.answered.push(pathname + search)
    })
    page.on('requestfailed', (request) => {
      const reason = request.failure()?.errorText ?? 'failed'
      // Given up by the page, as when it leaves for the provider. Chromium says so too of a response that it may not store
      // where the page lets go of it just when it has ended.
      if (reason !== 'net::ERR_ABORTED') this.faults.push(`${reason} for ${request.url()}`)
    })
    page.on('pageerror', (error) => this.faults.push(`exception: ${error.message}`))
    page.on('console', (message) => {
      if (message.type() === 'error') this.faults.push(`console: ${message.text()}`)
    })
  }

  /** Says who somebody is on the pages of the test's OpenID provider, and lets the viewer have what it asks for. */
  async signIn(name: string, password: string): Promise<void> {
    await this.#page.locator('input[name=name]').fill(name)
    await this.#page.locator('input[name=password]').fill(password)
    await this.#page.getByRole('button', { name: 'Sign in' }).click()
    await this.#page.getByRole('button', { name: 'Allow' }).click()
  }

  /** Signs out by the menu of the study list and the provider's page; resolves when that asks who is there again. */
  async signOut(): Promise<void> {
    await this.#page.getByRole('button', { name: 'Open settings' }).click()
    await this.#page.getByText('Logout').click()
    await this.#page.getByRole('button', { name: 'Sign out' }).click()
    await this.#page.getByRole('button', { name: 'Sign in' }).waitFor()
  }

  /** Selects the study of a patient in the list, which shows what series it has. */
  async select(patient: string): Promise<void> {
    await this.#page.locator('tbody tr:not(:has(input))').filter({ hasText: patient }).first().click()
  }

  /** The texts of the rows of the study list, once the patient is among them; the list has pages of some ten rows. */
  async rowsWith(patient: string): Promise<string[][]> {
    const rows = this.#page.locator('tbody tr:not(:has(input))')
    await rows.filter({ hasText: patient }).first().waitFor()
    return Promise.all((await rows.all()).map((row) => row.locator('td').allInnerTexts()))
  }

  /** What is drawn of each image of the series on show, from the first to the last, by turning the mouse wheel. */
  async scroll(count: number): Promise<Picture[]> {
    const viewport = this.#page.locator('[data-cy="viewport-pane"]').first()
    const position = viewport.locator('[data-cy="viewport-overlay-bottom-right"]')
    const canvas = viewport.locator('canvas.cornerstone-canvas')
    const seen: Picture[] = []
    for (let image = 1; image <= count; image++) {
      if (image === 1) await viewport.hover()
      else await this.#page.mouse.wheel(0, 100)
      // "1/1", "I:20 (1/20)"
      await position.getByText(new RegExp(`\\b${image}/${count}\\b`)).waitFor()
      seen.push(await pictureOtherThan(seen.at(-1), canvas))
    }
    return seen
  }

  /** Widths of the thumbnails on show, once there are so many that have one. */
  async thumbnails(count: number): Promise<number[]> {
    const images = this.#page.locator('[data-cy="study-browser-thumbnail"] img')
    const until = Date.now() + THUMBNAILS_TIMEOUT_MS
    for (;;) {
      const widths = await images.evaluateAll((all: { naturalWidth: number }[]) => all.map((one) => one.naturalWidth))
      if (widths.filter((width) => width > 0).length >= count || Date.now() > until) return widths
      await this.#page.waitForTimeout(200)
    }
  }

  /** Hands a file to the upload dialog of the study list, and closes it when the file has been stored. */
  async upload(name: string, file: Uint8Array): Promise<void> {
    await this.#page.getByText('Upload', { exact: true }).click()
    const dialog = this.#page.getByRole('dialog')
    const input = dialog.locator('input[type=file]:not([webkitdirectory])')
    await input.setInputFiles({ name, mimeType: 'application/dicom', buffer: Buffer.from(file) })
    await dialog.getByText('1 file completed.').waitFor()
    await this.screenshot('upload')
    // Not the cross in the corner, which does not look again for studies.
    await dialog.getByRole('button', { name: 'Close' }).first().click()
  }

  /** Resolves when no request has been under way for half a second. */
  idle(): Promise<void> {
    return this.#page.waitForLoadState('networkidle')
  }

  async screenshot(name: string): Promise<void> {
    await mkdir(SCREENSHOTS, { recursive: true })
    await this.#page.screenshot({ path: join(SCREENSHOTS, `ohif-${name}.png`) })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#page.close()
  }
}

/** The position changes before the picture does. */
async function pictureOtherThan(last: Picture | undefined, canvas: Locator): Promise<Picture> {
  const until = Date.now() + CHANGE_TIMEOUT_MS
  for (;;) {
    const picture = await canvas.evaluate(pictureOf)
    const isNew = last ? picture.digest !== last.digest : picture.deviation > 0
    if (isNew || Date.now() > until) return picture
  }
}

const CHANGE_TIMEOUT_MS = 5_000
const THUMBNAILS_TIMEOUT_MS = 30_000

/** Of the DOM, which is no library of these tests, what is needed. */
interface Canvas {
  readonly width: number
  readonly height: number
  getContext(kind: '2d'): { getImageData(x: number, y: number, width: number, height: number): { data: Uint8Array } }
}

/** Runs in the browser. */
function pictureOf(canvas: Canvas): Picture {
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
  const count = data.length / 4
  let [digest, sum, squares, colour] = [0, 0, 0, 0]
  for (let at = 0; at < data.length; at += 4) {
    const brightness = (data[at]! + data[at + 1]! + data[at + 2]!) / 3
    digest = (Math.imul(digest, 31) + data[at]! + data[at + 1]! * 256 + data[at + 2]! * 65_536) | 0
    colour = Math.max(colour, Math.abs(data[at]! - data[at + 2]!))
    sum += brightness
    squares += brightness * brightness
  }
  return { digest, deviation: Math.sqrt(Math.max(0, squares / count - (sum / count) ** 2)), colour }
}
