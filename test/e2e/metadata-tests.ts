import { expect, it } from 'vitest'
import { startGateway } from '../../src/gateway.ts'
import { parseConfig } from '../../src/config/config.ts'
import { dcm2json, jsonDifferences, skipWithoutDcm2json } from '../support/dcm2json.ts'
import { readParts } from '../support/multipart.ts'
import { Field, WireTap } from '../support/wire-tap.ts'
import { parseXml } from '../support/xml.ts'
import type { Use } from './archive-under-test.ts'
import { groupBy, readDataset, readSample, type Sample } from './corpus.ts'
import { EXPLICIT_LE, isFailure, losesVrs, outcomeOf } from './expectations.ts'
import { get, inParallel, first, type Answer, type JsonDataset } from './http.ts'
import { asInFile, metadataDifferences, storedBulk, withBulk, xmlDifferences } from './metadata-differences.ts'
import { frameSyntaxOf, mediaOf, storedFrames } from './stored-frames.ts'

export const JSON_TYPE = 'application/dicom+json'
const OCTETS = 'application/octet-stream'
const AS_OCTETS = `multipart/related; type="${OCTETS}"`
/** Of frames, as OHIF asks: quoted, and in older versions not. */
export const OHIF = `${AS_OCTETS}; transfer-syntax="*"`
const OHIF_UNQUOTED = `multipart/related; type=${OCTETS}; transfer-syntax=*`
/** Of frames and bulk data, as Python's dicomweb-client asks. */
const PYTHON = 'multipart/related; type="*/*"'
/** At once, so that requests wait for associations but do not crowd the machine. */
const WIDTH = 4

