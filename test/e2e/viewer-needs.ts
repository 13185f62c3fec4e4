import { prepareViewer, type Viewer } from '../../src/demo/viewer.ts'
import { findChromium } from '../support/ohif.ts'

/** Opening the viewer takes seconds, with two tests at a time on two cores; so does each of the longer series. */
export const VIEWER_TIMEOUT_MS = 90_000

/** Undefined when something cannot be had; under CI=true that is a failure. */
export async function whatViewersNeed(): Promise<{ viewer: Viewer; chromium: string } | undefined> {
  try {
    const chromium = findChromium()
    if (chromium === undefined) throw new Error('Chromium is not installed')
    return { chromium, viewer: await prepareViewer({ report: () => undefined }) }
  } catch (error) {
    if (process.env['CI'] === 'true') throw error
    console.warn(`The tests with the OHIF viewer are skipped. ${error instanceof Error ? error.message : ''}`)
    return undefined
  }
}
