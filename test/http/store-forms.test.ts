import { describe, expect, it } from 'vitest'
import { DemoArchive } from '../../src/demo/demo-archive.ts'
import { I, instanceFile } from '../support/dicom-files.ts'
import { startGatewayFor, startSetup } from '../support/gateway.ts'
import { keeper } from '../support/kept.ts'

const kept = keeper()

function formOf(files: readonly Buffer[]): InstanceType<typeof FormData> {
  const form = new FormData()
  for (const [index, file] of files.entries()) form.append('file', new Blob([new Uint8Array(file)]), `${index}.dcm`)
  return form
}

interface StoreAnswer {
  readonly '00081199'?: { readonly Value: readonly unknown[] }
  readonly '00081198'?: { readonly Value: readonly { readonly '00081197': { readonly Value: readonly number[] } }[] }
  readonly '0008119A'?: { readonly Value: readonly unknown[] }
}

describe('a form of files', () => {
  it('is answered, file by file, when the archive goes away in the middle of one', async () => {
    const archive = kept(await DemoArchive.start())
    archive.faults = {
      storeStatus: () => {
        void archive[Symbol.asyncDispose]()
        return undefined
      },
    }
    const gateway = kept(
      await startGatewayFor([
        { aeTitle: 'DEMO', host: '127.0.0.1', port: archive.port, timeouts: { response: '2s', connect: '1s' } },
      ]),
    )
    const files = [1, 2, 3].map((n) => instanceFile({ instance: `${I}.${n}`, pixelBytes: 8_000_000 }))
    const response = await fetch(`${gateway.url}/studies`, { method: 'POST', body: formOf(files) })
    expect(response.status).toBe(502)
    const answer = (await response.json()) as StoreAnswer
    expect(answer['00081198']?.Value.map((item) => item['00081197'].Value[0])).toEqual([0x0110, 0x0110, 0x0110])
  })

  it('of more files than one request may hold says that some were not stored', async () => {
    const setup = kept(await startSetup({ archive: { faults: { storeStatus: () => 0 } } }))
    const file = instanceFile({ pixelBytes: 2 })
    const body = formOf(Array.from({ length: 10_003 }, () => file))
    const response = await fetch(`${setup.url}/studies`, { method: 'POST', body })
    expect(response.status).toBe(202)
    const answer = (await response.json()) as StoreAnswer
    expect(answer['00081199']?.Value.length).toBeLessThanOrEqual(10_000)
    expect(answer['0008119A']?.Value).toHaveLength(1)
  })

  it('takes no more instances than the archive is to be given at once', async () => {
    const setup = kept(await startSetup({ pacs: { store: { maxInstances: 2 } } }))
    const files = [1, 2, 3].map((n) => instanceFile({ instance: `${I}.${n}` }))
    const response = await fetch(`${setup.url}/studies`, { method: 'POST', body: formOf(files) })
    expect(response.status).toBe(202)
    const answer = (await response.json()) as StoreAnswer
    expect(answer['00081199']?.Value).toHaveLength(2)
    expect(answer['0008119A']?.Value).toHaveLength(1)
  })
})
