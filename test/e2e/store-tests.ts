import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { expect, it } from 'vitest'
import { transferSyntax } from '../../src/dicom/transfer-syntax.ts'
import { isDecodable } from '../../src/imaging/codecs/decode-frame.ts'
import type { Capabilities, Use } from './archive-under-test.ts'
import { groupBy, isCompressed, readSample, type Sample } from './corpus.ts'
import { EXPLICIT_LE, faultsOf, outcomeOf } from './expectations.ts'
import { all, answerOf, first, get, inParallel, post, related, search, type Answer, type JsonDataset } from './http.ts'

const FAILED = '00081198'
const REFERENCED = '00081199'
const OTHER_FAILURES = '0008119A'
const RETRIEVE_URL = '00081190'
const REASON = '00081197'
/** PS3.18 Table I.2-2. */
const CANNOT_UNDERSTAND = 0xc000
const SYNTAX_NOT_SUPPORTED = 0xc122
const OTHER_STUDY = 0xa901

/** STOW-RS (PS3.18 10.5). */
export function storeTests(use: Use): void {
  const studiesUrl = (): string => `${use().gateway.url}/studies`
  const urlOf = ({ study, series, instance }: Sample): string =>
    `${studiesUrl()}/${study}/series/${series}/instances/${instance}`

  /** What is wrong with what is found and given of samples that were stored. */
  const storedFaults = async (samples: readonly Sample[]): Promise<string[]> => {
    const { capabilities } = use().archive
    const faults = await inParallel(samples, 4, async (sample) => {
      const path = `/studies/${sample.study}/series/${sample.series}/instances?SOPInstanceUID=${sample.instance}`
      const { results } = await search(use().gateway.url + path)
      if (results.length !== 1) return [`${sample.name} was found ${results.length} times`]
      const { status, body } = await get(urlOf(sample), 'application/dicom; transfer-syntax=*')
      if (status !== 200) return [`${sample.name}: ${status} ${body.toString()}`]
      const isDecoded = isCompressed(sample.syntax) && !capabilities.takes(sample.syntax)
      const outcome = isDecoded
        ? ({ kind: 'given', syntax: EXPLICIT_LE, decoded: true } as const)
        : outcomeOf(sample, 'stored', capabilities)
      return faultsOf(sample, body, outcome, capabilities)
    })
    return faults.flat()
  }

  const expectAbsent = async (samples: readonly Sample[]): Promise<void> => {
    for (const { study, name } of samples) {
      const { results } = await search(`${studiesUrl()}?StudyInstanceUID=${study}`)
      expect({ name, found: results.length }).toEqual({ name, found: 0 })
    }
  }

  it('stores an instance of each syntax in one request, and gives them back as they came, or uncompressed', async () => {
    const { samples, archive } = use()
    const onePerSyntax = [...groupBy(samples, ({ syntax }) => syntax).values()].map(([one]) => copyOf(one!))
    const [taken, refused] = partition(onePerSyntax, ({ syntax }) => isTaken(syntax, archive.capabilities))
    const { type, body } = related(onePerSyntax.map(({ file }) => file))
    const answer = await post(studiesUrl(), type, body)
    const result = moduleOf(answer)
    expect(answer.status).toBe(refused.length === 0 ? 200 : 202)
    expect(result[RETRIEVE_URL]).toEqual({ vr: 'UR' })
    expect(itemsOf(result, REFERENCED).map(summary)).toEqual(
      taken.map((one) => ({ sopClass: one.sopClass, instance: one.instance, url: urlOf(one) })),
    )
    expect(itemsOf(result, FAILED).map(summary)).toEqual(
      refused.map(({ sopClass, instance }) => ({ sopClass, instance, reason: String(SYNTAX_NOT_SUPPORTED) })),
    )
    expect(await storedFaults(taken)).toEqual([])
    await expectAbsent(refused)
  })

  it('stores one instance as a body of its own, and files of a browser form', async () => {
    const natives = use().samples.filter(({ syntax }) => !isCompressed(syntax))
    const [single, one, other] = natives.slice(0, 3).map(copyOf) as [Sample, Sample, Sample]
    const alone = await post(studiesUrl(), 'application/dicom', bytesOf(single))
    expect(alone.status).toBe(200)
    expect(first(moduleOf(alone), RETRIEVE_URL)).toBe(`${studiesUrl()}/${single.study}`)
    const form = new FormData()
    form.append('note', 'two files')
    for (const { name, file } of [one, other]) form.append('files', new Blob([new Uint8Array(file)]), name)
    const sent = await answerOf(await fetch(studiesUrl(), { method: 'POST', body: form }))
    expect(sent.status).toBe(200)
    expect(itemsOf(moduleOf(sent), REFERENCED)).toHaveLength(2)
    expect(await storedFaults([single, one, other])).toEqual([])
  })

  it('stores the good parts beside broken ones, and says which is which', async () => {
    const natives = use().samples.filter(({ syntax, file }) => !isCompressed(syntax) && file.length > 100_000)
    const [good, cut, last] = natives.slice(0, 3).map(copyOf) as [Sample, Sample, Sample]
    const noise = Buffer.from('This is not DICOM at all. '.repeat(20))
    const { type, body } = related([good.file, cut.file.subarray(0, cut.file.length - 5001), noise, last.file])
    const answer = await post(studiesUrl(), type, body)
    const result = moduleOf(answer)
    expect(answer.status).toBe(202)
    expect(itemsOf(result, REFERENCED).map((item) => first(item, '00081155'))).toEqual([good.instance, last.instance])
    expect(itemsOf(result, FAILED).map(summary)).toEqual([
      { sopClass: cut.sopClass, instance: cut.instance, reason: String(CANNOT_UNDERSTAND) },
    ])
    expect(itemsOf(result, OTHER_FAILURES).map((item) => first(item, REASON))).toEqual([String(CANNOT_UNDERSTAND)])
    expect(await storedFaults([good, last])).toEqual([])
    await expectAbsent([cut])
  })

  it('stores nothing of another study than the one in the URL', async () => {
    const natives = use().samples.filter(({ syntax }) => !isCompressed(syntax))
    const [right, wrong] = natives.slice(0, 2).map(copyOf) as [Sample, Sample]
    const both = related([wrong.file, right.file])
    const answer = await post(`${studiesUrl()}/${right.study}`, both.type, both.body)
    expect(answer.status).toBe(202)
    const reason = { sopClass: wrong.sopClass, instance: wrong.instance, reason: String(OTHER_STUDY) }
    expect(itemsOf(moduleOf(answer), FAILED).map(summary)).toEqual([reason])
    expect(itemsOf(moduleOf(answer), REFERENCED).map((item) => first(item, '00081155'))).toEqual([right.instance])
    const alone = related([wrong.file])
    const refused = await post(`${studiesUrl()}/${right.study}`, alone.type, alone.body)
    expect(refused.status).toBe(409)
    expect(itemsOf(moduleOf(refused), FAILED).map(summary)).toEqual([reason])
    expect(Object.keys(moduleOf(refused))).not.toContain(REFERENCED)
    expect(await storedFaults([right])).toEqual([])
    await expectAbsent([wrong])
  })

  it('says 400 to a body without DICOM, and 415 to another type', async () => {
    const { type, body } = related([Buffer.from('nothing of the kind')])
    expect((await post(studiesUrl(), type, body)).status).toBe(400)
    expect((await post(studiesUrl(), 'application/json', Buffer.from('{}'))).status).toBe(415)
  })
}