/** WADO-RS of metadata, frames and bulk data (PS3.18 10.4). */
export function metadataTests(use: Use): void {
  const studyUrl = ({ study }: Sample): string => `${use().gateway.url}/studies/${study}`
  const seriesUrl = (sample: Sample): string => `${studyUrl(sample)}/series/${sample.series}`
  const urlOf = (sample: Sample): string => `${seriesUrl(sample)}/instances/${sample.instance}`
  const isGiven = (sample: Sample): boolean => outcomeOf(sample, 'stored', use().archive.capabilities).kind === 'given'
  const given = (): Sample[] => use().samples.filter(isGiven)

  const instanceFaults = (sample: Sample, metadata: JsonDataset): string[] => {
    const { capabilities } = use().archive
    const looseVrs = !capabilities.verbatim && losesVrs(sample, capabilities)
    return metadataDifferences(sample, metadata, { url: urlOf(sample), looseVrs })
  }

  /** What is wrong with the metadata of several instances. Of a shortfall the client must hear. */
  const groupFaults = async (url: string, samples: readonly Sample[]): Promise<string[]> => {
    const wanted = new Map(samples.filter(isGiven).map((sample) => [sample.instance, sample]))
    const answer = await get(`${url}/metadata`, JSON_TYPE).catch((error: unknown) => ({ cut: error }))
    const names = samples.map(({ name }) => name).join(' ')
    if ('cut' in answer) return wanted.size < samples.length ? [] : [`${names}: cut, ${String(answer.cut)}`]
    const said = `${names}: ${answer.status} ${answer.status < 300 ? '' : answer.body.toString()}`
    if (wanted.size === 0) return isFailure(answer) ? [] : [said]
    if (answer.status !== (wanted.size < samples.length ? 206 : 200)) return [said]
    const faults: string[] = []
    for (const metadata of metadataOf(answer)) {
      const instance = first(metadata, '00080018')!
      const sample = wanted.get(instance)
      wanted.delete(instance)
      faults.push(...(sample ? instanceFaults(sample, metadata) : [`${names}: ${instance} came, or came twice`]))
    }
    return [...faults, ...[...wanted.values()].map(({ name }) => `${name} is missing`)]
  }

  it('gives the metadata of each study: every element as in the file', async () => {
    const studies = groupBy(use().samples, ({ study }) => study)
    const faults = await inParallel([...studies.values()], WIDTH, (samples) =>
      groupFaults(studyUrl(samples[0]!), samples),
    )
    expect(faults.flat()).toEqual([])
  })

  it('gives the metadata of each series and instance, and nothing of the others', async () => {
    const series = groupBy(use().samples, (sample) => `${sample.study} ${sample.series}`)
    const faults = await inParallel([...series.values()], WIDTH, (samples) =>
      groupFaults(seriesUrl(samples[0]!), samples),
    )
    const alone = await inParallel(use().samples, WIDTH, (sample) => groupFaults(urlOf(sample), [sample]))
    expect([...faults, ...alone].flat()).toEqual([])
  })

  it('gives the same metadata as XML, a part for each instance', async () => {
    // Where one is withheld the answer may be cut.
    const series = [...groupBy(use().samples, (sample) => `${sample.study} ${sample.series}`).values()]
    const whole = series.filter((samples) => samples.every(isGiven))
    const faults = await inParallel(whole, WIDTH, async (samples) => {
      const url = `${seriesUrl(samples[0]!)}/metadata`
      const xml = await get(url, 'multipart/related; type="application/dicom+xml"')
      const json = await get(url, JSON_TYPE)
      const parts = readParts(xml.headers.get('content-type') ?? '', xml.body)
      const instances = metadataOf(json)
      if (parts.length !== instances.length) return [`${url}: ${parts.length} parts of ${instances.length}`]
      return parts.flatMap(({ headers, body }, at) => {
        const type = headers.get('content-type')
        if (type !== 'application/dicom+xml') return [`${url}: a part is ${String(type)}`]
        return xmlDifferences(parseXml(body.toString()), instances[at]!).map((fault) => `${samples[0]!.name} ${fault}`)
      })
    })
    expect(faults.flat()).toEqual([])
    expect(whole.length).toBeGreaterThan(series.length / 2)
  })

  it('gives every BulkDataURI the bytes of the file, and so metadata that dcm2json agrees with', async ({ skip }) => {
    const { capabilities } = use().archive
    if (skipWithoutDcm2json()) skip('dcm2json is not installed')
    let compared = 0
    const faults = await inParallel(given(), WIDTH, async (sample) => {
      const [metadata] = metadataOf(await get(`${urlOf(sample)}/metadata`, JSON_TYPE))
      const { found, bulk } = await bulkFaults(urlOf(sample), sample, metadata!)
      const theirs = await dcm2json(sample.file)
      if (theirs === undefined) return found
      compared++
      const ours = asInFile(withBulk(metadata!, bulk))
      const looseVrs = !capabilities.verbatim && losesVrs(sample, capabilities)
      const differing = jsonDifferences(ours, theirs, { file: sample.name, looseVrs })
      return [...found, ...differing.map((line) => `${sample.name} ${line}`)]
    })
    expect(faults.flat()).toEqual([])
    expect(given().length - compared).toBeLessThanOrEqual(5)
  })

  it('gives bulk data in every form that clients ask for', async () => {
    const documents = given().filter(({ dataset }) => storedBulk(dataset).some(({ path }) => !path.startsWith('7FE0')))
    expect(documents.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['made_document.dcm', 'made_waveform.dcm']),
    )
    const faults = await inParallel(documents, WIDTH, async (sample) => {
      const [value] = storedBulk(sample.dataset).filter(({ path }) => !path.startsWith('7FE0'))
      const { path, bytes } = value!
      const url = `${urlOf(sample)}/bulkdata/${path}`
      const isDocument = path === '00420011'
      // Its attributes tell the length of a document without its pad.
      const expected = isDocument ? bytes!.subarray(0, -1) : bytes!
      const found: string[] = []
      for (const accept of [AS_OCTETS, OHIF, OHIF_UNQUOTED, PYTHON, OCTETS, `${OCTETS}; transfer-syntax=*`, '*/*']) {
        const answer = await get(url, accept)
        const type = answer.headers.get('content-type') ?? ''
        const isMultipart = !accept.startsWith(OCTETS)
        if (answer.status !== 200 || type.startsWith('multipart/related;') !== isMultipart) {
          found.push(`${sample.name} ${path}, ${accept}: ${answer.status} ${type}`)
          continue
        }
        const parts = isMultipart ? readParts(type, answer.body) : [{ headers: answer.headers, body: answer.body }]
        const media =
          isDocument && /\*\/\*/.test(accept) ? 'application/pdf' : `${OCTETS}; transfer-syntax=${EXPLICIT_LE}`
        const [{ headers, body }] = parts as [(typeof parts)[0]]
        if (parts.length !== 1 || !body.equals(expected)) found.push(`${sample.name} ${path}, ${accept}: other bytes`)
        if (headers.get('content-type') !== media || headers.get('content-location') !== url) {
          found.push(`${sample.name} ${path}, ${accept}: ${JSON.stringify([...headers])}`)
        }
      }
      return found
    })
    expect(faults.flat()).toEqual([])
  })

  it('gives every frame of every image as it is stored, to OHIF', async () => {
    const faults = await inParallel(given(), WIDTH, (sample) => allFrameFaults(urlOf(sample), sample))
    expect(faults.flat()).toEqual([])
  })

  it('gives frames to others: unquoted, to Python, under their own media type, and alone', async () => {
    const images = given().filter((sample) => storedFrames(sample) !== undefined)
    const onePerSyntax = [...groupBy(images, ({ syntax }) => syntax).values()].flatMap((all) => [all[0]!, all.at(-1)!])
    const faults = await inParallel(onePerSyntax, WIDTH, async (sample) => {
      const [media, syntax] = [mediaOf(sample), frameSyntaxOf(sample)]
      const frame = storedFrames(sample)!.length
      const octets = `${OCTETS}; transfer-syntax=${syntax}`
      const own = `${media}; transfer-syntax=${syntax}`
      const asked: [accept: string, type: string][] = [
        [OHIF_UNQUOTED, octets],
        [PYTHON, own],
        ['*/*', own],
        [`multipart/related; type="${media}"; transfer-syntax=${syntax}`, own],
        [
          `multipart/related; type="image/png", multipart/related; type="${media}"; transfer-syntax=${syntax};q=0.5`,
          own,
        ],
        [`${OCTETS}; transfer-syntax=*`, octets],
        [own, own],
      ]
      const found = await inParallel(asked, 1, async ([accept, type]) =>
        frameFaults(urlOf(sample), sample, [frame], { accept, type }),
      )
      return found.flat()
    })
    expect(faults.flat()).toEqual([])
  })

  it('gives frames uncompressed by default, the same as in the file', async () => {
    const { capabilities } = use().archive
    const images = given().filter((sample) => storedFrames(sample) !== undefined)
    const onePerSyntax = [...groupBy(images, ({ syntax }) => syntax).values()].map(([one]) => one!)
    const faults = await inParallel(onePerSyntax, WIDTH, async (sample) => {
      const outcome = outcomeOf(sample, 'default', capabilities)
      if (outcome.kind !== 'given') {
        const { status } = await get(`${urlOf(sample)}/frames/1`, AS_OCTETS)
        return status === 406 ? [] : [`${sample.name} (${sample.syntax}): ${status}`]
      }
      const { syntax, decoded } = outcome
      const type = `${OCTETS}; transfer-syntax=${syntax}`
      if (!decoded) return frameFaults(urlOf(sample), sample, [1], { accept: AS_OCTETS, type })
      // What was made of it is in the file too.
      const { body } = await get(urlOf(sample), 'application/dicom')
      const file = readSample(sample.name, body)
      return frameFaults(urlOf(sample), { ...file, dataset: readDataset(file.data, file.syntax) }, [1], {
        accept: AS_OCTETS,
        type,
      })
    })
    expect(faults.flat()).toEqual([])
  })

  it('gives frames in the order asked for, and 404 for a list with one that is not there', async () => {
    const images = given().filter((sample) => (storedFrames(sample)?.length ?? 0) > 0)
    const several = images.filter((sample) => storedFrames(sample)!.length > 1)
    expect(several.length).toBeGreaterThan(0)
    for (const sample of several) {
      const count = storedFrames(sample)!.length
      const ask = { accept: OHIF, type: `${OCTETS}; transfer-syntax=${frameSyntaxOf(sample)}` }
      expect(await frameFaults(urlOf(sample), sample, [count, 1], ask)).toEqual([])
      expect((await get(`${urlOf(sample)}/frames/1%2C${count}`, OHIF)).status).toBe(200)
      expect((await get(`${urlOf(sample)}/frames/1,${count + 1}`, OHIF)).status).toBe(404)
    }
    const statuses = await inParallel(images, WIDTH, async (sample) => {
      const count = storedFrames(sample)!.length
      return [sample.name, (await get(`${urlOf(sample)}/frames/${count + 1}`, OHIF)).status]
    })
    expect(statuses.filter(([, status]) => status !== 404)).toEqual([])
    const [one] = images
    for (const list of ['0', '-1', '1,0', '1,1', 'x', '1,', '1.5']) {
      expect([list, (await get(`${urlOf(one!)}/frames/${list}`, OHIF)).status]).toEqual([list, 400])
    }
  })

  it('answers 404 for what is not there', async () => {
    const [image] = given().filter((sample) => storedFrames(sample) !== undefined)
    const [other] = given().filter(({ study }) => study !== image!.study)
    const [report] = given().filter((sample) => storedFrames(sample) === undefined)
    const nobody = '1.2.3.4.5.6.7'
    const absent = [
      `${urlOf(report!)}/frames/1`,
      `${urlOf(report!)}/pixeldata`,
      `${urlOf(report!)}/bulkdata/7FE00010`,
      `${urlOf(image!)}/bulkdata/00420011`,
      `${urlOf(image!)}/bulkdata/00081140/0/00081155`,
      `${urlOf(image!)}/bulkdata/rows`,
      `${studyUrl({ ...image!, study: nobody })}/metadata`,
      `${seriesUrl({ ...image!, series: nobody })}/metadata`,
      `${urlOf({ ...image!, series: other!.series })}/metadata`,
      `${urlOf({ ...image!, instance: nobody })}/metadata`,
      `${urlOf({ ...image!, study: other!.study })}/metadata`,
      `${urlOf({ ...image!, instance: nobody })}/frames/1`,
      `${urlOf({ ...image!, study: other!.study })}/frames/1`,
      `${urlOf({ ...image!, instance: nobody })}/bulkdata/7FE00010`,
      `${urlOf({ ...image!, instance: nobody })}/pixeldata`,
      `${studyUrl({ ...image!, study: nobody })}/bulkdata`,
    ]
    const answers = await inParallel(absent, WIDTH, async (url) => [url, (await get(url, '*/*')).status])
    expect(answers).toEqual(absent.map((url) => [url, 404]))
  })

  it('says why where the archive cannot give an instance as it is stored', async () => {
    const withheld = use().samples.filter((sample) => !isGiven(sample))
    const faults = await inParallel(withheld.slice(0, 5), WIDTH, async (sample) => {
      const answer = await get(`${urlOf(sample)}/frames/1`, OHIF)
      return isFailure(answer) ? [] : [`${sample.name}: ${answer.status} ${answer.body.toString()}`]
    })
    expect(faults.flat()).toEqual([])
  })

  it('asks the archive once for the metadata of a series, all its frames and all its bulk data', async () => {
    const { address } = use().archive
    const several = [...groupBy(given(), (sample) => `${sample.study} ${sample.series}`).values()]
    const largest = several.sort((a, b) => b.length - a.length)[0]!
    await using tap = await WireTap.before(address.port)
    await using gateway = await startGateway(
      parseConfig({ http: { port: 0 }, archives: [{ ...address, port: tap.port }], log: { level: 'silent' } }),
    )
    const series = `${gateway.url}/studies/${largest[0]!.study}/series/${largest[0]!.series}`
    const metadata = metadataOf(await get(`${series}/metadata`, JSON_TYPE))
    expect(metadata).toHaveLength(largest.length)
    const faults = await inParallel(largest, 8, (sample) =>
      allFrameFaults(`${series}/instances/${sample.instance}`, sample),
    )
    expect(faults.flat()).toEqual([])
    expect((await get(`${series}/bulkdata`, PYTHON)).status).toBe(200)
    expect(metadataOf(await get(`${series}/metadata`, JSON_TYPE))).toEqual(metadata)
    expect(tap.count(Field.get)).toBe(1)
    expect(gateway.cache.stats).toMatchObject({ misses: 1, evictions: 0, instances: largest.length })
  })
}

