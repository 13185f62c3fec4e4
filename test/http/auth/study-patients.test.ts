import { afterEach, describe, expect, it, vi } from 'vitest'
import { Attribute } from '../../../src/dicom/attributes.ts'
import { Dataset } from '../../../src/dicom/dataset.ts'
import { LOOKUP_MS, StudyPatients } from '../../../src/http/auth/study-patients.ts'
import type { Archive } from '../../../src/pacs/archive.ts'
import type { Call } from '../../../src/pacs/call.ts'

const STUDY = '1.2.3'

/** An archive that says whose a study is when it is told to. */
class Asked {
  readonly calls: { readonly signal: AbortSignal; readonly answer: () => void }[] = []

  readonly archive = {
    config: { name: 'pacs' },
    queryOptions: () => Promise.resolve({}),
    search: (_request: object, _options: object, call: Call) => this.#search(call),
  } as unknown as Archive

  async *#search({ signal }: Call): AsyncGenerator<Dataset> {
    const { promise, resolve, reject } = Promise.withResolvers<undefined>()
    signal.addEventListener('abort', () => reject(signal.reason as Error))
    this.calls.push({ signal, answer: () => resolve(undefined) })
    await promise
    yield new Dataset().set(Attribute.StudyInstanceUID, STUDY).set(Attribute.PatientID, 'P-1')
  }
}

const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5))

afterEach(() => void vi.useRealTimers())

describe('whose a study is', () => {
  it('is not waited for without end', async () => {
    vi.useFakeTimers()
    const { archive } = new Asked()
    const asked = new StudyPatients().of(archive, STUDY, new AbortController().signal)
    const outcome = expect(asked).rejects.toMatchObject({ code: 'PEER_TIMEOUT' })
    await vi.advanceTimersByTimeAsync(LOOKUP_MS)
    await outcome
  })

  it('is asked once for all who want to know, and goes on while one of them waits', async () => {
    const { archive, calls } = new Asked()
    const patients = new StudyPatients()
    const [leaves, stays] = [new AbortController(), new AbortController()]
    const asked = [leaves, stays].map(({ signal }) => patients.of(archive, STUDY, signal))
    await settled()
    leaves.abort()
    expect(calls.map(({ signal }) => signal.aborted)).toEqual([false])
    calls[0]!.answer()
    expect(await Promise.all(asked)).toMatchObject([{ id: 'P-1' }, { id: 'P-1' }])
    stays.abort()
    expect(await patients.of(archive, STUDY, new AbortController().signal)).toMatchObject({ id: 'P-1' })
    expect(calls).toHaveLength(1)
  })

  it('is no longer asked when the last has left, and asked anew for who comes then', async () => {
    const { archive, calls } = new Asked()
    const patients = new StudyPatients()
    const leaving = [new AbortController(), new AbortController()]
    const outcomes = leaving.map(({ signal }) => patients.of(archive, STUDY, signal).catch(() => 'left'))
    await settled()
    for (const one of leaving) one.abort()
    const next = patients.of(archive, STUDY, new AbortController().signal)
    expect(await Promise.all(outcomes)).toEqual(['left', 'left'])
    expect(calls[0]!.signal.aborted).toBe(true)
    await settled()
    expect(calls).toHaveLength(2)
    calls[1]!.answer()
    expect(await next).toMatchObject({ id: 'P-1' })
  })

  it('is not asked for who has left before', async () => {
    const { archive, calls } = new Asked()
    await expect(new StudyPatients().of(archive, STUDY, AbortSignal.abort(new Error('left')))).rejects.toThrow('left')
    expect(calls).toHaveLength(0)
  })
})