let copies = 0

/** The same instance under UIDs of its own, of the same length: all else keeps its place. */
export function copyOf(sample: Sample): Sample {
  const seed = String(++copies).padStart(3, '0')
  const renamed = (bytes: Buffer): Buffer => {
    let text = bytes.toString('latin1')
    // An instance's UID may begin with its study's: the longest goes first.
    const uids = [sample.instance, sample.series, sample.study]
    for (const [kind, uid] of uids.entries()) {
      text = text.replaceAll(uid, `2.25.${kind + 1}${seed}`.padEnd(uid.length, '7'))
    }
    return Buffer.from(text, 'latin1')
  }
  const { file, data, syntax, name } = sample
  const head = file.subarray(0, file.length - data.length)
  const body = syntax === DEFLATED ? padded(deflateRawSync(renamed(inflateRawSync(data)))) : renamed(data)
  return readSample(name, Buffer.concat([renamed(head), body]))
}

const DEFLATED = '1.2.840.10008.1.2.1.99'

function padded(bytes: Buffer): Buffer {
  return (bytes.length & 1) === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(1)])
}

function bytesOf({ file }: Sample): Buffer<ArrayBuffer> {
  return Buffer.from(file)
}

/** As it is, or uncompressed where nothing is lost by that. */
function isTaken(syntax: string, { takes }: Capabilities): boolean {
  return !isCompressed(syntax) || takes(syntax) || (isDecodable(syntax) && !transferSyntax(syntax).lossy)
}

/** The response module (PS3.18 Table I.1-1): one object, as clients compare its type to the letter. */
function moduleOf({ headers, body }: Answer): JsonDataset {
  expect(headers.get('content-type')).toBe('application/dicom+json')
  return JSON.parse(body.toString()) as JsonDataset
}

function itemsOf(result: JsonDataset, key: string): JsonDataset[] {
  return (result[key]?.Value ?? []) as JsonDataset[]
}

function summary(item: JsonDataset): Record<string, string | undefined> {
  const [sopClass, instance] = [first(item, '00081150'), first(item, '00081155')]
  const [url, reason] = [all(item, RETRIEVE_URL)[0], all(item, REASON)[0]]
  return { sopClass, instance, ...(url !== undefined && { url }), ...(reason !== undefined && { reason }) }
}

function partition<T>(list: readonly T[], test: (one: T) => boolean): [T[], T[]] {
  return [list.filter(test), list.filter((one) => !test(one))]
}
