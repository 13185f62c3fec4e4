import { afterAll, beforeAll, expect, it } from 'vitest'
import { Attribute } from '../../src/dicom/attributes.ts'
import type { Gateway } from '../../src/gateway.ts'
import { gatewayTo } from '../support/gateway-to.ts'
import type { Use } from './archive-under-test.ts'
import { groupBy, type Sample } from './corpus.ts'
import { outcomeOf } from './expectations.ts'
import { answerOf, inParallel, type Answer } from './http.ts'

const JSON_TYPE = 'application/dicom+json'
const FRAME = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
const WIDTH = 4

/** What a browser holds of real studies, asked for again. `retrieve` as the suite has it. */
export function reopenTests(use: Use, retrieve: 'auto' | 'move'): void {
  let bare: Gateway | undefined

  beforeAll(async () => {
    if (retrieve === 'move') return
    const { address } = use().archive
    bare = await gatewayTo(address, { aeTitle: address.aeTitle, maxAssociations: 2 }, { cache: { maxBytes: 0 } })
  })

  afterAll(async () => bare?.[Symbol.asyncDispose]())

  const ask = async (url: string, accept: string, tag?: string): Promise<Answer> =>
    answerOf(await fetch(url, { headers: { accept, ...(tag !== undefined && { 'if-none-match': tag }) } }))

  /** What is wrong; nothing where the answer is 200, then 304. What an archive withholds, or lacks, has no tag. */
  const faults = async (url: string, accept: string): Promise<string[]> => {
    const first = await ask(url, accept)
    const tag = first.headers.get('etag')
    if ((first.status === 200) !== (tag !== null)) return [`${url}: ${first.status}, ${tag ?? 'no tag'}`]
    if (tag === null) return []
    const again = await ask(url, accept, tag)
    return again.status === 304 && again.body.length === 0 ? [] : [`${url}: ${again.status} behind ${tag}`]
  }

  /** Those that the archive gives whole: the answer for another may be cut. */
  const seriesOf = (url: string): string[] => {
    const { capabilities } = use().archive
    const isGiven = (sample: Sample): boolean => outcomeOf(sample, 'stored', capabilities).kind === 'given'
    const bySeries = groupBy(use().samples, ({ study, series }) => `${url}/studies/${study}/series/${series}`)
    return [...bySeries].filter(([, samples]) => samples.every(isGiven)).map(([path]) => path)
  }

  it('is 304 for the metadata of each series that the gateway holds', async () => {
    const found = await inParallel(seriesOf(use().gateway.url), WIDTH, (url) => faults(`${url}/metadata`, JSON_TYPE))
    expect(found.flat()).toEqual([])
  })

  it('is 304 for the metadata of each series that it does not hold, by what the archive says', async ({ skip }) => {
    if (!bare) skip('it would need another listener')
    const found = await inParallel(seriesOf(bare!.url), WIDTH, (url) => faults(`${url}/metadata`, JSON_TYPE))
    // An archive that spoils a name in a search, or has several patients for a study, is asked for the whole again.
    const spoilt = Object.keys(use().archive.capabilities.hardNames)
    const names = use().samples.filter(({ name }) => spoilt.includes(name))
    const may = (fault: string): boolean => names.some(({ series }) => fault.includes(series))
    expect(found.flat().filter((fault) => !may(fault))).toEqual([])
  })

  it('is 304 for a frame of each image, held or not', async () => {
    const images = use().samples.filter(
      ({ dataset }) => dataset.has(Attribute.PixelData) && dataset.has(Attribute.Rows),
    )
    const roots = [use().gateway.url, ...(bare ? [bare.url] : [])]
    const urls = roots.flatMap((root) =>
      images.map((one) => `${root}/studies/${one.study}/series/${one.series}/instances/${one.instance}/frames/1`),
    )
    const found = await inParallel(urls, WIDTH, (url) => faults(url, FRAME))
    expect(found.flat()).toEqual([])
  })
}
