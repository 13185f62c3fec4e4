import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { parseConfig } from '../../src/config/config.ts'
import { Attribute } from '../../src/dicom/attributes.ts'
import { DemoArchive } from '../../src/demo/demo-archive.ts'
import { loadSamples } from '../../src/demo/samples.ts'
import { syntheticFiles } from '../../src/demo/synthetic.ts'
import type { Viewer } from '../../src/demo/viewer.ts'
import { startGateway, type Gateway } from '../../src/gateway.ts'
import { launchChromium, Ohif } from '../support/ohif.ts'
import { freePort } from '../support/ports.ts'
import { published } from '../support/published.ts'
import { testdataFiles } from '../support/testdata.ts'
import { VIEWER_TIMEOUT_MS, whatViewersNeed } from './viewer-needs.ts'

/** Levels of 255; text and frames are not part of the picture. */
const [NOT_BLANK, COLOURED] = [10, 50]

const MR = '0.0.0.0.2.8811.20010413115754.12432'
const XA = '1.3.12.2.1107.5.4.3.123456789012345.19950922.121803.6'
const US = '1.3.46.670589.14.1000.210.4.199999.20110525182825.1.0'
const palette = testdataFiles('pydicom').filter((file) => file.endsWith('examples_palette.dcm'))

const needed = await whatViewersNeed()
const requests = published('dimsegate:request')

