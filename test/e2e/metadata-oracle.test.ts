import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DemoArchive } from '../../src/demo/demo-archive.ts'
import type { Gateway } from '../../src/gateway.ts'
import { dcm2json, jsonDifferences, skipWithoutDcm2json } from '../support/dcm2json.ts'
import { gatewayTo } from '../support/gateway-to.ts'
import { testdataFiles, testdataFolder } from '../support/testdata.ts'
import { readSample, type Sample } from './corpus.ts'
import { first, get, inParallel, post, related, type JsonDataset } from './http.ts'
import { allFrameFaults, bulkFaults, JSON_TYPE, metadataOf } from './metadata-tests.ts'
import { asInFile, metadataDifferences, withBulk } from './metadata-differences.ts'
import { copyOf } from './store-tests.ts'

// The whole way of every published file there is: stored by STOW-RS, fetched by C-GET, given as metadata, bulk data and
// frames, and compared with the file as DCMTK reads it. What may differ is said in test/support/dcm2json.ts.

const BATCH = 12
const WIDTH = 4
const TIMEOUT_MS = 120_000
const folders = ['charset', 'ct-3slice', 'dcmqi', 'pydicom', 'wg04'] as const

describe.skipIf(testdataFolder() === undefined || skipWithoutDcm2json())(
  'Published files and dcm2json of DCMTK',
  { timeout: TIMEOUT_MS },
  () => {
    let archive: DemoArchive
    let gateway: Gateway
    let stored: readonly Sample[] = []

    const urlOf = ({ study, series, instance }: Sample): string =>
      `${gateway.url}/studies/${study}/series/${series}/instances/${instance}`

    beforeAll(async () => {
      archive = await DemoArchive.start()
      gateway = await gatewayTo({ host: '127.0.0.1', port: archive.port })
    })

    afterAll(async () => {
      await (gateway as Gateway | undefined)?.[Symbol.asyncDispose]()
      await (archive as DemoArchive | undefined)?.[Symbol.asyncDispose]()
    })

    it('are stored, but for those that are broken', async () => {
      const paths = folders.flatMap(testdataFiles)
      const given = new Map<string, Sample>()
      const others: Buffer[] = []
      for (const path of paths) {
        const file = await readFile(path)
        const sample = sampleOf(path, file)
        // The same image in many compressions is often the same instance: each is stored under UIDs of its own.
        const own = sample && given.has(sample.instance) ? copyOf(sample) : sample
        if (own) given.set(own.instance, own)
        // Cut short, without UIDs, or without meta information and not in Implicit VR as that would mean.
        else others.push(file)
      }
      const files = [...[...given.values()].map(({ file }) => file), ...others]
      const referenced: string[] = []
      for (let at = 0; at < files.length; at += BATCH) {
        const { type, body } = related(files.slice(at, at + BATCH))
        const answer = await post(`${gateway.url}/studies`, type, body)
        const { '00081199': items } = JSON.parse(answer.body.toString()) as JsonDataset
        referenced.push(...((items?.Value ?? []) as JsonDataset[]).map((item) => first(item, '00081155')!))
      }
      expect([...given.values()].filter(({ instance }) => !referenced.includes(instance)).map(nameOf)).toEqual([])
      expect(paths.length).toBeGreaterThan(180)
      expect(others.length).toBeLessThanOrEqual(25)
      stored = [...given.values()]
    })

    it('have the metadata and the bulk data that they had', async () => {
      let compared = 0
      const faults = await inParallel(stored, WIDTH, async (sample) => {
        const [metadata] = metadataOf(await get(`${urlOf(sample)}/metadata`, JSON_TYPE))
        expect(first(metadata!, '00080018')).toBe(sample.instance)
        const own = metadataDifferences(sample, metadata!, { url: urlOf(sample), looseVrs: false })
        const { found, bulk } = await bulkFaults(urlOf(sample), sample, metadata!)
        const theirs = await dcm2json(sample.file)
        if (theirs === undefined) return [...own, ...found]
        compared++
        const differing = jsonDifferences(asInFile(withBulk(metadata!, bulk)), theirs, { file: sample.name })
        return [...own, ...found, ...differing.map((line) => `${sample.name} ${line}`)]
      })
      expect(faults.flat()).toEqual([])
      expect(stored.length - compared).toBeLessThanOrEqual(10)
    })

    it('have the frames that they had', async () => {
      const faults = await inParallel(stored, WIDTH, (sample) => allFrameFaults(urlOf(sample), sample))
      expect(faults.flat()).toEqual([])
    })
  },
)

/** Undefined for what has no UIDs, and what our own reader cannot read. */
function sampleOf(path: string, file: Buffer): Sample | undefined {
  try {
    const sample = readSample(path, file)
    return sample.study !== '' && sample.series !== '' && sample.instance !== '' ? sample : undefined
  } catch {
    return undefined
  }
}

function nameOf({ name }: Sample): string {
  return name
}
