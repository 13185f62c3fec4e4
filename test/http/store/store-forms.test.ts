import { describe, expect, it, vi } from 'vitest'
import { DemoArchive } from '../../../src/demo/demo-archive.ts'
import { I, instanceFile } from '../../support/dicom-files.ts'
import { startGatewayFor, startSetup, type Setup, type SetupOptions } from '../../support/gateway.ts'
import { keeper } from '../../support/kept.ts'
import { RawClient } from '../../support/raw-http.ts'

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

  it('may have fields, and inputs in which no file was chosen', async () => {
    const setup = kept(await startSetup({ archive: { faults: { storeStatus: () => 0 } } }))
    const form = formOf([instanceFile({ instance: `${I}.1` })])
    form.append('note', 'two\nlines')
    form.append('unused', new Blob([], { type: 'application/octet-stream' }), '')
    form.append('file', new Blob([new Uint8Array(instanceFile({ instance: `${I}.2` }))]), 'a"ü\n.dcm')
    const response = await fetch(`${setup.url}/studies`, { method: 'POST', body: form })
    expect(response.status).toBe(200)
    expect(((await response.json()) as StoreAnswer)['00081199']?.Value).toHaveLength(2)
  })

  it('of fields only is told that it has no instance', async () => {
    const setup = kept(await startSetup())
    const form = new FormData()
    form.append('note', 'x')
    form.append('unused', new Blob([]), '')
    const response = await fetch(`${setup.url}/studies`, { method: 'POST', body: form })
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ code: 'NO_INSTANCES' })
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

  describe('that fails in the middle of a file', () => {
    const file = instanceFile({ pixelBytes: 200_000 })
    const part = Buffer.from('--b\r\nContent-Disposition: form-data; name="f"; filename="1.dcm"\r\n\r\n')
    const ending = Buffer.from('\r\n--b--\r\n')

    async function begun(
      settings: SetupOptions,
      ...pieces: readonly Buffer[]
    ): Promise<{ setup: Setup; client: RawClient }> {
      const setup = kept(await startSetup({ archive: { faults: { storeStatus: () => 0 } }, ...settings }))
      const client = kept(await RawClient.connect(setup.port))
      await client.send(
        'POST /dicomweb/studies HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n' +
          'Content-Type: multipart/form-data; boundary=b\r\n\r\n',
      )
      for (const piece of pieces) await client.send(chunk(piece))
      return { setup, client }
    }

    const chunk = (piece: Buffer): Buffer =>
      Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')])
    const isFree = (setup: Setup): Promise<void> =>
      vi.waitFor(() => expect(setup.gateway.archives[0]!.stats.leased).toBe(0), { timeout: 5_000, interval: 20 })
    const stall = { timeouts: { stall: '300ms' } }

    it.each([
      ['at its beginning', 100],
      ['in its pixel data', 100_000],
    ])('by a pause %s is answered by 408, and lets the association go', async (_, sent) => {
      const { setup, client } = await begun(stall, part, file.subarray(0, sent))
      await client.until(({ text }) => text.startsWith('HTTP/1.1 408'))
      await isFree(setup)
    })

    it('by a pause in its second file is answered for the first', async () => {
      const { setup, client } = await begun(stall, part, file, Buffer.from('\r\n'), part, file.subarray(0, 50_000))
      await client.until(({ text }) => text.startsWith('HTTP/1.1 202'))
      await isFree(setup)
    })

    it('by being too large is answered by 413', async () => {
      const { setup, client } = await begun({ http: { maxBodyBytes: 100_000 } }, part, file, ending)
      await client.until(({ text }) => text.startsWith('HTTP/1.1 413'))
      await isFree(setup)
    })

    it('by a client that leaves lets the association go', async () => {
      const { setup, client } = await begun({}, part, file.subarray(0, 100_000))
      await vi.waitFor(() => expect(setup.gateway.archives[0]!.stats.leased).toBe(1), { timeout: 5_000, interval: 10 })
      client.socket.destroy()
      await isFree(setup)
    })
  })
})