/** @throws when the answer is no metadata */
export function metadataOf({ status, headers, body }: Answer): JsonDataset[] {
  if (status !== 200 && status !== 206) throw new Error(`${status} ${body.toString()}`)
  const type = headers.get('content-type')
  if (type !== JSON_TYPE) throw new Error(`Metadata of type ${String(type)}`)
  return JSON.parse(body.toString()) as JsonDataset[]
}

/** What is wrong with the bulk data of an instance, and what came of it, by its URI. */
export async function bulkFaults(
  url: string,
  sample: Sample,
  metadata: JsonDataset,
): Promise<{ found: string[]; bulk: ReadonlyMap<string, Buffer> }> {
  const stored = new Map(storedBulk(sample.dataset).map(({ path, bytes }) => [`${url}/bulkdata/${path}`, bytes]))
  const found: string[] = []
  const bulk = new Map<string, Buffer>()
  for (const uri of bulkUris(metadata)) {
    const answer = await get(uri, PYTHON)
    if (answer.status !== 200) {
      found.push(`${sample.name}: ${uri} ${answer.status} ${answer.body.toString()}`)
      continue
    }
    const parts = readParts(answer.headers.get('content-type') ?? '', answer.body).map(({ body }) => body)
    const expected = stored.get(uri)
    if (expected === undefined) {
      const frames = storedFrames(sample) ?? []
      if (parts.length !== frames.length || !parts.every((part, at) => part.equals(frames[at]!))) {
        found.push(`${sample.name}: ${uri} has other frames`)
      }
      continue
    }
    const [value] = parts
    // A document comes without the pad that makes its length even.
    const whole = uri.endsWith('/00420011') ? expected.subarray(0, value!.length) : expected
    if (parts.length !== 1 || !value!.equals(whole)) found.push(`${sample.name}: ${uri} has other bytes`)
    bulk.set(uri, value!)
  }
  return { found, bulk }
}

