import { expect, it } from 'vitest'
import type { Use } from './archive-under-test.ts'
import { groupBy, isCompressed, type Sample } from './corpus.ts'
import {
  EXPLICIT_LE,
  faultsOf,
  IMPLICIT_LE,
  isFailure,
  multipartFaults,
  outcomeOf,
  type Asked,
} from './expectations.ts'
import { get, inParallel } from './http.ts'

const SINGLE = 'application/dicom'
const MULTIPART = 'multipart/related; type="application/dicom"'
const AS_STORED = '; transfer-syntax=*'
/** At once, so that requests wait for associations but do not crowd the machine. */
const WIDTH = 4

/** WADO-RS of instances, series and studies (PS3.18 10.4). */
export function retrieveTests(use: Use): void {
  const instanceUrl = ({ study, series, instance }: Sample): string =>
    `${use().gateway.url}/studies/${study}/series/${series}/instances/${instance}`
  const studyUrl = (study: string): string => `${use().gateway.url}/studies/${study}`

  const instanceFaults = async (sample: Sample, asked: Asked, accept: string): Promise<string[]> => {
    const { capabilities } = use().archive
    const outcome = outcomeOf(sample, asked, capabilities)
    const answer = await get(instanceUrl(sample), accept)
    const { status, headers, body } = answer
    const said = `${sample.name} (${sample.syntax}): ${status} ${status === 200 ? '' : body.toString()}`
    switch (outcome.kind) {
      case 'unacceptable':
        return status === 406 ? [] : [said]
      case 'withheld':
        return isFailure(answer) ? [] : [said]
      case 'given': {
        if (status !== 200) return [said]
        if (!accept.startsWith(SINGLE)) return multipartFaults(answer, [sample], asked, capabilities)
        const type = headers.get('content-type')
        return type === SINGLE ? faultsOf(sample, body, outcome, capabilities) : [`${said} ${String(type)}`]
      }
    }
  }

  it('gives each instance as stored, as one file', async () => {
    const faults = await inParallel(use().samples, WIDTH, (one) => instanceFaults(one, 'stored', SINGLE + AS_STORED))
    expect(faults.flat()).toEqual([])
  })

  it('gives each instance uncompressed by default', async () => {
    const faults = await inParallel(use().samples, WIDTH, (one) => instanceFaults(one, 'default', SINGLE))
    expect(faults.flat()).toEqual([])
  })

  it('gives an instance as a multipart of one part', async () => {
    const onePerSyntax = [...groupBy(use().samples, ({ syntax }) => syntax).values()].map(([one]) => one!)
    const faults = await inParallel(onePerSyntax, WIDTH, async (one) => [
      ...(await instanceFaults(one, 'stored', MULTIPART + AS_STORED)),
      ...(await instanceFaults(one, 'default', MULTIPART)),
      ...(await instanceFaults(one, 'default', '*/*')),
    ])
    expect(faults.flat()).toEqual([])
  })

  /** What is wrong with the answer for several instances. Of a shortfall the client must hear. */
  const groupFaults = async (url: string, samples: readonly Sample[], asked: Asked): Promise<string[]> => {
    const { capabilities } = use().archive
    const kinds = new Set(samples.map((sample) => outcomeOf(sample, asked, capabilities).kind))
    const accept = asked === 'stored' ? MULTIPART + AS_STORED : MULTIPART
    // A shortfall found behind the status line is told by cutting the connection.
    const answer = await get(url, accept).catch((error: unknown) => ({ cut: error }))
    const names = samples.map(({ name }) => name).join(' ')
    if ('cut' in answer) return kinds.size > 1 ? [] : [`${names}: cut, ${String(answer.cut)}`]
    const said = `${names}: ${answer.status} ${answer.status < 300 ? '' : answer.body.toString()}`
    if (!kinds.has('given'))
      return (kinds.has('unacceptable') ? answer.status === 406 : isFailure(answer)) ? [] : [said]
    if (answer.status !== (kinds.size > 1 ? 206 : 200)) return [said]
    return multipartFaults(answer, samples, asked, capabilities)
  }

  it('gives each study as stored, every instance once', async () => {
    const studies = groupBy(use().samples, ({ study }) => study)
    const faults = await inParallel([...studies], WIDTH, ([study, samples]) =>
      groupFaults(studyUrl(study), samples, 'stored'),
    )
    expect(faults.flat()).toEqual([])
  })

  it('gives each study uncompressed by default: 206 or a cut connection where some cannot come', async () => {
    const studies = groupBy(use().samples, ({ study }) => study)
    const faults = await inParallel([...studies], WIDTH, ([study, samples]) =>
      groupFaults(studyUrl(study), samples, 'default'),
    )
    expect(faults.flat()).toEqual([])
  })

  it('gives each series of studies with several, and nothing of the others', async () => {
    const studies = groupBy(use().samples, ({ study }) => study)
    const series = [...studies.values()]
      .map((samples) => groupBy(samples, (sample) => sample.series))
      .filter(({ size }) => size > 1)
      .flatMap((several) => [...several.values()])
    const faults = await inParallel(series, WIDTH, (samples) =>
      groupFaults(`${studyUrl(samples[0]!.study)}/series/${samples[0]!.series}`, samples, 'stored'),
    )
    expect(faults.flat()).toEqual([])
  })

  it('gives a stored syntax that is asked for by name, and 406 for one that nobody makes', async () => {
    const { archive, samples } = use()
    const compressed = samples.filter(
      (sample) => isCompressed(sample.syntax) && archive.capabilities.takes(sample.syntax),
    )
    const [native] = samples.filter(({ syntax }) => syntax === EXPLICIT_LE)
    for (const sample of compressed.slice(0, 3)) {
      const { status, body } = await get(instanceUrl(sample), `${SINGLE}; transfer-syntax=${sample.syntax}`)
      expect({ name: sample.name, status }).toEqual({ name: sample.name, status: 200 })
      expect(faultsOf(sample, body, outcomeOf(sample, 'stored', archive.capabilities), archive.capabilities)).toEqual(
        [],
      )
    }
    const asked = ['1.2.840.10008.1.2.4.70', IMPLICIT_LE, '1.2.840.10008.1.2.2']
    for (const syntax of asked) {
      expect((await get(instanceUrl(native!), `${SINGLE}; transfer-syntax=${syntax}`)).status).toBe(406)
    }
  })

  it('answers 404 for what is not there (cases 53 and 60)', async () => {
    const { samples } = use()
    const native = samples.filter(({ syntax }) => !isCompressed(syntax))
    const [one] = native
    const other = native.find(({ study }) => study !== one!.study)!
    const [series] = [...groupBy(native, ({ study }) => study).values()]
      .map((study) => [...groupBy(study, (sample) => sample.series).values()].map(([first]) => first!))
      .filter((several) => several.length > 1)
    const absent = [
      studyUrl('1.2.3.4.5.6.7'),
      `${studyUrl(one!.study)}/series/1.2.3.4.5.6.7`,
      instanceUrl({ ...one!, instance: '1.2.3.4.5.6.7' }),
      instanceUrl({ ...one!, study: '1.2.3.4.5.6.7' }),
      instanceUrl({ ...one!, series: other.series }),
      instanceUrl({ ...one!, study: other.study }),
      `${studyUrl(one!.study)}/series/${other.series}`,
      ...(series ? [instanceUrl({ ...series[0]!, series: series[1]!.series })] : []),
    ]
    const answers = await inParallel(absent, WIDTH, async (url) => [
      url,
      (await get(url, MULTIPART + AS_STORED)).status,
    ])
    expect(answers).toEqual(absent.map((url) => [url, 404]))
  })

  it('completes eight retrievals at once over two associations', async () => {
    const { samples, archive, gateway } = use()
    const given = (sample: Sample): boolean => outcomeOf(sample, 'stored', archive.capabilities).kind === 'given'
    const studies = [...groupBy(samples, ({ study }) => study).values()].filter((study) => study.every(given))
    const largest = studies.sort((a, b) => bytesOf(b) - bytesOf(a)).slice(0, 4)
    const faults = await Promise.all(
      [...largest, ...largest].map(async (study) => {
        const found = await groupFaults(studyUrl(study[0]!.study), study, 'stored')
        expect(gateway.archives[0]!.stats.open).toBeLessThanOrEqual(2)
        return found
      }),
    )
    expect(faults.flat()).toEqual([])
  })

  it('gives the association back when a client leaves in mid-body', async () => {
    const { samples, gateway } = use()
    const [brain] = [...groupBy(samples, ({ study }) => study).values()].sort((a, b) => b.length - a.length)
    const leaving = new AbortController()
    const { body } = await fetch(studyUrl(brain![0]!.study), {
      headers: { accept: MULTIPART + AS_STORED },
      signal: leaving.signal,
    })
    const reader = body!.getReader()
    expect((await reader.read()).done).toBe(false)
    leaving.abort()
    await expect.poll(() => gateway.archives[0]!.stats.leased, { timeout: 10_000, interval: 10 }).toBe(0)
  })
}

function bytesOf(samples: readonly Sample[]): number {
  return samples.reduce((sum, { file }) => sum + file.length, 0)
}
