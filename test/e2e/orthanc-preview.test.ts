import sharp from 'sharp'
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Attribute } from '../../src/dicom/attributes.ts'
import type { Gateway } from '../../src/gateway.ts'
import { gatewayTo } from '../support/gateway-to.ts'
import { startOrthanc } from '../support/orthanc.ts'
import { skipWithoutPeers } from '../support/peers.ts'
import { daikonFiles, testdataFiles } from '../support/testdata.ts'
import { readSample, type Sample } from './corpus.ts'
import { storedFrames } from './stored-frames.ts'

/** Native ones, so that their least and greatest values are known without a decoder of ours. */
const CHOSEN = [
  ...['CT1_UNC', 'MR1_UNC', 'NM1_UNC', 'XA1_UNC', 'VL1_UNC', 'CT_small.dcm', 'SC_rgb.dcm'],
  ...['examples_rgb_color.dcm', 'SC_rgb_small_odd.dcm', 'explicit_little.dcm', 'brain_010.dcm'],
]
const files = [...testdataFiles('wg04'), ...testdataFiles('pydicom'), ...daikonFiles()].filter((file) =>
  CHOSEN.includes(basename(file)),
)
/** Levels of 255: both round, at other places. */
const TOLERANCE = 1

describe.skipIf(skipWithoutPeers())("Orthanc's own preview", () => {
  let orthanc: Awaited<ReturnType<typeof startOrthanc>>
  let gateway: Gateway

  beforeAll(async () => {
    orthanc = await startOrthanc({ files })
    gateway = await gatewayTo(orthanc, { aeTitle: orthanc.aeTitle })
  })

  afterAll(async () => {
    await gateway[Symbol.asyncDispose]()
    await orthanc[Symbol.asyncDispose]()
  })

  it.each(files.map((file): [string, string] => [basename(file), file]))(
    'of %s is the picture that we draw of all its values',
    async (name, file) => {
      const sample = readSample(name, await readFile(file))
      const { study, series, instance } = sample
      const url = `${gateway.url}/studies/${study}/series/${series}/instances/${instance}/rendered${windowOf(sample)}`
      const ours = await pixels(await fetch(url, { headers: { accept: 'image/png' } }))
      const theirs = await pixels(
        await fetch(`http://127.0.0.1:${orthanc.httpPort}/instances/${await idOf(instance)}/preview`),
      )
      expect(ours.length).toBe(theirs.length)
      let most = 0
      for (let n = 0; n < ours.length; n++) most = Math.max(most, Math.abs(ours[n]! - theirs[n]!))
      expect(most).toBeLessThanOrEqual(TOLERANCE)
    },
  )

  async function idOf(instance: string): Promise<string> {
    const found = await fetch(`http://127.0.0.1:${orthanc.httpPort}/tools/lookup`, { method: 'POST', body: instance })
    const [one] = (await found.json()) as { ID: string }[]
    return one!.ID
  }
})

async function pixels(response: Response): Promise<Buffer> {
  expect(response.status).toBe(200)
  return sharp(Buffer.from(await response.arrayBuffer()))
    .toColourspace('srgb')
    .removeAlpha()
    .raw()
    .toBuffer()
}

/** From the least to the greatest value; of colours none. */
function windowOf(sample: Sample): string {
  const { dataset } = sample
  if (dataset.number(Attribute.SamplesPerPixel) === 3) return ''
  const [frame] = storedFrames(sample)!
  const isSigned = dataset.number(Attribute.PixelRepresentation) === 1
  const isWide = dataset.number(Attribute.BitsAllocated) === 16
  let [least, most] = [Infinity, -Infinity]
  for (let at = 0; at < frame!.length; at += isWide ? 2 : 1) {
    const value = !isWide ? frame![at]! : isSigned ? frame!.readInt16LE(at) : frame!.readUInt16LE(at)
    least = Math.min(least, value)
    most = Math.max(most, value)
  }
  const slope = dataset.number(Attribute.RescaleSlope) ?? 1
  const intercept = dataset.number(Attribute.RescaleIntercept) ?? 0
  const [from, to] = [least * slope + intercept, most * slope + intercept]
  return `?window=${(from + to) / 2},${to - from},linear-exact`
}