function bulkUris(metadata: JsonDataset): string[] {
  return Object.values(metadata).flatMap(({ vr, Value = [], BulkDataURI }) => {
    if (vr === 'SQ') return (Value as JsonDataset[]).flatMap(bulkUris)
    return BulkDataURI === undefined ? [] : [BulkDataURI]
  })
}

/** What is wrong with the frames of an instance, all in one request, as OHIF gets them; 404 where there are none. */
export async function allFrameFaults(url: string, sample: Sample): Promise<string[]> {
  const frames = storedFrames(sample)
  if (!frames) {
    const { status } = await get(`${url}/frames/1`, OHIF)
    return status === 404 ? [] : [`${sample.name} has no frames: ${status}`]
  }
  const type = `${OCTETS}; transfer-syntax=${frameSyntaxOf(sample)}`
  return frameFaults(
    url,
    sample,
    frames.map((_, at) => at + 1),
    { accept: OHIF, type },
  )
}

async function frameFaults(
  url: string,
  sample: Sample,
  numbers: readonly number[],
  { accept, type }: { readonly accept: string; readonly type: string },
): Promise<string[]> {
  const frames = storedFrames(sample)!
  const fault = (text: string): string[] => [`${sample.name} (${sample.syntax}), ${accept}: ${text}`]
  const answer = await get(`${url}/frames/${numbers.join()}`, accept)
  const own = answer.headers.get('content-type') ?? ''
  if (answer.status !== 200) return fault(`${answer.status} ${answer.body.toString()}`)
  const isSingle = !accept.startsWith('multipart') && accept !== '*/*'
  if (!isSingle && !own.startsWith(`multipart/related; type="${type.split(';')[0]!}"; boundary=`)) return fault(own)
  const parts = isSingle ? [{ headers: answer.headers, body: answer.body }] : readParts(own, answer.body)
  if (parts.length !== numbers.length) return fault(`${parts.length} parts for ${numbers.length} frames`)
  return parts.flatMap(({ headers, body }, at) => {
    const number = numbers[at]!
    const location = headers.get('content-location')
    const length = headers.get('content-length')
    if (headers.get('content-type') !== type) return fault(`frame ${number} is ${String(headers.get('content-type'))}`)
    if (location !== `${url}/frames/${number}`) return fault(`frame ${number} is at ${String(location)}`)
    if (length !== String(body.length)) return fault(`frame ${number} says it has ${String(length)} bytes`)
    const expected = frames[number - 1]!
    return body.equals(expected) ? [] : fault(`frame ${number} has other bytes (${body.length} of ${expected.length})`)
  })
}