describe.skipIf(!needed)('OHIF', { timeout: VIEWER_TIMEOUT_MS }, () => {
  let archive: DemoArchive
  let gateway: Gateway
  let browser: Browser
  /** Where the archive moves to. */
  let port: number

  beforeAll(async () => {
    const { viewer, chromium } = needed!
    port = await freePort()
    archive = await DemoArchive.start({ relational: true, destinations: { DIMSEGATE: { host: '127.0.0.1', port } } })
    await loadSamples(archive)
    for (const file of palette) await archive.load(file)
    gateway = await started('get', viewer)
    browser = await launchChromium(chromium)
  })

  afterAll(async () => {
    await (browser as Browser | undefined)?.close()
    await (gateway as Gateway | undefined)?.[Symbol.asyncDispose]()
    await (archive as DemoArchive | undefined)?.[Symbol.asyncDispose]()
  })

  function started(retrieve: 'get' | 'move', viewer: Viewer): Promise<Gateway> {
    const config = parseConfig({
      http: { port: 0 },
      dimse: { host: '127.0.0.1', port },
      archives: [{ aeTitle: archive.aeTitle, host: '127.0.0.1', port: archive.port, retrieve }],
      log: { level: 'silent' },
    })
    return startGateway(config, { pages: viewer.pages(config.http.basePath) })
  }

  const open = (study?: string, from = gateway): Promise<Ohif> =>
    Ohif.open(browser, needed!.viewer.link(new URL(from.url).origin, study))

  it('lists the studies', async () => {
    await using ohif = await open()
    const rows = await ohif.rowsWith('Rubo DEMO')
    await ohif.screenshot('studies')
    const table = rows.map(([patient, , modalities, , instances]) => [patient, modalities, instances])
    expect(table).toHaveLength(archive.catalog.studies)
    expect(table).toContainEqual(['Rubo DEMO', 'XA', '1'])
    expect(table).toContainEqual(['CompressedSamples, CT1', 'CT', '1'])
    expect(table).toContainEqual(['', 'MR', '20'])
    await ohif.idle()
    expect(ohif.faults).toEqual([])
  })

  it.for([
    { name: 'a series of 20 MR images', study: MR, images: 20, coloured: false, there: true },
    { name: 'an angiography of 96 frames in JPEG', study: XA, images: 96, coloured: false, there: true },
    { name: 'an ultrasound image with a palette', study: US, images: 1, coloured: true, there: palette.length > 0 },
  ])(
    'shows $name, for which the archive sends the series once',
    async ({ study, images, coloured, there }, { skip }) => {
      if (!there) skip('the test data is not there')
      const before = archive.retrievals
      await using ohif = await open(study)
      const pictures = await ohif.scroll(images)
      await ohif.screenshot(study)
      await ohif.idle()
      expect(ohif.faults).toEqual([])
      expect(Math.min(...pictures.map(({ deviation }) => deviation))).toBeGreaterThan(NOT_BLANK)
      expect(new Set(pictures.map(({ digest }) => digest)).size).toBe(images)
      expect(pictures.some(({ colour }) => colour > COLOURED)).toBe(coloured)
      expect(archive.retrievals - before).toBe(1)
    },
  )

  it('shows a series of 20 MR images that the archive moves, once', async () => {
    const [gets, moves] = [archive.retrievals, archive.moves]
    await using moving = await started('move', needed!.viewer)
    await using ohif = await open(MR, moving)
    const pictures = await ohif.scroll(20)
    await ohif.screenshot('moved')
    await ohif.idle()
    expect(ohif.faults).toEqual([])
    expect(Math.min(...pictures.map(({ deviation }) => deviation))).toBeGreaterThan(NOT_BLANK)
    expect(new Set(pictures.map(({ digest }) => digest)).size).toBe(20)
    expect([archive.retrievals - gets, archive.moves - moves]).toEqual([0, 1])
  })

  it('opens a study again without a byte of a frame, and with no question to the archive but searches', async () => {
    const link = (study?: string): string => needed!.viewer.link(new URL(gateway.url).origin, study)
    await using ohif = await open(MR)
    await ohif.scroll(20)
    await ohif.idle()
    await ohif.goTo(link())
    await ohif.rowsWith('Rubo DEMO')
    await ohif.idle()
    const levels: string[] = []
    archive.faults = { onFind: (one) => levels.push(one.string(Attribute.QueryRetrieveLevel) ?? '') }
    const retrievals = archive.retrievals
    const before = requests.length
    await ohif.goTo(link(MR))
    const pictures = await ohif.scroll(20)
    await ohif.screenshot('reopened')
    await ohif.idle()
    archive.faults = {}
    expect(new Set(pictures.map(({ digest }) => digest)).size).toBe(20)
    expect(ohif.faults).toEqual([])
    const answers = requests.slice(before).map(({ route, status }) => `${route.replace(/^.*:study/, '')} ${status}`)
    // Frames come from what the browser holds.
    expect(answers.filter((one) => one.includes('/frames/'))).toEqual([])
    expect(answers.filter((one) => one.startsWith('/series/:series/metadata'))).toEqual([
      '/series/:series/metadata 304',
    ])
    expect(answers.filter((one) => one.startsWith('/series 200'))).toEqual([])
    expect(answers.filter((one) => one.startsWith('/series 304'))).not.toEqual([])
    expect(levels.filter((level) => level === 'IMAGE')).toEqual([])
    expect(archive.retrievals).toBe(retrievals)
  })

  it.for(['rendered', 'thumbnail'] as const)('has thumbnails made by us, as resource %s', async (thumbnails) => {
    await using ohif = await Ohif.open(browser, needed!.viewer.link(new URL(gateway.url).origin, MR), { thumbnails })
    const widths = await ohif.thumbnails(1)
    await ohif.screenshot(`thumbnails-${thumbnails}`)
    await ohif.idle()
    expect(ohif.faults).toEqual([])
    expect(widths.length).toBeGreaterThan(0)
    expect(Math.min(...widths)).toBeGreaterThan(0)
    expect(ohif.answered.filter((path) => path.split('?')[0]!.endsWith(`/${thumbnails}`))).not.toEqual([])
  })

  it('opens the prior of a CT without a further retrieval, since that was fetched when the CT was opened', async () => {
    await using pacs = await DemoArchive.start({ aeTitle: 'PRIORS' })
    const current = [...syntheticFiles()].slice(0, 12)
    for (const file of current) {
      await pacs.put(renamed(file, { 'Synthetic CT': 'Thorax CT   ' }))
      const older = { 'Synthetic CT': 'Chest CT    ', '20260102': '20250102', '.10.1561.1': '.10.1561.7' }
      await pacs.put(renamed(file, older))
    }
    const config = parseConfig({
      http: { port: 0 },
      dimse: { enabled: false },
      archives: [{ aeTitle: pacs.aeTitle, host: '127.0.0.1', port: pacs.port }],
      prefetch: {},
      log: { level: 'silent' },
    })
    await using ahead = await startGateway(config, { pages: needed!.viewer.pages(config.http.basePath) })
    {
      await using ohif = await open('1.2.826.0.1.3680043.10.1561.1', ahead)
      await ohif.scroll(12)
      await ohif.idle()
    }
    const fetched = 'dimsegate_prefetch_studies_total{result="fetched"} 1\n'
    await vi.waitFor(async () => expect((await ahead.telemetry.metrics()).text).toContain(fetched), 10_000)
    expect(pacs.retrievals).toBe(2)
    await using ohif = await open('1.2.826.0.1.3680043.10.1561.7', ahead)
    const pictures = await ohif.scroll(12)
    await ohif.screenshot('prior')
    await ohif.idle()
    expect(ohif.faults).toEqual([])
    // The ball is the same from both sides.
    expect(new Set(pictures.map(({ digest }) => digest)).size).toBe(6)
    expect(pacs.retrievals).toBe(2)
  })

  it('stores a file', async () => {
    const [file] = syntheticFiles()
    const studies = archive.catalog.studies
    await using ohif = await open()
    await ohif.rowsWith('Rubo DEMO')
    await ohif.upload('ball.dcm', file!)
    await ohif.rowsWith('Demo, Carla')
    await ohif.screenshot('studies-after-upload')
    expect(archive.catalog.studies).toBe(studies + 1)
    await ohif.idle()
    expect(ohif.faults).toEqual([])
  })
})

/** A file with other texts, each as long as the one that it takes the place of. */
function renamed(file: Uint8Array, texts: Readonly<Record<string, string>>): Buffer {
  let text = Buffer.from(file).toString('latin1')
  for (const [from, to] of Object.entries(texts)) text = text.replaceAll(from, to)
  return Buffer.from(text, 'latin1')
}
